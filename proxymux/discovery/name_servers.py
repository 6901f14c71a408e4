"""The name servers that are asked for SRV records: the system's, or one that the operator names."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple, cast

from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.names import dns

from proxymux.discovery.dns_question import NameServer, ask
from proxymux.discovery.srv_records import ServiceRecord
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.wording import explain

#: Where the system's name servers stand, resolv.conf(5).
RESOLV_CONF: Final = "/etc/resolv.conf"
#: The most of them that are asked, as many as the C library would.
MOST_SERVERS: Final = 3
#: Bytes of the file that are read.
_MAX_SIZE: Final = 1 << 16
_NAME_SERVER: Final = re.compile(r"^[ \t]*nameserver[ \t]+(\S+)", re.MULTILINE)
#: What servers say that leaves the question to the next one, in the words of RFC 1035 and RFC 2136.
_CODES: Final = {
    dns.EFORMAT: "does not understand the question (FORMERR)",
    dns.ESERVER: "fails (SERVFAIL)",
    dns.ENOTIMP: "does not answer such questions (NOTIMP)",
    dns.EREFUSED: "refuses to answer (REFUSED)",
}


class Services(NamedTuple):
    """What is known of a service.

    :param records: one at least.
    :param ttl: seconds for which they may be kept.
    """

    records: tuple[ServiceRecord, ...]
    ttl: int


class NameServers:
    """Asks one name server after another until one has an answer.

    The system's are read from its file for each look-up, so that a changed file is in force with the next one.

    :param given: the one server to ask; None for the system's.
    :param clock: measures the time and makes the delayed calls.
    """

    def __init__(self, reactor: Reactor, clock: IReactorTime, given: NameServer | None) -> None:
        self._reactor = reactor
        self._clock = clock
        self._given = given

    def look_up(self, name: str) -> Deferred[Services | str]:
        """Look for the SRV records of ``name``.

        :returns: fires with what is known, or with why nothing is, in one line.  It can be cancelled, which leaves
            nothing behind.
        """
        return Deferred.fromCoroutine(self._look_up(name))

    async def _look_up(self, name: str) -> Services | str:
        problems = []
        for server in system_servers() if self._given is None else (self._given,):
            try:
                message = await ask(self._reactor, self._clock, server, name)
            except CancelledError:
                raise
            except defer.TimeoutError:
                problems.append(f"{server} does not answer")
                continue
            except Exception as error:
                problems.append(f"{server}: {explain(error)}")
                continue
            if message.rCode == dns.ENAME:
                return "the name does not exist (NXDOMAIN)"
            if message.rCode == dns.OK:
                return _services(message) or "the name has no SRV records"
            problems.append(f"{server} {_CODES.get(message.rCode, f'fails (code {message.rCode})')}")
        return "; ".join(problems)


def system_servers(path: str = RESOLV_CONF) -> tuple[NameServer, ...]:
    """The name servers in resolv.conf; the one of this machine where there is none, as the C library has it."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            addresses = _NAME_SERVER.findall(file.read(_MAX_SIZE))
    except OSError:
        addresses = []
    servers = []
    for address in addresses:
        try:
            servers.append(NameServer(str(ipaddress.ip_address(address))))
        except ValueError:
            continue  # as the C library does
    return tuple(servers[:MOST_SERVERS]) or (NameServer("127.0.0.1"),)


def _services(message: dns.Message) -> Services | None:
    """The records in an answer, whosever they are: the name may be an alias; None if there are none."""
    found = [cast("dns.Record_SRV", each.payload) for each in message.answers if each.type == dns.SRV]
    if not found:
        return None
    records = tuple(
        ServiceRecord(each.priority, each.weight, each.port, each.target.name.decode("ascii", "backslashreplace"))
        for each in found
    )
    return Services(records, min(header.ttl for header in message.answers))
