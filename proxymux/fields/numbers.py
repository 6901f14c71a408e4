"""Settings that are numbers: counts, sizes and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxymux.core.decision import MAX_SECONDS
from proxymux.fields.setting import Given, Setting, Value

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from proxymux.fields.setting import Look

#: The largest count; what the system takes is a C int.
_MOST: Final = 2**31 - 1
_METAVARS: Final = {"": "N", "seconds": "S", "milliseconds": "MS", "bytes": "BYTES"}
#: The word that stands for None where that may be given.
_OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which numbers are accepted.

    :param unit: what they measure; empty for a count.
    :param low: the least.
    :param high: the largest, if that is worth a word.
    :param is_open: the least is not accepted itself.
    :param is_whole: only whole numbers are.
    :param is_zero_off: 0 has that meaning.
    :param takes_off: the word is accepted beside them.
    """

    unit: str
    low: float
    high: float | None = None
    is_open: bool = False
    is_whole: bool = False
    is_zero_off: bool = False
    takes_off: bool = False

    @property
    def accepted(self) -> str:
        """What is accepted, in words."""
        number = f"a {'whole ' if self.is_whole else ''}number{f' of {self.unit}' if self.unit else ''}"
        return number + self._limits() + ("; 0 is off" if self.is_zero_off else "") + (", or off" * self.takes_off)

    @property
    def in_help(self) -> str:
        """What follows on the help."""
        limits = f", {self.low:.16g} to {self.high:.16g}" if self.high is not None else ""
        return limits + (", 0 is off" * self.is_zero_off) + (", or off" * self.takes_off)

    def whole(self, text: str) -> int:
        """The whole number that ``text`` is.

        :raises ValueError: if it is none, or is not accepted.
        """
        most = _MOST if self.high is None else self.high
        if not text.isascii() or not text.isdecimal() or len(text) > 10 or not self.low <= int(text) <= most:
            raise ValueError
        return int(text)

    def real(self, text: str) -> float:
        """The number that ``text`` is.

        :raises ValueError: if it is none, or is not accepted.
        """
        value = float(text)
        if not self.low <= value <= (MAX_SECONDS if self.high is None else self.high):
            raise ValueError
        if self.is_open and value == self.low:
            raise ValueError
        return value

    def _limits(self) -> str:
        if self.high is not None:
            return f" from {self.low:.16g} to {self.high:.16g}"
        return f" {'greater than' if self.is_open else 'of at least'} {self.low:g}"


class _Number(Setting[Value, Given]):
    """A number within bounds."""

    def __init__(self, default: Given, help: str, limits: Bounds, accepted: str, look: Look) -> None:
        self.metavar = _METAVARS[limits.unit]
        super().__init__(default, help, accepted or limits.accepted, **look)
        self.unit = limits.unit
        self.bounds = limits.in_help
        self._limits = limits

    def _text_of_default(self) -> str:
        if isinstance(self.default, (int, float)):
            return f"{self.default:.16g}"
        return _OFF if self._limits.takes_off else "none"

    def _is_off(self, given: object) -> bool:
        """True for what stands for None; None itself always does."""
        return given is None or (self._limits.takes_off and given == _OFF)


class Count(_Number[int, int | str]):
    """A whole number of something, of bytes or of seconds.

    :param unit: what it measures; empty for a count.
    :param low: the least that is accepted.
    :param high: the largest, if that is worth a word.
    """

    def __init__(
        self, default: int, help: str, *, unit: str = "", low: int = 1, high: int | None = None, **look: Unpack[Look]
    ) -> None:
        super().__init__(default, help, Bounds(unit, low, high, is_whole=True), "", look)

    def _convert(self, given: object) -> int:
        return self._limits.whole(number_text(given))


class OptionalCount(_Number[int | None, int | str | None]):
    """A whole number, or None.

    :param unit: as for :class:`Count`, and so are ``low`` and ``high``.
    :param takes_off: the word ``off`` stands for None.
    """

    def __init__(
        self,
        default: int | None,
        help: str,
        accepted: str = "",
        *,
        unit: str = "",
        low: int = 1,
        high: int | None = None,
        takes_off: bool = True,
        **look: Unpack[Look],
    ) -> None:
        super().__init__(default, help, Bounds(unit, low, high, is_whole=True, takes_off=takes_off), accepted, look)

    def _convert(self, given: object) -> int | None:
        return None if self._is_off(given) else self._limits.whole(number_text(given))


class Duration(_Number[float, float | str]):
    """A time.

    :param unit: of the value too.
    :param takes_zero: 0 is accepted.
    :param is_zero_off: it is, and means that there is no such time.
    """

    def __init__(
        self,
        default: float,
        help: str,
        *,
        unit: str = "seconds",
        takes_zero: bool = False,
        is_zero_off: bool = False,
        **look: Unpack[Look],
    ) -> None:
        is_open = not (takes_zero or is_zero_off)
        super().__init__(default, help, Bounds(unit, 0, is_open=is_open, is_zero_off=is_zero_off), "", look)

    def _convert(self, given: object) -> float:
        return self._limits.real(number_text(given))


class OptionalDuration(_Number[float | None, float | str | None]):
    """A time in seconds, or None, for which the word ``off`` stands.

    :param low: the least that is accepted.
    :param high: the largest.
    """

    def __init__(self, default: float | None, help: str, *, low: float, high: float, **look: Unpack[Look]) -> None:
        super().__init__(default, help, Bounds("seconds", low, high, takes_off=True), "", look)

    def _convert(self, given: object) -> float | None:
        return None if self._is_off(given) else self._limits.real(number_text(given))


def number_text(given: object) -> str:
    """What was given, as text; a number may stand for itself.

    :raises TypeError: if it is neither.
    """
    if isinstance(given, str):
        return given
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError
    return repr(given)
