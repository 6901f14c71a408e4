"""Two services in one process, on one clock, and a handover from one to the other."""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

from twisted.internet.task import Clock

from proxymux.admin.counters import BYTE_CELLS, HANDED_OVER_CELL, add_up
from proxymux.core.outcome import Record
from proxymux.supervisor.handover.giving import Giving
from proxymux.supervisor.handover.packets import MAX_DESCRIPTORS, MAX_PACKET, Kind
from proxymux.supervisor.handover.taking import Taking
from tests.services.fixtures import Running
from tests.services.peers import Peer, settle, until

_ITEM: Final = array.array("i").itemsize
Packet = tuple[Kind, bytes, list[int]]


def socket_pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class End:
    """One end of the socket of a handover, in the hands of a test."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock

    async def receive(self, *kinds: Kind) -> Packet:
        """The next packet, which must be of one of these kinds."""
        packet = await until(self.look, f"a packet {kinds}")
        assert packet is not None
        assert packet[0] in kinds, packet
        return packet

    def look(self) -> Packet | None:
        """The next packet if there is one; nothing is left of one that has ended."""
        try:
            data, ancillary, _, _ = self._socket.recvmsg(MAX_PACKET + 1, socket.CMSG_SPACE(MAX_DESCRIPTORS * _ITEM))
        except (BlockingIOError, ConnectionResetError):
            return None
        if not data:
            return None
        found = array.array("i")
        for _, _, raw in ancillary:
            found.frombytes(raw)
        return Kind(data[0]), data[1:], found.tolist()

    def send(self, kind: int, payload: bytes = b"", descriptors: Sequence[int] = ()) -> None:
        """Send a packet; its descriptors are closed here."""
        socket.send_fds(self._socket, [bytes([kind]) + payload], list(descriptors))
        for descriptor in descriptors:
            os.close(descriptor)

    def close(self) -> None:
        self._socket.close()


class Pair:
    """An old worker's service and its successor's.

    :param start: starts a service.
    """

    def __init__(self, start: Callable[[Clock], Running]) -> None:
        self.clock = Clock()
        self.clock.advance(1000)  # as monotonic times are never 0
        self.old, self.new = start(self.clock), start(self.clock)
        self.new.service._context.first_session = 1_000_000_000
        #: With how many sessions the old one has said to be done, each time.
        self.given: list[int] = []
        self._sides: list[Giving | Taking] = []
        self._ends: list[End] = []

    def give(self) -> End:
        """Begin to give; the other end."""
        ours, theirs = socket_pair()
        service = self.old.service
        assert service.mover is not None
        self._sides.append(Giving(self.old.reactor, ours, service, service.mover, self.given.append))  # type: ignore[arg-type]
        return self._keep(theirs)

    def take(self) -> End:
        """Begin to take; the other end."""
        ours, theirs = socket_pair()
        service = self.new.service
        assert service.mover is not None
        self._sides.append(Taking(self.new.reactor, ours, service, service.mover))  # type: ignore[arg-type]
        return self._keep(theirs)

    def _keep(self, sock: socket.socket) -> End:
        self._ends.append(End(sock))
        return self._ends[-1]

    def meet(self) -> None:
        """Begin to give and to take."""
        for_old, for_new = socket_pair()
        old, new = self.old.service, self.new.service
        self._sides.append(Taking(self.new.reactor, for_new, new, new.mover))  # type: ignore[arg-type]
        self._sides.append(Giving(self.old.reactor, for_old, old, old.mover, self.given.append))  # type: ignore[arg-type]

    async def hand_over(self, count: int) -> None:
        """Hand all over, which must be ``count`` sessions."""
        self.meet()
        await until(lambda: self.given, "the handover")
        await until(lambda: len(self.new.service.sessions) == count, "the successor to have all")
        assert self.given.pop() == count

    async def freeze(self) -> tuple[End, list[Packet]]:
        """Bring a handover to where the old worker has sent its first batch; its other end, and what was sent."""
        end = self.give()
        end.send(Kind.HELLO, b'{"format":1,"version":"","descriptors":1000}')
        packets = [await end.receive(Kind.DATA)]
        while packets[-1][0] is Kind.DATA:
            packets.append(await end.receive(Kind.DATA, Kind.BATCH))
        return end, packets

    @property
    def owned(self) -> tuple[int, int]:
        """How many sessions the old worker and its successor have."""
        return len(self.old.service.sessions), len(self.new.service.sessions)

    @property
    def present(self) -> tuple[int, int]:
        """How many clients each counts."""
        old, new = (each.service._context.admission._presence.total for each in (self.old, self.new))
        return old, new

    @property
    def records(self) -> list[Record]:
        return self.old.records + self.new.records

    @property
    def counted(self) -> tuple[int, int, int]:
        """The bytes in and out, and the handovers, that both have counted."""
        cells = add_up([each.service.counters.cells for each in (self.old, self.new)])
        return int(cells[BYTE_CELLS]), int(cells[BYTE_CELLS + 1]), int(cells[HANDED_OVER_CELL])

    async def close(self) -> None:
        """End all sessions, the handovers, and both services; see that each session has had one record."""
        await settle()
        for end in self._ends:
            end.close()
        for each in self._sides:
            each._packets.close()
            if isinstance(each, Giving):
                each._cancel_call()
            else:
                each._refuse_all()
        for running in (self.old, self.new):
            await running.stop()
        assert not self.clock.getDelayedCalls()
        assert self.owned == self.present == (0, 0)
        numbers = sorted(record.session for record in self.records)
        assert numbers == sorted(set(numbers))


async def answers(client: Peer, upstream: Peer, question: bytes = b"question", answer: bytes = b"answer") -> None:
    """The two are joined."""
    await client.send(question)
    assert await upstream.receive(len(question)) == question
    await upstream.send(answer)
    assert await client.receive(len(answer)) == answer
