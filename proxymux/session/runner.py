"""The runner of a session: executes the pure session's commands on real connections and passes their events to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from proxymux.core import commands
from proxymux.core.commands import Closing, ConnectFailure, Deadline, Input, RelayEnd, State
from proxymux.core.decision import NEED_DATA, BadHandshake, Decision, Forward, Reject, Reply, Share, in_words
from proxymux.core.identity import Client, show
from proxymux.core.member import Member
from proxymux.core.outcome import ConnectFault, Ending, Outcome, Record
from proxymux.core.proxy_protocol import Header
from proxymux.core.sample import FAILED, UNDECIDED, Sample, word_of
from proxymux.core.session import Session
from proxymux.core.target import Target
from proxymux.core.wheel import Timer
from proxymux.errors import BadCertificate, DecisionFailed
from proxymux.net.connection import CLOSE_LIMIT, UNOWNED, Connection
from proxymux.net.exchange import JoinOptions
from proxymux.net.tls.engine import TlsError
from proxymux.net.tls.hello import ServerTls
from proxymux.net.wording import CUT_IN_HANDSHAKE, explain
from proxymux.session.context import ClientExchange, Context, UpstreamRequest
from proxymux.session.identity import with_header, with_tls
from proxymux.session.timings import Timings
from proxymux.session.trace import Trace
from proxymux.user_code import describe

#: Stands for the client until its connection is known.
_UNKNOWN_CLIENT: Final = Client(("", 0), ("", 0))


class SessionRunner:
    """Runs the session of one client.

    It owns the client's connection, except while an exchange does, and is the listener of the session's connect.

    :param number: identifies the session within its instance.
    :param context: the context of the service.
    :param ended: called with the runner when the session has ended, after the observers of its record.
    """

    __slots__ = (
        "_admitted_host",
        "_client",
        "_connection",
        "_context",
        "_decider",
        "_ended",
        "_exchange",
        "_inbox",
        "_is_busy",
        "_is_counted",
        "_member",
        "_pending",
        "_request",
        "_sample",
        "_session",
        "_timer",
        "_timings",
        "_upstream",
        "number",
    )

    def __init__(self, number: int, context: Context, ended: Callable[[SessionRunner], None]) -> None:
        self.number = number
        self._context = context
        self._decider = context.decider  # kept to the end: a reload is for later sessions only
        self._ended = ended
        decider, max_buffer = context.decider, context.settings.max_buffer
        self._session = Session(max_buffer, decider.greets, decider.undecided_reply, decider.hears_failures)
        self._inbox: list[tuple[Input, object]] = []
        self._is_busy = False
        self._connection: Connection | None = None
        self._client = _UNKNOWN_CLIENT
        self._is_counted = False
        #: The address under which the admission has counted the client.
        self._admitted_host: str | None = None
        #: The decision or the user's last word that the session waits for.
        self._pending: Deferred[Any] | None = None
        #: The connect that it waits for.
        self._request: UpstreamRequest | None = None
        #: The first bytes, if samples are kept and the decider was asked.
        self._sample: Sample | None = None
        self._upstream: Connection | None = None
        #: The member of a cluster that counts the upstream's connection.
        self._member: Member | None = None
        self._exchange: ClientExchange | None = None
        self._timer: Timer | None = None
        self._timings = Timings(context.clock, context.wall, context.traces is not None)

    @property
    def ending(self) -> Ending | None:
        """The ending of the session; None until it is known."""
        return self._session.ending

    @property
    def state(self) -> State:
        """The state of the session."""
        return self._session.state

    @property
    def trace(self) -> Trace | None:
        """How the session came to where it is; None where nobody wants to know."""
        return self._timings.trace

    @property
    def delivered(self) -> tuple[int, int]:
        """The bytes that the session has delivered so far, from and to the client."""
        return self._timings.delivered(self._exchange, self._unsent)

    def snapshot(self) -> Record:
        """The record that the session would have if it was drained now."""
        ending = self.ending or Ending(Outcome.DRAINED)
        return self._record(ending)

    def _record(self, ending: Ending) -> Record:
        service, worker = self._context.service, self._context.worker
        return self._timings.record(service, self.number, self._client, self._exchange, self._unsent, ending, worker)

    @property
    def _unsent(self) -> int:
        """Bytes for the client that the kernel has not taken."""
        connection = self._connection
        if self._exchange is not None and self._session.state is State.JOINED:
            connection = self._exchange.client
        return connection.unsent if connection is not None else 0

    # The client's connection

    def opening(self, connection: Connection) -> bool:
        """Begin the session of a client that was accepted on ``connection``.

        The factories in :mod:`proxymux.session.arrival` call it first, then perhaps :meth:`introduced`, then
        :meth:`attach`.

        :returns: False if there are too many clients, in which case the connection is being closed.
        """
        self._take_connection(connection)
        self._client = Client(connection.peer, connection.local)
        if self._context.tells_all:
            self._log_step(f"accepted on {show(connection.local)}")
        self._take(Input.ACCEPTED)
        refusal = self._context.admission.arrive()
        self._is_counted = refusal is None
        if refusal is not None:
            self.bar(Ending(Outcome.REFUSED, refusal))
        return refusal is None

    def introduced(self, header: Header) -> None:
        """Take the client's addresses from its PROXY header."""
        self._client = with_header(header, self._client)

    def bar(self, ending: Ending) -> None:
        """Refuse the client and close its connection; the session ends with ``ending``."""
        self._take(Input.BARRED, ending)

    def attach(self, connection: Connection, tls: ServerTls | None = None, received: bytes = b"") -> None:
        """Admit the client by its address and read what it sends, after the TLS handshake if there is one.

        :param connection: the one of :meth:`opening`, or one that carries a plug-in's TLS over it.
        :param tls: the listener's TLS, or None.
        :param received: what the client has sent already.
        """
        self._take_connection(connection)
        admission = self._context.admission
        if admission.judges:
            host = self._client.address[0]
            refusal = admission.admit(host, self._context.clock.seconds())
            if refusal is not None:
                self.bar(Ending(Outcome.REFUSED, refusal))
                return
            self._admitted_host = host
        connection.register_producer(self)
        if tls is not None:
            self._start_tls(connection, tls, received)
        elif connection.handle is None:
            self._open()
            if received and connection.owner is self:
                self.received(received)
            connection.resume()

    def _start_tls(self, connection: Connection, tls: ServerTls, received: bytes) -> None:
        try:
            tls.start(connection, received)
        except Exception as error:  # of the endpoint's own code, or of its files
            self.bar(Ending(Outcome.BAD_HANDSHAKE, f"TLS: {type(error).__name__}: {error}"))

    def _take_connection(self, connection: Connection) -> None:
        if self._connection is not None and self._connection is not connection:
            self._connection.owner = UNOWNED
        self._connection = connection
        connection.owner = self

    def _open(self) -> None:
        if self._context.events.heard("connected"):
            error = self._context.events.emit("connected", self._context.log, show(self._client.address))
            if error is not None:
                self.bar(Ending(Outcome.REFUSED, f"by a listener of connected: {describe(error)}"))
                return
        self._take(Input.OPENED)

    def made(self) -> None:
        """Never called: the connection was established before :meth:`opening`."""

    def secured(self) -> None:
        assert self._connection is not None
        self._client = with_tls(self._connection, self._client)
        allowed, tls = self._context.settings.tls_allow, self._client.tls
        if allowed and (tls is None or tls.peer is None or not tls.peer.is_one_of(allowed)):
            self.bar(Ending(Outcome.REFUSED, "its certificate is not one of those allowed (--tls-allow)"))
            return
        if self._session.state is State.SECURING:
            self._take(Input.SECURED)
        else:
            self._open()

    def received(self, data: bytes) -> None:
        self._timings.bytes_in += len(data)
        self._take(Input.RECEIVED, data)

    def finished(self) -> None:
        self._take(Input.CLIENT_FINISHED)

    def flushed(self) -> None:
        """Do nothing: after our FIN the session waits for the client's."""

    def lost(self, reason: Exception | None) -> None:
        assert self._connection is not None
        if self._connection.handle is not None and self._client.tls is None:  # in the handshake
            self._take(Input.TLS_FAILED, CUT_IN_HANDSHAKE if reason is None else explain(reason))
        else:
            is_tls = isinstance(reason, (TlsError, SSL.Error))
            self._take(Input.TLS_FAILED if is_tls else Input.CLIENT_LOST, explain(reason))

    def pauseProducing(self) -> None:
        self._take(Input.OUTPUT_FULL)

    def resumeProducing(self) -> None:
        self._take(Input.OUTPUT_FREE)

    def stopProducing(self) -> None:
        """Do nothing: the connection calls :meth:`lost`, too."""

    def drain(self) -> None:
        """End the session as the time to drain is over: in good order at the first call, by a reset at the next."""
        self._take(Input.DRAIN)

    def _log_step(self, what: str) -> None:
        """Log what has happened to the session; called only if the context tells all."""
        self._context.log.debug(
            "session {number} ({client}): {what}", number=self.number, client=show(self._client.address), what=what
        )

    # Inputs and commands

    def _take(self, what: Input, value: object = None) -> None:
        """Give the session an input and execute its commands; an input that comes meanwhile is given to it after them.

        :param value: what :class:`~proxymux.core.commands.Input` says of ``what``.
        """
        if self._is_busy:
            self._inbox.append((what, value))
            return
        self._is_busy = True
        try:
            while True:
                for command in self._session.take(what, value):
                    _COMMAND_METHODS[type(command)](self, command)
                if not self._inbox:
                    break
                what, value = self._inbox.pop(0)
        finally:
            self._is_busy = False

    def _ask(self, command: commands.Ask) -> None:
        try:
            if self._timings.trace is not None:
                self._timings.trace.asked(len(command.data or b""))
            if command.data is None:
                result = self._decider.accepted(self._client)
            else:
                if self._context.samples is not None:
                    self._show_sample(command.data)
                result = self._decider.decide(command.data, self._client)
        except DecisionFailed as problem:
            self._faulted(problem)
            return
        if isinstance(result, Decision):  # not whether it is a Deferred: to ask an abstract class takes long
            self._decided(result)
        else:
            self._wait(result, self._decided, self._failed_deciding)

    def _show_sample(self, data: bytes) -> None:
        assert self._context.samples is not None
        if self._sample is None:
            if self._context.samples.is_full:
                return
            self._sample = Sample()
        self._sample.show(data)

    def _take_sample(self, word: str) -> None:
        """Have the first bytes kept, unless they were already."""
        if self._sample is not None and not self._sample.is_over and self._context.samples is not None:
            self._context.samples.add(self.number, self._sample.take(), word)

    def _wait(self, waiting: Deferred[Any], done: Callable[[Any], None], failed: Callable[[Failure], None]) -> None:
        """Call ``done`` or ``failed`` with the result of ``waiting``, unless it is cancelled before."""

        def settle(result: Any) -> None:
            if self._pending is waiting:
                self._pending = None
                (failed if isinstance(result, Failure) else done)(result)

        self._pending = waiting
        waiting.addBoth(settle)

    def _decided(self, decision: Decision) -> None:
        if isinstance(decision, (Forward, Reject, Reply)) and decision.note is not None:
            self._timings.add_note(decision.note)
        if self._context.tells_all and not isinstance(decision, BadHandshake):
            self._log_step(f"{self._decider.name} {in_words(decision)}, having read {self._timings.bytes_in} bytes")
        if self._sample is not None:
            if isinstance(decision, Reply):
                self._sample.reply(decision)
            elif decision is not NEED_DATA:
                self._take_sample(word_of(decision))
        if isinstance(decision, (Forward, Reject, BadHandshake, Share)):
            self._timings.decided()
            if self._timings.trace is not None:
                self._timings.trace.place = self._decider.decided_at
            if isinstance(decision, BadHandshake):
                self._context.log.info("{client}: {reason}", client=show(self._client.address), reason=decision.text)
            if self._context.events.heard("decided"):
                self._context.events.emit("decided", self._context.log, decision)
        self._take(Input.DECIDED, decision)

    def _failed_deciding(self, failure: Failure) -> None:
        failure.trap(DecisionFailed)
        assert isinstance(failure.value, DecisionFailed)
        self._faulted(failure.value)

    def _faulted(self, problem: DecisionFailed) -> None:
        self._context.log.error("{problem} ({client})", problem=problem, client=show(self._client.address))
        if self._context.tells_all and problem.details:
            self._context.log.debug("the traceback of this error:", details_below=problem.details)
        self._take_sample(FAILED)
        self._take(Input.FAULTED, str(problem))

    def _blame(self, command: commands.Blame) -> None:
        log = self._context.log.error if command.fault else self._context.log.warn
        log(
            "{place}: {problem} ({client})",
            place=self._decider.place,
            problem=command.problem,
            client=show(self._client.address),
        )

    def _connect(self, command: commands.Connect) -> None:
        self._request = request = self._context.connector.connect(command.forward, self._client, self)
        request.start()

    def _tell_waiting(self, command: commands.Tell) -> None:
        if self._request is not None:  # else it has come to an end meanwhile
            self._request.heard(command.data, command.is_finished)

    def trying(self, target: Target) -> None:
        """Note the target of the attempt that begins, and tell the session if the client has reset its connection."""
        self._timings.trying(target)
        assert self._connection is not None
        if self._connection.is_reset:
            self._take(Input.CLIENT_RESET)

    def attempt_failed(self, target: Target, reason: str, fault: ConnectFault) -> None:
        """Log a failed attempt and tell the listeners of ``connect_failed``."""
        self._timings.attempt_failed(reason)
        if self._context.connect_failed is not None:
            self._context.connect_failed(fault)
        if self._context.tells_all:
            self._log_step(f"no connection to {target}: {reason}")
        if self._context.events.heard("connect_failed"):
            self._context.events.emit("connect_failed", self._context.log, str(target), reason)

    def connected(self, connection: Connection) -> None:
        """Tell the session that the upstream is connected."""
        request, self._request = self._request, None
        self._member = request.member if request is not None else None
        self._timings.connected()
        if self._context.tells_all:
            self._log_step(f"connected to {self._timings.target} at {show(connection.peer)}")
        self._upstream = connection
        self._take(Input.CONNECTED)

    def gave_up(self, failure: ConnectFailure) -> None:
        """Tell the session that no target could be connected to."""
        self._request = None
        self._context.log.warn(
            "{client}: gave up connecting: {reason}", client=show(self._client.address), reason=failure.reason
        )
        self._take(Input.CONNECT_FAILED, failure)

    def _terminate(self, command: commands.StartTls) -> None:
        connection = self._connection
        assert connection is not None
        try:
            if connection.handle is not None:
                raise BadCertificate("the client's TLS has been ended already")
            tls = self._context.certificates.tls_at(command.path)
        except BadCertificate as problem:
            self._faulted(DecisionFailed(f"{self._decider.place}: tls_terminate: {problem}"))
            return
        self._timings.bytes_in -= len(command.data)  # they are not for the upstream, and never reach it
        tls.start(connection, command.data)

    def _join(self, command: commands.Join) -> None:
        assert self._connection is not None
        assert self._upstream is not None
        options = self._join_options(command.data, command.client_finished)
        options.first_byte_timeout = command.forward.inactivity_timeout
        options.must_answer = command.must_answer
        rate = command.forward.rate
        options.rate = (self._context.settings.rate if rate is None else rate) or None
        self._exchange = self._context.join(self._connection, self._upstream, options)
        self._connection = self._exchange.client

    def _join_pool(self, command: commands.JoinPool) -> None:
        assert self._connection is not None
        assert self._context.join_pool is not None
        if len(set(command.decision.targets)) == 1:
            self._timings.target = command.decision.targets[0]
        self._timings.connected()
        options = self._join_options(command.data, command.client_finished)
        self._exchange = self._context.join_pool(self._connection, options, self._client)

    def _join_options(self, data: bytes, client_finished: bool) -> JoinOptions:
        idle_timeout = self._context.settings.idle_timeout or None
        return JoinOptions(data, client_finished, None, idle_timeout, self._relay_ended)

    def _relay_ended(self, end: RelayEnd, connection: Connection) -> None:
        self._upstream = None
        self._leave_member()
        self._connection = connection
        connection.owner = self
        self._take(Input.RELAY_ENDED, end)

    def _consult(self, command: commands.Consult) -> None:
        callback = getattr(self._decider, command.callback)
        answer = callback(str(self._timings.target), self._client)
        if isinstance(answer, Deferred):
            assert self._connection is not None
            self._connection.pause()  # nobody wants what still comes; it is not to be read for as long as that takes
            self._wait(answer, self._answered, lambda _: self._answered(b""))
        else:
            self._answered(answer)

    def _answered(self, last_word: bytes) -> None:
        self._take(Input.ANSWERED, last_word)

    def _cancel(self, _: commands.Cancel) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.cancel()
        if self._request is not None:
            request, self._request = self._request, None
            request.cancel()
        if self._exchange is not None:
            self._exchange.abort()
        elif self._upstream is not None:
            self._upstream.abort()

    def _send(self, command: commands.Send) -> None:
        assert self._connection is not None
        self._timings.bytes_out += len(command.data)
        self._connection.send(command.data)

    def _pause(self, _: commands.Pause) -> None:
        assert self._connection is not None
        self._connection.pause()

    def _resume(self, _: commands.Resume) -> None:
        assert self._connection is not None
        self._connection.resume()

    def _close(self, command: commands.Close) -> None:
        connection = self._connection
        assert connection is not None
        if connection.is_lost:
            self._take(Input.CLIENT_LOST, "lost")
        elif command.how is Closing.ABORT:
            connection.abort()
        elif command.how is Closing.LINGER or (command.how is Closing.CLOSE and connection.handle is not None):
            # TLS waits for the peer's close_notify, however it is closed.
            self._context.lingering.begin(connection, self._let_go)
        else:
            connection.owner = self
            connection.pause()  # what still comes is not read, however long the last bytes take
            if command.how is Closing.RESET:
                connection.reset()
            else:
                connection.close()
            if self._timer is None and not connection.is_lost:
                self._timer = self._context.timers.after(CLOSE_LIMIT, self._expired, CLOSE_LIMIT)

    def _let_go(self) -> None:
        """End the session: the client's connection lingers without it, or is gone."""
        self._take(Input.LET_GO)

    def _await(self, command: commands.Await) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if command.deadline is None or command.deadline is Deadline.CLOSE:
            return  # _close starts the timer of a close itself, unless the connection is lost at once
        seconds = self._context.settings.decide_timeout
        self._timer = self._context.timers.after(seconds, self._expired, seconds)

    def _expired(self, seconds: float) -> None:
        self._timer = None
        self._take(Input.DEADLINE, f"{seconds:g} s (--decide-timeout)")

    def _finish(self, command: commands.Finish) -> None:
        if command.ending.outcome is Outcome.PROTOCOL_ERROR:
            client, reason = show(self._client.address), command.ending.reason
            self._context.log.info("{client}: protocol error: {reason}", client=client, reason=reason)
        self._take_sample(UNDECIDED)
        self._leave()
        if self._context.observers or self._context.events.heard("ended"):
            self._publish(command.ending)
        self._ended(self)

    def _leave(self) -> None:
        """Count the client, and the connection to a member of a cluster, no longer."""
        if self._is_counted:
            self._context.admission.leave(self._admitted_host)
        self._leave_member()

    def _leave_member(self) -> None:
        if self._member is not None:
            self._member.connections -= 1
            self._member = None

    def _publish(self, ending: Ending) -> None:
        record = self._record(ending)
        if self._context.traces is not None and self._timings.trace is not None:
            self._context.traces.keep(record, self._timings.trace)
        for observer in self._context.observers:
            observer(record)
        if self._context.events.heard("ended"):
            self._context.events.emit("ended", self._context.log, record)


#: The method that executes each kind of command.
_COMMAND_METHODS: dict[type, Callable[[SessionRunner, Any], None]] = {
    commands.Ask: SessionRunner._ask,
    commands.Send: SessionRunner._send,
    commands.Connect: SessionRunner._connect,
    commands.Tell: SessionRunner._tell_waiting,
    commands.Join: SessionRunner._join,
    commands.StartTls: SessionRunner._terminate,
    commands.JoinPool: SessionRunner._join_pool,
    commands.Consult: SessionRunner._consult,
    commands.Pause: SessionRunner._pause,
    commands.Resume: SessionRunner._resume,
    commands.Cancel: SessionRunner._cancel,
    commands.Await: SessionRunner._await,
    commands.Blame: SessionRunner._blame,
    commands.Close: SessionRunner._close,
    commands.Finish: SessionRunner._finish,
}
