"""The sockets that systemd passes, by the variables that say so."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import pytest

from proxymux.errors import ConfigError
from proxymux.session.endpoint_text import EndpointText
from proxymux.session.inherited import InheritedSockets, check_listening

PID = 4711


def complaint(environment: Mapping[str, str], text: str = "systemd:domain=INET:index=0") -> str:
    with pytest.raises(ConfigError) as refused:
        InheritedSockets(environment, PID).take(EndpointText.read(text), object())
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_PID": "4711"},
        {"LISTEN_PID": "4711", "LISTEN_FDS": ""},
        {"LISTEN_PID": "4711", "LISTEN_FDS": "0"},
        {"LISTEN_PID": "4711", "LISTEN_FDS": "-1"},
        {"LISTEN_PID": "4711", "LISTEN_FDS": "one"},
    ],
)
def test_where_none_is_passed_the_line_says_what_starts_it(environment: dict[str, str]) -> None:
    assert complaint(environment).endswith("(LISTEN_FDS); start the service by its .socket unit")


@pytest.mark.parametrize("pid", ["1", "47110", "", "x"])
def test_those_of_another_process_are_refused(pid: str) -> None:
    assert f"of process {pid} (LISTEN_PID), and this is 4711" in complaint({"LISTEN_PID": pid, "LISTEN_FDS": "1"})


def test_without_the_number_of_a_process_they_are_nobodys() -> None:
    assert "(LISTEN_PID)" in complaint({"LISTEN_FDS": "1"})


@pytest.mark.parametrize("names", [None, "", "a", "a:b:c"])
def test_names_that_are_not_as_many_as_the_sockets_name_nothing(names: str | None) -> None:
    environment = {"LISTEN_PID": "4711", "LISTEN_FDS": "2"}
    if names is not None:
        environment["LISTEN_FDNAMES"] = names
    said = complaint(environment, "systemd:domain=INET:name=a")
    assert said.endswith("there is no socket named 'a'; unknown is")


def test_the_names_that_there_are_are_told() -> None:
    environment = {"LISTEN_PID": "4711", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "web:web:admin"}
    assert complaint(environment, "systemd:domain=INET:name=x").endswith("named 'x'; web, admin is")


def test_however_many_are_said_to_be_there_a_bounded_number_is_looked_at() -> None:
    environment = {"LISTEN_PID": "4711", "LISTEN_FDS": "999999999"}
    assert complaint(environment, "systemd:domain=INET:index=999999998").endswith("is not there; 0 to 1023 is")


@pytest.mark.parametrize("listens", [True, False])
def test_a_socket_is_checked_without_being_changed(listens: bool) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        if listens:
            sock.listen()
            check_listening(sock.fileno(), socket.AF_INET)
        else:
            with pytest.raises(OSError, match="no listening stream socket"):
                check_listening(sock.fileno(), socket.AF_INET)
        with pytest.raises(OSError, match="it is a socket of INET, not of UNIX"):
            check_listening(sock.fileno(), socket.AF_UNIX)
        assert sock.getsockname()


def test_what_is_no_socket_is_refused() -> None:
    reading, writing = os.pipe()
    with pytest.raises(OSError, match="Socket operation on non-socket"):
        check_listening(reading, socket.AF_INET)
    os.close(reading)
    os.close(writing)
    with pytest.raises(OSError, match="Bad file descriptor"):
        check_listening(reading, socket.AF_INET)


def test_a_datagram_socket_is_refused() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        pytest.raises(OSError, match="no listening stream socket"),
    ):
        check_listening(sock.fileno(), socket.AF_INET)
