"""Detached exchanges: a client's requests go to whichever upstream is free; its replies come back in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from proxymux.core.codecs import BODY_LIMIT, Kind, Request
from proxymux.core.commands import Cause, RelayEnd
from proxymux.core.outcome import Outcome
from proxymux.core.slots import Slot
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.errors import BadMessage
from proxymux.net.connection import UNOWNED, Connection, explain
from proxymux.net.exchange import JoinOptions
from proxymux.pool.batch import Batch
from proxymux.pool.pool import Pool
from proxymux.pool.upstream import Upstream

#: Bytes of whole requests that wait before no more are read of a client.
_PLENTY: Final = 1 << 16
#: Bytes of a request without an end, from which on it is taken for one that came in parts.
_LARGE: Final = 1 << 14
#: Batches of a client that may wait for an upstream, where all are served in the order in which they came.
_MOST_WAITING: Final = 16
_SHARED: Final = frozenset((Kind.PLAIN, Kind.SILENT, Kind.LAST))


class DetachedExchange:
    """One client of the pool.

    :param join: joins the client's connection to an upstream that it has for itself.
    :param pipelined: requests may follow each other on one upstream without awaiting the replies.
    :param batches: those that came together may, in any case.
    :param may_have_own: there are upstreams that one client could have for itself.
    """

    def __init__(
        self,
        pool: Pool,
        connection: Connection,
        options: JoinOptions,
        join: Callable[[Connection, Connection, JoinOptions], Any],
        pipelined: bool,
        batches: bool,
        may_have_own: bool,
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._options: JoinOptions | None = options
        self._join = join
        self._pipelined = pipelined
        self._batches = batches
        self._may_have_own = may_have_own
        self._scanner = pool.codec.requests()
        self._kept: list[bytes] = []
        #: Whole requests that wait for those before them.
        self._local: deque[Batch | Request] = deque()
        self._local_size = 0
        self._outstanding: deque[Batch] = deque()
        self._own_batch: Batch | None = None
        self._own: Slot | None = None
        #: Waits for the silence that ends a large request.
        self._gap: Any = None
        self._piped: Any = None
        self._is_paused = False
        self._is_slow = False
        self._is_last = False
        #: How it ends when all that it is still to get is sent, if not well.
        self._ending: tuple[Outcome, str] | None = None
        self._bytes_in = 0
        self._bytes_out = 0
        self._first_byte_at: float | None = None
        self._idle_timer: Timer | None = None
        self._last_at = pool.now()
        connection.owner = self
        pool.clients += 1

    def begin(self) -> DetachedExchange:
        """Take note of what has happened meanwhile, and go on from there."""
        options = self._options
        assert options is not None
        self._connection.unregister_producer()
        self._connection.register_producer(self)
        if options.idle_timeout is not None:
            self._idle_timer = self._pool.timers.after(options.idle_timeout, self._look_idle, options.idle_timeout)
        if options.data:
            self.received(options.data)
        if options.client_finished and self._options is not None:
            self.finished()
        if self._options is not None and not self._is_paused:
            self._connection.resume()
        return self

    # IExchange

    @property
    def client(self) -> Connection:
        connection: Connection = self._piped.client if self._piped is not None else self._connection
        return connection

    @property
    def bytes_in(self) -> int:
        return self._bytes_in + (self._piped.bytes_in if self._piped is not None else 0)

    @property
    def bytes_out(self) -> int:
        return self._bytes_out + (self._piped.bytes_out if self._piped is not None else 0)

    @property
    def first_byte_at(self) -> float | None:
        return self._first_byte_at or (self._piped.first_byte_at if self._piped is not None else None)

    def abort(self) -> None:
        if self._piped is not None:
            self._piped.abort()
        if self._options is not None:
            self._leave()

    def _return(self) -> None:
        """The upstream that the client had for itself is closed."""
        own, self._own = self._own, None
        if own is not None:
            self._pool.clients -= 1
            self._pool.returned(own)

    # What the connection tells

    def made(self) -> None: ...
    def secured(self) -> None: ...
    def flushed(self) -> None: ...

    def received(self, data: bytes) -> None:
        self._bytes_in += len(data)
        if self._idle_timer is not None:
            self._last_at = self._pool.now()
        if self._own_batch is not None:
            self._own_batch.data += data
            self._pause_or_resume()
        elif self._is_last:
            pass  # nothing is to come of it
        elif self._pool.codec_gap and (self._gap is not None or len(data) >= _LARGE):
            self._collect(data)
        else:
            self._look_at(data)

    def _look_at(self, data: bytes) -> None:
        problem = None
        try:
            requests = self._scanner.feed(data)
        except BadMessage as error:
            requests, problem = error.finished, error
        if len(requests) == 1 and not self._kept and requests[0].end == len(data) and requests[0].kind is Kind.PLAIN:
            request = requests[0]
            batch = Batch(self, data, [(request.hint, request.count)], request.count)
            if self._local or self._outstanding or self._is_slow:
                self._add(batch)
            else:
                if self._pool.is_ordered:
                    self._take_sequence(batch)
                self._outstanding.append(batch)
                self._pool.submit(batch)
        else:
            self._cut(data, requests)
        if problem is not None:
            self._bad(problem)
        if self._scanner.interim:
            self._send_interim()

    def finished(self) -> None:
        if self._options is None or self._own_batch is not None:
            return
        if self._gap is not None:
            self._gap.cancel()
            self._collected()
        if self._kept and not self._is_last:
            self._bad(BadMessage("the client finished within a message"))
        self._is_last = True
        self._see_whether_over()

    def lost(self, reason: Exception | None) -> None:
        if self._options is not None:
            busy = bool(self._outstanding or self._local)
            over = reason is None and not busy
            self._end(Cause.COMPLETED if over else Cause.CLIENT_ABORTED, None, None if over else explain(reason))

    def pauseProducing(self) -> None:
        """It does not read its replies: no request of it is looked at meanwhile."""
        self._is_slow = True
        self._pause_or_resume()

    def resumeProducing(self) -> None:
        if self._is_slow:
            self._is_slow = False
            self._go_on()
            self._pause_or_resume()
            if self._is_last:
                self._see_whether_over()

    def stopProducing(self) -> None:
        """It is lost, and we are told so."""

    # From requests to batches

    def _collect(self, data: bytes) -> None:
        """A part of a request whose end cannot be seen has come: silence ends it."""
        self._kept.append(data)
        if self._gap is None:
            self._gap = self._pool.clock.callLater(self._pool.codec_gap, self._collected)
        else:
            self._gap.reset(self._pool.codec_gap)
        if sum(map(len, self._kept)) > BODY_LIMIT:
            self._bad(BadMessage(f"a request of more than {BODY_LIMIT} bytes"))

    def _collected(self) -> None:
        self._gap = None
        self._look_at(self._whole(b""))

    def _cut(self, data: bytes, requests: list[Request]) -> None:
        """Make batches of the requests that end in ``data``, and keep what is left of it."""
        start = 0
        run: list[tuple[Any, int]] = []
        replies = 0
        run_start = 0
        for request in requests:
            if request.kind in _SHARED:
                if request.kind is not Kind.SILENT:
                    run.append((request.hint, request.count))
                    replies += request.count
                if not self._batches or request.kind is Kind.LAST or replies >= 1024:
                    self._add(self._batch(data, run_start, request.end, run, replies, request.kind is Kind.LAST))
                    run, replies, run_start = [], 0, request.end
            else:
                if start > run_start:
                    self._add(self._batch(data, run_start, start, run, replies))
                run, replies, run_start = [], 0, request.end
                if not self._special(request, data, start):
                    return
            start = request.end
        if start > run_start:
            self._add(self._batch(data, run_start, start, run, replies))
        if start < len(data) and not self._is_last:
            self._kept.append(data[start:] if start else data)

    def _batch(
        self, data: bytes, start: int, end: int, run: list[tuple[Any, int]], replies: int, is_last: bool = False
    ) -> Batch:
        return Batch(self, self._whole(data[start:end]), run, replies, is_last=is_last)

    def _whole(self, data: bytes) -> bytes:
        if not self._kept:
            return data
        kept, self._kept = self._kept, []
        return b"".join((*kept, data))

    def _special(self, request: Request, data: bytes, start: int) -> bool:
        """A request that is not for a shared upstream.  False if nothing after it is looked at."""
        if request.kind is Kind.OWN:
            if self._may_have_own and self._pool.leasing.spare_alone():
                self._is_last = True
                self._own_batch = Batch(self, self._whole(data[start:]), [], 0, alone=True)
                self._add(self._own_batch)
                return False
            problem = "this command needs an upstream of its own, and there is none to spare"
            request.answer = self._pool.codec.failure(problem)
            if not request.answer or self._pool.codec.ends_at_own:
                self._bad(BadMessage(problem, request.answer))
                return False
        self._whole(b"")
        self._local.append(request)
        self._go_on()
        if request.kind is Kind.QUIT:
            self._is_last = True
            self._see_whether_over()
            return False
        return True

    def _bad(self, problem: BadMessage) -> None:
        """The client broke the protocol: it is told so after its replies, and closed."""
        if self._options is not None and not self._is_last:
            self._dismiss(problem.answer, Outcome.PROTOCOL_ERROR, str(problem))

    def _dismiss(self, answer: bytes, outcome: Outcome, reason: str) -> None:
        """The client is told ``answer``, in its turn, and closed."""
        self._is_last = True
        self._kept.clear()
        self._ending = outcome, reason
        self._local.append(Request(0, Kind.REFUSED, answer=answer))
        self._go_on()
        self._see_whether_over()

    # Sending

    def _send_interim(self) -> None:
        """What is to be sent before a request is whole, once the replies before it are out."""
        if not self._outstanding and not self._local:
            interim, self._scanner.interim = self._scanner.interim, b""
            self._send(interim)

    def _add(self, batch: Batch) -> None:
        if batch.is_last:
            self._is_last = True
        if self._pool.is_ordered:
            self._take_sequence(batch)
        self._local.append(batch)
        self._local_size += len(batch.data)
        self._go_on()

    def _take_sequence(self, batch: Batch) -> None:
        self._pool.sequences += 1
        batch.sequence = self._pool.sequences

    def go_on(self) -> None:
        if self._local:
            self._go_on()

    def _go_on(self) -> None:
        """Submit what may be sent now."""
        local = self._local
        while local and self._options is not None and not self._is_slow:
            first = local[0]
            if isinstance(first, Request):
                if self._outstanding:
                    break
                local.popleft()
                self._send(first.answer)
                continue
            slot = None
            if self._outstanding:
                if not self._pipelined or first.alone:
                    break
                slot = self._outstanding[-1].slot
                if slot is None or not self._pool.leasing.follow(slot):
                    if not self._pool.is_ordered or len(self._outstanding) >= _MOST_WAITING:
                        break
                    slot = None  # it waits in its place among those of all
            local.popleft()
            self._local_size -= len(first.data)
            self._outstanding.append(first)
            if slot is None:
                self._pool.submit(first)
            else:
                self._pool.give(slot, first)
        if self._is_paused or self._local_size > _PLENTY:
            self._pause_or_resume()

    def _pause_or_resume(self) -> None:
        if self._options is None:
            return
        own = self._own_batch
        paused = self._is_slow or self._local_size > _PLENTY or (own is not None and len(own.data) > _PLENTY)
        if paused != self._is_paused:
            self._is_paused = paused
            self._connection.pause() if paused else self._connection.resume()

    def _send(self, data: bytes) -> None:
        if data and self._options is not None:
            self._bytes_out += len(data)
            if self._first_byte_at is None:
                self._first_byte_at = self._pool.now()
            if self._idle_timer is not None:
                self._last_at = self._pool.now()
            self._connection.send(data)

    # What becomes of batches

    def given(self, batch: Batch, upstream: Upstream) -> None:
        """The client has an upstream for itself: from here on bytes pass as they come."""
        assert self._options is not None
        options, self._options = self._options, None
        self._own = upstream.slot
        self._outstanding.clear()
        self._stop_timers()
        self._connection.unregister_producer()
        inner = JoinOptions(batch.data, self._connection.is_finished, None, options.idle_timeout, options.ended)
        connection = upstream.hand_over()
        connection.when_lost = self._return
        self._piped = self._join(self._connection, connection, inner)

    def unsent(self, batch: Batch) -> bool:
        if self._outstanding[0] is batch:
            return True
        self._outstanding.remove(batch)
        self._local.appendleft(batch)
        self._local_size += len(batch.data)
        return False

    def reply(self, batch: Batch, data: bytes) -> None:
        self._send(data)

    def done(self, batch: Batch) -> None:
        outstanding = self._outstanding
        if outstanding and outstanding[0] is batch:
            outstanding.popleft()
        elif batch in outstanding:
            outstanding.remove(batch)  # it has no reply, and is done before its turn
        if batch.is_last:
            self._is_last = True
            self._local.clear()  # nobody will answer what came after it
        if self._local:
            self._go_on()
        if self._scanner.interim:
            self._send_interim()
        if self._is_last:
            self._see_whether_over()

    def failed(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        if self._options is None:
            return
        if batch.is_begun:
            self._break_off(outcome, reason)
            return
        while self._outstanding and self._outstanding[-1] is not batch:
            self._pool.withdraw(self._outstanding.pop())
        if self._outstanding:
            self._outstanding.pop()
        self._local.clear()
        self._dismiss(self._pool.codec.failure(reason), outcome, reason)

    # The end

    def _break_off(self, outcome: Outcome, reason: str) -> None:
        """A part of a reply was sent, and only a reset tells that it is no whole."""
        self._is_last = True
        self._drop()
        self._connection.pause()
        self._connection.when_flushed(lambda: self._end(Cause.UPSTREAM_ABORTED, outcome, reason))

    def _see_whether_over(self) -> None:
        if self._options is not None and not self._outstanding and not self._local:
            if self._ending is not None:
                self._end(Cause.DISMISSED, *self._ending)
            else:
                self._end(Cause.COMPLETED)

    def _look_idle(self, limit: float) -> None:
        self._idle_timer = None
        left = self._last_at + limit - self._pool.now()
        if left > ROUNDING or self._outstanding:
            again = left if left > ROUNDING else limit
            self._idle_timer = self._pool.timers.after(again, self._look_idle, limit)
        else:
            self._end(Cause.IDLE, None, f"no byte either way for {limit:g} s (--idle-timeout)")

    def _end(self, cause: Cause, outcome: Outcome | None = None, reason: str | None = None) -> None:
        options = self._options
        if options is None:
            return
        finished = self._connection.is_finished
        self._leave()
        options.ended(RelayEnd(cause, finished, reason, outcome), self._connection)

    def _leave(self) -> None:
        self._options = None
        self._pool.clients -= 1
        self._stop_timers()
        self._drop()
        self._connection.unregister_producer()
        self._connection.owner = UNOWNED

    def _drop(self) -> None:
        """Nothing comes any more of what the client has sent."""
        self._local.clear()
        self._kept.clear()
        for batch in self._outstanding:
            self._pool.withdraw(batch)
        self._outstanding.clear()

    def _stop_timers(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
