"""Loading a router: plain Python from a file or a module, run once."""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from proxymux.errors import RouterError


@dataclass(frozen=True, slots=True)
class Hook:
    """One of the user's functions.

    :param function: to be called with the first ``takes`` of the arguments that there are.
    :param place: ``file:line`` of its definition.
    """

    name: str
    function: Callable[..., Any]
    takes: int
    place: str

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments[: self.takes])


@dataclass(frozen=True, slots=True)
class Router:
    """A loaded router.

    :param name: what logs and the process title call it.
    :param filename: the file whose lines its errors name.
    """

    name: str
    filename: str
    proxy: Hook
    accepted: Hook | None = None
    connect_error: Hook | None = None
    inactivity_error: Hook | None = None


def load(name: str) -> Router:
    """Load the router that ``name`` names: a file, ``package.module`` or ``package.module:attribute``.

    An attribute is the ``proxy`` function itself, or an object that has the functions as attributes.

    :raises RouterError: if that cannot be done, in one line that begins with the file and line where they are known.
    """
    return from_object(*find(name))


def find(name: str) -> tuple[Any, str, str]:
    """What ``name`` names, what to call it, and the file that it is from.

    :param name: a file, ``package.module`` or ``package.module:attribute``.
    :raises RouterError: if there is no such thing, or its module cannot be run.
    """
    if name.endswith(".py") or os.sep in name or os.path.exists(name):
        return _from_file(name)
    module_name, _, attribute = name.partition(":")
    module = _from_module(module_name)
    found: Any = module
    for part in attribute.split(".") if attribute else ():
        try:
            found = getattr(found, part)
        except AttributeError:
            raise RouterError(f"{module.__file__}: there is no {attribute!r} in it") from None
    return found, attribute or module_name, str(module.__file__)


def from_object(found: Any, name: str, filename: str) -> Router:
    """The router that a module, an object with the functions, or a ``proxy`` function is.

    :raises RouterError: if it is none.
    """
    proxy = getattr(found, "proxy", None)
    if proxy is None and callable(found):
        return Router(name, filename, _hook("proxy", found, filename, 2))
    if proxy is None:
        raise RouterError(f"{filename}: it defines no proxy(data); see docs/router.rst for what a router defines")
    return Router(
        name,
        filename,
        _hook("proxy", proxy, filename, 2),
        _optional(found, "proxy_accepted", filename, 1),
        _optional(found, "proxy_connect_error", filename, 2),
        _optional(found, "proxy_inactivity_error", filename, 2),
    )


def _from_file(path: str) -> tuple[ModuleType, str, str]:
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise RouterError(f"{path}: {error.strerror}; name the file that defines proxy(data)") from None
    name = os.path.basename(path).removesuffix(".py")
    folder = os.path.dirname(os.path.abspath(path))
    if folder not in sys.path:
        sys.path.append(folder)  # what stands beside a router can be imported, but shadows nothing
    return _run(ModuleType(f"proxymux_router_{name}"), path, source), name, path


def _from_module(name: str) -> ModuleType:
    # Modules are run afresh from their source, so that a reload neither half-replaces the one in use nor trusts
    # byte code whose time stamp is a second coarse.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    if name.startswith("."):
        raise RouterError(f"{name}: a relative name has nothing to be relative to; name a file or an importable module")
    try:
        spec = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError) as error:
        raise RouterError(f"{name}: {describe(error)}; name a file or an importable module") from None
    except BaseException as error:  # of the package that it is in
        raise _cannot_run(error, None, name) from None
    if spec is None or spec.origin is None or not spec.has_location:
        raise RouterError(f"{name}: there is no such file, nor a module of that name; name a router")
    with open(spec.origin, "rb") as file:
        return _run(importlib.util.module_from_spec(spec), spec.origin, file.read())


def _run(module: ModuleType, path: str, source: bytes) -> ModuleType:
    module.__file__ = path
    with _registered(module.__name__, module):
        try:
            exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)
        except BaseException as error:  # a router may even call exit()
            raise _cannot_run(error, path, path) from None
    return module


def _cannot_run(error: BaseException, path: str | None, name: str) -> RouterError:
    if isinstance(error, SyntaxError) and error.filename and (path is None or error.filename == path):
        return RouterError(f"{error.filename}:{error.lineno}: {error.msg}")
    return RouterError(f"{place_of(error, path) or name}: {describe(error)}")


@contextmanager
def _registered(name: str, module: ModuleType) -> Iterator[None]:
    """Have the module under its name while it runs, as dataclasses want it, and afterwards if it ran well."""
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


def _optional(found: Any, name: str, filename: str, most: int) -> Hook | None:
    function = getattr(found, name, None)
    return None if function is None else _hook(name, function, filename, most)


def _hook(name: str, function: Any, filename: str, most: int) -> Hook:
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else filename
    if not callable(function):
        raise RouterError(f"{place}: {name} is not a function")
    try:
        signature = inspect.signature(function)
    except ValueError:
        return Hook(name, function, most, place)  # built-in, does not say
    for takes in range(most, 0, -1):
        try:
            signature.bind(*range(takes))
        except TypeError:
            continue
        return Hook(name, function, takes, place)
    accepts = {"proxy": "(data) or (data, client)", "proxy_accepted": "(client)"}.get(
        name, "(remote) or (remote, client)"
    )
    raise RouterError(f"{place}: {name}{signature} cannot be called; {name}{accepts} can")


def place_of(error: BaseException, filename: str | None) -> str | None:
    """``file:line`` of the last line of the file that the error went through; None if it did not.

    :param filename: the file, or None for whichever the error came from.
    """
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if not frames:
        # An error of a Deferred keeps its frames only here.
        frames = [(frame[1], frame[2]) for frame in getattr(getattr(error, "__failure__", None), "frames", ())]
    own = [place for place in frames if filename in (None, place[0])]
    if not own:
        return None
    return f"{own[-1][0]}:{own[-1][1]}"


def describe(error: BaseException) -> str:
    """One line on an exception."""
    try:
        text = " ".join(str(error).split())
    except BaseException:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
