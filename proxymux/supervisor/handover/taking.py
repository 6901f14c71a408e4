"""The successor's side of a handover: it takes the sessions of the worker before it."""

from __future__ import annotations

import gc
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.interfaces import IDelayedCall

from proxymux.net.moving import Mover, Packed
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.supervisor.handover.moving_service import MovingService
from proxymux.supervisor.handover.packets import FORMAT, Kind, PacketOwner, PacketSocket, close_all, decode, encode
from proxymux.version import __version__

#: The most bytes of a batch.
MOST_DATA: Final = 256 << 20

#: Seconds without a batch after which garbage is collected again.
_QUIET: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Offer:
    """A session that was offered: what it is, its sockets, and what was to be sent on them."""

    state: Packed
    socks: Sequence[socket.SocketType]
    backlog: bytes


class Taking(PacketOwner):
    """Takes sessions into a service.

    :param mover: goes on with their connections.
    """

    def __init__(self, reactor: Reactor, sock: socket.socket, service: MovingService, mover: Mover) -> None:
        self._sessions = service.sessions
        self._counters = service.counters
        self._log = service.log
        self._mover = mover
        self._clock = service.clock
        self._collecting: IDelayedCall | None = None
        self._data = bytearray()
        #: What has been acknowledged.
        self._offers: list[_Offer] = []
        self._packets = PacketSocket(reactor, sock, self)
        self._packets.start()
        hello = {"format": FORMAT, "version": __version__, "descriptors": service.room}
        self._packets.send(Kind.HELLO, encode(hello))

    # Called by the socket

    def packet(self, kind: Kind, payload: bytes, descriptors: list[int], is_whole: bool) -> None:
        if kind is Kind.BATCH:
            self._pause_collections()
            self._look_at(payload, descriptors, is_whole)
            return
        close_all(descriptors)
        if kind is Kind.DATA and len(self._data) + len(payload) <= MOST_DATA:
            self._data += payload
        elif kind is Kind.COMMIT:
            self._adopt()
        elif kind in (Kind.ABORT, Kind.END):
            self._refuse_all()
            self._packets.close()

    def _pause_collections(self) -> None:
        """Collect no garbage until no batch has come for a while: each collection would look at all sessions."""
        gc.disable()
        if self._collecting is not None and self._collecting.active():
            self._collecting.reset(_QUIET)
        else:
            self._collecting = self._clock.callLater(_QUIET, gc.enable)

    def ended(self) -> None:
        """The old worker is gone: what has been acknowledged is nobody's but ours."""
        self._adopt()

    def _look_at(self, payload: bytes, descriptors: list[int], is_whole: bool) -> None:
        data, self._data = bytes(self._data), bytearray()
        try:
            if not is_whole:
                raise ValueError("the descriptors have not come")
            self._offers = _offers(decode(payload), data, descriptors)
        except (ValueError, KeyError, TypeError, OSError) as error:
            close_all(descriptors)
            self._packets.send(Kind.NACK, f"{type(error).__name__}: {error}".encode()[:1000])
            return
        if not self._packets.send_now(Kind.ACK):
            self._refuse_all()  # the old worker has given up or is dead, and was not told that these are to be ours

    def _adopt(self) -> None:
        offers, self._offers = self._offers, []
        for offer in offers:
            session = self._sessions.adopt(offer.state["number"])
            try:
                session.unpack(offer.state, self._mover, offer.socks, offer.backlog)
                if self._counters is not None:
                    self._counters.adopt(session.number, tuple(offer.state["counted"]))
            except Exception:
                self._log.failure("a session that was handed over is lost because of an error in proxymux")
                for sock in offer.socks:
                    sock.close()
                session.depart()

    def _refuse_all(self) -> None:
        """Close what was offered: the old worker has kept it."""
        offers, self._offers = self._offers, []
        for offer in offers:
            for sock in offer.socks:
                sock.close()


def _offers(header: dict[str, Any], data: bytes, descriptors: list[int]) -> list[_Offer]:
    """What a batch offers; the descriptors are then its sockets'.

    :raises ValueError: if it is not whole.
    """
    if len(data) != header["data"] or len(descriptors) != header["descriptors"]:
        raise ValueError("a batch is not whole")
    at = header["states"]
    states = decode(data[:at])
    if sum(state["sockets"] for state in states) != len(descriptors):
        raise ValueError("the number of sockets is wrong")
    if at + sum(state["backlog"] for state in states) != len(data):
        raise ValueError("the bytes that are to be sent are not whole")
    socks = _sockets(descriptors)  # from here on nothing fails: they close their descriptors, as would the caller
    offers = []
    for state in states:
        own, socks = socks[: state["sockets"]], socks[state["sockets"] :]
        offers.append(_Offer(state, own, data[at : at + state["backlog"]]))
        at += state["backlog"]
    return offers


def _sockets(descriptors: Sequence[int]) -> list[socket.SocketType]:
    """The sockets of descriptors.

    :raises OSError: if one is of none; the descriptors are then open, and nobody's.
    """
    socks: list[socket.SocketType] = []
    try:
        for descriptor in descriptors:
            socks.append(socket.SocketType(fileno=descriptor))
    except OSError:
        for sock in socks:
            sock.detach()
        raise
    return socks
