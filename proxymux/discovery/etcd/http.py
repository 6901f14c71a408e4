"""HTTP with the members of an etcd cluster: JSON is sent, and what comes back is bounded in size and time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from proxymux.core.target import InetTarget
from proxymux.discovery.etcd.address import EtcdAddress
from proxymux.discovery.http_client import Answer, HttpClient
from proxymux.discovery.http_connections import AskingFailed, Limits, NotConnected, TooLong
from proxymux.errors import EtcdError
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.printable import printable

#: Seconds within which a connection must be made: another member can be asked.
CONNECT_TIMEOUT: Final = 2.0
#: Seconds within which a member has to answer, and the most bytes of an answer.
ANSWER_TIMEOUT: Final = 5.0
LONGEST_ANSWER: Final = 8 << 20
#: The most idle connections that are kept to a member.
KEPT_CONNECTIONS: Final = 8
#: The most characters of a text of etcd's that are shown.
_LONGEST_TEXT: Final = 200
#: gRPC's number for what is too much, and those of a member that has no answer now, where another may have one:
#: DEADLINE_EXCEEDED, UNAVAILABLE.
RESOURCE_EXHAUSTED: Final = 8
NOT_NOW: Final = (4, 14)

_T = TypeVar("_T")


class EtcdHttp:
    """Sends requests to the JSON gateway of etcd's members.

    :param address: says who they are, and what may not be shown.
    :param clock: measures the time limits.
    """

    def __init__(self, address: EtcdAddress, reactor: Reactor, clock: IReactorTime) -> None:
        self._password = address.password
        limits = Limits(CONNECT_TIMEOUT, LONGEST_ANSWER)
        self._members = {
            host: HttpClient(reactor, clock, host, address.tls, limits, KEPT_CONNECTIONS) for host in address.hosts
        }

    def post(self, host: InetTarget, path: str, body: object, headers: Mapping[str, str]) -> Deferred[dict[str, Any]]:
        """Ask ``host``, which has to answer within :data:`ANSWER_TIMEOUT`.

        :param path: after ``/v3/``.
        :returns: what it answers; fails with EtcdError if that is an error, or there is no answer.
        """
        asking = self._members[host].post(*_request(path, headers, body), ANSWER_TIMEOUT)
        return _explained(host, asking).addCallback(lambda answer: self._read(host, answer))

    def stream(
        self, host: InetTarget, path: str, body: object, headers: Mapping[str, str], protocol: Protocol
    ) -> Deferred[None]:
        """Ask ``host`` for an answer without an end.

        :param protocol: is given the answer in pieces, and told when it has ended all the same.  Its transport's
            ``loseConnection()`` ends it at once.
        :returns: fires when the answer begins; fails with EtcdError if it does not, or is an error.
        """

        def begun(answer: Answer | None) -> None:
            if answer is not None:
                self._read(host, answer)

        asking = self._members[host].stream(*_request(path, headers, body), ANSWER_TIMEOUT, protocol)
        return _explained(host, asking).addCallback(begun)

    def close(self) -> None:
        """End all connections.  Requests that are under way have to be cancelled before."""
        for member in self._members.values():
            member.close()

    def _read(self, host: InetTarget, answer: Answer) -> dict[str, Any]:
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = None
        if answer.status == 200 and isinstance(said, dict):
            return said
        text, code = refusal(said)
        if code is None:
            raise EtcdError(f"{host}: an answer that is none of etcd's (HTTP status {answer.status})", is_unsure=True)
        if self._password:
            text = text.replace(self._password, "...")
        raise EtcdError(f"{host}: {text}", code, is_unsure=code in NOT_NOW)


def refusal(answer: object) -> tuple[str, int | None]:
    """What an error in an answer says, and gRPC's number of it; None for the number if there is no error.

    Gateways differ: the error is the answer or a part of it, and the names of its parts vary.
    """
    if not isinstance(answer, dict):
        return "", None
    inner = answer.get("error")
    error = inner if isinstance(inner, dict) else answer
    code = error.get("code", error.get("grpc_code"))
    text = error.get("message") or error.get("error")
    if not isinstance(code, int) or not isinstance(text, str):
        return "", None
    return printable(" ".join(text.split()), _LONGEST_TEXT), code


def _request(path: str, headers: Mapping[str, str], body: object) -> tuple[str, Mapping[str, str], bytes]:
    return f"/v3/{path}", {**headers, "Content-Type": "application/json"}, json.dumps(body).encode()


def _explained(host: InetTarget, asking: Deferred[_T]) -> Deferred[_T]:
    """Have ``asking`` fail with EtcdError only, or with CancelledError if it is cancelled."""
    is_cancelled = False

    def cancel(_: object) -> None:
        nonlocal is_cancelled
        is_cancelled = True
        asking.cancel()

    def explained(failure: Failure) -> NoReturn:
        if is_cancelled:
            raise CancelledError
        failure.trap(AskingFailed)
        code = RESOURCE_EXHAUSTED if failure.check(TooLong) else None
        raise EtcdError(f"{host}: {failure.value}", code, is_unsure=not failure.check(NotConnected))

    result: Deferred[_T] = Deferred(cancel)
    asking.addErrback(explained).chainDeferred(result)
    return result
