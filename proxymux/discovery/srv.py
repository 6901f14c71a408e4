"""A source of members that is a name in DNS: its SRV records, asked for again when their time is over."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from proxymux.core.backoff import Backoff
from proxymux.core.excerpt import excerpt
from proxymux.core.member import Entry
from proxymux.core.target import parse_address
from proxymux.discovery.dns_question import NameServer
from proxymux.discovery.name_servers import NameServers, Services
from proxymux.discovery.source import SourceListener
from proxymux.discovery.srv_records import entries_of
from proxymux.errors import BadAddress
from proxymux.net.reactor.twisted_types import Reactor

#: The least and the most seconds from an answer to the next question, whatever the records' own time (TTL).
MIN_TTL: Final = 1.0
MAX_TTL: Final = 300.0
#: Seconds from a failure to the next question; each further one takes twice as long, up to the last.
FIRST_RETRY: Final = 1.0
LAST_RETRY: Final = 30.0
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME: Final = re.compile(rf"_{_LABEL}\._{_LABEL}(?:\.{_LABEL})+\.?\Z", re.ASCII)
#: The most characters of a name, a dot at its end included.
_MAX_NAME: Final = 254


class LookUp(Protocol):
    """Looks for the SRV records of a name: :meth:`~proxymux.discovery.name_servers.NameServers.look_up`."""

    def __call__(self, name: str, /) -> Deferred[Services | str]: ...


class SrvSource:
    """Members that the SRV records of a name say; :func:`~proxymux.discovery.srv_records.entries_of` says which.

    The name is whole: no search domain of resolv.conf is put behind it.  The hosts in the records are looked up when
    somebody connects to them, by the system's resolver.  A name that does not exist, or has no records, is a failure
    and the members stay: a zone that lost its records by accident looks so.  A record whose target is ``.`` says for
    certain that there are none.

    :param text: ``srv://_name._tcp.domain``; or ``srv://ADDRESS:PORT/_name._tcp.domain``, to ask that name server.
    :param clock: measures the time and makes the delayed calls.
    :param jitter: returns a random factor for the time to the next try, so that many processes do not ask all at once.
    :param look_up: looks for the records; None asks the name servers.
    :raises BadAddress: if the text is anything else.
    """

    def __init__(
        self,
        text: str,
        reactor: Reactor,
        clock: IReactorTime,
        jitter: Callable[[], float],
        look_up: LookUp | None = None,
    ) -> None:
        server, self._name = parse_name(text)
        self._clock = clock
        self._jitter = jitter
        self._look_up: LookUp = NameServers(reactor, clock, server).look_up if look_up is None else look_up
        self._listener: SourceListener | None = None
        #: The look-up that is under way, or else the call that begins the next.
        self._looking: Deferred[Services | str] | None = None
        self._call: IDelayedCall | None = None
        self._entries: tuple[Entry, ...] | None = None
        self._backoff = Backoff(FIRST_RETRY, LAST_RETRY)

    def check(self) -> None:
        """Do nothing: it can be used as far as its text says."""

    def start(self, listener: SourceListener) -> None:
        self._listener = listener
        self._ask()

    def look(self) -> None:
        if self._listener is not None and self._looking is None:
            self._cancel_call()
            self._ask()

    def stop(self) -> None:
        self._listener = None
        self._cancel_call()
        if self._looking is not None:
            self._looking.cancel()

    def _ask(self) -> None:
        self._call = None
        self._looking = looking = self._look_up(self._name)
        looking.addCallbacks(self._answered, self._cancelled)

    def _cancelled(self, failure: Failure) -> None:
        self._looking = None
        failure.trap(CancelledError)

    def _answered(self, answer: Services | str) -> None:
        self._looking = None
        if self._listener is None:
            return
        if isinstance(answer, str):
            self._failed(self._listener, answer)
            return
        try:
            entries = entries_of(answer.records)
        except BadAddress as error:
            self._failed(self._listener, f"an SRV record cannot be used: {error}")
            return
        self._backoff.succeeded()
        self._call = self._clock.callLater(min(max(MIN_TTL, answer.ttl), MAX_TTL), self._ask)
        if entries == self._entries:
            self._listener.heard()
        else:
            self._entries = entries
            self._listener.changed(entries)

    def _failed(self, listener: SourceListener, reason: str) -> None:
        self._call = self._clock.callLater(self._backoff.failed(self._jitter()), self._ask)
        listener.failed(f"{self._name}: {reason}")

    def _cancel_call(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None


def parse_name(text: str) -> tuple[NameServer | None, str]:
    """Read ``srv://_name._tcp.domain``, or ``srv://ADDRESS:PORT/_name._tcp.domain``.

    :returns: the name server, if one is named; and the name, without a dot at its end.
    :raises BadAddress: if it is anything else.
    """
    before, slash, name = text.removeprefix("srv://").rpartition("/")
    if len(name) > _MAX_NAME or not _NAME.match(name):
        raise BadAddress(
            f"{excerpt(text, 80)} is not srv://_name._tcp.domain, nor srv://ADDRESS:PORT/_name._tcp.domain, which asks "
            "that name server"
        )
    if not slash:
        return None, name.removesuffix(".")
    server = parse_address(before)
    if not server.is_address:
        raise BadAddress(f"{excerpt(before)}: name the name server by its address, ADDRESS:PORT")
    return NameServer(server.host, server.port), name.removesuffix(".")
