"""The base class of all kinds of settings."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING, Generic, TypedDict, TypeVar, overload

from proxymux.core.excerpt import excerpt
from proxymux.errors import BadAddress, ConfigError

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

Value = TypeVar("Value")
Given = TypeVar("Given")


class Presentation(TypedDict, total=False):
    """The appearance of a setting on the command line and in the docs, where its kind does not say.

    ``metavar`` stands for the value in the docs, and ``shown`` for the default.  ``old_name`` is another name of the
    option.  ``short`` is a one-letter option, for the old name if there is one.  If ``is_option`` is False, the setting
    is not an option but only a keyword argument in ``.tac`` files.  If ``is_secret`` is True, the value must not be
    shown to anybody.
    """

    metavar: str
    shown: str
    short: str
    old_name: str
    is_option: bool
    is_secret: bool


class Setting(Generic[Value, Given]):
    """One setting.  A subclass says which values it takes and how they are converted.

    :param default: the default, in any form in which the value may be given.
    :param help: the purpose of the setting, to be read after its unit if it has one.
    :param accepted: the accepted values in words, for error messages.
    """

    #: False for a flag, an option without a value.
    takes_value = True
    #: True if the option may be given several times.
    is_repeatable = False
    #: True if the value must not be shown to anybody.
    is_secret = False
    name = ""
    #: Stands for the value in the docs.
    metavar = "TEXT"
    unit = ""
    #: The accepted values in words, appended to the help.
    bounds_text = ""
    #: The accepted values, where there are a few; else empty.
    words: Sequence[str] = ()

    def __init__(self, default: Given, help: str, accepted: str = "", **presentation: Unpack[Presentation]) -> None:
        self.default = default
        self.accepted = accepted
        self.short = presentation.get("short")
        self.old_name = presentation.get("old_name")
        self.is_option = presentation.get("is_option", True)
        self.is_secret = presentation.get("is_secret", self.is_secret)
        self.metavar = presentation.get("metavar", self.metavar)
        self._help = help
        self._shown = presentation.get("shown")

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
        # For an argument that is not given, the dataclass's constructor passes the descriptor itself.
        vars(instance)[self.name] = self.read(self.default if isinstance(value, Setting) else value)

    def __repr__(self) -> str:
        return repr(self.default)

    def with_default(self, default: Given, shown: str | None = None) -> Self:
        """Return a copy of the setting with another default, for the settings of one service.

        :param shown: stands for the default in the docs; None shows the default itself.
        """
        setting = copy.copy(self)
        setting.default, setting._shown = default, shown
        return setting

    # Conversion

    def read(self, given: object) -> Value:
        """Convert what is given for the setting.

        :param given: a text as on the command line, or a value that needs no conversion.
        :raises ConfigError: naming the option, if it is not accepted.
        """
        return self._checked(self._convert, given)

    def _convert(self, given: object) -> Value:
        raise NotImplementedError

    def _checked(self, convert: Callable[[object], Value], given: object) -> Value:
        try:
            return convert(given)
        except BadAddress as error:
            raise ConfigError(self.option, str(error)) from None
        except (ValueError, TypeError, OverflowError):
            shown = "what is given" if self.is_secret else excerpt(given)
            raise ConfigError(self.option, f"{shown} is not accepted; {self.accepted} is") from None

    # Presentation

    @property
    def key(self) -> str:
        """The option's name, without the leading dashes."""
        return self.name.strip("_").replace("_", "-")

    @property
    def option(self) -> str:
        """The option as a user types it, with the leading dashes."""
        return f"--{self.key}"

    @property
    def meaning(self) -> str:
        """The purpose of the setting, with its unit and the accepted values, as in ``--help`` and the docs."""
        text = f"{self.unit} {self._help}".strip() + self.bounds_text
        return f"{text}. Repeatable." if self.is_repeatable else text

    @property
    def default_text(self) -> str:
        """The default as a user would type it, or in words."""
        if self._shown is not None:
            return self._shown
        return self._text_of_default()

    @property
    def help_line(self) -> str:
        """The text of ``--help`` for the option."""
        return f"{self.meaning} [default: {self.default_text}]"

    def _text_of_default(self) -> str:
        return "none" if self.default is None else str(self.default)
