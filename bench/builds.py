"""The builds of proxymux that are measured: in pure Python, compiled, and an earlier one beside them."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import COMPILED, OURS

#: Asked of the Python beside a twistd; a compiled module is a shared object.
QUESTION: Final = "import proxymux.core.session as module; print(module.__file__)"


@dataclass(frozen=True)
class Build:
    """One installation of proxymux.

    :param twistd: the script that starts it.
    :param kind: ``pure`` or ``compiled``.
    :param beside: whether it is an earlier one that the others are compared with.
    """

    twistd: Path
    kind: str
    beside: bool = False

    @property
    def peer(self) -> str:
        """What it is called among the peers."""
        return (COMPILED if self.kind == "compiled" else OURS) + ("-beside" if self.beside else "")

    @property
    def python(self) -> Path:
        """The interpreter that it is installed for."""
        return self.twistd.parent / "python"


def kind_of(twistd: Path) -> str:
    """Ask an installation which build it is, ``pure`` or ``compiled``.

    :raises ValueError: if it cannot be asked; the text says what is wrong, in one line.
    """
    argv = [str(twistd.parent / "python"), "-c", QUESTION]
    try:
        # In / there is no folder proxymux that would be imported instead of what is installed.
        done = subprocess.run(argv, cwd="/", capture_output=True, text=True)
    except OSError as error:
        raise ValueError(f"{argv[0]} cannot be run: {error.strerror}") from None
    if done.returncode:
        raise ValueError(f"{argv[0]}: {done.stderr.strip().splitlines()[-1]}")
    return "pure" if done.stdout.strip().endswith(".py") else "compiled"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the builds."""
    group = parser.add_argument_group("builds of proxymux; each is asked whether it is compiled")
    group.add_argument("--pure", type=Path, metavar="TWISTD", help="the build in pure Python")
    group.add_argument("--compiled", type=Path, metavar="TWISTD", help="the compiled build")
    beside_python = Path(sys.executable).with_name("twistd")
    group.add_argument(
        "--twistd",
        type=Path,
        default=beside_python,
        help="without these: any [the one beside this Python]",
    )


def chosen(parser: argparse.ArgumentParser, options: argparse.Namespace) -> list[Build]:
    """Return the builds that the options name; what is wrong with them ends the program."""
    named = {kind: getattr(options, kind) for kind in ("pure", "compiled") if getattr(options, kind)}
    builds = []
    for option, twistd in (named or {"twistd": options.twistd}).items():
        # Not resolved: a Python that is a symbolic link knows its packages by where the link is.
        build = found(parser, option, twistd.absolute())
        if option not in ("twistd", build.kind):
            parser.error(f"--{option}: {twistd} is the {build.kind} build")
        builds.append(build)
    return builds


def found(parser: argparse.ArgumentParser, option: str, twistd: Path, beside: bool = False) -> Build:
    """Return the build that one option names; what is wrong with it ends the program."""
    if not twistd.exists():
        parser.error(f"--{option}: there is no {twistd}")
    try:
        return Build(twistd, kind_of(twistd), beside)
    except ValueError as error:
        parser.error(f"--{option}: {error}")
