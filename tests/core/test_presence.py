"""Clients of one process, counted."""

from __future__ import annotations

from ipaddress import ip_address

from proxymux.core.presence import LocalPresence

A, B = ip_address("192.0.2.1"), ip_address("2001:db8::1")


def test_all_and_those_of_each_address_are_counted() -> None:
    presence = LocalPresence()
    for _ in range(3):
        presence.enter()
    presence.enter_from(A)
    presence.enter_from(A)
    presence.enter_from(B)
    assert (presence.total, presence.of(A), presence.of(B)) == (3, 2, 1)
    presence.leave()
    presence.leave_from(A)
    assert (presence.total, presence.of(A), presence.of(B)) == (2, 1, 1)


def test_an_address_without_clients_is_forgotten() -> None:
    presence = LocalPresence()
    presence.enter_from(A)
    presence.leave_from(A)
    assert (len(presence), presence.of(A)) == (0, 0)
    presence.leave_from(B)
    assert (len(presence), presence.of(B)) == (0, 0)
