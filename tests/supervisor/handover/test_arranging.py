"""The supervisor's part in a handover."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.task import Clock

from proxymux.supervisor.handover.arranging import arrange
from tests.supervisor.standing_in import FakeWorker


class Given(FakeWorker):
    """A worker that keeps a copy of what it is given, as the system makes one."""

    def __init__(self) -> None:
        super().__init__(_Nowhere(), 1, Clock())  # type: ignore[arg-type]
        self.copies: list[socket.socket] = []

    def ask(self, what: str, descriptors: Any = (), patience: float | None = 1, **_: object) -> Any:
        self.copies += [socket.socket(fileno=os.dup(descriptor)) for descriptor in descriptors]
        return super().ask(what, descriptors, patience)


class _Nowhere:
    number = 1

    def worker_ended(self, *_: object) -> None:
        """Nobody is told."""


def test_each_has_one_end_and_the_supervisor_none() -> None:
    old, new = Given(), Given()
    results: list[int] = []
    arrange(old, new).addCallback(results.append)  # type: ignore[arg-type]
    (for_old,), (for_new,) = old.copies, new.copies
    assert for_old.type == for_new.type == socket.SOCK_SEQPACKET
    for_old.send(b"hello")
    assert for_new.recv(99) == b"hello"
    for worker in (old, new):
        worker.asked[0][1].callback(None)
    for_new.close()
    assert for_old.recv(99) == b""  # nobody else has the other end
    for_old.close()
    old.asked[1][1].callback(5)
    assert results == [5]


def test_workers_that_end_meanwhile_leave_nothing_behind() -> None:
    for first, second in (("old", "new"), ("new", "old")):
        workers = {"old": Given(), "new": Given()}
        results: list[int] = []
        arrange(workers["old"], workers["new"]).addCallback(results.append)  # type: ignore[arg-type]
        workers[first].ends()
        workers[second].ends()
        assert results == [0]
        for worker in workers.values():
            for copy in worker.copies:
                copy.close()
