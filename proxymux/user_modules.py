"""The modules that user code imports from its own folder: read from their source, and read again at a reload."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import invalidate_caches
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Final

#: Packages that are never the user's, even if they lie in the user's folder, as in a checkout of them.
_NEVER: Final = frozenset({"__main__", "proxymux", "twisted"})
#: Folders of libraries; they may lie in the user's folder, too: a virtual environment, or all of them if that is ``/``.
_LIBRARY_NAMES: Final = frozenset({"site-packages", "dist-packages"})
_LIBRARIES: Final = frozenset(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def _is_own(name: str, path: str, folder: str) -> bool:
    """True if a module is the user's: its file lies in ``folder`` or below it, and in no folder of libraries there."""
    if name.partition(".")[0] in _NEVER:
        return False
    here = os.path.dirname(os.path.abspath(path))
    # The working directory is without symbolic links, a folder that is named by its path may have some.
    return _is_below(here, folder) or _is_below(_real(here), _real(folder))


def _is_below(here: str, folder: str) -> bool:
    if not os.path.join(here, "").startswith(os.path.join(folder, "")):
        return False
    while os.path.basename(here) not in _LIBRARY_NAMES and here not in _LIBRARIES:
        if here == folder:
            return True
        here = os.path.dirname(here)
    return False


@functools.lru_cache(maxsize=1024)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


class _Loader(SourceFileLoader):
    """Runs a module from its source.

    Byte code counts as up to date if the source has its size and its time in whole seconds: an edit within the second
    would not be seen, now or at a later start.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)

    def exec_module(self, module: ModuleType) -> None:
        keep_children(module)
        super().exec_module(module)
        _modules.note(module, self.path)


class _Dropped:
    """Modules that were taken out of ``sys.modules``, to be imported again."""

    def __init__(self) -> None:
        self.modules: dict[str, ModuleType] = {}
        #: Packages that stay, each with the name and the module that it had as an attribute: ``from package import
        #: module`` would take it from there.
        self.attributes: list[tuple[ModuleType, str, ModuleType]] = []

    def add(self, modules: dict[str, ModuleType]) -> None:
        for name, module in modules.items():
            self.modules.setdefault(name, module)
            del sys.modules[name]
        for name, module in modules.items():
            package, child = sys.modules.get(name.rpartition(".")[0]), name.rpartition(".")[2]
            if package is not None and vars(package).get(child) is module:
                self.attributes.append((package, child, module))
                delattr(package, child)

    def put_back_attributes(self) -> None:
        for package, child, module in self.attributes:
            setattr(package, child, module)


class _UserModules(MetaPathFinder):
    """Finds the modules of all users' folders, and knows which of them a reload has read already."""

    def __init__(self) -> None:
        self._folders: set[str] = set()
        #: The names of modules that were run, not imported: routers, listeners, codecs.
        self._run: set[str] = set()
        #: What the reload that is under way has read; None between reloads.
        self._fresh: dict[str, ModuleType] | None = None
        self._files: list[str] = []
        self._dropped = _Dropped()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            origin = spec.loader.path
            if any(_is_own(fullname, origin, folder) for folder in self._folders):
                spec.loader = _Loader(fullname, origin)
                spec.cached = None
        return spec

    def add(self, folder: str) -> None:
        self._folders.add(folder)
        if self not in sys.meta_path:
            places = [at for at, finder in enumerate(sys.meta_path) if finder is PathFinder]
            sys.meta_path.insert(places[0] if places else len(sys.meta_path), self)
        invalidate_caches()
        _real.cache_clear()
        if self._fresh is not None:
            self._dropped.add(self._stale(folder, self._fresh))

    def _stale(self, folder: str, fresh: dict[str, ModuleType]) -> dict[str, ModuleType]:
        return {
            name: module
            for name, module in sys.modules.items()
            if fresh.get(name) is not module and _is_users(name, module, folder)
        }

    def adopt(self, package: ModuleType) -> None:
        if self._fresh is not None:
            for name, module in tuple(sys.modules.items()):
                if name.rpartition(".")[0] == package.__name__:
                    setattr(package, name.rpartition(".")[2], module)

    def note(self, module: ModuleType, path: str, *, is_run: bool = False) -> None:
        if is_run:
            self._run.add(module.__name__)
        if self._fresh is not None:
            self._fresh[module.__name__] = module
            self._files.append(path)

    @contextmanager
    def together(self) -> Iterator[None]:
        if self._fresh is not None:
            yield
            return
        self._fresh = {}
        try:
            yield
        finally:
            self._fresh = None

    @contextmanager
    def reloading(self) -> Iterator[list[str]]:
        with self.together():
            before = dict(sys.modules)
            self._dropped, self._files = _Dropped(), []
            try:
                yield self._files
            except BaseException:
                self._undo(before)
                raise
            # What was run for somebody else is in use, and is known under its name as long as that is nobody else's.
            for name, module in self._dropped.modules.items():
                if name in self._run:
                    sys.modules.setdefault(name, module)

    def _undo(self, before: dict[str, ModuleType]) -> None:
        assert self._fresh is not None
        new = {
            name: module
            for name, module in sys.modules.items()
            if before.get(name) is not module
            and (name in self._run or any(_is_users(name, module, folder) for folder in self._folders))
        }
        for name in new:
            self._fresh.pop(name, None)
        _Dropped().add(new)
        for name in (*new, *self._dropped.modules):
            if name in before:
                sys.modules[name] = before[name]
        self._dropped.put_back_attributes()


def _is_users(name: str, module: object, folder: str) -> bool:
    """True if a module was read from a source file in ``folder``, or is a package in it that has none of its own."""
    if not issubclass(type(module), ModuleType):  # not isinstance: the library of a cffi module says it were one
        return False
    names = object.__getattribute__(module, "__dict__")  # a module may load itself at any other access
    path = names.get("__file__")
    if isinstance(path, str):
        return path.endswith(".py") and _is_own(name, path, folder)
    try:
        places = list(names.get("__path__") or ())
    except KeyError:  # it lies in a package that is no longer there
        return False
    return bool(places) and all(_is_own(name, os.path.join(place, "__init__.py"), folder) for place in places)


_modules: Final = _UserModules()


def import_from(folder: str) -> None:
    """Take modules in ``folder`` and below for the user's from now on.

    Their source is read, never their byte code.  Within :func:`reloading` those that are there already are forgotten,
    so that they are imported again.
    """
    _modules.add(os.path.abspath(folder))


def keep_children(package: ModuleType) -> None:
    """Give a package that is about to be run the modules of the old one that were not forgotten: those in C."""
    _modules.adopt(package)


def note_run(module: ModuleType, path: str) -> None:
    """Note that a file was run as a module, without an import."""
    _modules.note(module, path, is_run=True)


def reloading() -> AbstractContextManager[list[str]]:
    """Have user code that is loaded within the block import its modules afresh.

    The old ones are not changed: who has them goes on with them.  An exception in the block puts every one of the
    user's modules back into ``sys.modules``.

    :returns: at the end of the block, the files that were read, in the order in which they depend on each other.
    """
    return _modules.reloading()


def reloading_together() -> AbstractContextManager[None]:
    """Have several :func:`reloading` within the block read each module once, so that services go on to share it."""
    return _modules.together()
