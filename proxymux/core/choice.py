"""Choices: where one request of a client goes, or what it is answered instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from proxymux.core.codecs import Codec, Kind, Request
from proxymux.core.codecs.view import RequestView, SplitRequest
from proxymux.core.lanes import Place
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.request_cutter import Answer
from proxymux.errors import BadMessage


@dataclass(frozen=True, slots=True, eq=False)
class Replaced:
    """Another request goes to ``place`` in the place of the client's."""

    place: Place
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Apart:
    """Stands for a place where a request is split: one of its keys has an answer of ours, or a request of its own."""

    choice: Answer | Replaced


#: Where a request goes: to a place as it is, or not as it is, in parts, or nowhere, as it is answered here.  An answer
#: that is the last closes the client.
Choice = Place | Replaced | Answer | SplitRequest


#: Why a request that wants a slot alone is refused, where keys have places.
NO_KEY: Final = "this command needs an upstream of its own, and no key of it says which"
#: The classes of choices that are no place.
OTHERS: Final = (Replaced, Answer, SplitRequest)


class Chooser(Protocol):
    """Chooses for the requests of one client, one after the other."""

    def choose(self, data: bytes, key: bytes | None) -> Choice | None:
        """Return where a request goes; None if that is told later, by the input DECIDED.

        :param data: one whole request.
        :param key: what the codec's ``key_of`` says of it, if that was asked.
        """

    def places_of(self, keys: Sequence[bytes]) -> Sequence[Place] | None:
        """Return where requests go that have one key each, as they are.

        :returns: None if that is not known of all of them, so that :meth:`choose` is to be asked.
        """

    def claim(self, data: bytes) -> Choice | None:
        """As :meth:`choose`, for a request that wants a slot alone, with all that its client sends after it."""

    def first(self, data: bytes) -> Choice:
        """Return where a request goes that concerns the client's own connection, and no place more than another."""


class KeyPlaces(Protocol):
    """The places of keys: :class:`~proxymux.pool.shards.Shards`."""

    def place_of(self, key: bytes) -> Place | None:
        """The place of a key; None if nobody serves it."""

    def places_of(self, keys: Sequence[bytes]) -> Sequence[Place] | None:
        """The places of keys; None if one of them is served by nobody."""

    def first(self) -> Place | None:
        """The place of a request without keys; None likewise."""

    @property
    def is_divided(self) -> bool:
        """There is more than one place."""

    @property
    def why_none(self) -> str:
        """Why nobody serves a key, in one line."""


class ShardChooser:
    """Has each key where its cluster places it; the same for all clients.

    :param codec: of the requests.
    """

    __slots__ = ("_codec", "_key_of", "_place_of", "_places")

    def __init__(self, codec: Codec, places: KeyPlaces) -> None:
        self._codec = codec
        self._key_of = codec.key_of
        self._places = places
        self._place_of = places.place_of

    def places_of(self, keys: Sequence[bytes]) -> Sequence[Place] | None:
        return self._places.places_of(keys)

    def choose(self, data: bytes, key: bytes | None) -> Choice | None:
        if key is None:
            key = self._key_of(data)
        if key is None:
            return self._choose_by_view(data)
        return self._place_of(key) or unserved(self._codec, data, self._places.why_none)

    def claim(self, data: bytes) -> Choice | None:
        if self._places.is_divided and not self._codec.view(data).keys:
            # What comes after it on its upstream could be about keys that are elsewhere.
            return Answer(self._codec.failure(NO_KEY), problem=NO_KEY)
        return self._choose_by_view(data)

    def first(self, data: bytes) -> Choice:
        return self._places.first() or unserved(self._codec, data, self._places.why_none)

    def _choose_by_view(self, data: bytes) -> Choice:
        view = self._codec.view(data)
        keys = view.keys
        if not keys:
            return self.first(data)
        places = [place for place in map(self._place_of, keys) if place is not None]
        if len(places) < len(keys):
            return unserved(self._codec, data, self._places.why_none)
        return of_places(view, places)


def of_places(view: RequestView, places: Sequence[Place | Apart]) -> Choice:
    """What becomes of a request with several keys.

    :param places: where each of its keys goes.
    """
    first = places[0]
    if all(place is first for place in places):
        return first.choice if isinstance(first, Apart) else first
    return view.split(places) if view.can_split else Answer(view.crossed)


def unserved(codec: Codec, data: bytes, reason: str) -> Answer:
    """The answer to a request that nobody serves: the protocol's error, or where it has none the end of the client."""
    answer = codec.failure_for(data, reason)
    return Answer(answer, not answer, None if answer else Ending(Outcome.UNREACHABLE, reason), reason)


def single(codec: Codec, data: bytes) -> Request | None:
    """The one request that ``data`` is, of those that upstreams share; None if it is anything else."""
    try:
        found = codec.requests().feed(data)
    except BadMessage:
        return None
    is_one = len(found) == 1 and found[0].count == 1 and found[0].end == len(data)
    return found[0] if is_one and found[0].kind in (Kind.PLAIN, Kind.SILENT, Kind.LAST) else None
