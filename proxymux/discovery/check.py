"""The I/O of one health check: a connection, TLS where it is wanted, and what the kind of the check has to say."""

from __future__ import annotations

from typing import Final, Protocol

from proxymux.core.check_spec import CheckSpec
from proxymux.core.check_talk import Step, make_talk
from proxymux.core.cluster_spec import ClusterSpec
from proxymux.core.decision import NeedData
from proxymux.core.target import Address, InetTarget
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.core.wheel import Timer
from proxymux.net.connect_fault import TlsFailed
from proxymux.net.connection import UNOWNED, Connection
from proxymux.net.driver import Driver
from proxymux.net.happy_eyeballs import Attempt, Dialler
from proxymux.net.tls.handshake import ClientHandshake
from proxymux.net.tls.server_name import server_name_of
from proxymux.net.wording import explain

#: How a member that is down is checked where no other check is configured.
BY_CONNECT: Final = CheckSpec("tcp")


class CheckListener(Protocol):
    """Is told how a check ends.

    Exactly one method is called, once, perhaps before :meth:`Check.start` has returned; none after
    :meth:`Check.cancel`.
    """

    def passed(self) -> None:
        """The member is well."""

    def failed(self, reason: str) -> None:
        """The member is not well.

        :param reason: why, in one line.
        """


class Checks:
    """Makes the checks of one cluster.

    :param driver: of the service, with its timers, TLS and lingering connections.
    :param dialler: connects to the members, as for clients.
    :param spec: says what is checked, with which TLS and within which time.
    :param header: is sent first: a PROXY header without addresses, where the members want one; may be empty.
    """

    def __init__(self, driver: Driver, dialler: Dialler, spec: ClusterSpec, header: bytes = b"") -> None:
        self.driver = driver
        self.dialler = dialler
        self.header = header
        self.spec = spec.check or BY_CONNECT
        #: Seconds from the start of the connect to the verdict.
        self.limit = spec.timeout
        #: TLS to the members; None is none.
        self.tls = spec.tls
        #: A member has to be the one that is meant.  Without a word of TLS in the cluster it is its clients who know
        #: by what name, and all that can be said is that TLS is spoken.
        self.is_verified = spec.tls is not None
        if self.spec.kind == "tls" and self.tls is None:
            self.tls = UpstreamTls()

    def make(self, target: Address, listener: CheckListener) -> Check:
        """A check of the member at ``target``; the caller starts it."""
        return Check(self, target, listener)


class Check:
    """One check.

    A connection that has served ends with FIN, and lingers until the member closes it: a reset is an error in the log
    of many servers.

    :param checks: what is the same for all checks of the cluster.
    """

    __slots__ = ("_attempt", "_checks", "_connection", "_listener", "_stage", "_talk", "_target", "_timer")

    def __init__(self, checks: Checks, target: Address, listener: CheckListener) -> None:
        self._checks = checks
        self._target = target
        #: None once the check is over.
        self._listener: CheckListener | None = listener
        self._talk = make_talk(checks.spec, target, checks.tls)
        self._stage = "connecting"
        self._timer: Timer | None = None
        #: The connect, then the TLS handshake, while it is under way.
        self._attempt: Attempt | None = None
        #: What the check owns, after both.
        self._connection: Connection | None = None

    def start(self) -> None:
        """Begin the check."""
        checks = self._checks
        self._timer = checks.driver.timers.after(checks.limit, self._expired)
        attempt = checks.dialler.dial(self._target, None, self)
        if self._stage == "connecting" and self._listener is not None:
            self._attempt = attempt

    def cancel(self) -> None:
        """End the check without a call of its listener.  Without effect after its end."""
        self._listener = None
        self._stop()
        self._abort()

    # Called by the connect and by the TLS handshake

    def connected(self, connection: Connection) -> None:
        """Go on to TLS, or to the talk."""
        self._attempt = None
        if self._listener is None:
            connection.abort()
            return
        if connection.handle is None:
            if self._checks.header:
                connection.send(self._checks.header)
            if self._checks.tls is not None:
                self._secure(connection, self._checks.tls)
                return
        self._begin_talk(connection)

    def failed(self, problem: Exception) -> None:
        """End the check, as there is no connection."""
        self._attempt = None
        self._end(explain(problem))

    def _secure(self, connection: Connection, tls: UpstreamTls) -> None:
        self._stage = "in the TLS handshake"
        checks, target = self._checks, self._target
        try:
            if checks.is_verified:
                name = server_name_of(tls, target)
            else:
                name = target.host if isinstance(target, InetTarget) else ""
        except TlsFailed as problem:
            connection.abort()
            self._end(explain(problem))
            return
        self._attempt = handshake = ClientHandshake(
            checks.driver.client_tls, connection, tls, name, self, checks.is_verified
        )
        handshake.start()

    def _begin_talk(self, connection: Connection) -> None:
        self._stage = "waiting for the answer"
        self._connection = connection
        connection.owner = self
        self._take(self._talk.begin())
        early = connection.take_early()
        if early and self._listener is not None:
            self.received(early)
        if self._listener is None:
            return
        if connection.is_lost:
            self.lost(ConnectionError("lost"))
        elif connection.is_finished:
            self.finished()
        else:
            connection.resume()

    def _take(self, step: Step) -> None:
        """Do what the talk says."""
        connection = self._connection
        assert connection is not None
        verdict = step.verdict
        if not isinstance(verdict, NeedData):
            connection.owner = UNOWNED  # whether the last word can be sent does not matter
        if step.send:
            connection.send(step.send)
        if not isinstance(verdict, NeedData):
            self._end(verdict)

    # Called by the connection

    def made(self) -> None:
        """Never called: the connection was established before."""

    def secured(self) -> None:
        """Never called: the handshake was done before."""

    def received(self, data: bytes) -> None:
        self._take(self._talk.received(data))

    def finished(self) -> None:
        self._end(self._talk.ended())

    def flushed(self) -> None:
        """Never called: the connection has another owner when FIN is sent."""

    def lost(self, reason: Exception | None) -> None:
        self._end(self._talk.ended() if reason is None else explain(reason))

    # The end

    def _expired(self) -> None:
        self._timer = None
        self._abort()
        self._end(f"timed out after {self._checks.limit:g} s, {self._stage}")

    def _end(self, problem: str | None) -> None:
        """Let the connection go, and tell the listener."""
        self._stop()
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_lost:
            self._checks.driver.lingering.begin(connection, _nothing)
        listener, self._listener = self._listener, None
        if listener is None:
            return
        if problem is None:
            listener.passed()
        else:
            listener.failed(problem)

    def _abort(self) -> None:
        """Reset the connection of the talk."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.owner = UNOWNED
            connection.abort()

    def _stop(self) -> None:
        """Cancel the timer and what is under way before the talk."""
        attempt, self._attempt = self._attempt, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if attempt is not None:
            attempt.cancel()


def _nothing() -> None:
    """What happens when a lingering connection is let go of: it counts nowhere."""
