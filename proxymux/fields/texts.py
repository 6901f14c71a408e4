"""Settings that are texts, words, lists of values, flags or any object."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Final, TypeVar

from proxymux.fields.numbers import number_text
from proxymux.fields.setting import Setting

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from proxymux.fields.setting import Presentation

Word = TypeVar("Word", bound=str)
Each = TypeVar("Each")
_OFF: Final = "off"


def in_words(words: Sequence[str]) -> str:
    """Return ``words`` as an enumeration: ``a, b or c``."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


class Text(Setting[str, str]):
    """A text.

    :param accepted: the accepted texts in words; if it is given, the empty text is refused.
    """

    def _convert(self, given: object) -> str:
        return _checked_text(given, bool(self.accepted))


class OptionalText(Setting[str | None, str | None]):
    """A text, or None.

    :param accepted: the accepted texts in words; if it is given, the empty text is refused.
    """

    def _convert(self, given: object) -> str | None:
        return None if given is None else _checked_text(given, bool(self.accepted))


class AbsoluteFile(Setting[str | None, str | None]):
    """The path of a file, or None.  A relative path is made absolute at once, since a daemon changes its directory.

    :param takes_off: the word ``off`` is accepted and stands for None.
    """

    metavar = "FILE"

    def __init__(
        self, default: str | None, help: str, *, takes_off: bool = False, **presentation: Unpack[Presentation]
    ) -> None:
        super().__init__(default, help, **presentation)
        self._takes_off = takes_off
        self.bounds_text = ", or off" * takes_off

    def _convert(self, given: object) -> str | None:
        if given is None or (self._takes_off and given == _OFF):
            return None
        return os.path.abspath(_checked_text(given, False))


class OptionalAddress(Setting[str | tuple[str, int] | None, str | tuple[str, int] | None]):
    """Where datagrams are sent: the path of a Unix socket, or a pair of host and port; or None."""

    metavar = "ADDRESS"

    def __init__(self, default: str | None, help: str, **presentation: Unpack[Presentation]) -> None:
        super().__init__(default, help, "a path such as /dev/log, or HOST:PORT", **presentation)

    def _convert(self, given: object) -> str | tuple[str, int] | None:
        if given is None:
            return None
        if isinstance(given, tuple):
            host, port = given
            given = f"{host}:{port}"
        text = _checked_text(given, True)
        if text.startswith("/"):
            return text
        host, colon, port = text.rpartition(":")
        if not (host and colon and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError
        return host.removeprefix("[").removesuffix("]"), int(port)


class _Hidden(str):
    """A text whose ``repr()`` does not show it, so that no traceback or log does."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


class Secret(Setting[str | None, str | None]):
    """A text that must not be shown to anybody, or None."""

    is_secret = True

    def _convert(self, given: object) -> str | None:
        return None if given is None else _Hidden(_checked_text(given, False))


class Choice(Setting[Word, Word]):
    """One of a few words.

    :param choices: the accepted words.
    """

    def __init__(self, default: Word, choices: Sequence[Word], help: str, **presentation: Unpack[Presentation]) -> None:
        self.metavar = "|".join(choices)
        super().__init__(default, help, in_words(choices), **presentation)
        self.bounds_text = f": {in_words(choices)}"
        self.words = self._choices = choices

    def _convert(self, given: object) -> Word:
        return one_of(self._choices, given)


class OptionalChoice(Setting[Word | None, Word | None]):
    """One of a few words, or None.

    :param choices: the accepted words.
    :param accepted: what is accepted, for error messages; empty for the enumeration of the words.
    """

    def __init__(
        self,
        default: Word | None,
        choices: Sequence[Word],
        help: str,
        accepted: str = "",
        **presentation: Unpack[Presentation],
    ) -> None:
        self.metavar = "|".join(choices)
        super().__init__(default, help, accepted or in_words(choices), **presentation)
        self.bounds_text = f": {in_words(choices)}"
        self.words = self._choices = choices

    def _convert(self, given: object) -> Word | None:
        return None if given is None else one_of(self._choices, given)


class Switch(Setting[bool, bool | int | str]):
    """True or False, given as one of two words.

    :param words: the two words.
    :param yes: the word that stands for True.
    """

    def __init__(
        self, default: bool, words: tuple[str, str], yes: str, help: str, **presentation: Unpack[Presentation]
    ) -> None:
        self.metavar = "|".join(words)
        super().__init__(default, help, in_words(words), **presentation)
        self.bounds_text = f": {in_words(words)}"
        self.words = words
        self._yes = yes

    def _convert(self, given: object) -> bool:
        return given if isinstance(given, bool) else one_of(self.words, number_text(given)) == self._yes

    def _text_of_default(self) -> str:
        return next(word for word in self.words if (word == self._yes) == self.default)


class Flag(Setting[bool, bool]):
    """True if the option is given.  It takes no value on the command line."""

    takes_value = False
    metavar = ""

    def __init__(self, help: str, **presentation: Unpack[Presentation]) -> None:
        super().__init__(False, help, "True or False", **presentation)

    def _convert(self, given: object) -> bool:
        if not isinstance(given, int):
            raise TypeError
        return bool(given)

    def _text_of_default(self) -> str:
        return _OFF


class Values(Setting[tuple[Each, ...], str | Sequence[str | Each]]):
    """A tuple of values of one type.  The option is repeatable, and takes one value each time.

    :param parse: converts a text to a value; raises ValueError if it is not accepted.
    :param kind: the type of the values, which are accepted beside texts; None if the values are texts.
    """

    is_repeatable = True

    def __init__(
        self,
        default: Sequence[str],
        parse: Callable[[str], Each],
        help: str,
        accepted: str,
        kind: type[Each] | UnionType | None = None,
        **presentation: Unpack[Presentation],
    ) -> None:
        super().__init__(default, help, accepted, **presentation)
        self._parse = parse
        self._kind = kind

    def read(self, given: object) -> tuple[Each, ...]:
        parts = given if isinstance(given, (list, tuple)) else [given]
        return tuple(value for part in parts for value in self._checked(self._convert, part))

    def _convert(self, given: object) -> tuple[Each, ...]:
        if isinstance(given, str):
            return (self._parse(given),)
        if self._kind is None or not isinstance(given, self._kind):
            raise TypeError
        return (given,)

    def _text_of_default(self) -> str:
        return ", ".join(map(str, self.default)) or "none"


class Names(Setting[tuple[str, ...], str | Sequence[str]]):
    """A tuple of names, given as one text with commas between them.

    :param parse: converts the text of one name; raises ValueError if it is not accepted.
    """

    metavar = "NAME[,NAME]"

    def __init__(
        self, parse: Callable[[str], str], help: str, accepted: str, **presentation: Unpack[Presentation]
    ) -> None:
        super().__init__((), help, accepted, **presentation)
        self._parse = parse

    def _convert(self, given: object) -> tuple[str, ...]:
        parts = given.split(",") if isinstance(given, str) else given
        if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
            raise TypeError
        return tuple(map(self._parse, parts))

    def _text_of_default(self) -> str:
        return ", ".join(self.default) or "none"


class Whatever(Setting[object, object]):
    """Any object, unchecked: the code that uses it checks it."""

    def _convert(self, given: object) -> object:
        return given


def one_of(choices: Sequence[Word], given: object) -> Word:
    """Return the word of ``choices`` that equals ``given``.

    :raises ValueError: if none does.
    """
    for choice in choices:
        if choice == given:
            return choice
    raise ValueError


def _checked_text(given: object, refuses_empty: bool) -> str:
    text = number_text(given)
    if refuses_empty and not text:
        raise ValueError
    return text
