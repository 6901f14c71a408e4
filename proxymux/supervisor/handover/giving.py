"""The old worker's side of a handover: it freezes sessions, and lets go of those that its successor has taken."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Iterable
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from proxymux.net.moving import Mover
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.session.movable_runner import MovableRunner
from proxymux.session.moving import FrozenSession, freeze
from proxymux.supervisor.handover.moving_service import MovingService
from proxymux.supervisor.handover.packets import (
    FORMAT,
    Kind,
    PacketOwner,
    PacketSocket,
    close_all,
    decode,
    encode,
    in_pieces,
)

#: Sessions of the first batches; a successor that is broken costs little.  Each session has two descriptors at most,
#: and a packet takes 253.
BATCHES: Final = (1, 8, 64, 126)
#: Seconds that the successor may take to answer.
_PATIENCE: Final = 5.0
#: Seconds between two looks for sessions that have become such as can be moved.
_AGAIN: Final = 1.0


class Giving(PacketOwner):
    """Gives the sessions of a service away.

    :param service: accepts no more.
    :param mover: freezes the connections of its sessions.
    :param given: called once, with their number, when all that can be moved now have been, or that has failed.
    """

    def __init__(
        self, reactor: Reactor, sock: socket.socket, service: MovingService, mover: Mover, given: Callable[[int], None]
    ) -> None:
        self._clock = service.clock
        self._sessions = service.sessions
        self._counters = service.counters
        self._log = service.log
        self._mover = mover
        self._given: Callable[[int], None] | None = given
        self._count = 0
        self._batch = 0
        #: What the successor says it can still take.
        self._room = 0
        #: The sessions that are still to be looked at in this round.
        self._waiting: list[MovableRunner] = []
        #: Those that the successor has been sent and has not acknowledged.
        self._frozen: list[FrozenSession] = []
        self._call: IDelayedCall | None = None
        self._packets = PacketSocket(reactor, sock, self)
        self._packets.start()
        self._call_later(_PATIENCE, self._too_late)

    def close(self) -> None:
        """Give no more: what was offered and not taken stays."""
        if self._packets.is_open:
            self._end()

    # Called by the socket

    def packet(self, kind: Kind, payload: bytes, descriptors: list[int], is_whole: bool) -> None:
        close_all(descriptors)
        if kind is Kind.HELLO:
            self._greeted(payload)
        elif kind is Kind.ACK and self._frozen:
            self._commit()
        elif kind is Kind.NACK:
            self._stop(f"the new worker refuses sessions: {payload.decode('utf-8', 'replace')}")

    def unsent(self, error: OSError) -> None:
        self._stop(f"sessions cannot be sent: {error}")

    def ended(self) -> None:
        self._stop("the new worker is gone")

    def _greeted(self, payload: bytes) -> None:
        try:
            hello = decode(payload)
            version, room = hello["format"], hello["descriptors"] if hello["format"] == FORMAT else 0
        except (ValueError, KeyError, TypeError):
            version, room = "another", 0
        if version != FORMAT:
            self._stop(f"the new worker speaks version {version} of the handover, and this one {FORMAT}")
        else:
            self._room = room
            self._begin()

    # The rounds

    def _begin(self) -> None:
        """Begin a round with the sessions that have been idle for longest."""
        gc.disable()  # it would look at all sessions again and again, for a quarter of the time
        self._waiting = sorted(self._sessions, key=lambda session: session.last_at, reverse=True)
        self._next()

    def _next(self) -> None:
        """Freeze and send a batch, or end the round."""
        self._cancel_call()
        size = min(BATCHES[min(self._batch, len(BATCHES) - 1)], self._room // 2)
        while self._waiting and len(self._frozen) < size:
            session = self._waiting.pop()
            if session in self._sessions:
                frozen = freeze(session, self._mover)
                if frozen is not None:
                    self._frozen.append(frozen)
        if self._frozen:
            self._batch += 1
            self._send(self._frozen)
            self._call_later(_PATIENCE, self._too_late)
        else:
            self._end_round()

    def _send(self, batch: list[FrozenSession]) -> None:
        states = encode([{**frozen.state, "counted": self._counted(frozen)} for frozen in batch])
        data = states + b"".join(frozen.backlog for frozen in batch)
        in_pieces(data, lambda piece: self._packets.send(Kind.DATA, piece))
        descriptors = [descriptor for frozen in batch for descriptor in frozen.descriptors]
        header = encode({"states": len(states), "data": len(data), "descriptors": len(descriptors)})
        self._packets.send(Kind.BATCH, header, descriptors)

    def _counted(self, frozen: FrozenSession) -> tuple[int, int]:
        return (0, 0) if self._counters is None else self._counters.counted(frozen.number)

    def _commit(self) -> None:
        frozen, self._frozen = self._frozen, []
        if not self._packets.send_now(Kind.COMMIT):
            self._thaw(frozen)
            self._stop("the new worker is gone")
            return
        self._count += len(frozen)
        for each in frozen:
            self._room -= len(each.descriptors)
            each.depart()
            if self._counters is not None:
                self._counters.release(each.number)
        self._next()

    def _end_round(self) -> None:
        gc.enable()
        self._tell()
        if not len(self._sessions):
            self._packets.send_now(Kind.END)
            self._packets.close()
        elif self._packets.is_open:
            self._call_later(_AGAIN, self._begin)

    def _tell(self) -> None:
        if self._given is not None:
            given, self._given = self._given, None
            given(self._count)

    def _too_late(self) -> None:
        self._call = None
        self._stop(f"the new worker has not answered within {_PATIENCE:g} s")

    def _stop(self, problem: str) -> None:
        """Keep the sessions that are left."""
        self._end()
        self._log.warn(
            "{problem}; the {count} sessions that are left stay here", problem=problem, count=len(self._sessions)
        )

    def _end(self) -> None:
        gc.enable()
        self._cancel_call()
        if self._packets.is_open:
            self._packets.send_now(Kind.ABORT)
            self._packets.close()
        frozen, self._frozen = self._frozen, []
        self._thaw(frozen)
        self._tell()

    def _thaw(self, frozen: Iterable[FrozenSession]) -> None:
        for each in frozen:
            each.thaw()

    def _call_later(self, seconds: float, function: Callable[[], None]) -> None:
        self._cancel_call()
        self._call = self._clock.callLater(seconds, function)

    def _cancel_call(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
