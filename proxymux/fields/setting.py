"""What all settings have in common."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Generic, TypedDict, TypeVar, overload

from proxymux.core.excerpt import excerpt
from proxymux.errors import BadAddress, ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

Value = TypeVar("Value")
Given = TypeVar("Given")


class Look(TypedDict, total=False):
    """How a setting looks to who gives it, where its kind does not say.

    ``metavar`` stands for the value in the docs, ``shown`` for the default; ``short`` is one letter, that of the old
    name if there is an ``old_name``; without ``is_option`` it is a keyword of ``.tac`` files only.
    """

    metavar: str
    shown: str
    short: str
    old_name: str
    is_option: bool


class Setting(Generic[Value, Given]):
    """One setting.

    :param default: as it could be given.
    :param help: what it is for; follows on the unit, if there is one.
    :param accepted: which values are, in words.
    """

    #: False for what is there or not, and takes no value on the command line.
    takes_value = True
    is_repeatable = False
    #: True if nobody may see the value.
    is_secret = False
    name = ""
    #: Stands for the value in the docs.
    metavar = "TEXT"
    unit = ""
    #: What is to be known of its values beyond the help.
    bounds = ""

    def __init__(self, default: Given, help: str, accepted: str = "", **look: Unpack[Look]) -> None:
        self.default = default
        self.accepted = accepted
        self.short = look.get("short")
        self.old_name = look.get("old_name")
        self.is_option = look.get("is_option", True)
        self.metavar = look.get("metavar", self.metavar)
        self._help = help
        self._shown = look.get("shown")

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    if TYPE_CHECKING:
        # Not there at run time: a value is then read from the dictionary of the instance, as fast as any attribute.
        @overload
        def __get__(self, instance: None, owner: type) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Value: ...
        def __get__(self, instance: object | None, owner: type) -> Self | Value: ...

    def __set__(self, instance: object, value: Given) -> None:
        if self.name in vars(instance):
            raise FrozenInstanceError(f"cannot assign to field {self.name!r}")
        # A dataclass whose default is a descriptor hands that over.
        vars(instance)[self.name] = self.read(self.default if isinstance(value, Setting) else value)

    def __repr__(self) -> str:
        return repr(self.default)

    def with_default(self, default: Given, shown: str | None = None) -> Self:
        """The same setting with another default, for the settings of a service."""
        other = copy.copy(self)
        other.default, other._shown = default, shown
        return other

    # How it is read

    def read(self, given: object) -> Value:
        """The value of what was given, as text or as the value itself.

        :raises ConfigError: naming the option, if it is not accepted.
        """
        return self._try(self._convert, given)

    def _convert(self, given: object) -> Value:
        raise NotImplementedError

    def _try(self, convert: Callable[[object], Value], given: object) -> Value:
        try:
            return convert(given)
        except BadAddress as error:
            raise ConfigError(self.option, str(error)) from None
        except (ValueError, TypeError, OverflowError):
            raise ConfigError(self.option, f"{excerpt(given)} is not accepted; {self.accepted} is") from None

    # How it looks

    @property
    def key(self) -> str:
        """Its name on the command line, without the leading dashes."""
        return self.name.strip("_").replace("_", "-")

    @property
    def option(self) -> str:
        """The option, as a user types it."""
        return f"--{self.key}"

    @property
    def meaning(self) -> str:
        """What it is for, with its unit and bounds."""
        words = f"{self.unit} {self._help}".strip() + self.bounds
        return f"{words}. Repeatable." if self.is_repeatable else words

    @property
    def default_text(self) -> str:
        """The default, as it would be typed, or in words."""
        if self._shown is not None:
            return self._shown
        return self._text_of_default()

    @property
    def help_line(self) -> str:
        """The line of ``--help``."""
        return f"{self.meaning} [default: {self.default_text}]"

    def _text_of_default(self) -> str:
        return "none" if self.default is None else str(self.default)
