"""The command line of a service, made from its settings.

Importing this module and printing ``--help`` load neither OpenSSL nor the network code, so that both are fast.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, Final, Generic, NoReturn, Protocol, TypeVar

from twisted.copyright import version as twisted_version
from twisted.python import usage

from proxymux.errors import ProxymuxError
from proxymux.fields import Setting
from proxymux.printable import printable
from proxymux.settings import Settings, nearest
from proxymux.tap.twistd_options import check_twistd_options
from proxymux.tap.usage_text import OptionEntry, entries, usage_text
from proxymux.version import __version__, compiled


class Startable(Protocol):
    """A service that can check whether it could start."""

    @property
    def warnings(self) -> Sequence[str]:
        """What is unwise about it, in one line each."""

    def check(self) -> None:
        """Check that the service could start, without listening.

        :raises ProxymuxError: if it could not.
        """


S = TypeVar("S", bound=Settings)
Made = TypeVar("Made", bound=Startable)
_CHECK: Final = "check"
_CHECK_FLAG: Final[list[str | None]] = [
    _CHECK,
    None,
    "check everything, print ok or what is wrong, and exit without listening",
]
#: The flags that Twisted's options have by themselves.
_TWISTED: Final[list[list[str | None]]] = [
    ["help", None, "print this and exit"],
    ["version", None, "print the version"],
]
#: What a demo listens on, if the options name nothing: a free port of this machine alone.
DEMO_LISTEN: Final = "tcp:0:interface=127.0.0.1"
#: The values of options that are not on the command line: of one value, repeatable, and a flag.
_NOT_GIVEN: Final[tuple[object, ...]] = (None, [], 0)


def fail(error: object) -> NoReturn:
    """Print one printable line on standard error and exit with status 1."""
    print(f"proxymux: {printable(str(error))}", file=sys.stderr)
    raise SystemExit(1)


class SettingsOptions(usage.Options, Generic[S]):
    """Options for the settings of a service.

    A subclass names the class of the settings as ``kind``, and may have further options that are not settings.
    """

    #: The class of the settings.
    kind: ClassVar[type[Settings]]
    #: The title of the options that no other service has.
    title: ClassVar[str] = "This service"
    longdesc: ClassVar[str] = ""
    optParameters: ClassVar[list[list[str | None]]] = []
    optFlags: ClassVar[list[list[str | None]]] = []
    #: The options by group, as they are shown.
    groups: ClassVar[Mapping[str, Sequence[OptionEntry]]]
    #: The settings that the command line gives; set when it has been parsed.
    settings: S

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        options = [each for each in cls.kind.fields() if each.is_option]
        single = [each for each in options if each.takes_value and not each.is_repeatable]
        cls.optParameters = [
            *cls.__dict__.get("optParameters", ()),
            *([each.key, None if each.old_name else each.short, None, each.help_line] for each in single),
            *([each.old_name, each.short, None, _old_name(each)] for each in single if each.old_name),
        ]
        flags = [*cls.__dict__.get("optFlags", ()), _CHECK_FLAG]
        cls.groups = entries(cls.kind, cls.title, [*flags, *_TWISTED])
        cls.optFlags = [
            *flags,
            *([each.key, each.short, each.help_line] for each in options if not each.takes_value),
        ]
        for each in options:
            if each.is_repeatable:
                setattr(cls, f"opt_{each.key.replace('-', '_')}", _appending_method(each))

    def __init__(self) -> None:
        super().__init__()
        for each in self.kind.fields():
            if each.is_repeatable:
                self[each.key] = []

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse the command line.

        :raises SystemExit: for a bad option, after one line on standard error.
        """
        #: The command line as it was given; it may hold secrets.
        self.arguments = list(options or ())
        try:
            super().parseOptions(None if options is None else self._with_two_dashes(options))
        except usage.UsageError as error:
            fail(self._reworded(str(error)))
        except ProxymuxError as error:
            fail(error)

    def getUsage(self, width: int | None = None) -> str:
        """The text of ``--help`` behind the synopsis; called by Twisted.

        :param width: columns; None for those of the variable COLUMNS.
        """
        return usage_text(self.groups, self.longdesc, width or _columns())

    def getSynopsis(self) -> str:
        """The first lines of ``--help``; called by Twisted."""
        return textwrap.fill(super().getSynopsis(), _columns(), subsequent_indent="    ", break_on_hyphens=False) + "\n"

    def opt_version(self) -> None:
        """Display the version and exit."""
        print(f"proxymux {__version__} (Twisted {twisted_version}, compiled: {compiled()})")
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        """Refuse arguments that are not options.

        :raises UsageError: if there is one.
        """
        if arguments:
            raise usage.UsageError(f"{arguments[0]}: is no option")

    def postOptions(self) -> None:
        """Make :attr:`settings` from the options; called by Twisted after parsing.

        :raises UsageError: if the options contradict each other.
        :raises ConfigError: naming the option that has a bad value.
        """
        if self.parent is not None:
            check_twistd_options(self.parent)
        self.settings = self.read(self._given())

    def read(self, given: Mapping[str, object]) -> S:
        """Make the settings of a subclass.

        :param given: the values on the command line, by the settings' names.
        """
        raise NotImplementedError

    def _given(self) -> dict[str, object]:
        """Return the values on the command line by the settings' names, and remove secrets from the options."""
        given = {}
        for each in self.kind.fields():
            if not each.is_option:
                continue
            if each.old_name is not None and self[each.old_name]:
                if self[each.key]:
                    raise usage.UsageError(f"--{each.old_name}: is the {_old_name(each)}; give one of them")
                self[each.key] = self[each.old_name]
            value = self[each.key]
            if value not in _NOT_GIVEN:
                given[each.name] = value
            if each.is_secret:
                self[each.key] = [] if each.is_repeatable else None  # twistd keeps the options and may show them
        return given

    def _with_two_dashes(self, options: Sequence[str]) -> list[str]:
        """Return the command line with two dashes where it has one before a whole name, as Go's programs take it."""
        with_value = [name for name in self.longOpt if name.endswith("=")]
        read: list[str] = []
        rest = iter(options)
        for option in rest:
            if not option.startswith("-") or option in ("-", "--"):
                return [*read, option, *rest]
            go = re.match(r"-([a-z][a-z-]+)(=|$)", option)
            if go and (go[1] in self.longOpt or f"{go[1]}=" in self.longOpt or go[1][0] not in self.shortOpt):
                option = f"-{option}"
            read.append(option)
            is_long = option.startswith("--")
            if f"{option[1:]}:" in self.shortOpt or (is_long and any(n.startswith(option[2:]) for n in with_value)):
                read += itertools.islice(rest, 1)
        return read

    def _reworded(self, problem: str) -> str:
        # getopt's messages begin with "option --name", ours with "--name:".
        message = re.sub(r"^option (--?\S+) ", r"\1: ", problem)
        unknown = re.match(r"--?(\S+): not recognized$", message)
        if unknown and self.parent is not None and _is_option_of(self.parent, unknown[1]):
            return f"{message}; it is twistd's own and stands before {self.parent.subCommand}; see twistd --help"
        suggestion = nearest(unknown[1], [name.removesuffix("=") for name in self.longOpt], "--") if unknown else ""
        return f"{message}; {suggestion or 'see --help'}"


def check_demo(given: Mapping[str, object], own: Iterable[str]) -> None:
    """Refuse what cannot be given with ``--demo``.

    :param given: the values on the command line, by the settings' names.
    :param own: the settings that the demo brings itself.
    :raises UsageError: naming the first of them that is given.
    """
    for name in own:
        if name in given:
            raise usage.UsageError(
                f"--demo: brings its own {name.replace('_', ' ')}; leave --{name.replace('_', '-')} away"
            )
    if "watch" in given:
        raise usage.UsageError("--demo: brings its own router, which no file has; leave --watch away")
    if "workers" in given:
        raise usage.UsageError("--demo: is all in one process; leave --workers away")


def _columns() -> int:
    """How wide the terminal is, as Twisted takes it."""
    return int(os.environ.get("COLUMNS", "80"))


def _is_option_of(options: usage.Options, name: str) -> bool:
    if len(name) == 1:
        return name in options.shortOpt
    return name in options.longOpt or f"{name}=" in options.longOpt


def make_checked(options: usage.Options, make: Callable[[], Made]) -> Made:
    """Make the service for a command line, and check that it could start.

    :param make: makes the service.
    :raises SystemExit: with status 1 if the service could not start, with status 0 after ``--check``.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what user code prints while it is loaded
            service = make()
        service.check()
    except ProxymuxError as error:
        fail(error)
    if options.parent is not None:
        _heed_twistd(options.parent, options["access-log"] == "-")
    if options[_CHECK]:
        for line in service.warnings:
            print(f"proxymux: {line}", file=sys.stderr)
        print("ok")
        raise SystemExit(0)
    return service


def _heed_twistd(twistd: usage.Options, uses_stdout: bool) -> None:
    """Do with the logs as the options of twistd say.

    :param uses_stdout: the access log is to be on standard output.
    :raises SystemExit: if twistd is to become a daemon, which has no standard output.
    """
    if uses_stdout and not (twistd["nodaemon"] or twistd["debug"]):
        fail("--access-log: - is standard output, which a daemon has not; name a file, or give twistd -n")
    if twistd["logfile"] == "-" or twistd["logger"]:
        from proxymux.admin.text_log import TextLog

        TextLog.of_process("error").leaves_stdout = False


def _old_name(setting: Setting[object, object]) -> str:
    return f"old name of {setting.option}"


def _appending_method(setting: Setting[object, object]) -> Callable[[usage.Options, str], None]:
    """Make the method that Twisted calls for each value of a repeatable option; its docstring is the option's help."""

    def append(self: usage.Options, value: str) -> None:
        self[setting.key].append(value)

    append.__doc__ = setting.help_line
    return append
