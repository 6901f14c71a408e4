"""PostgreSQL: what a client sends first (Frontend/Backend Protocol, "Message Formats")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from proxymux.core.decision import NEED_DATA, NeedData

Kind = Literal["startup", "ssl", "gss", "cancel"]

#: The most bytes of a first packet: PostgreSQL's MAX_STARTUP_PACKET_LENGTH, 10000, after the four bytes of the length.
LIMIT: Final = 4 + 10000

#: Kind, the bytes from offset 4 (of a start-up its major version only), the least and the most bytes of the packet.
_KINDS: Final[tuple[tuple[Kind, bytes, int, int], ...]] = (
    ("startup", b"\0\3", 9, LIMIT),
    ("ssl", (80877103).to_bytes(4, "big"), 8, 8),
    ("gss", (80877104).to_bytes(4, "big"), 8, 8),
    ("cancel", (80877102).to_bytes(4, "big"), 16, 268),  # a key of 4 bytes, or up to 256 since protocol 3.2
)


class Parameters(Mapping[str, str]):
    """The parameters of a start-up, immutable.  Of a parameter that was sent twice, the last value holds."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values = dict(pairs)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return repr(self._values)


_NO_PARAMETERS: Final = Parameters()


@dataclass(frozen=True, slots=True)
class Postgres:
    """The first packet of a PostgreSQL client (StartupMessage, SSLRequest, GSSENCRequest or CancelRequest).

    :param kind: ``startup``; ``ssl`` or ``gss``, a request for encryption, after whose answer the client sends its
        start-up; or ``cancel``.
    :param length: bytes of the packet.
    :param parameters: of a start-up, such as ``user``, ``database`` and ``application_name``, in the client's order.
    """

    kind: Kind
    length: int
    parameters: Parameters = _NO_PARAMETERS

    @property
    def user(self) -> str | None:
        """The user that the client wants to log in as."""
        return self.parameters.get("user")

    @property
    def database(self) -> str | None:
        """The database, which by default has the user's name."""
        return self.parameters.get("database") or self.user


def postgres(data: bytes) -> Postgres | NeedData | None:
    """The first packet of a PostgreSQL client that ``data`` begins with."""
    lowest, highest = (int.from_bytes(data[:4].ljust(4, rest), "big") for rest in (b"\0", b"\xff"))
    code = data[4:8]
    possible = [
        kind
        for kind, mark, least, most in _KINDS
        if lowest <= most and highest >= least and mark.startswith(code[: len(mark)])
    ]
    if not possible:
        return None
    if len(data) < 8:
        return NEED_DATA
    kind, length = possible[0], lowest
    if kind != "startup":
        return Postgres(kind, length) if len(data) >= length else NEED_DATA
    if len(data) < length:
        return NEED_DATA if _may_be_parameters(data[8:]) else None
    parameters = _parameters(data[8:length])
    return None if parameters is None else Postgres(kind, length, parameters)


def _may_be_parameters(begin: bytes) -> bool:
    """True if none of the names is empty: an empty one ends the packet, but more bytes are to come."""
    return all(begin.split(b"\0")[:-1:2])


def _parameters(block: bytes) -> Parameters | None:
    """Read names and values, each with a NUL at its end, and one more NUL after them all."""
    texts = block.split(b"\0")
    if len(texts) < 2 or texts[-1] or texts[-2] or len(texts) % 2:
        return None
    names, values = texts[:-2:2], texts[1:-2:2]
    if not all(names):
        return None
    return Parameters(
        (name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
        for name, value in zip(names, values, strict=True)
    )
