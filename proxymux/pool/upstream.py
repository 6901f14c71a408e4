"""One connection of the pool: sends what it is given, and finds out whose the replies are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from proxymux.core.batch import Batch
from proxymux.core.codecs import Codec
from proxymux.core.outcome import Outcome
from proxymux.core.slots import Slot
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.errors import BadMessage
from proxymux.net.connection import EARLY, UNOWNED, Connection, explain
from proxymux.net.timers import Timers


@dataclass(frozen=True, slots=True)
class UpstreamRules:
    """What all upstreams of a pool have in common.

    :param clock: for what has to be finer than the timers are.
    :param soon: has a function called when what is ready now has been looked at.
    :param request_timeout: seconds until a reply must be whole.
    :param gap: seconds of silence that end a reply whose end cannot be seen, or that show that it says nothing first.
    """

    clock: IReactorTime
    timers: Timers
    codec: Codec
    soon: Callable[[Callable[[], None]], None]
    request_timeout: float
    gap: float


class UpstreamListener(Protocol):
    """Is told what becomes of an upstream and its batches."""

    def opened(self, upstream: Upstream) -> None:
        """It is of use."""

    def blocked(self, upstream: Upstream) -> None:
        """It takes no more for now."""

    def unblocked(self, upstream: Upstream) -> None:
        """It takes more."""

    def released(self, upstream: Upstream, batch: Batch, data: bytes) -> None:
        """A batch on it was wholly answered, with ``data`` as the last part of its replies."""

    def fail(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        """A batch that it had will have no whole reply."""

    def closing(self, upstream: Upstream, reason: str) -> None:
        """It is closed; a reason is why it is of no use any more.  What becomes of its batches is told next."""

    def unsent(self, batch: Batch) -> None:
        """It had a batch, and has sent nothing of it."""

    def gone(self, upstream: Upstream) -> None:
        """It is closed, and has no batches any more."""


class Upstream:
    """An open slot.

    Replies come in the order of their requests; what comes that nobody waits for, or cannot be a reply, closes it.
    """

    def __init__(self, rules: UpstreamRules, listener: UpstreamListener, slot: Slot, connection: Connection) -> None:
        self.slot = slot
        self.connection: Connection = connection
        self._rules = rules
        self._now = rules.timers.seconds
        self._listener = listener
        self._scanner = rules.codec.replies()
        self._sent: deque[Batch] = deque()
        #: Those of them that are still to be sent.
        self._out: list[Batch] = []
        #: It has answered something.
        self._is_proven = False
        self._timer: Timer | None = None
        self._gap: IDelayedCall | None = None
        #: When it was last of use, in the clock's seconds.
        self.used_at = self._now()
        self.is_gone = False
        connection.owner = self
        connection.register_producer(self)
        connection.resume()

    # Sending

    def send(self, batch: Batch) -> None:
        """Send a batch, with whatever else is to be sent in this turn."""
        rules = self._rules
        now = batch.sent_at = self._now()
        for hint, count in batch.expected:
            self._scanner.expect(hint, count)
        self._sent.append(batch)
        self._out.append(batch)
        if len(self._out) == 1:
            rules.soon(self._flush)  # which may be now
        if self._timer is None:
            self._timer = rules.timers.after(rules.request_timeout, self._look_at_time)
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
        self._listener.blocked(self)

    def resumeProducing(self) -> None:
        self._listener.unblocked(self)

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
            if count is not None and count == self._sent[0].replies:
                self._done(self._sent[0], data)  # as most often
                return
            if count is not None:
                self._passed(self._sent[0], data, count)
                return
        problem = None
        try:
            ends = self._scanner.feed(data)
        except BadMessage as error:
            ends, problem = error.finished, error
        if problem is not None:
            self._listener.blocked(self)  # nobody is to have it before it is closed
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
        if self._rules.codec.gap and not self.is_gone:
            self._wait_for_silence()

    def _passed(self, batch: Batch, data: bytes, ended: int) -> None:
        """Pass a part of a batch's replies on, with which ``ended`` of them are whole."""
        if batch.replies == ended:
            self._done(batch, data)
            return
        batch.replies -= ended
        if batch.listener is not None:
            batch.listener.add(data)
        if data and batch.sender is not None:
            batch.sender.reply(batch, data)

    def _done(self, batch: Batch, data: bytes) -> None:
        """A batch has all its replies, of which ``data`` is the last part."""
        self._sent.popleft()
        self.used_at = self._now()
        self._is_proven = True
        batch.replies = 0
        if batch.listener is not None:
            batch.listener.add(data)
            batch.listener.succeed()
        if self._scanner.must_close:
            batch.is_last = True  # to the client, too, the end of the connection may be the end of the reply
            self.close("the upstream said that it closes")
            if batch.sender is not None:
                batch.sender.done(batch, data)
        else:
            self._listener.released(self, batch, data)

    def settle(self, batch: Batch) -> None:
        """A batch that has no replies is done when it is sent."""
        self._sent.remove(batch)
        if batch.listener is not None:
            batch.listener.succeed()
        self._listener.released(self, batch, b"")

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
            self._gap.reset(self._rules.gap)
        elif self._sent:
            self._gap = self._rules.clock.callLater(self._rules.gap, self._silent)

    def settle_in(self) -> None:
        """Wait for the gap whether it speaks before it is asked; then it is open."""
        self._gap = self._rules.clock.callLater(self._rules.gap, self._settled_in)

    def _settled_in(self) -> None:
        self._gap = None
        self._listener.opened(self)

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
        limit = self._rules.request_timeout
        left = self._sent[0].sent_at + limit - self._now()
        if left > ROUNDING:
            self._timer = self._rules.timers.after(left, self._look_at_time)
            return
        late = self._sent.popleft()
        reason = f"no reply within {limit:g} s (--request-timeout)"
        self._listener.fail(late, Outcome.REQUEST_TIMEOUT, reason)
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
        self._listener.closing(self, reason)
        self._stop_timers()
        # One that has never answered anything would have the same batches for ever.
        unsent = [batch for batch in self._out if batch.replies] if self._is_proven else []
        sent = [batch for batch in self._sent if batch not in unsent] if unsent else self._sent
        self._sent, self._out = deque(), []
        for batch in sent:
            self._listener.fail(batch, Outcome.UPSTREAM_ABORTED, reason)
        for batch in reversed(unsent):
            self._listener.unsent(batch)
        self._listener.gone(self)
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
