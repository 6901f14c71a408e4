"""One connection of the pool: sends what it is given, and finds out whose the replies are."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from proxymux.core.outcome import Outcome
from proxymux.core.slots import Slot
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.errors import BadMessage
from proxymux.net.connection import EARLY, UNOWNED, Connection, explain
from proxymux.pool.batch import Batch

if TYPE_CHECKING:
    from proxymux.pool.pool import Pool


class Upstream:
    """An open slot.

    Replies come in the order of their requests; what comes that nobody waits for, or cannot be a reply, closes it.
    """

    def __init__(self, pool: Pool, slot: Slot, connection: Connection) -> None:
        self.slot = slot
        self.connection: Connection = connection
        self._pool = pool
        self._scanner: Any = pool.codec.replies()
        self._sent: deque[Batch] = deque()
        #: Those of them that are still to be sent.
        self._out: list[Batch] = []
        #: It has answered something.
        self._is_proven = False
        self._timer: Timer | None = None
        self._gap: Any = None
        #: When it was last of use, in seconds.
        self.used_at = pool.timers.seconds()
        self.is_gone = False
        connection.owner = self
        connection.register_producer(self)
        connection.resume()

    # Sending

    def send(self, batch: Batch) -> None:
        """Send a batch, with whatever else is to be sent in this turn."""
        now = batch.sent_at = self._pool.now()
        for hint, count in batch.expected:
            self._scanner.expect(hint, count)
        self._sent.append(batch)
        self._out.append(batch)
        if len(self._out) == 1:
            self._pool.soon(self._flush)  # which may be now
        if self._timer is None:
            self._timer = self._pool.timers.after(self._pool.request_timeout, self._look_at_time)
        self.used_at = now

    def hand_over(self) -> Connection:
        """Give the connection away; the slot is in use until it ends."""
        self._flush()
        self._stop_timers()
        self.connection.unregister_producer()
        self.connection.pause()
        self.connection.owner = EARLY
        return self.connection

    def _flush(self) -> None:
        out, self._out = self._out, []
        if not self.is_gone and out:
            self.connection.send(out[0].data if len(out) == 1 else b"".join([batch.data for batch in out]))

    def pauseProducing(self) -> None:
        self._pool.blocked(self)

    def resumeProducing(self) -> None:
        self._pool.unblocked(self)

    def stopProducing(self) -> None:
        """It is lost, and we are told so."""

    # What the connection tells

    def made(self) -> None: ...
    def secured(self) -> None: ...
    def flushed(self) -> None: ...

    def received(self, data: bytes) -> None:
        if not self._sent:
            self.close("it speaks before it is asked" if self.slot.is_opening else "an unsolicited message")
            return
        if len(self._sent) == 1:
            count = self._scanner.count(data)
            if count is not None:
                self._passed(self._sent[0], data, count)
                return
        problem = None
        try:
            ends = self._scanner.feed(data)
        except BadMessage as error:
            ends, problem = error.finished, error
        if problem is not None:
            self._pool.blocked(self)  # nobody is to have it before it is closed
        start = done = 0
        while done < len(ends):
            batch = self._sent[0]
            count = min(batch.replies, len(ends) - done)
            done += count
            end = ends[done - 1]
            self._passed(batch, data[start:end], count)
            if self.is_gone:
                return
            start = end
        if problem is not None:
            self.close(str(problem))
        elif start < len(data):
            self._passed(self._sent[0], data[start:], 0)
        if self._pool.codec_gap and not self.is_gone:
            self._wait_for_silence()

    def _passed(self, batch: Batch, data: bytes, ended: int) -> None:
        """Pass a part of a batch's replies on, with which ``ended`` of them are whole."""
        if batch.response is not None:
            batch.response.parts.append(data)
        if batch.sender is not None:
            batch.is_begun = True
            batch.sender.reply(batch, data)
        if ended:
            batch.replies -= ended
            if not batch.replies:
                self._done(batch)

    def _done(self, batch: Batch) -> None:
        self._sent.popleft()
        self.used_at = self._pool.now()
        self._is_proven = True
        if batch.response is not None:
            batch.response.succeed()
        if self._scanner.must_close:
            batch.is_last = True  # to the client, too, the end of the connection may be the end of the reply
            self.close("the upstream said that it closes")
            if batch.sender is not None:
                batch.sender.done(batch)
        else:
            self._release(batch)

    def _release(self, batch: Batch) -> None:
        """A batch is done, and the slot free of it."""
        if batch.sequence and self._pool.leasing.waiting:
            # What its client has sent next may have come before what waits.
            if batch.sender is not None:
                batch.sender.done(batch)
            self._pool.released(self)
        else:
            self._pool.released(self)
            if batch.sender is not None:
                batch.sender.done(batch)

    def settle(self, batch: Batch) -> None:
        """A batch that has no replies is done when it is sent."""
        self._sent.remove(batch)
        if batch.response is not None:
            batch.response.succeed()
        self._release(batch)

    def finished(self) -> None:
        if self._sent and self._scanner.finish():
            batch = self._sent[0]
            self._scanner.must_close = True
            self._passed(batch, b"", 1)
        self.close("the upstream closed")

    def lost(self, reason: Exception | None) -> None:
        self._end(explain(reason))

    # Raw replies, whose end only silence can show

    def _wait_for_silence(self) -> None:
        if self._gap is not None:
            self._gap.reset(self._pool.codec_gap)
        elif self._sent:
            self._gap = self._pool.clock.callLater(self._pool.codec_gap, self._silent)

    def settle_in(self, seconds: float) -> None:
        """Wait for that time whether it speaks before it is asked; then it is open."""
        self._gap = self._pool.clock.callLater(seconds, self._settled_in)

    def _settled_in(self) -> None:
        self._gap = None
        self._pool.opened(self)

    def _silent(self) -> None:
        self._gap = None
        self._scanner.silence()
        if self._sent:
            self._passed(self._sent[0], b"", 1)

    # The end

    def _look_at_time(self) -> None:
        self._timer = None
        if not self._sent:
            return
        limit = self._pool.request_timeout
        left = self._sent[0].sent_at + limit - self._pool.timers.seconds()
        if left > ROUNDING:
            self._timer = self._pool.timers.after(left, self._look_at_time)
            return
        late = self._sent.popleft()
        reason = f"no reply within {limit:g} s (--request-timeout)"
        self._pool.fail(late, Outcome.REQUEST_TIMEOUT, reason)
        self.close("a reply is late")

    def close(self, reason: str) -> None:
        """Close it: it is not to be used any more."""
        if self.is_gone:
            return
        # First, so that there is never one connection more than there may be.
        self.connection.unregister_producer()
        self.connection.owner = UNOWNED
        if reason:
            self.connection.abort()
        else:
            self.connection.close()
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self._pool.note_end(self, reason)
        self._stop_timers()
        # One that has never answered anything would have the same batches for ever.
        unsent = [batch for batch in self._out if batch.replies] if self._is_proven else []
        sent = [batch for batch in self._sent if batch not in unsent] if unsent else self._sent
        self._sent, self._out = deque(), []
        for batch in sent:
            self._pool.fail(batch, Outcome.UPSTREAM_ABORTED, reason)
        for batch in reversed(unsent):
            self._pool.unsent(batch)
        self._pool.gone(self)
        for batch in unsent:
            if batch.sender is not None:
                batch.sender.go_on()

    def _stop_timers(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
