"""A systemd of the tests' own: it collects what a service says, keeps its descriptors and starts it again with them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.conftest import until
from tests.system.conftest import Twistd, twistd_command

#: What systemd does between fork and exec: the sockets get the numbers from 3 on, the variables the process's number.
PASS: Final = """\
import os, sys
descriptors = [int(each) for each in sys.argv[1].split(",") if each]
for at, descriptor in enumerate(descriptors):
    os.dup2(descriptor, 300 + at)
for at in range(len(descriptors)):
    os.dup2(300 + at, 3 + at)
    os.close(300 + at)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
os.environ["LISTEN_FDS"] = str(len(descriptors))
os.execv(sys.argv[2], sys.argv[2:])
"""


def script() -> list[str]:
    """The program twistd, to be run by this Python."""
    command = twistd_command()
    return command if len(command) == 1 else command[1:]


class Systemd:
    """Speaks with one service.

    :param units: sockets of socket units, which are passed first, by their names.
    """

    def __init__(self, folder: Path, address: str, units: dict[str, socket.socket] | None = None) -> None:
        self.folder = folder
        self.units = units or {}
        #: What it was told, one message after another.
        self.messages: list[dict[str, str]] = []
        #: What it keeps, by name.
        self.kept: dict[str, socket.socket] = {}
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)
        self._running: list[Twistd] = []

    def __enter__(self) -> Systemd:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for each in self._running:
            if each.process.poll() is None:
                each.process.kill()
            each.process.wait()
        self._socket.close()
        for sock in self.kept.values():
            sock.close()

    def start(self, *arguments: str, prefix: tuple[str, ...] = (), **more: str) -> Twistd:
        """Start the service, with what systemd keeps for it."""
        passed = {**self.units, **self.kept}
        folder = self.folder / f"run{len(self._running)}"
        folder.mkdir()
        numbers = [sock.fileno() for sock in passed.values()]
        with open(folder / "output", "wb") as output:
            process = subprocess.Popen(
                [
                    *prefix,
                    sys.executable,
                    "-c",
                    PASS,
                    ",".join(map(str, numbers)),
                    sys.executable,
                    *script(),
                    "-n",
                    "--pidfile=",
                    *arguments,
                ],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=numbers,
                env={**os.environ, "NOTIFY_SOCKET": self._address, "LISTEN_FDNAMES": ":".join(passed), **more},
            )
        self._running.append(Twistd(process, folder, folder / "access.log"))
        return self._running[-1]

    def wait_for(self, assignment: str, count: int = 1) -> dict[str, str]:
        """Wait until it was told something so often; the last message that says so."""
        name, _, value = assignment.partition("=")

        def look() -> dict[str, str] | None:
            self.read()
            found = [each for each in self.messages if each.get(name, "").startswith(value) and name in each]
            return found[-1] if len(found) >= count else None

        try:
            found: dict[str, str] = until(look, assignment)
        except AssertionError:
            log = "".join(each.log() for each in self._running)
            raise AssertionError(f"{assignment} was not said, but {self.messages}\n{log}") from None
        return found

    def read(self) -> None:
        """Read what has come, and keep what there is to keep."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._socket, 4096, 16)
            except BlockingIOError:
                return
            message = dict(line.split("=", 1) for line in data.decode().split("\n"))
            self.messages.append(message)
            if "FDSTORE" in message:
                assert len(descriptors) == 1
                assert message["FDNAME"] not in self.kept
                self.kept[message["FDNAME"]] = socket.socket(fileno=descriptors[0])
            else:
                for descriptor in descriptors:
                    os.close(descriptor)
            if "FDSTOREREMOVE" in message:
                self.kept.pop(message["FDNAME"]).close()
