"""Services with workers: their processes, and an upstream that says what it was sent."""

from __future__ import annotations

import contextlib
import re
import selectors
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.conftest import until
from tests.system.conftest import Twistd

#: Sends everything to the upstream whose port is filled in.
FORWARDS: Final = "def proxy(data):\n    return {{'remote': '127.0.0.1:{port}'}}\n"
#: Answers with what it was sent, up to a full stop.
WAITS: Final = "def proxy(data):\n    return {'close': b'done: ' + data} if data.endswith(b'.') else None\n"
#: Clients of which two workers get some each: the system gives all of them to one once in 8 million times.
ENOUGH: Final = 24
_TITLE: Final = re.compile(r"- worker (\d+): ")


def children(pid: int) -> list[int]:
    """The processes that a process has started and that have not ended."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def serving(proxy: Twistd) -> dict[int, int]:
    """The worker processes that have come so far as to serve: the place of each by its process number."""
    found = {}
    for pid in children(proxy.pid):
        with contextlib.suppress(OSError):
            title = _TITLE.search(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))
            if title is not None:
                found[pid] = int(title.group(1))
    return found


def crew(proxy: Twistd, count: int, without: set[int] | None = None) -> set[int]:
    """The worker processes, once there are ``count`` that serve, none of them one of ``without``, and no others."""

    def look() -> set[int] | None:
        assert proxy.process.poll() is None, f"it has ended:\n{proxy.log()}"
        pids = set(serving(proxy))
        is_settled = len(pids) == count == len(children(proxy.pid)) and not pids & (without or set())
        return pids if is_settled else None

    found: set[int] = until(look, f"{count} workers to serve")
    return found


def roll_over(proxy: Twistd, count: int) -> set[int]:
    """Replace all workers, and wait until the old ones have ended; the new ones."""
    old = crew(proxy, count)
    proxy.signal(signal.SIGUSR2)
    return crew(proxy, count, old)


def is_alive(pid: int) -> bool:
    """True if a process runs: one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Echo(threading.Thread):
    """A server that sends back what it is sent, and FIN after FIN.  It remembers nothing."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listening.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._is_over = False

    @property
    def port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def close(self) -> None:
        self._is_over = True
        self.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def run(self) -> None:
        while not self._is_over:
            for key, _ in self._selector.select(0.05):
                assert isinstance(key.fileobj, socket.socket)
                if key.fileobj is self._listening:
                    self._accept()
                else:
                    self._answer(key.fileobj)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                client, _ = self._listening.accept()
                self._selector.register(client, selectors.EVENT_READ)

    def _answer(self, client: socket.socket) -> None:
        try:
            data = client.recv(1 << 16)
            client.sendall(data)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(client)
            client.close()


@contextlib.contextmanager
def echo() -> Iterator[Echo]:
    """An echo server that runs meanwhile."""
    server = Echo()
    server.start()
    try:
        yield server
    finally:
        server.close()


def says(client: socket.socket, data: bytes) -> bytes:
    """What comes back of ``data``, as far as it is as long."""
    client.sendall(data)
    back = b""
    while len(back) < len(data):
        part = client.recv(len(data) - len(back))
        assert part, f"the end after {back!r}"
        back += part
    return back
