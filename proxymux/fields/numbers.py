"""Settings that are numbers: counts, sizes, times and rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxymux.core.decision import MAX_SECONDS
from proxymux.core.quantity import BYTES, EXAMPLES, in_plain, with_units
from proxymux.core.rate_limit import LONGEST, MOST, Rate, parse_rate
from proxymux.fields.setting import Given, Setting, Value

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from proxymux.fields.setting import Presentation

#: The greatest whole number of a setting without an upper bound: the system takes a C int.
_MAX_WHOLE: Final = 2**31 - 1
_METAVARS: Final = {"": "N", "seconds": "S", "milliseconds": "MS", "bytes": "BYTES"}
#: The word that a user gives for None, where a setting takes it.
_OFF: Final = "off"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which numbers are accepted.

    :param unit: ``seconds``, ``milliseconds`` or ``bytes``; empty for a count.
    :param low: the least number.
    :param high: the greatest number; None for one that is too large to be mentioned to users.
    :param is_open: ``low`` itself is not accepted.
    :param is_whole: only whole numbers are accepted.
    :param is_zero_off: 0 turns the setting off, which messages and help then say.
    :param takes_off: the word ``off`` is accepted, too, which messages and help then say.
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
        """The accepted numbers in words, for error messages."""
        number = f"a {'whole ' if self.is_whole else ''}number{f' of {self.unit}' if self.unit else ''}"
        off = ("; 0 is off" * self.is_zero_off) + (", or off" * self.takes_off)
        below = ", below 2G," if self.unit == BYTES and self.high is None else ""  # a size is easily that large
        return number + self._range() + off + with_units(self.unit) + below

    @property
    def in_help(self) -> str:
        """The accepted numbers in words, to be appended to the help."""
        limits = f", {self.low:.16g} to {self.high:.16g}" if self.high is not None else ""
        return limits + (", 0 is off" * self.is_zero_off) + (", or off" * self.takes_off)

    @property
    def unit_in_help(self) -> str:
        """The unit, and examples of other units that may be given; empty for a count."""
        return f"{self.unit} ({EXAMPLES[self.unit][0]})" if self.unit in EXAMPLES else self.unit

    def whole(self, text: str) -> int:
        """Convert ``text`` to a whole number; it may have a unit.

        :raises ValueError: if it is not a whole number within the bounds.
        """
        high = _MAX_WHOLE if self.high is None else self.high
        text = in_plain(text, self.unit)
        if not text.isascii() or not text.isdecimal() or len(text) > 10 or not self.low <= int(text) <= high:
            raise ValueError
        return int(text)

    def real(self, text: str) -> float:
        """Convert ``text`` to a number; it may have a unit.

        :raises ValueError: if it is not a number within the bounds.
        """
        value = float(in_plain(text, self.unit))
        if not self.low <= value <= (MAX_SECONDS if self.high is None else self.high):
            raise ValueError
        if self.is_open and value == self.low:
            raise ValueError
        return value

    def _range(self) -> str:
        if self.high is not None:
            return f" from {self.low:.16g} to {self.high:.16g}"
        return f" {'greater than' if self.is_open else 'of at least'} {self.low:g}"


class _Number(Setting[Value, Given]):
    """A number within bounds."""

    def __init__(self, default: Given, help: str, bounds: Bounds, accepted: str, presentation: Presentation) -> None:
        self.metavar = _METAVARS[bounds.unit]
        super().__init__(default, help, accepted or bounds.accepted, **presentation)
        self.unit = bounds.unit_in_help
        self.bounds_text = bounds.in_help
        self._bounds = bounds

    def _text_of_default(self) -> str:
        if isinstance(self.default, (int, float)):
            return f"{self.default:.16g}"
        return _OFF if self._bounds.takes_off else "none"

    def _is_off(self, given: object) -> bool:
        """True if ``given`` stands for None: None itself, or the word ``off`` where it is accepted."""
        return given is None or (self._bounds.takes_off and given == _OFF)


class Count(_Number[int, int | str]):
    """A whole number: a count, or a number of bytes, seconds or milliseconds.

    :param unit: as in :class:`Bounds`; so are ``low`` and ``high``.
    """

    def __init__(
        self,
        default: int,
        help: str,
        *,
        unit: str = "",
        low: int = 1,
        high: int | None = None,
        **presentation: Unpack[Presentation],
    ) -> None:
        super().__init__(default, help, Bounds(unit, low, high, is_whole=True), "", presentation)

    def _convert(self, given: object) -> int:
        return self._bounds.whole(number_text(given))


class OptionalCount(_Number[int | None, int | str | None]):
    """A whole number, or None.

    :param unit: as in :class:`Bounds`; so are ``low`` and ``high``.
    :param takes_off: the word ``off`` is accepted and stands for None.
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
        **presentation: Unpack[Presentation],
    ) -> None:
        super().__init__(
            default, help, Bounds(unit, low, high, is_whole=True, takes_off=takes_off), accepted, presentation
        )

    def _convert(self, given: object) -> int | None:
        return None if self._is_off(given) else self._bounds.whole(number_text(given))


class Duration(_Number[float, float | str]):
    """A length of time.

    :param unit: the unit of what is given and of the converted value.
    :param takes_zero: 0 is accepted.
    :param is_zero_off: 0 is accepted and means that there is no such limit.
    """

    def __init__(
        self,
        default: float,
        help: str,
        *,
        unit: str = "seconds",
        takes_zero: bool = False,
        is_zero_off: bool = False,
        **presentation: Unpack[Presentation],
    ) -> None:
        is_open = not (takes_zero or is_zero_off)
        super().__init__(default, help, Bounds(unit, 0, is_open=is_open, is_zero_off=is_zero_off), "", presentation)

    def _convert(self, given: object) -> float:
        return self._bounds.real(number_text(given))


class OptionalDuration(_Number[float | None, float | str | None]):
    """A length of time in seconds, or None, which is given as the word ``off``.

    :param low: the shortest time that is accepted, in seconds.
    :param high: the longest, in seconds.
    """

    def __init__(
        self, default: float | None, help: str, *, low: float, high: float, **presentation: Unpack[Presentation]
    ) -> None:
        super().__init__(default, help, Bounds("seconds", low, high, takes_off=True), "", presentation)

    def _convert(self, given: object) -> float | None:
        return None if self._is_off(given) else self._bounds.real(number_text(given))


class OptionalRate(Setting[Rate | None, Rate | int | str | None]):
    """So many in so many seconds, given as ``N/S`` or ``N``; or None, which is given as the word ``off``."""

    metavar = "N[/S]"

    def __init__(self, default: Rate | None, help: str, **presentation: Unpack[Presentation]) -> None:
        accepted = f"N or N/S, a whole number from 1 to {MOST} in S seconds from 0.001 to {LONGEST:g}, or off,"
        super().__init__(default, help, accepted, **presentation)
        self.bounds_text = f", N from 1 to {MOST} in S seconds (1; or 1m, 1h), or off"

    def _convert(self, given: object) -> Rate | None:
        if given is None or given == _OFF:
            return None
        return parse_rate(str(given) if isinstance(given, Rate) else number_text(given))

    def _text_of_default(self) -> str:
        return _OFF if self.default is None else str(self.default)


def number_text(given: object) -> str:
    """Return a given text or number as text.

    :raises TypeError: if ``given`` is neither; a bool is not a number here.
    """
    if isinstance(given, str):
        return given
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError
    return repr(given)
