"""Listening sockets that systemd has kept: which are taken, what they are called, and what is forgotten."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from twisted.internet.error import CannotListenError

from proxymux.session.kept import KeptSockets, tcp_title, unix_title
from proxymux.session.opening import open_tcp, open_unix
from proxymux.session.unix_path import UnixPath
from proxymux.systemd import NotifySocket

LOOPBACK = "127.0.0.1"


class Store(NotifySocket):
    """Keeps descriptors, as systemd does, and passes copies of them on."""

    def __init__(self) -> None:
        super().__init__({"NOTIFY_SOCKET": "/run/notify"}, 1)
        self.kept: dict[str, int] = {}
        self.waits = 0

    def send(self, *assignments: str, descriptors: Sequence[int] = ()) -> bool:
        name = assignments[1].removeprefix("FDNAME=")
        if assignments[0] == "FDSTORE=1":
            assert name not in self.kept
            self.kept[name] = os.dup(*descriptors)
        else:
            assert assignments[0] == "FDSTOREREMOVE=1"
            os.close(self.kept.pop(name))
        return True

    def wait_until_read(self, seconds: float) -> None:
        self.waits += 1

    def start(self) -> KeptSockets:
        """What the next start of the service is passed."""
        return KeptSockets(self, [(name, os.dup(descriptor)) for name, descriptor in self.kept.items()])


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    for descriptor in store.kept.values():
        os.close(descriptor)


def tcp(
    kept: KeptSockets, port: int, count: int = 1, interface: str = LOOPBACK, **options: bool
) -> list[socket.socket]:
    rules = {"reuse": True, "exclusive": True, "ipv6_only": False, **options}
    return open_tcp(kept, interface, port, count, backlog=8, **rules)


def close(sockets: Sequence[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def served_through(sockets: Sequence[socket.socket], client: socket.socket) -> bool:
    """True if the client waits in the queue of one of the sockets."""
    for sock in sockets:
        try:
            accepted, peer = sock.accept()
        except BlockingIOError:
            continue
        accepted.close()
        return bool(peer == client.getsockname())
    return False


def test_who_waits_meanwhile_is_served_on_the_same_sockets(store: Store) -> None:
    first = tcp(store.start(), 0, 2)
    assert list(store.kept) == ["proxymux/tcp/127.0.0.1/0/1", "proxymux/tcp/127.0.0.1/0/2"]
    address = first[0].getsockname()
    close(first)
    with socket.create_connection(address, 30) as client:
        again = tcp(store.start(), 0, 2)
        assert [sock.getsockname() for sock in again] == [address] * 2
        assert served_through(again, client)
    close(again)
    assert len(store.kept) == 2


def test_more_workers_than_before_get_new_sockets_beside_the_old(store: Store) -> None:
    first = tcp(store.start(), 0, 1, reuse=False)  # without --workers
    address = first[0].getsockname()
    close(first)
    again = tcp(store.start(), 0, 3)
    assert [sock.getsockname() for sock in again] == [address] * 3
    assert sorted(name[-1] for name in store.kept) == ["1", "2", "3"]
    close(again)


def test_sockets_for_workers_that_there_are_no_more_are_forgotten(store: Store) -> None:
    close(tcp(store.start(), 0, 3))
    close(tcp(store.start(), 0, 1))
    assert list(store.kept) == ["proxymux/tcp/127.0.0.1/0/1"]


def test_two_listeners_that_ask_for_the_same_have_each_their_own(store: Store) -> None:
    kept = store.start()
    one, two = tcp(kept, 0, 2), tcp(kept, 0, 2)
    before = {sock.getsockname() for sock in (*one, *two)}
    close([*one, *two])
    assert len(before) == 2
    kept = store.start()
    one, two = tcp(kept, 0, 2), tcp(kept, 0, 2)
    assert {sock.getsockname() for sock in one} | {sock.getsockname() for sock in two} == before
    assert len({sock.getsockname() for sock in one}) == 1
    close([*one, *two])
    assert len(store.kept) == 4


def test_one_that_is_in_the_way_of_another_option_is_forgotten_first(store: Store) -> None:
    first = tcp(store.start(), 0, interface="")
    port = first[0].getsockname()[1]
    close(first)
    second = tcp(store.start(), port, reuse=False)
    assert second[0].getsockname() == (LOOPBACK, port)
    assert store.waits == 1
    assert list(store.kept) == [f"proxymux/tcp/127.0.0.1/{port}/1"]
    close(second)


def test_what_nobody_asks_for_any_more_is_forgotten(store: Store, tmp_path: Path) -> None:
    close(tcp(store.start(), 0))
    kept = store.start()
    store.kept["proxymux/broken/1"] = os.open(os.devnull, os.O_RDONLY)
    close(tcp(kept, 0, interface="127.0.0.2"))
    kept.drop_rest()
    store.start().drop_rest()
    assert store.kept == {}


def test_an_address_in_use_is_refused_as_ever(store: Store) -> None:
    with socket.create_server((LOOPBACK, 0)) as other, pytest.raises(CannotListenError):
        tcp(store.start(), other.getsockname()[1])
    assert store.kept == {}


def test_a_unix_socket_keeps_its_path_and_its_queue(store: Store, tmp_path: Path) -> None:
    name = str(tmp_path / "a:b c")

    def listen() -> tuple[socket.socket, KeptSockets]:
        kept = store.start()
        sock, release = open_unix(kept, UnixPath(name), name, 0o600, 8)
        sock.close()
        release()
        return sock, kept

    listen()
    assert list(store.kept) == [f"proxymux/unix/{tmp_path}/a%3Ab%20c/{os.stat(name).st_ino}"]
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(name)
        sock, release = open_unix(store.start(), UnixPath(name), name, 0o660, 8)
        assert os.stat(name).st_mode & 0o777 == 0o660
        sock.accept()[0].close()
        with pytest.raises(CannotListenError):  # its lock is held
            open_unix(KeptSockets(store, []), UnixPath(name), name, 0o600, 8)
        sock.close()
        release()
    assert os.path.exists(name)
    assert not os.path.exists(f"{name}.lock")


def test_a_unix_socket_whose_path_is_another_s_is_forgotten(store: Store, tmp_path: Path) -> None:
    name = str(tmp_path / "socket")
    sock, release = open_unix(store.start(), UnixPath(name), name, 0o600, 8)
    sock.close()
    release()
    os.unlink(name)
    (tmp_path / "holds the number").touch()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(name)
    sock, release = open_unix(store.start(), UnixPath(name), name, 0o600, 8)
    assert [int(each.rpartition("/")[2]) for each in store.kept] == [os.stat(name).st_ino]
    sock.close()
    release()


def test_names_are_such_as_systemd_takes() -> None:
    titles = [tcp_title("::1", 80, True), tcp_title("::", 80), unix_title("\0abstract"), unix_title("/run/" + "ü" * 50)]
    assert titles[:3] == ["proxymux/tcp6only/%3A%3A1/80", "proxymux/tcp/%3A%3A/80", "proxymux/unix/%00abstract"]
    for title in titles:
        assert title.isascii()
        assert title.isprintable()
        assert ":" not in title
        assert len(title) < 240
