from __future__ import annotations

import dataclasses

import pytest

from proxymux.core.identity import Client, Peer, SocketAddress, Tls, show
from proxymux.core.proxy_protocol import Header


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("192.0.2.1", 80), "192.0.2.1:80"),
        (("2001:db8::1", 80), "[2001:db8::1]:80"),
        (("::ffff:192.0.2.1", 80), "[::ffff:192.0.2.1]:80"),
        (("unix:/run/a.sock", 0), "unix:/run/a.sock"),
        (("unix:", 0), "unix:"),
        (("192.0.2.1", 0), "192.0.2.1:0"),
    ],
)
def test_an_address_is_shown_as_logs_have_it(address: SocketAddress, text: str) -> None:
    assert show(address) == text


def test_a_client_without_tls_and_header_says_so() -> None:
    client = Client(("192.0.2.1", 1), ("192.0.2.2", 2))
    assert (client.tls, client.proxy_protocol) == (None, None)


def test_a_client_carries_what_its_tls_and_header_said() -> None:
    header = Header(2, ("192.0.2.1", 1), ("192.0.2.2", 2), False)
    client = Client(("192.0.2.1", 1), ("192.0.2.2", 2), Tls("a.example", "h2"), header)
    assert client.tls is not None
    assert (client.tls.server_name, client.tls.alpn, client.tls.certificate) == ("a.example", "h2", None)
    assert client.proxy_protocol is header


def test_a_client_has_a_state_of_its_own_for_its_router() -> None:
    one, other = (Client(("192.0.2.1", 1), ("192.0.2.2", 2)) for _ in range(2))
    one.state["step"] = 2
    assert other.state == {}


def test_what_a_router_notes_makes_no_other_client() -> None:
    one, other = (Client(("192.0.2.1", 1), ("192.0.2.2", 2)) for _ in range(2))
    one.state["step"] = 2
    assert one == other
    assert hash(one) == hash(other)
    assert "step" not in repr(one)


@pytest.mark.parametrize("name", ["address", "local", "tls", "proxy_protocol", "state", "note"])
def test_a_router_cannot_change_a_client(name: str) -> None:
    client = Client(("192.0.2.1", 1), ("192.0.2.2", 2))
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        setattr(client, name, None)


@pytest.mark.parametrize(
    ("allowed", "is_allowed"),
    [
        ("alice", True),
        ("ab" * 32, True),
        ("web.example", True),
        ("DNS:web.example", True),
        ("spiffe://cluster/ns/web", True),
        ("bob", False),
        ("URI:web.example", False),
        ("", False),
    ],
)
def test_a_certificate_is_allowed_by_its_names_and_its_digest(allowed: str, is_allowed: bool) -> None:
    sans = ("DNS:web.example", "URI:spiffe://cluster/ns/web")
    assert Peer("CN=alice", "alice", "CN=ca", sans, "ab" * 32).is_one_of({allowed}) is is_allowed


@pytest.mark.parametrize("name", ["cd" * 32, "DNS:web.example", "URI:spiffe://cluster/ns/web"])
def test_a_name_does_not_pass_for_a_digest_or_for_a_name_of_another_kind(name: str) -> None:
    for peer in (Peer("", name, "", (), "ab" * 32), Peer("", None, "", (f"email:{name}",), "ab" * 32)):
        assert not peer.is_one_of({name})
