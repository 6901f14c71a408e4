"""The connector: gets an upstream for a decision, through as many attempts as it allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from twisted.internet import error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.core.attempts import Attempts
from proxymux.core.client import Address, Client
from proxymux.core.decision import Forward
from proxymux.core.proxy_protocol import encode
from proxymux.core.states import ConnectFailure
from proxymux.core.target import Target, UnixTarget
from proxymux.interfaces import ILegOwner
from proxymux.net.dialling import dial
from proxymux.net.leg import EARLY, Leg, explain
from proxymux.net.tls import start_client_tls

#: Called with a target that is about to be tried.
Trying = Callable[[Target], None]
#: Called with a target that could not be connected to, and why.
Failed = Callable[[Target, str], None]


class GaveUp(Exception):
    """No target could be connected to."""

    def __init__(self, failure: ConnectFailure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class Untrusted(Exception):
    """TLS failed: the upstream is there, but to try it again would not change that."""


class _TimedOut(Exception):
    """One attempt took too long."""


_TIMEOUTS = (_TimedOut, error.TimeoutError, error.TCPTimedOutError)
_T = TypeVar("_T")


class Connector:
    """Connects to targets.

    :param reactor: to connect with.
    :param timeout: seconds for each attempt, where the decision does not say.
    :param send_proxy: PROXY protocol version that upstreams are sent, where the decision does not say; None is none.
    """

    def __init__(self, reactor: Any, timeout: float, send_proxy: Literal["v1", "v2"] | None = None) -> None:
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._timeout = timeout
        self._send_proxy = send_proxy

    def connect(self, forward: Forward, client: Client, trying: Trying, failed: Failed) -> Deferred[Leg]:
        """An upstream: a leg that the next owner may take over as it is.

        The Deferred may be cancelled.  It fails with :class:`GaveUp`.
        """
        connecting = _Connecting(self._reactor, self._timeout, self._header(forward, client), forward)
        return connecting.start(trying, failed)

    def _header(self, forward: Forward, client: Client) -> bytes:
        version = self._send_proxy if forward.send_proxy is None else forward.send_proxy
        if not version:
            return b""
        return encode(version, _header_address(client.address), _header_address(client.local))


class _Connecting:
    """One connect, with all its attempts.

    Cancelling is remembered here, because a cancelled name look-up ends as one that failed.
    """

    def __init__(self, reactor: Any, timeout: float, header: bytes, forward: Forward) -> None:
        self._reactor = reactor
        self._clock: IReactorTime = reactor
        self._limit = forward.connect_timeout or timeout
        self._header = header
        self._forward = forward
        self._is_cancelled = False
        self._waiting: Deferred[Any] | None = None

    def start(self, trying: Trying, failed: Failed) -> Deferred[Leg]:
        result: Deferred[Leg] = Deferred(self._cancel)
        Deferred.fromCoroutine(self._run(trying, failed)).addBoth(self._done, result)
        return result

    def _cancel(self, _: Deferred[Leg]) -> None:
        self._is_cancelled = True
        if self._waiting is not None:
            self._waiting.cancel()

    def _done(self, outcome: Any, result: Deferred[Leg]) -> None:
        if not self._is_cancelled:
            result.callback(outcome)

    async def _wait(self, waiting: Deferred[_T]) -> _T:
        self._waiting = waiting
        try:
            return await waiting
        finally:
            self._waiting = None
            if self._is_cancelled:
                raise CancelledError()

    async def _run(self, trying: Trying, failed: Failed) -> Leg:
        attempts = Attempts(self._forward.targets, self._forward.retries)
        reason, timed_out = "", True
        for delay, target in attempts:
            if delay:
                await self._wait(deferLater(self._clock, delay))
            trying(target)
            if self._is_cancelled:
                raise CancelledError()
            try:
                return await self._attempt(target)
            except CancelledError:
                raise
            except Exception as problem:
                reason = f"{target}: {_reason(problem)}"
                timed_out = timed_out and isinstance(problem, _TIMEOUTS)
                failed(target, _reason(problem))
                if isinstance(problem, Untrusted):
                    attempts.drop(target)
        raise GaveUp(ConnectFailure(reason, timed_out))

    async def _attempt(self, target: Target) -> Leg:
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            opening.cancel()

        opening = Deferred.fromCoroutine(self._open(target))
        timer = self._clock.callLater(self._limit, expire)
        try:
            return await self._wait(opening)
        except Exception:
            if expired:
                raise _TimedOut(f"timed out after {self._limit:g} s") from None
            raise
        finally:
            if timer.active():
                timer.cancel()

    async def _open(self, target: Target) -> Leg:
        leg = await dial(self._reactor, target, self._forward.bind)
        if self._header:
            leg.send(self._header)
        if not self._forward.tls:
            return leg
        return await self._secure(leg, target, self._forward.tls)

    async def _secure(self, raw: Leg, target: Target, server_name: str | bool) -> Leg:
        if isinstance(server_name, bool):
            if isinstance(target, UnixTarget):
                raw.abort()
                raise Untrusted("tls: True has no name to verify on a Unix socket; give the server's name")
            server_name = target.host
        securing = _Securing(self._clock)
        leg = securing.leg
        start_client_tls(raw.transport, leg, server_name)
        leg.resume()
        try:
            await securing.done
        except BaseException:
            leg.owner = EARLY
            leg.abort()
            raise
        leg.pause()
        leg.owner = EARLY
        return leg


@implementer(ILegOwner)
class _Securing:
    """Owns a leg during its TLS handshake."""

    def __init__(self, clock: IReactorTime) -> None:
        self.leg = Leg(clock, self)
        self.done: Deferred[None] = Deferred()

    def made(self) -> None:
        """The handshake begins by itself."""

    def secured(self) -> None:
        # Before Twisted 26.4 a peer whose name turns out wrong is said to be secured all the same, and then closed.
        if not self.leg.transport.disconnecting:
            self.done.callback(None)

    def received(self, data: bytes) -> None:
        """Nothing is delivered before the handshake is done."""

    def finished(self) -> None:
        """TLS does not half-close."""

    def flushed(self) -> None:
        """TLS does not half-close."""

    def lost(self, reason: Failure) -> None:
        if not self.done.called:
            self.done.errback(Untrusted(f"TLS: {explain(reason)}"))


def _header_address(address: Address) -> tuple[str, int] | None:
    host, port = address
    if host.startswith("unix:"):
        return None  # HAProxy refuses a header with a path, and a client's socket has no name anyhow
    return host.partition("%")[0], port


def _reason(problem: Exception) -> str:
    if isinstance(problem, error.ConnectionRefusedError):
        return "connection refused"
    if isinstance(problem, error.DNSLookupError):
        return "name does not resolve"
    return " ".join(str(problem).split()).rstrip(".") or type(problem).__name__
