"""One connect: the attempts that a Forward decision allows, one after the other, until one succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall

from proxymux.core.commands import ConnectFailure
from proxymux.core.decision import Forward
from proxymux.core.member import Member
from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.core.target import Address, ClusterName, Target
from proxymux.core.upstream_tls import UpstreamTls
from proxymux.core.wheel import Timer
from proxymux.net.attempts import PAUSE, Attempts
from proxymux.net.connect_fault import AttemptTimeout, TargetDenied, TlsFailed, fault_of, is_local, outcome_of
from proxymux.net.connection import Connection
from proxymux.net.happy_eyeballs import Attempt, Dialler
from proxymux.net.holding import HoldQueue
from proxymux.net.member_attempts import MemberAttempts, TargetCluster
from proxymux.net.timers import Timers
from proxymux.net.tls.client import ClientContexts
from proxymux.net.tls.handshake import ClientHandshake
from proxymux.net.tls.server_name import server_name_of
from proxymux.net.wording import explain


class ConnectListener(Protocol):
    """Is called by a connect as it proceeds.

    Either :meth:`connected` or :meth:`gave_up` is called, once and as the last, perhaps before
    :meth:`Connecting.start` has returned; neither is after :meth:`Connecting.cancel`.
    """

    def trying(self, target: Target) -> None:
        """An attempt to connect to ``target`` begins now."""

    def attempt_failed(self, target: Target, reason: str, fault: ConnectFault) -> None:
        """An attempt to connect to ``target`` has failed; ``reason`` is one line."""

    def connected(self, connection: Connection) -> None:
        """The upstream is connected.

        :param connection: paused; its owner is :data:`~proxymux.net.connection.EARLY`.
        """

    def gave_up(self, failure: ConnectFailure) -> None:
        """The last attempt has failed."""


@dataclass(frozen=True, slots=True)
class ConnectParts:
    """What all connects of a connector have in common.

    :param contexts: of TLS to upstreams.
    :param holds: where a connect waits if the target that it is to try is held, or None.
    :param clusters: by their names.
    """

    timers: Timers
    dialler: Dialler
    contexts: ClientContexts
    holds: HoldQueue | None
    clusters: Mapping[str, TargetCluster]


class Connecting:
    """One connect, with all its attempts.

    :param limit: seconds for each attempt.
    :param header: the PROXY header for the upstream, or no bytes.
    :param host: the client's, by which a cluster places it where the decision gives no key.
    """

    __slots__ = (
        "_attempt",
        "_attempts",
        "_clusters",
        "_forward",
        "_header",
        "_host",
        "_is_beginning",
        "_limit",
        "_listener",
        "_members",
        "_outcomes",
        "_parts",
        "_reason",
        "_retries_all",
        "_target",
        "_timer",
        "member",
    )

    _target: Address

    def __init__(
        self,
        parts: ConnectParts,
        limit: float,
        header: bytes,
        forward: Forward,
        host: str,
        listener: ConnectListener,
    ) -> None:
        self._parts = parts
        self._limit = limit
        self._header = header
        self._forward = forward
        self._host = host
        self._listener: ConnectListener | None = listener
        self._retries_all = forward.retry_on == "failure"
        self._attempts = Attempts(forward.targets, forward.retries, PAUSE if self._retries_all else 0.0)
        self._attempt: Attempt | None = None
        self._timer: Timer | IDelayedCall | None = None
        self._is_beginning = False
        self._reason = ""
        self._outcomes: set[Outcome] = set()
        #: The member of a cluster that is tried, or was connected to; who then has it counts one connection less when
        #: that ends.  None if the target is no cluster's.
        self.member: Member | None = None
        #: Those of the cluster that is tried in this round; None while an address is.
        self._members: MemberAttempts | None = None
        #: Those of all clusters that were tried.
        self._clusters: dict[ClusterName, MemberAttempts] = {}

    def start(self) -> None:
        """Begin attempts until one has to be waited for, or give up after the last."""
        while self._listener is not None and self._attempt is None and self._timer is None:
            member = None if self._members is None else self._members.next()
            if member is not None:
                self._try(member.address, member)
                continue
            delay, target = next(self._attempts, (0.0, None))
            if target is None:
                listener, self._listener = self._listener, None
                outcome = next(iter(self._outcomes)) if len(self._outcomes) == 1 else Outcome.UNREACHABLE
                listener.gave_up(ConnectFailure(self._reason, outcome))
            elif delay and self._is_worth_waiting_for(target):
                self._timer = self._parts.timers.exactly_after(delay, self._waited, target)
            else:
                self._begin(target)

    def heard(self, data: bytes, is_finished: bool) -> None:
        """Do nothing: the connect goes on, whatever the client sends, and a FIN is a half-close."""

    def cancel(self) -> None:
        """End the connect without a further call of its listener."""
        self._listener = None
        self._stop()
        self._leave()

    def _waited(self, target: Target) -> None:
        self._timer = None
        self._begin(target)
        self.start()

    def _is_worth_waiting_for(self, target: Target) -> bool:
        """False for a cluster that has nobody to try, and is not about to."""
        if not isinstance(target, ClusterName):
            return True
        members = self._members_of(target)
        return members is not None and members.is_worth_waiting_for

    def _begin(self, target: Target) -> None:
        """Try an address, or the first member of a cluster."""
        self._members = None
        if not isinstance(target, ClusterName):
            self._try(target, None)
            return
        self._members = members = self._members_of(target)
        member = None if members is None else members.begin_round()
        if member is None:
            self._none_in(target, members)
        else:
            self._try(member.address, member)

    def _members_of(self, name: ClusterName) -> MemberAttempts | None:
        """The attempts at the members of a cluster; None if there is no such cluster."""
        members = self._clusters.get(name)
        if members is None:
            cluster = self._parts.clusters.get(name.name)
            if cluster is None:
                return None
            key = self._forward.hash_key
            if key is None:  # the path of a client's Unix socket may be no text
                key = self._host.encode("utf-8", "surrogateescape")
            members = self._clusters[name] = MemberAttempts(cluster, key)
        return members

    def _none_in(self, name: ClusterName, members: MemberAttempts | None) -> None:
        """Take note that a cluster has no member to try; there is no waiting for one, unless none is known yet."""
        listener = self._listener
        assert listener is not None
        if members is None or members.cluster.is_known:
            self._attempts.drop(name)
        if self._reason:
            return  # what became of the attempts says more
        listener.trying(name)
        reason = "there is no such cluster" if members is None else members.cluster.why_none
        self._outcomes.add(Outcome.UNREACHABLE)
        self._reason = f"{name}: {reason}"
        if self._listener is not None:
            listener.attempt_failed(name, reason, ConnectFault.UNREACHABLE)

    def _try(self, target: Address, member: Member | None) -> None:
        listener = self._listener
        assert listener is not None
        listener.trying(target)
        if self._listener is None:
            return
        self._target = target
        if member is not None:
            member.connections += 1
            self.member = member
        self._dial()

    def _dial(self) -> None:
        """Begin an attempt, or wait until its target is held no longer."""
        target, parts = self._target, self._parts
        holds = parts.holds
        if holds is not None and holds.targets and target in holds.targets:
            self._attempt = holds.wait(target, self)
            return
        self._timer = parts.timers.after(self._limit, self._expired)
        self._is_beginning = True
        attempt = parts.dialler.dial(target, self._forward.bind, self)
        self._is_beginning = False
        if self._is_under_way:
            self._attempt = attempt

    @property
    def _is_under_way(self) -> bool:
        """True if what was dialled has neither ended, within the call, nor been followed by something else."""
        return self._timer is not None and self._attempt is None

    def _leave(self) -> None:
        """Count no connection to the member that was tried."""
        if self.member is not None:
            self.member.connections -= 1
            self.member = None

    def _expired(self) -> None:
        self._timer = None
        self.failed(AttemptTimeout(f"timed out after {self._limit:g} s"))

    def _stop(self) -> None:
        """Cancel the present attempt and the timer."""
        attempt, self._attempt = self._attempt, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if attempt is not None:
            attempt.cancel()

    # Called by the wait for a target that is held

    def released(self) -> None:
        """Try the target that was waited for, unless it is a member of its cluster no longer, or gets nothing new."""
        self._attempt = None
        if self._is_still_offered():
            self._dial()
        else:
            self._leave()
        self.start()

    def _is_still_offered(self) -> bool:
        member, members = self.member, self._members
        if member is None or members is None:
            return True
        # Whether it is up does not matter: it is held while it is restarted, perhaps, and checks are slow to say more.
        return members.cluster.member_at(member.address) is member and bool(member.weight) and not member.is_drained

    def waited_in_vain(self, failure: ConnectFailure) -> None:
        """Give up."""
        self._attempt = None
        self._leave()
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.gave_up(failure)

    # Called by the present attempt

    def connected(self, connection: Connection) -> None:
        """Send the PROXY header and begin TLS where they are wanted; then give the connection to the listener."""
        self._attempt = None
        is_secured = connection.handle is not None
        if self._header and not is_secured:
            connection.send(self._header)
        tls = self._forward.upstream_tls or (None if self._members is None else self._members.cluster.tls)
        if tls is not None and not is_secured:
            self._secure(connection, tls)
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        listener, self._listener = self._listener, None
        if listener is None:
            connection.abort()
            return
        if self._members is not None and self.member is not None:
            self._members.cluster.connected(self.member)
        listener.connected(connection)

    def failed(self, problem: Exception) -> None:
        """Go on to the next attempt, or give up."""
        self._stop()
        listener = self._listener
        if listener is None:
            return
        reason = explain(problem)
        self._reason = f"{self._target}: {reason}"
        outcome = outcome_of(problem)
        self._outcomes.add(outcome)
        is_permanent = isinstance(problem, (TlsFailed, TargetDenied)) or not (
            self._retries_all or outcome is Outcome.CONNECT_TIMEOUT
        )
        if self._members is not None and self.member is not None:
            self._member_failed(self._members, self.member, reason, is_permanent, self._is_its_fault(problem))
        elif is_permanent:
            self._attempts.drop(self._target)
        listener.attempt_failed(self._target, reason, fault_of(problem))
        if not self._is_beginning:
            self.start()

    def _member_failed(
        self, members: MemberAttempts, member: Member, reason: str, is_permanent: bool, is_its_fault: bool
    ) -> None:
        self._leave()
        if is_permanent:
            members.refuse(member)
        if is_its_fault:
            members.cluster.connect_failed(member, reason)

    def _is_its_fault(self, problem: Exception) -> bool:
        """Whether a failure counts against the member that was tried.

        TLS that the decision asks for does not: the name to verify may be one that the client has said, and no client
        is to eject a member for all others.
        """
        is_as_decided = isinstance(problem, TlsFailed) and self._forward.upstream_tls is not None
        return not (is_as_decided or is_local(problem))

    def _secure(self, connection: Connection, tls: UpstreamTls) -> None:
        try:
            name = server_name_of(tls, self._target)
        except TlsFailed as problem:
            connection.abort()
            self.failed(problem)
            return
        self._attempt = handshake = ClientHandshake(self._parts.contexts, connection, tls, name, self)
        handshake.start()
