"""Requests to an etcd cluster: one member after another, and with a token where a user is given."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from twisted.internet import defer
from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol

from proxymux.core.target import InetTarget
from proxymux.discovery.etcd.address import EtcdAddress
from proxymux.discovery.etcd.http import NOT_NOW, EtcdHttp
from proxymux.errors import EtcdError
from proxymux.net.reactor.twisted_types import Reactor

#: Requests that are under way at once, and that wait for one of these; one more fails at once.
MOST_AT_ONCE: Final = 8
MOST_WAITING: Final = 1000
#: Seconds that a request may take in all, whichever members it is sent to.
REQUEST_TIMEOUT: Final = 10.0

#: gRPC's numbers for what is not possible now, and for a token that is not valid.
_FAILED_PRECONDITION: Final = 9
_UNAUTHENTICATED: Final = 16
#: What etcd says of a token that is missing, or older than the last change of a user, with another number.
_TOKEN_TEXTS: Final = ("user name is empty", "auth store is old", "invalid auth token")

_T = TypeVar("_T")


class Requests:
    """Sends requests to the members of an etcd cluster: to the one that answered last, or to the next if it does not.

    :param clock: measures the time limits.
    """

    def __init__(self, address: EtcdAddress, reactor: Reactor, clock: IReactorTime) -> None:
        self._address = address
        self._clock = clock
        self._http = EtcdHttp(address, reactor, clock)
        #: The index of the host that is asked first.
        self._first = 0
        #: None before it is asked for; empty if etcd wants none.
        self._token: str | None = None if address.user is not None else ""
        self._login = DeferredLock()
        self._places = DeferredSemaphore(MOST_AT_ONCE)
        self._running: set[Deferred[Any]] = set()
        self._is_closed = False

    def ask(self, path: str, body: object, is_repeatable: bool = True) -> Deferred[dict[str, Any]]:
        """Ask for ``path``, which follows ``/v3/``.

        :param is_repeatable: it may be asked for again where nobody knows whether it has been done.
        :returns: the answer.  Fails with EtcdError after :data:`REQUEST_TIMEOUT` at the latest.
        """

        async def ask() -> dict[str, Any]:
            async with self._places:
                return await self._of_any(lambda host: self._ask_host(host, path, body), is_repeatable)

        if len(self._places.waiting) >= MOST_WAITING:
            return defer.fail(EtcdError(f"{self._address}: more than {MOST_WAITING} requests wait"))
        return self._limited(ask())

    def stream(self, path: str, body: object, protocol: Protocol, headers: Mapping[str, str]) -> Deferred[InetTarget]:
        """Ask for an answer without an end; see :meth:`~proxymux.discovery.etcd.http.EtcdHttp.stream`.

        :returns: who sends it.
        """

        async def stream_of(host: InetTarget) -> InetTarget:
            token = await self._get_token(host)
            await self._http.stream(host, path, body, {**headers, **_authorization(token)}, protocol)
            return host

        return self._limited(self._of_any(stream_of, is_repeatable=False))

    def forget_token(self) -> None:
        """Have a new token asked for before the next request, if tokens are needed."""
        if self._token:
            self._token = None

    def avoid(self, host: InetTarget) -> None:
        """Ask another host first from now on, if there is one."""
        hosts = self._address.hosts
        if hosts[self._first] == host:
            self._first = (self._first + 1) % len(hosts)

    def close(self) -> None:
        """Have all requests fail, and end all connections.  Later requests fail at once."""
        self._is_closed = True
        for running in tuple(self._running):
            running.cancel()
        self._http.close()

    def _limited(self, asking: Coroutine[Deferred[Any], Any, _T]) -> Deferred[_T]:
        if self._is_closed:
            asking.close()
            return defer.fail(EtcdError(f"{self._address}: closed"))

        def ended(result: Any) -> Any:
            self._running.discard(running)
            if self._is_closed:
                raise EtcdError(f"{self._address}: closed", is_unsure=True)
            return result

        def too_late(result: object, seconds: float) -> _T:
            raise EtcdError(f"{self._address}: no answer within {seconds:g} s", is_unsure=True)

        running = Deferred.fromCoroutine(asking)
        self._running.add(running)
        running.addBoth(ended)
        return running.addTimeout(REQUEST_TIMEOUT, self._clock, too_late)

    async def _of_any(self, ask: Callable[[InetTarget], Coroutine[Any, Any, _T]], is_repeatable: bool) -> _T:
        """What the first host says that answers."""
        hosts, problem = self._address.hosts, None
        order = hosts[self._first :] + hosts[: self._first]
        if is_repeatable and len(hosts) == 1:
            order *= 2  # it may just have closed the connection that was kept
        for host in order:
            try:
                return await ask(host)
            except EtcdError as error:
                if error.code is not None and error.code not in NOT_NOW:
                    raise
                self.avoid(host)
                if not is_repeatable and error.is_unsure:
                    raise
                problem = error
        assert problem is not None
        raise problem

    async def _ask_host(self, host: InetTarget, path: str, body: object) -> dict[str, Any]:
        token = await self._get_token(host)
        try:
            return await self._http.post(host, path, body, _authorization(token))
        except EtcdError as error:
            if self._address.user is None or not _is_of_token(error):
                raise
        if self._token == token:
            self._token = None  # else another request has got a new one meanwhile
        return await self._http.post(host, path, body, _authorization(await self._get_token(host)))

    async def _get_token(self, host: InetTarget) -> str:
        """The token, from ``host`` if there is none; one request at a time asks for it."""
        if self._token is not None:
            return self._token
        async with self._login:
            if self._token is None:
                self._token = await self._authenticate(host)
            return self._token

    async def _authenticate(self, host: InetTarget) -> str:
        body = {"name": self._address.user, "password": self._address.password}
        try:
            answer = await self._http.post(host, "auth/authenticate", body, {})
        except EtcdError as error:
            if error.code == _FAILED_PRECONDITION:  # etcd asks nobody for a name
                return ""
            # Nothing of what the request was for has been done.
            raise EtcdError(str(error), error.code) from None
        token = answer.get("token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise EtcdError(f"{host}: no token in etcd's answer")
        return token


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": token} if token else {}


def _is_of_token(error: EtcdError) -> bool:
    return error.code == _UNAUTHENTICATED or any(text in str(error) for text in _TOKEN_TEXTS)
