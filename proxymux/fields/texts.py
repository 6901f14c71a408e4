"""Settings that are texts, words, several values, flags or whatever there is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from types import UnionType
from typing import TYPE_CHECKING, Final, TypeVar

from proxymux.fields.numbers import number_text
from proxymux.fields.setting import Setting

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from proxymux.fields.setting import Look

Word = TypeVar("Word", bound=str)
Each = TypeVar("Each")
_OFF: Final = "off"


def in_words(words: Sequence[str]) -> str:
    """``a, b or c``."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


class Text(Setting[str, str]):
    """A text.

    :param accepted: in words, if the empty text is not.
    """

    def _convert(self, given: object) -> str:
        return _some_text(given, bool(self.accepted))


class OptionalText(Setting[str | None, str | None]):
    """A text, or None.

    :param accepted: in words, if the empty text is not.
    """

    def _convert(self, given: object) -> str | None:
        return None if given is None else _some_text(given, bool(self.accepted))


class AbsoluteFile(Setting[str | None, str | None]):
    """The path of a file, or None.  A relative one is below the directory in which the process was started.

    :param accepted: as for :class:`OptionalText`.
    :param takes_off: the word ``off`` stands for None.
    """

    metavar = "FILE"

    def __init__(self, default: str | None, help: str, *, takes_off: bool = False, **look: Unpack[Look]) -> None:
        super().__init__(default, help, **look)
        self._takes_off = takes_off
        self.bounds = ", or off" * takes_off

    def _convert(self, given: object) -> str | None:
        if given is None or (self._takes_off and given == _OFF):
            return None
        return os.path.abspath(_some_text(given, False))


class _Hidden(str):
    """A text that is not shown by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


class Secret(Setting[str | None, str | None]):
    """A text that nobody may see, or None."""

    is_secret = True

    def _convert(self, given: object) -> str | None:
        return None if given is None else _Hidden(_some_text(given, False))


class Choice(Setting[Word, Word]):
    """One of a few words.

    :param choices: these.
    """

    def __init__(self, default: Word, choices: Sequence[Word], help: str, **look: Unpack[Look]) -> None:
        self.metavar = "|".join(choices)
        super().__init__(default, help, in_words(choices), **look)
        self.bounds = f": {in_words(choices)}"
        self._choices = choices

    def _convert(self, given: object) -> Word:
        return one_of(self._choices, given)


class OptionalChoice(Setting[Word | None, Word | None]):
    """One of a few words, or None.

    :param choices: these.
    :param accepted: they in words, if another way than ``a, b or c`` is wanted.
    """

    def __init__(
        self, default: Word | None, choices: Sequence[Word], help: str, accepted: str = "", **look: Unpack[Look]
    ) -> None:
        self.metavar = "|".join(choices)
        super().__init__(default, help, accepted or in_words(choices), **look)
        self.bounds = f": {in_words(choices)}"
        self._choices = choices

    def _convert(self, given: object) -> Word | None:
        return None if given is None else one_of(self._choices, given)


class Switch(Setting[bool, bool | int | str]):
    """Yes or no, said by one of two words.

    :param words: these.
    :param yes: the one for yes.
    """

    def __init__(self, default: bool, words: tuple[str, str], yes: str, help: str, **look: Unpack[Look]) -> None:
        self.metavar = "|".join(words)
        super().__init__(default, help, in_words(words), **look)
        self.bounds = f": {in_words(words)}"
        self._words = words
        self._yes = yes

    def _convert(self, given: object) -> bool:
        return given if isinstance(given, bool) else one_of(self._words, number_text(given)) == self._yes

    def _text_of_default(self) -> str:
        return next(word for word in self._words if (word == self._yes) == self.default)


class Flag(Setting[bool, bool]):
    """Yes if it is there.  It takes no value on the command line."""

    takes_value = False
    metavar = ""

    def __init__(self, help: str, **look: Unpack[Look]) -> None:
        super().__init__(False, help, "True or False", **look)

    def _convert(self, given: object) -> bool:
        if not isinstance(given, int):
            raise TypeError
        return bool(given)

    def _text_of_default(self) -> str:
        return _OFF


class Values(Setting[tuple[Each, ...], str | Sequence[str | Each]]):
    """Values of one kind, of which each may be given by itself.

    :param parse: reads one, and raises ValueError for a text that is not accepted.
    :param kind: what it returns, if that is no text.
    """

    is_repeatable = True

    def __init__(
        self,
        default: Sequence[str],
        parse: Callable[[str], Each],
        help: str,
        accepted: str,
        kind: type[Each] | UnionType | None = None,
        **look: Unpack[Look],
    ) -> None:
        super().__init__(default, help, accepted, **look)
        self._parse = parse
        self._kind = kind

    def read(self, given: object) -> tuple[Each, ...]:
        parts = given if isinstance(given, (list, tuple)) else [given]
        return tuple(value for part in parts for value in self._try(self._convert, part))

    def _convert(self, given: object) -> tuple[Each, ...]:
        if isinstance(given, str):
            return (self._parse(given),)
        if self._kind is None or not isinstance(given, self._kind):
            raise TypeError
        return (given,)

    def _text_of_default(self) -> str:
        return ", ".join(map(str, self.default)) or "none"


class Whatever(Setting[object, object]):
    """Any object at all, which is for others to look at."""

    def _convert(self, given: object) -> object:
        return given


def one_of(choices: Sequence[Word], given: object) -> Word:
    """The word of ``choices`` that was given.

    :raises ValueError: if it is none of them.
    """
    for choice in choices:
        if choice == given:
            return choice
    raise ValueError


def _some_text(given: object, is_needed: bool) -> str:
    text = number_text(given)
    if is_needed and not text:
        raise ValueError
    return text
