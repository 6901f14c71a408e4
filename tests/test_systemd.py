"""What is said to systemd, and what becomes of it where the socket is missing, broken or full."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxymux.systemd import NotifySocket, take_from

PID = 4711


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The name of a notify socket, and systemd's end of it."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@proxymux-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0"))
        sock.setblocking(False)
        yield address, sock


def test_a_message_is_one_datagram_with_its_descriptors(manager: tuple[str, socket.socket]) -> None:
    address, sock = manager
    reading, writing = os.pipe()
    assert NotifySocket({"NOTIFY_SOCKET": address}, PID).send("FDSTORE=1", "FDNAME=a\nREADY=1", descriptors=[reading])
    data, descriptors, _, _ = socket.recv_fds(sock, 1024, 4)
    assert data == b"FDSTORE=1\nFDNAME=a READY=1"
    os.write(writing, b"x")
    assert [os.read(each, 1) for each in descriptors] == [b"x"]
    for each in (reading, writing, *descriptors):
        os.close(each)


def test_a_full_queue_is_told_and_not_waited_for(manager: tuple[str, socket.socket]) -> None:
    address, sock = manager
    notify = NotifySocket({"NOTIFY_SOCKET": address}, PID)
    sent = 0
    while notify.send("WATCHDOG=1"):
        sent += 1
    assert sent
    sock.recv(100)
    assert notify.send("READY=1")


@pytest.mark.parametrize(
    "address", ["", "/nowhere/notify", "/\0", "@", "/dev/null", "vsock:2:1234", "relative", "/" * 200]
)
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    notify = NotifySocket({"NOTIFY_SOCKET": address}, PID)
    assert notify.send("READY=1", descriptors=[0])
    notify.wait_until_read(30)


def test_the_barrier_is_waited_for_until_systemd_has_read_it(manager: tuple[str, socket.socket]) -> None:
    address, sock = manager
    notify = NotifySocket({"NOTIFY_SOCKET": address}, PID)
    notify.wait_until_read(0.001)
    data, descriptors, _, _ = socket.recv_fds(sock, 1024, 4)
    assert (data, len(descriptors)) == (b"BARRIER=1", 1)
    os.close(descriptors[0])


@pytest.mark.parametrize(
    ("usec", "pid", "expected"),
    [
        ("30000000", None, 30_000_000),
        ("30000000", "4711", 30_000_000),
        ("30000000", "1", 0),
        ("x", None, 0),
        ("", None, 0),
    ],
)
def test_the_watchdog_is_that_of_this_process(usec: str, pid: str | None, expected: int) -> None:
    environment = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": usec}
    assert NotifySocket(environment | ({} if pid is None else {"WATCHDOG_PID": pid}), PID).watchdog_usec == expected
    assert NotifySocket({"WATCHDOG_USEC": usec}, PID).watchdog_usec == 0  # there is nobody to be told


def test_children_do_not_speak_for_the_process() -> None:
    environment = {
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "4711",
        "FDSTORE": "0",
        "HOME": "/",
    }
    notify = take_from(environment, PID)
    assert environment == {"HOME": "/"}
    assert notify.is_there
    assert not notify.stores_descriptors
    assert notify.watchdog_usec == 1


def test_a_process_that_has_another_number_by_now_says_so() -> None:
    assert NotifySocket({}, os.getpid()).new_pid is None
    assert NotifySocket({}, os.getpid() + 1).new_pid == os.getpid()
