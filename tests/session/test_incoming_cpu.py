"""Dividing clients by the CPU that their packets come in on."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from proxymux.net.reactor.twisted_types import installed_reactor
from proxymux.session.incoming_cpu import NO_CPU, SO_INCOMING_CPU, divide_by_cpu
from proxymux.session.listening import Listener
from proxymux.settings import Settings
from tests.services.fixtures import LOOPBACK

CPUS = sorted(os.sched_getaffinity(0))


def cpu_of(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, SO_INCOMING_CPU)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"workers": 3}, [NO_CPU] * 3),
        ({"workers": 3, "workers_by_cpu": True}, [CPUS[at % len(CPUS)] for at in range(3)]),
    ],
)
def test_each_workers_socket_has_a_cpu_if_that_is_wanted(settings: dict[str, Any], expected: list[int]) -> None:
    listener = Listener(LOOPBACK, Settings.read({"listen": LOOPBACK, **settings}))
    bound = listener.bind(installed_reactor(), 3)
    try:
        assert [cpu_of(sock) for sock in bound.sockets] == expected
    finally:
        bound.close()


def test_a_socket_that_was_kept_from_before_is_divided_no_more() -> None:
    with socket.socket() as sock:
        divide_by_cpu([sock], True)
        assert cpu_of(sock) == CPUS[0]
        divide_by_cpu([sock], False)
        assert cpu_of(sock) == NO_CPU
