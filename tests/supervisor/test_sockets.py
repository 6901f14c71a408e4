"""The listening sockets that the supervisor keeps."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxymux.errors import ConfigError
from proxymux.net.reactor.twisted_types import installed_reactor
from proxymux.session.listening import Listener
from proxymux.settings import Settings
from proxymux.supervisor.sockets import ListeningSockets
from tests.services.fixtures import LOOPBACK


def sockets(*listen: str, count: int = 2) -> ListeningSockets:
    settings = Settings.read({"listen": list(listen)})
    return ListeningSockets([Listener(each, settings) for each in listen], count)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[ListeningSockets]:
    made = sockets(LOOPBACK, f"unix:{tmp_path}/socket", r"tcp6:0:interface=\:\:1")
    made.open(installed_reactor())
    yield made
    made.close()


def test_each_place_has_one_socket_a_listener(opened: ListeningSockets, tmp_path: Path) -> None:
    first, second = opened.of_place(1), opened.of_place(2)
    assert len(first) == len(second) == 3
    assert [one == other for one, other in zip(first, second, strict=True)] == [False, True, False]
    addresses = opened.addresses
    assert addresses[0].startswith("127.0.0.1:")
    assert addresses[1] == f"unix:{tmp_path}/socket"
    assert addresses[2].startswith("[::1]:")


def test_only_what_nobody_else_accepts_on_is_lent(opened: ListeningSockets) -> None:
    place = opened.of_place(2)
    assert opened.to_lend(2) == [(0, place[0]), (2, place[2])]


def test_where_one_cannot_be_opened_none_is(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        made = sockets(f"unix:{tmp_path}/socket", f"tcp:{other.getsockname()[1]}:interface=127.0.0.1")
        with pytest.raises(ConfigError, match="Address already in use"):
            made.open(installed_reactor())
    assert made.addresses == []
    assert not (tmp_path / "socket").exists()


def test_what_is_closed_has_nothing_to_lend(opened: ListeningSockets) -> None:
    opened.close()
    assert (opened.addresses, opened.of_place(1), opened.to_lend(1)) == ([], [], [])
