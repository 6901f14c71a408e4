"""User code: runs a Python file or module of the user, and describes the errors that it raises."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, ModuleType
from typing import Final, Protocol

from proxymux.errors import RouterError
from proxymux.printable import printable
from proxymux.user_modules import import_from, is_own_file, keep_children, note_run

#: The most characters of an exception's text that are logged: it may hold all that a client has sent.
_MAX_TEXT: Final = 500


class Editor(Protocol):
    """Changes the source of a module before it is run."""

    @property
    def variables(self) -> Mapping[str, object]:
        """The global variables that the module is to have before it is run."""

    def edit(self, tree: ast.Module, path: str) -> None:
        """Change the syntax tree of the module at ``path``."""


def find(
    name: str, wanted: str = "the file that defines proxy(data)", editor: Editor | None = None
) -> tuple[object, str, str]:
    """Run a file or module from its source.

    :param name: the path of a file, ``package.module`` or ``package.module:attribute``.
    :param wanted: what the user should have named, for error messages.
    :param editor: changes the source; None takes it as it is.
    :returns: the module or its attribute; a name for logs; the path of the file.
    :raises RouterError: if the file, module or attribute does not exist, or the module cannot be run.
    """
    if _is_path(name):
        return _from_file(name, wanted, editor)
    module_name, _, attribute = name.partition(":")
    module = _from_module(module_name, wanted, editor)
    found: object = module
    for part in attribute.split(".") if attribute else ():
        try:
            found = getattr(found, part)
        except AttributeError:
            raise RouterError(f"{module.__file__}: there is no {attribute!r} in it") from None
    return found, attribute or module_name, str(module.__file__)


@dataclass(frozen=True, slots=True)
class Source:
    """Where user code is read from.

    :param folder: what is imported from it, or from below, is the user's own.
    :param file: the file that was named; None where a module was.
    """

    folder: str
    file: str | None


def source_of(name: str) -> Source:
    """Where :func:`find` reads user code from; nothing is run.

    :param name: as of :func:`find`.
    """
    if _is_path(name):
        path = os.path.abspath(name)
        return Source(os.path.dirname(path), path)
    top, *rest = name.partition(":")[0].split(".")
    folder = _folder_of(PathFinder.find_spec(top, [*sys.path, os.getcwd()]), rest)
    return Source(os.path.abspath(folder or os.getcwd()), None)


def _is_path(name: str) -> bool:
    return name.endswith(".py") or os.sep in name or os.path.exists(name)


def _from_file(path: str, wanted: str, editor: Editor | None) -> tuple[ModuleType, str, str]:
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise RouterError(f"{path}: {error.strerror}; name {wanted}") from None
    name = os.path.basename(path).removesuffix(".py")
    folder = os.path.dirname(os.path.abspath(path))
    if folder not in sys.path:
        sys.path.append(folder)  # last: modules beside a router can be imported, but hide no others
    import_from(folder)
    return _run(ModuleType(f"proxymux_router_{name}"), path, source, editor), name, path


def _from_module(name: str, wanted: str, editor: Editor | None) -> ModuleType:
    # A module is always run from its source, as a new object: a reload must neither change the module in use nor run
    # byte code, which counts as up to date even if the source has changed within the same second.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    if name.startswith("."):
        raise RouterError(f"{name}: a relative name has nothing to be relative to; name a file or an importable module")
    try:
        top, *rest = name.split(".")
        folder = _folder_of(importlib.util.find_spec(top), rest)
        if folder is not None:
            import_from(folder)
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        raise RouterError(f"{name}: there is no module {error.name!r}; name {wanted}") from None
    except ValueError:
        raise RouterError(f"{name}: this is no name of a module; name a file or an importable module") from None
    except BaseException as error:  # raised by the code of the package that contains the module
        raise _cannot_run(error, None, name) from None
    if spec is None or spec.origin is None or not spec.has_location:
        raise RouterError(f"{name}: there is no such file, nor a module of that name; name {wanted}")
    with open(spec.origin, "rb") as file:
        return _run(importlib.util.module_from_spec(spec), spec.origin, file.read(), editor)


def _folder_of(top: ModuleSpec | None, rest: list[str]) -> str | None:
    """The folder of a module's whole package, or of a module without one; None if it has no file.

    :param top: of the outermost package, or of the module.
    :param rest: the names within the package that lead to the module.
    """
    if top is None:
        return None
    for place in top.submodule_search_locations or ():
        within = os.path.join(place, *rest)
        if os.path.isdir(within) or os.path.exists(f"{within}.py"):  # a package without __init__ may be in many places
            return place
    return os.path.dirname(top.origin) if top.origin is not None and top.has_location else None


def _run(module: ModuleType, path: str, source: bytes, editor: Editor | None) -> ModuleType:
    module.__file__ = path
    with _registered(module.__name__, module):
        keep_children(module)
        try:
            exec(_compiled(module, path, source, editor), module.__dict__)
        except BaseException as error:  # a router may even call exit()
            raise _cannot_run(error, path, path) from None
    note_run(module, path)
    return module


def _compiled(module: ModuleType, path: str, source: bytes, editor: Editor | None) -> CodeType:
    if editor is None:
        return compile(source, path, "exec", dont_inherit=True)
    tree = compile(source, path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    editor.edit(tree, path)
    vars(module).update(editor.variables)
    return compile(tree, path, "exec", dont_inherit=True)


def _cannot_run(error: BaseException, path: str | None, name: str) -> RouterError:
    """The error for the operator, from one that running a module has raised.

    It names the module's line, and the user's innermost one too if that is in another file: one that it imports.

    :param path: the module's file; None if it is not known.
    :param name: begins the message where the traceback has no line of ``path``.
    """
    if isinstance(error, SyntaxError) and error.filename and (path is None or error.filename == path):
        return RouterError(f"{error.filename}:{error.lineno}: {error.msg}")
    problem = f"{place_of(error, path) or name}: {describe(error)}"
    if isinstance(error, SyntaxError) and error.filename:  # its text has file and line
        return RouterError(problem)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own_file(frame.filename)]
    if not frames or frames[-1].filename in (path, None):
        return RouterError(problem)
    return RouterError(f"{problem} ({frames[-1].filename}, line {frames[-1].lineno})")


@contextmanager
def _registered(name: str, module: ModuleType) -> Iterator[None]:
    """Register a module in ``sys.modules`` before it runs, as dataclasses need it there; undo that after an error."""
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        yield
    except BaseException:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise


def place_of(error: BaseException, filename: str | None) -> str | None:
    """``file:line`` of the innermost frame of an error's traceback in ``filename``; None if there is no such frame.

    :param filename: None for the innermost frame in any file.
    """
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    matching = [frame for frame in frames if filename in (None, frame[0])]
    if not matching:
        return None
    return f"{matching[-1][0]}:{matching[-1][1]}"


def describe(error: BaseException) -> str:
    """The type and the text of an exception, in one printable line; never raises."""
    try:
        text = " ".join(str(error).split())
    except BaseException:
        text = ""
    name = printable(type(error).__name__)
    return f"{name}: {printable(text, _MAX_TEXT)}" if text else name
