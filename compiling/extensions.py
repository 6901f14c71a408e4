"""Compiles the modules of ``modules.txt`` with mypyc, where that is wanted and there is a C compiler."""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
import tempfile
from pathlib import Path

import setuptools  # first: it brings the distutils that newer versions of Python lack
from setuptools.command.build_ext import build_ext
from setuptools.errors import CCompilerError

HERE = Path(__file__).parent
#: What compiling needs.  The minor version is the one that the tests have passed with: it makes the C code.
REQUIREMENTS = ["mypy[mypyc] == 2.4.*"]
#: The variable: 1 is never to compile, 0 is to compile or to fail.
PURE = "PROXYMUX_PURE"


def is_wanted(editable: bool = False) -> bool:
    """Whether to compile.

    An editable install is not compiled unless it is asked for: an edited module would not be the one that runs.
    """
    answer = os.environ.get(PURE, "")
    if answer not in ("", "0", "1"):
        raise SystemExit(f"{PURE}={answer}: 1 (never compile) or 0 (compile, or fail) is accepted")
    return answer == "0" or (not answer and not editable and _has_compiler())


def extensions() -> list[setuptools.Extension]:
    """The extensions to build for the command that setuptools was given; none where nothing is to be compiled."""
    if not {"bdist_wheel", "build_ext", "editable_wheel"} & set(sys.argv):
        return []
    if not is_wanted("editable_wheel" in sys.argv):
        _say(f"not compiled: there is no C compiler with Python's headers, or {PURE} says so")
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        if _must_compile():
            raise
        _say("not compiled: mypyc is not there")
        return []
    names = (HERE / "modules.txt").read_text(encoding="utf-8").split()
    # Two libraries, of about the same size, are built at the same time.
    core = [name for name in names if name.startswith("proxymux/core/")]
    groups = [(core, None), ([name for name in names if name not in core], None)]
    made = mypycify(["--config-file", str(HERE / "mypy.ini"), *names], opt_level="3", debug_level="0", separate=groups)
    for each in made:
        # What a compiler of tomorrow warns of is no reason to do without.
        each.extra_compile_args = [flag for flag in each.extra_compile_args if flag != "-Werror"]
    return list(made)


class BuildAllOrNone(build_ext):
    """Builds all extensions, several at a time, or none: those of half a package would not find the other half."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def run(self) -> None:
        # One that was compiled of another list would belong to a library that is not there.
        folder = Path("." if self.inplace else self.build_lib)
        for old in (*folder.glob("*__mypyc.*.so"), *folder.glob("proxymux/**/*.so")):
            old.unlink()
        try:
            super().run()
        except CCompilerError as problem:
            if _must_compile():
                raise
            _say(f"not compiled: {problem}")
            for path in self.get_outputs():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            self.extensions = []


def _must_compile() -> bool:
    return os.environ.get(PURE) == "0"


def _has_compiler() -> bool:
    """Whether there is a C compiler, and the headers of this Python."""
    from distutils.ccompiler import new_compiler
    from distutils.sysconfig import customize_compiler

    compiler = new_compiler()
    customize_compiler(compiler)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "try.c")
        source.write_text("#include <Python.h>\n", encoding="ascii")
        try:
            compiler.compile([str(source)], folder, include_dirs=[sysconfig.get_path("include")])
        except (CCompilerError, OSError):
            return False
    return True


def _say(what: str) -> None:
    print(f"proxymux: {what}", file=sys.stderr)
