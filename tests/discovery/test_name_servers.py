"""Which name servers are asked, in which order, and what becomes of their answers."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.names import dns

from proxymux.discovery import name_servers
from proxymux.discovery.dns_question import PATIENCE, NameServer
from proxymux.discovery.name_servers import NameServers, Services, system_servers
from proxymux.discovery.srv_records import ServiceRecord
from proxymux.net.reactor.twisted_types import installed_reactor
from tests.discovery.name_server import NAME, ScriptedServer, record, reply_to
from tests.services.peers import in_reactor, until


class LookingUp:
    """A look-up that is under way, at one server or at several."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *servers: NameServer) -> None:
        self.clock = Clock()
        monkeypatch.setattr(name_servers, "system_servers", lambda: servers)
        given = servers[0] if len(servers) == 1 else None
        self.found: Deferred[Services | str] = NameServers(installed_reactor(), self.clock, given).look_up(NAME)

    async def result(self) -> Services | str:
        await until(lambda: self.found.called, "an answer")
        assert self.clock.getDelayedCalls() == []
        return await self.found


@in_reactor
async def test_the_records_are_told_with_the_shortest_time_of_any(
    name_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking_up = LookingUp(monkeypatch, name_server.server)
    alias = dns.RRHeader(NAME, dns.CNAME, dns.IN, 20, dns.Record_CNAME("_x._tcp.example.org", 20))
    records = [record("a", 1, 2, 3, 30, "_x._tcp.example.org"), record("b", 4, 5, 6, 90, "_x._tcp.example.org")]
    name_server.reply(reply_to(await name_server.asked(), alias, *records))
    assert await looking_up.result() == Services((ServiceRecord(1, 2, 3, "a"), ServiceRecord(4, 5, 6, "b")), 20)


@in_reactor
@pytest.mark.parametrize(
    ("code", "reason"),
    [(dns.ENAME, "the name does not exist (NXDOMAIN)"), (dns.OK, "the name has no SRV records")],
)
async def test_no_further_server_is_asked_for_what_the_first_says_is_not_there(
    name_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    looking_up = LookingUp(monkeypatch, name_server.server, NameServer("127.0.0.1", 1))
    name_server.reply(reply_to(await name_server.asked(), rCode=code))
    assert await looking_up.result() == reason


@in_reactor
async def test_the_next_server_is_asked_where_one_fails(
    name_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(ScriptedServer()) as other:
        looking_up = LookingUp(monkeypatch, other.server, name_server.server)
        other.reply(reply_to(await other.asked(), rCode=dns.ESERVER))
        name_server.reply(reply_to(await name_server.asked(), record("a")))
        assert isinstance(await looking_up.result(), Services)


@in_reactor
async def test_each_server_is_named_with_what_is_wrong_with_it(
    name_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = ScriptedServer()
    closed.close()
    with contextlib.closing(ScriptedServer()) as refusing:
        looking_up = LookingUp(monkeypatch, closed.server, refusing.server, name_server.server)
        refusing.reply(reply_to(await refusing.asked(), rCode=dns.EREFUSED))
        await name_server.asked()
        looking_up.clock.advance(PATIENCE)
        assert await looking_up.result() == (
            f"{closed.server}: connection refused; {refusing.server} refuses to answer (REFUSED); "
            f"{name_server.server} does not answer"
        )


@in_reactor
async def test_a_code_without_a_name_is_told_by_its_number(
    name_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking_up = LookingUp(monkeypatch, name_server.server)
    name_server.reply(reply_to(await name_server.asked(), rCode=9))
    assert await looking_up.result() == f"{name_server.server} fails (code 9)"


@in_reactor
async def test_who_cancels_a_look_up_has_no_further_server_asked(
    name_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking_up = LookingUp(monkeypatch, name_server.server, NameServer("127.0.0.1", 1))
    await name_server.asked()
    looking_up.found.cancel()
    with pytest.raises(CancelledError):
        await looking_up.result()


def test_the_systems_servers_are_those_of_resolv_conf_that_the_c_library_would_ask(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# nameserver 10.0.0.9\nsearch example.com\nnameserver 10.0.0.1\n\tnameserver\t2001:DB8::1 \nnameserver\n"
        "nameserver name\nnameserver fe80::1%lo\nnameserver 10.0.0.4\n"
    )
    assert [str(server) for server in system_servers(str(path))] == [
        "10.0.0.1:53",
        "[2001:db8::1]:53",
        "[fe80::1%lo]:53",
    ]


def test_without_resolv_conf_this_machine_is_asked(tmp_path: Path) -> None:
    assert [str(server) for server in system_servers(str(tmp_path / "none"))] == ["127.0.0.1:53"]
