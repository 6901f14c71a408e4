"""The connector: gets an upstream for a decision, through as many attempts as it allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, Protocol

from twisted.internet import error
from zope.interface import implementer

from proxymux.core.attempts import PAUSE, Attempts
from proxymux.core.client import Address, Client
from proxymux.core.decision import Forward
from proxymux.core.outcome import Outcome
from proxymux.core.proxy_protocol import encode
from proxymux.core.states import ConnectFailure
from proxymux.core.target import Target, UnixTarget
from proxymux.core.wheel import Timer
from proxymux.interfaces import ILegOwner
from proxymux.net.dialling import Dialler
from proxymux.net.leg import EARLY, Leg, explain
from proxymux.net.names import Attempt, Denied
from proxymux.net.timers import Timers
from proxymux.net.tls import start_client_tls
from proxymux.net.transport_leg import TransportLeg


class Untrusted(Exception):
    """TLS failed: the upstream is there, but to try it again would not change that."""


class _TimedOut(Exception):
    """One attempt took too long."""


_TIMEOUTS = (_TimedOut, error.TimeoutError, TimeoutError)


class Customer(Protocol):
    """Wants an upstream.  Is told at most one of :meth:`connected` and :meth:`gave_up`, which may be at once."""

    def trying(self, target: Target) -> None:
        """``target`` is about to be tried."""

    def attempt_failed(self, target: Target, reason: str) -> None:
        """``target`` could not be connected to."""

    def connected(self, leg: Leg) -> None:
        """The upstream: a leg that nobody reads yet."""

    def gave_up(self, failure: ConnectFailure) -> None:
        """No target could be connected to."""


class Connector:
    """Connects to targets.

    :param timers: for the limit of each attempt and the pauses between them.
    :param dialler: connects.
    :param tls_dialler: connects where TLS is to be spoken.
    :param timeout: seconds for each attempt, where the decision does not say.
    :param send_proxy: PROXY protocol version that upstreams are sent, where the decision does not say; None is none.
    """

    def __init__(
        self,
        timers: Timers,
        dialler: Dialler,
        tls_dialler: Dialler,
        timeout: float,
        send_proxy: Literal["v1", "v2"] | None = None,
    ) -> None:
        self.timers = timers
        self._dialler = dialler
        self._tls_dialler = tls_dialler
        self._timeout = timeout
        self._send_proxy = send_proxy

    def connect(self, forward: Forward, client: Client, customer: Customer) -> Connecting:
        """Begin to connect; it is begun when :meth:`Connecting.start` is called."""
        return Connecting(
            self.timers,
            self._tls_dialler if forward.tls else self._dialler,
            forward.connect_timeout or self._timeout,
            self._header(forward, client),
            forward,
            customer,
        )

    def _header(self, forward: Forward, client: Client) -> bytes:
        version = self._send_proxy if forward.send_proxy is None else forward.send_proxy
        if not version:
            return b""
        return encode(version, _header_address(client.address), _header_address(client.local))


class Connecting:
    """One connect, with all its attempts."""

    __slots__ = (
        "_attempt",
        "_attempts",
        "_customer",
        "_dialler",
        "_forward",
        "_header",
        "_is_beginning",
        "_limit",
        "_outcomes",
        "_plan",
        "_reason",
        "_retries_all",
        "_securing",
        "_target",
        "_timer",
        "_timers",
    )

    _target: Target

    def __init__(
        self,
        timers: Timers,
        dialler: Dialler,
        limit: float,
        header: bytes,
        forward: Forward,
        customer: Customer,
    ) -> None:
        self._timers = timers
        self._dialler = dialler
        self._limit = limit
        self._header = header
        self._forward = forward
        self._customer: Customer | None = customer
        self._retries_all = forward.retry_on == "failure"
        self._attempts = Attempts(forward.targets, forward.retries, PAUSE if self._retries_all else 0.0)
        self._plan: Iterator[tuple[float, Target]] = iter(self._attempts)
        self._attempt: Attempt | None = None
        self._securing: _Securing | None = None
        self._timer: Timer | None = None
        self._is_beginning = False
        self._reason = ""
        self._outcomes: set[Outcome] = set()

    def start(self) -> None:
        """Begin with the first attempt, and go on until one is left to wait for."""
        while self._customer is not None and self._attempt is None and self._timer is None:
            delay, target = next(self._plan, (0.0, None))
            if target is None:
                customer, self._customer = self._customer, None
                outcome = next(iter(self._outcomes)) if len(self._outcomes) == 1 else Outcome.UNREACHABLE
                customer.gave_up(ConnectFailure(self._reason, outcome))
            elif delay:
                self._timer = self._timers.after(delay, self._waited, target)
            else:
                self._try(target)

    def cancel(self) -> None:
        """The upstream is not wanted any more."""
        self._customer = None
        self._stop()

    def _waited(self, target: Target) -> None:
        self._timer = None
        self._try(target)
        self.start()

    def _try(self, target: Target) -> None:
        customer = self._customer
        assert customer is not None
        customer.trying(target)
        if self._customer is None:
            return
        self._target = target
        self._timer = self._timers.after(self._limit, self._expired)
        self._is_beginning = True
        attempt = self._dialler.dial(target, self._forward.bind, self)
        self._is_beginning = False
        if self._timer is not None:
            self._attempt = attempt

    def _expired(self) -> None:
        self._timer = None
        self.failed(_TimedOut(f"timed out after {self._limit:g} s"))

    def _stop(self) -> None:
        """End the attempt that is under way."""
        attempt, self._attempt = self._attempt, None
        securing, self._securing = self._securing, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if attempt is not None:
            attempt.cancel()
        if securing is not None:
            securing.cancel()

    # What an attempt tells

    def connected(self, leg: Leg) -> None:
        """An attempt has a connection."""
        self._attempt = None
        if self._header:
            leg.send(self._header)
        if not self._forward.tls:
            self.secured(leg)
            return
        assert isinstance(leg, TransportLeg)
        self._secure(leg, self._forward.tls)

    def secured(self, leg: Leg) -> None:
        """An attempt has come to an upstream."""
        self._securing = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        customer, self._customer = self._customer, None
        if customer is None:
            leg.abort()
        else:
            customer.connected(leg)

    def failed(self, problem: Exception) -> None:
        """An attempt has failed."""
        self._stop()
        customer = self._customer
        if customer is None:
            return
        reason = _reason(problem)
        self._reason = f"{self._target}: {reason}"
        outcome = _outcome(problem)
        self._outcomes.add(outcome)
        if isinstance(problem, (Untrusted, Denied)) or not (self._retries_all or outcome is Outcome.CONNECT_TIMEOUT):
            self._attempts.drop(self._target)
        customer.attempt_failed(self._target, reason)
        if not self._is_beginning:
            self.start()

    def _secure(self, leg: TransportLeg, server_name: str | bool) -> None:
        if isinstance(server_name, bool):
            if isinstance(self._target, UnixTarget):
                leg.abort()
                self.failed(Untrusted("tls: True has no name to verify on a Unix socket; give the server's name"))
                return
            server_name = self._target.host
        self._securing = securing = _Securing(self._timers, self)
        start_client_tls(leg.transport, securing.leg, server_name)
        securing.leg.resume()


@implementer(ILegOwner)
class _Securing:
    """Owns a leg during its TLS handshake."""

    def __init__(self, timers: Timers, waiting: Connecting) -> None:
        self.leg = TransportLeg(timers, self)
        self._waiting: Connecting | None = waiting

    def cancel(self) -> None:
        """Whoever waits, waits no more."""
        if self._waiting is not None:
            self._waiting = None
            self.leg.owner = EARLY
            self.leg.abort()

    def made(self) -> None:
        """The handshake begins by itself."""

    def secured(self) -> None:
        # Before Twisted 26.4 a peer whose name turns out wrong is said to be secured all the same, and then closed.
        if self._waiting is not None and not self.leg.transport.disconnecting:
            waiting, self._waiting = self._waiting, None
            self.leg.pause()
            self.leg.owner = EARLY
            waiting.secured(self.leg)

    def received(self, data: bytes) -> None:
        """Nothing is delivered before the handshake is done."""

    def finished(self) -> None:
        """TLS does not half-close."""

    def flushed(self) -> None:
        """TLS does not half-close."""

    def lost(self, reason: Exception | None) -> None:
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.failed(Untrusted(f"TLS: {explain(reason)}"))


def _header_address(address: Address) -> tuple[str, int] | None:
    host, port = address
    if host.startswith("unix:"):
        return None  # HAProxy refuses a header with a path, and a client's socket has no name anyhow
    return host.partition("%")[0], port


def _outcome(problem: Exception) -> Outcome:
    if isinstance(problem, _TIMEOUTS):
        return Outcome.CONNECT_TIMEOUT
    return Outcome.BAD_HANDSHAKE if isinstance(problem, Denied) else Outcome.UNREACHABLE


def _reason(problem: Any) -> str:
    if isinstance(problem, (error.ConnectionRefusedError, ConnectionRefusedError)):
        return "connection refused"
    if isinstance(problem, error.DNSLookupError):
        return "name does not resolve"
    return explain(problem)
