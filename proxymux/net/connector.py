"""The connector: gets an upstream for a Forward decision, by as many attempts as the decision allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from twisted.internet import error
from twisted.internet.interfaces import IDelayedCall

from proxymux.core.commands import ConnectFailure
from proxymux.core.decision import Forward
from proxymux.core.identity import Client, SocketAddress
from proxymux.core.outcome import Outcome
from proxymux.core.proxy_protocol import encode
from proxymux.core.proxy_protocol.of_tls import with_tls
from proxymux.core.target import InetTarget, Target
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.core.wheel import Timer
from proxymux.errors import BadHeader
from proxymux.net.connection import Connection
from proxymux.net.driver import Driver
from proxymux.net.happy_eyeballs import Attempt, Dialler, TargetCheck, TargetDenied, TlsFailed
from proxymux.net.timers import Timers
from proxymux.net.tls.client import ClientContexts
from proxymux.net.tls.handshake import ClientHandshake
from proxymux.net.wording import explain
from proxymux.settings import Settings

#: Seconds between two rounds of attempts, as in the ancestor.
PAUSE: Final = 0.1


class Attempts:
    """The order of the attempts of one connect: every target in turn, then ``retries`` further rounds.

    :param targets: tried in this order in each round.
    :param retries: rounds after the first.
    :param pause: seconds between two rounds.
    """

    __slots__ = ("_pause", "_retries", "_targets")

    def __init__(self, targets: tuple[Target, ...], retries: int, pause: float = PAUSE) -> None:
        self._targets = list(targets)
        self._retries = retries
        self._pause = pause

    def drop(self, target: Target) -> None:
        """Try ``target`` no more, as its failure is permanent."""
        self._targets = [each for each in self._targets if each != target]

    def __iter__(self) -> Iterator[tuple[float, Target]]:
        """Pairs of the seconds to wait and the target to try then."""
        delay = 0.0
        for _ in range(self._retries + 1):
            if not self._targets:
                return
            for target in tuple(self._targets):
                if target in self._targets:
                    yield delay, target
                    delay = 0.0
            delay = self._pause


class _TimedOut(Exception):
    """One attempt has taken longer than its limit."""


_TIMEOUTS = (_TimedOut, error.TimeoutError, TimeoutError)


class ConnectListener(Protocol):
    """Is called by a connect as it proceeds.

    Either :meth:`connected` or :meth:`gave_up` is called, once and as the last, perhaps before
    :meth:`Connecting.start` has returned; neither is after :meth:`Connecting.cancel`.
    """

    def trying(self, target: Target) -> None:
        """An attempt to connect to ``target`` begins now."""

    def attempt_failed(self, target: Target, reason: str) -> None:
        """An attempt to connect to ``target`` has failed; ``reason`` is one line."""

    def connected(self, connection: Connection) -> None:
        """The upstream is connected.

        :param connection: paused; its owner is :data:`~proxymux.net.connection.EARLY`.
        """

    def gave_up(self, failure: ConnectFailure) -> None:
        """The last attempt has failed."""


class Connector:
    """Connects to the targets of decisions.

    :param driver: dials addresses.
    :param settings: hold where the decision does not say.
    :param check: called with every IP address before it is tried; None allows all.
    """

    def __init__(
        self,
        driver: Driver,
        settings: Settings,
        check: TargetCheck | None = None,
    ) -> None:
        self._timers = driver.timers
        self._dialler = Dialler(driver.reactor, driver.timers, driver.dial, check)
        self._settings = settings
        self._contexts = driver.client_tls

    def connect(self, forward: Forward, client: Client, listener: ConnectListener) -> Connecting:
        """A connect as ``forward`` says, on behalf of ``client``; the caller starts it by :meth:`Connecting.start`."""
        return Connecting(
            self._timers,
            self._dialler,
            self._contexts,
            forward.connect_timeout or self._settings.connect_timeout,
            self._header(forward, client),
            forward,
            listener,
        )

    def _header(self, forward: Forward, client: Client) -> bytes:
        version = self._settings.send_proxy if forward.send_proxy is None else forward.send_proxy
        if not version:
            return b""
        ends = _header_address(client.address), _header_address(client.local)
        received = client.proxy_protocol
        tlvs = received.tlvs if received is not None else ()
        if client.tls is not None:
            tlvs = tuple(with_tls(client.tls, tlvs))
        try:
            return encode(version, *ends, tlvs, received is not None and received.has_checksum)
        except BadHeader:
            return encode(version, *ends)  # it would be too long: one with addresses where the received one had none


class Connecting:
    """One connect, with all its attempts.

    :param limit: seconds for each attempt.
    :param header: the PROXY header for the upstream, or no bytes.
    """

    __slots__ = (
        "_attempt",
        "_attempts",
        "_contexts",
        "_dialler",
        "_forward",
        "_header",
        "_is_beginning",
        "_limit",
        "_listener",
        "_outcomes",
        "_plan",
        "_reason",
        "_retries_all",
        "_target",
        "_timer",
        "_timers",
    )

    _target: Target

    def __init__(
        self,
        timers: Timers,
        dialler: Dialler,
        contexts: ClientContexts,
        limit: float,
        header: bytes,
        forward: Forward,
        listener: ConnectListener,
    ) -> None:
        self._timers = timers
        self._dialler = dialler
        self._contexts = contexts
        self._limit = limit
        self._header = header
        self._forward = forward
        self._listener: ConnectListener | None = listener
        self._retries_all = forward.retry_on == "failure"
        self._attempts = Attempts(forward.targets, forward.retries, PAUSE if self._retries_all else 0.0)
        self._plan: Iterator[tuple[float, Target]] = iter(self._attempts)
        self._attempt: Attempt | None = None
        self._timer: Timer | IDelayedCall | None = None
        self._is_beginning = False
        self._reason = ""
        self._outcomes: set[Outcome] = set()

    def start(self) -> None:
        """Begin attempts until one has to be waited for, or give up after the last."""
        while self._listener is not None and self._attempt is None and self._timer is None:
            delay, target = next(self._plan, (0.0, None))
            if target is None:
                listener, self._listener = self._listener, None
                outcome = next(iter(self._outcomes)) if len(self._outcomes) == 1 else Outcome.UNREACHABLE
                listener.gave_up(ConnectFailure(self._reason, outcome))
            elif delay:
                self._timer = self._timers.exactly_after(delay, self._waited, target)
            else:
                self._try(target)

    def heard(self, data: bytes, is_finished: bool) -> None:
        """Do nothing: the connect goes on, whatever the client sends, and a FIN is a half-close."""

    def cancel(self) -> None:
        """End the connect without a further call of its listener."""
        self._listener = None
        self._stop()

    def _waited(self, target: Target) -> None:
        self._timer = None
        self._try(target)
        self.start()

    def _try(self, target: Target) -> None:
        listener = self._listener
        assert listener is not None
        listener.trying(target)
        if self._listener is None:
            return
        self._target = target
        self._timer = self._timers.after(self._limit, self._expired)
        self._is_beginning = True
        attempt = self._dialler.dial(target, self._forward.bind, self)
        self._is_beginning = False
        if self._timer is not None and self._attempt is None:
            self._attempt = attempt

    def _expired(self) -> None:
        self._timer = None
        self.failed(_TimedOut(f"timed out after {self._limit:g} s"))

    def _stop(self) -> None:
        """Cancel the present attempt and the timer."""
        attempt, self._attempt = self._attempt, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if attempt is not None:
            attempt.cancel()

    # Called by the present attempt

    def connected(self, connection: Connection) -> None:
        """Send the PROXY header and begin TLS where they are wanted; then give the connection to the listener."""
        self._attempt = None
        is_secured = connection.handle is not None
        if self._header and not is_secured:
            connection.send(self._header)
        if self._forward.upstream_tls is not None and not is_secured:
            self._secure(connection, self._forward.upstream_tls)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        listener, self._listener = self._listener, None
        if listener is None:
            connection.abort()
        else:
            listener.connected(connection)

    def failed(self, problem: Exception) -> None:
        """Go on to the next attempt, or give up."""
        self._stop()
        listener = self._listener
        if listener is None:
            return
        reason = explain(problem)
        self._reason = f"{self._target}: {reason}"
        outcome = _outcome(problem)
        self._outcomes.add(outcome)
        if isinstance(problem, (TlsFailed, TargetDenied)) or not (
            self._retries_all or outcome is Outcome.CONNECT_TIMEOUT
        ):
            self._attempts.drop(self._target)
        listener.attempt_failed(self._target, reason)
        if not self._is_beginning:
            self.start()

    def _secure(self, connection: Connection, tls: UpstreamTls) -> None:
        name = tls.name
        if name is None:
            name = self._target.host if isinstance(self._target, InetTarget) else ""
        if not name and tls.pin is None:
            connection.abort()
            self.failed(TlsFailed("tls: True has no name to verify on a Unix socket; give the server's name"))
            return
        self._attempt = handshake = ClientHandshake(self._contexts, connection, tls, name, self)
        handshake.start()


def _header_address(address: SocketAddress) -> tuple[str, int] | None:
    host, port = address
    if host.startswith("unix:"):
        return None  # HAProxy refuses a header with a path, and a client's Unix socket has no name
    return host.partition("%")[0], port


def _outcome(problem: Exception) -> Outcome:
    if isinstance(problem, _TIMEOUTS):
        return Outcome.CONNECT_TIMEOUT
    return Outcome.BAD_HANDSHAKE if isinstance(problem, TargetDenied) else Outcome.UNREACHABLE
