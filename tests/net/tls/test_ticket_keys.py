"""The keys of tickets: the same in two processes, others in time, and gone after that."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from proxymux.net.tls import ticket_keys
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from proxymux.net.tls.ticket_keys import PERIOD, TicketKeys, takes_ticket_keys
from tests.net.tls.memory import MemoryClient
from tests.services.certificates import Authority, Credentials

needs_keys = pytest.mark.skipif(not takes_ticket_keys(), reason="this build of cryptography takes no keys")
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Client:
    """A client that keeps its session."""

    def __init__(
        self,
        authority: Authority,
        version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
        credentials: Credentials | None = None,
    ) -> None:
        self._context = authority.for_client(credentials)
        self._context.check_hostname = False
        self._context.maximum_version = version
        self.session: ssl.SSLSession | None = None

    def resumes(self, contexts: ServerContexts, name: str = "proxy.example", keeps: bool = True) -> bool:
        """Connect with the session of the last time; true if the server has resumed it."""
        hello = MemoryClient(contexts.engine(name), self._context, name, self.session)
        with pytest.raises(ssl.SSLWantReadError):
            hello.tls.do_handshake()
        sent = hello.outgoing()
        client = MemoryClient(contexts.engine(name, sent), self._context, name, self.session)
        client.shake_hands()
        assert client.engine.is_secured
        if keeps:
            self.session = client.tls.session
        return client.tls.session_reused is True


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.advance(1000 * PERIOD)
    return made


def shared(clock: Clock, tickets: TicketKeys) -> TicketKeys:
    """The keys of another process of the same service."""
    made = TicketKeys(clock.seconds)
    made.share(tickets.shared)
    return made


@needs_keys
@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_resumes_in_another_process(
    own: Credentials, authority: Authority, clock: Clock, version: ssl.TLSVersion
) -> None:
    first = TicketKeys(clock.seconds)
    one, other, stranger = (
        ServerContexts(str(own.file), ServerRules(), tickets)
        for tickets in (first, shared(clock, first), TicketKeys(clock.seconds))
    )
    client = Client(authority, version)
    assert not client.resumes(one)
    assert client.resumes(other)
    assert client.resumes(one)
    assert not client.resumes(stranger, keeps=False)
    assert not client.resumes(other, "other.example", keeps=False)


@needs_keys
def test_no_session_resumes_with_other_files_or_rules(
    tmp_path: Path, own: Credentials, authority: Authority, clock: Clock
) -> None:
    tickets = TicketKeys(clock.seconds)
    crl = tmp_path / "crl.pem"
    crl.write_bytes(authority.revoke())
    ca = str(authority.file)
    renewed = authority.issue("proxy.example")
    client = Client(authority, credentials=authority.issue("alice.example"))
    client.resumes(ServerContexts(str(own.file), ServerRules(), tickets))
    for credentials, rules in (
        (renewed, ServerRules()),
        (own, ServerRules(alpn=("h2",))),
        (own, ServerRules(minimum=0x0304)),
        (own, ServerRules(client_ca=ca)),
        (own, ServerRules(client_ca=ca, crl=str(crl))),
    ):
        contexts = ServerContexts(str(credentials.file), rules, tickets)
        assert not client.resumes(contexts, keeps=False)
    assert client.resumes(ServerContexts(str(own.file), ServerRules(), tickets))
    client.resumes(contexts)
    assert not client.resumes(contexts)  # one that asks for certificates gives no tickets
    assert not client.resumes(ServerContexts(str(own.file), ServerRules(), tickets))


@needs_keys
@pytest.mark.parametrize("version", VERSIONS)
def test_the_key_of_the_period_before_still_opens(
    own: Credentials, authority: Authority, clock: Clock, version: ssl.TLSVersion
) -> None:
    tickets = TicketKeys(clock.seconds)
    contexts = ServerContexts(str(own.file), ServerRules(), tickets)
    late, later = Client(authority, version), Client(authority, version)
    late.resumes(contexts)
    later.resumes(contexts)
    clock.advance(PERIOD)
    assert late.resumes(contexts, keeps=False)
    assert late.resumes(ServerContexts(str(own.file), ServerRules(), shared(clock, tickets)), keeps=False)
    clock.advance(PERIOD)
    assert not later.resumes(contexts)
    assert later.resumes(contexts)


def test_an_old_key_cannot_be_made_again(clock: Clock) -> None:
    tickets = TicketKeys(clock.seconds)
    before, first = tickets.shared, tickets.period
    key = tickets.key(b"domain", first)
    assert len(key) == 80
    clock.advance(2 * PERIOD)
    assert tickets.period == first + 2
    assert tickets.shared[8:] != before[8:]
    kept = [tickets.key(b"domain", tickets.period - 1), tickets.key(b"domain", tickets.period)]
    assert key not in kept
    late = TicketKeys(clock.seconds)
    late.share(before)  # from a process that has slept meanwhile
    assert late.period == tickets.period
    assert [late.key(b"domain", late.period - 1), late.key(b"domain", late.period)] == kept


@pytest.mark.parametrize("version", VERSIONS)
def test_without_openssls_help_each_process_has_keys_of_its_own_for_a_period(
    own: Credentials, authority: Authority, clock: Clock, version: ssl.TLSVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticket_keys, "_control", lambda: None)
    tickets = TicketKeys(clock.seconds)
    contexts, other = (ServerContexts(str(own.file), ServerRules(), each) for each in (tickets, shared(clock, tickets)))
    client = Client(authority, version)
    client.resumes(contexts)
    assert not client.resumes(other, keeps=False)
    assert client.resumes(contexts)
    clock.advance(PERIOD)
    assert not client.resumes(contexts)
    assert client.resumes(contexts)
