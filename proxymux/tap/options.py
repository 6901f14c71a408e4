"""The command line, made from settings.  Importing this, and ``--help``, load nothing heavy."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, Generic, NoReturn, Protocol, TypeVar

from twisted.python import usage

from proxymux.errors import ProxymuxError
from proxymux.fields import Setting
from proxymux.settings import Settings, nearest


class Startable(Protocol):
    """A service that can say whether it could start."""

    def check(self) -> None:
        """See whether it could.

        :raises ProxymuxError: if it could not.
        """


S = TypeVar("S", bound=Settings)
Made = TypeVar("Made", bound=Startable)
_CHECK: Final = "check"
#: What an option is that is not on the command line: one value, several, a flag.
_NOT_GIVEN: Final[tuple[object, ...]] = (None, [], 0)


def fail(error: object) -> NoReturn:
    """End the start-up: one line on standard error, exit status 1."""
    print(f"proxymux: {error}", file=sys.stderr)
    raise SystemExit(1)


class SettingsOptions(usage.Options, Generic[S]):
    """Options for the settings of a service.

    A subclass names their class as ``kind``, and may have further options of its own, for what is no setting.
    """

    kind: ClassVar[type[Settings]]
    optParameters: ClassVar[list[list[str | None]]] = []
    optFlags: ClassVar[list[list[str | None]]] = []
    #: What the command line has led to, when it has been parsed.
    settings: S

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        shown = [each for each in cls.kind.fields() if each.is_option]
        plain = [each for each in shown if each.takes_value and not each.is_repeatable]
        cls.optParameters = [
            *cls.__dict__.get("optParameters", ()),
            *([each.key, None if each.old_name else each.short, None, each.help_line] for each in plain),
            *([each.old_name, each.short, None, _old_name(each)] for each in plain if each.old_name),
        ]
        cls.optFlags = [
            *cls.__dict__.get("optFlags", ()),
            *([each.key, each.short, each.help_line] for each in shown if not each.takes_value),
            [_CHECK, None, "check everything, print ok or what is wrong, and exit without listening"],
        ]
        for each in shown:
            if each.is_repeatable:
                setattr(cls, f"opt_{each.key.replace('-', '_')}", _adding(each))

    def __init__(self) -> None:
        super().__init__()
        for each in self.kind.fields():
            if each.is_repeatable:
                self[each.key] = []

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Parse; a bad option is one line on standard error and exit status 1."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            fail(f"{self._in_our_words(str(error))}; see --help")
        except ProxymuxError as error:
            fail(error)

    def parseArgs(self, *arguments: str) -> None:
        """There are none.

        :raises UsageError: if there are.
        """
        if arguments:
            raise usage.UsageError(f"{arguments[0]}: is no option")

    def postOptions(self) -> None:
        """Read the settings.

        :raises UsageError: if the options make no sense together.
        :raises ConfigError: naming the option that has a bad value.
        """
        self.settings = self.read(self._given())

    def read(self, given: Mapping[str, object]) -> S:
        """The settings for what was given, by name."""
        raise NotImplementedError

    def _given(self) -> dict[str, object]:
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
                self[each.key] = None  # what twistd keeps of the command line, and may show, has it no more
        return given

    def _in_our_words(self, problem: str) -> str:
        # getopt's words begin with "option", ours with the option.
        ours = re.sub(r"^option (--?\S+) ", r"\1: ", problem)
        unknown = re.match(r"--(\S+): not recognized$", ours)
        meant = nearest(unknown[1], [name.removesuffix("=") for name in self.longOpt]) if unknown else ""
        return f"{ours}; --{meant}" if meant else ours


def make_checked(options: usage.Options, make: Callable[[], Made]) -> Made:
    """The service that a command line asks for.

    :raises SystemExit: if there can be none, or no more than ``--check`` is asked for.
    """
    try:
        service = make()
        service.check()
    except ProxymuxError as error:
        fail(error)
    if options[_CHECK]:
        print("ok")
        raise SystemExit(0)
    return service


def _old_name(setting: Setting[object, object]) -> str:
    return f"old name of {setting.option}"


def _adding(setting: Setting[object, object]) -> Callable[[usage.Options, str], None]:
    def add(self: usage.Options, value: str) -> None:
        self[setting.key].append(value)

    add.__doc__ = setting.help_line
    return add
