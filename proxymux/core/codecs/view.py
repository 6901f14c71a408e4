"""What a pool's router sees of one request, and how a request for several keys is cut into parts and joined again."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple, Protocol


class RequestView:
    """One whole request.  It is parsed when an attribute is asked for, not before.

    :param data: the request; it must have been found by the request scanner of the codec.
    :param codec: the name of the codec.
    """

    def __init__(self, data: bytes, codec: str) -> None:
        self.data = data
        self.codec = codec

    @property
    def command(self) -> str | None:
        """The command in upper case, or the method of HTTP; None where the protocol has no such thing."""
        return None

    @property
    def key(self) -> bytes | None:
        """The first of :attr:`keys`; None if there are none."""
        keys = self.keys
        return keys[0] if keys else None

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The keys that the request is about, in its order, with those that it names twice.

        Of a request with very many they may be the first ones only; such a request cannot be split.
        """
        return ()

    def note_key(self, key: bytes) -> None:
        """Take note that the request has this key and no other, which saves to look for it."""

    @property
    def can_split(self) -> bool:
        """True if it has several keys, which may go to different places: see :meth:`split`."""
        return False

    def of_key(self, position: int) -> RequestView:
        """The same request for one of its keys alone, about which a router is asked; if :attr:`can_split`.

        :param position: of the key in :attr:`keys`.
        """
        raise NotImplementedError

    def split(self, places: Sequence[Hashable]) -> SplitRequest:
        """Cut the request into a part for each place; if :attr:`can_split`.

        :param places: where each of :attr:`keys` goes, in the same order.
        """
        raise NotImplementedError

    @property
    def crossed(self) -> bytes:
        """The protocol's error reply for a request that cannot be split, and whose keys are in different places."""
        return b""


class Part(NamedTuple):
    """A part of a request: one whole request of its own.

    :param place: where it goes, as it was given to :meth:`RequestView.split`.
    :param data: the request.
    :param positions: of its keys among those of the request that was split, ascending.
    """

    place: Hashable
    data: bytes
    positions: Sequence[int]


class Joining(Protocol):
    """Joins the replies of one request's parts.  An error reply of the protocol's is a :class:`NotJoined`."""

    def add(self, part: Part, reply: bytes) -> None:
        """Take a part's reply.

        :raises NotJoined: with what the client gets for the whole request.
        """

    def joined(self) -> Iterable[bytes]:
        """The whole reply, once each part has one."""


class NotJoined(Exception):
    """A part's reply is an error, or none that the others could be joined with.

    :param reply: the reply to the whole request.
    """

    def __init__(self, reply: bytes) -> None:
        super().__init__("a part of the request has failed")
        self.reply = reply


class SplitRequest:
    """A request that was cut into parts, and the replies that have come.

    What it keeps of the replies is not more than their bytes, and less where only a number counts; the caller adds
    :attr:`held` to what the client's replies take, and bounds that.  To join them takes that much once more.  A part
    fails as a request does: the caller adds the codec's ``failure_for`` in the place of a reply.  Of a request with
    errors the first that came is the reply, and the other replies are thrown away.

    :param parts: at least one.
    :param joining: of their replies; None if there is one part, whose reply is passed on as it is.
    """

    __slots__ = ("_error", "_joining", "_missing", "_only", "held", "parts")

    def __init__(self, parts: Sequence[Part], joining: Joining | None) -> None:
        self.parts = parts
        #: Bytes that are kept of replies.
        self.held = 0
        self._joining = joining
        self._missing = set(range(len(parts)))
        self._error: bytes | None = None
        self._only = b""

    @property
    def is_whole(self) -> bool:
        """True once each part has its reply."""
        return not self._missing

    def add(self, number: int, reply: bytes) -> None:
        """Take the whole reply to a part.  They may come in any order.

        :param number: of the part in :attr:`parts`.
        """
        self._missing.remove(number)
        if self._error is not None:
            return
        if self._joining is None:
            self._only = reply
        else:
            try:
                self._joining.add(self.parts[number], reply)
            except NotJoined as failed:
                self._error, self._joining = failed.reply, None
                self.held = 0
                reply = failed.reply
        self.held += len(reply)

    def reply(self) -> bytes:
        """The reply to the whole request, once :attr:`is_whole`."""
        if self._error is not None:
            return self._error
        return self._only if self._joining is None else b"".join(self._joining.joined())


def positions_of(places: Sequence[Hashable]) -> dict[Hashable, list[int]]:
    """The positions of each place's keys; the places are in the order in which they come first."""
    found: dict[Hashable, list[int]] = {}
    for position, place in enumerate(places):
        found.setdefault(place, []).append(position)
    return found
