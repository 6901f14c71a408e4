"""One connection of the pool: sends what it is given, and finds out whose the replies are."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from proxymux.core.leasing import Slot
from proxymux.core.outcome import Outcome
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.errors import BadMessage
from proxymux.interfaces import ILegOwner
from proxymux.net.leg import EARLY, UNOWNED, Leg, explain
from proxymux.net.pool.unit import Unit

if TYPE_CHECKING:
    from proxymux.net.pool.pool import Pool


@implementer(ILegOwner)
class Upstream:
    """An open slot.

    Replies come in the order of their requests; what comes that nobody waits for, or cannot be a reply, closes it.
    """

    def __init__(self, pool: Pool, slot: Slot, leg: Leg) -> None:
        self.slot = slot
        self.leg: Leg = leg
        self._pool = pool
        self._scanner: Any = pool.codec.replies()
        self._sent: deque[Unit] = deque()
        #: Those of them that are still to be sent.
        self._out: list[Unit] = []
        #: It has answered something.
        self._is_proven = False
        self._timer: Timer | None = None
        self._gap: Any = None
        #: When it was last of use, in seconds.
        self.used_at = pool.timers.seconds()
        self.is_gone = False
        leg.owner = self
        leg.guard(self)
        leg.resume()

    # Sending

    def send(self, unit: Unit) -> None:
        """Send a unit, with whatever else is to be sent in this turn."""
        now = unit.sent_at = self._pool.now()
        for hint, count in unit.expected:
            self._scanner.expect(hint, count)
        self._sent.append(unit)
        self._out.append(unit)
        if len(self._out) == 1:
            self._pool.soon(self._flush)  # which may be now
        if self._timer is None:
            self._timer = self._pool.timers.after(self._pool.request_timeout, self._look_at_time)
        self.used_at = now

    def hand_over(self) -> Leg:
        """Give the connection away; the slot is in use until it ends."""
        self._flush()
        self._stop_timers()
        self.leg.unguard()
        self.leg.pause()
        self.leg.owner = EARLY
        return self.leg

    def _flush(self) -> None:
        out, self._out = self._out, []
        if not self.is_gone and out:
            self.leg.send(out[0].data if len(out) == 1 else b"".join([unit.data for unit in out]))

    def pauseProducing(self) -> None:
        self._pool.blocked(self)

    def resumeProducing(self) -> None:
        self._pool.unblocked(self)

    def stopProducing(self) -> None:
        """It is lost, and we are told so."""

    # What the leg tells

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
            unit = self._sent[0]
            count = min(unit.replies, len(ends) - done)
            done += count
            end = ends[done - 1]
            self._passed(unit, data[start:end], count)
            if self.is_gone:
                return
            start = end
        if problem is not None:
            self.close(str(problem))
        elif start < len(data):
            self._passed(self._sent[0], data[start:], 0)
        if self._pool.codec_gap and not self.is_gone:
            self._wait_for_silence()

    def _passed(self, unit: Unit, data: bytes, ended: int) -> None:
        """Pass a part of a unit's replies on, with which ``ended`` of them are whole."""
        if unit.response is not None:
            unit.response.parts.append(data)
        if unit.sender is not None:
            unit.is_begun = True
            unit.sender.reply(unit, data)
        if ended:
            unit.replies -= ended
            if not unit.replies:
                self._done(unit)

    def _done(self, unit: Unit) -> None:
        self._sent.popleft()
        self.used_at = self._pool.now()
        self._is_proven = True
        if unit.response is not None:
            unit.response.succeed()
        if self._scanner.must_close:
            unit.is_last = True  # to the client, too, the end of the connection may be the end of the reply
            self.close("the upstream said that it closes")
            if unit.sender is not None:
                unit.sender.done(unit)
        else:
            self._release(unit)

    def _release(self, unit: Unit) -> None:
        """A unit is done, and the slot free of it."""
        if unit.ticket and self._pool.leasing.waiting:
            # What its client has sent next may have come before what waits.
            if unit.sender is not None:
                unit.sender.done(unit)
            self._pool.released(self)
        else:
            self._pool.released(self)
            if unit.sender is not None:
                unit.sender.done(unit)

    def settle(self, unit: Unit) -> None:
        """A unit that has no replies is done when it is sent."""
        self._sent.remove(unit)
        if unit.response is not None:
            unit.response.succeed()
        self._release(unit)

    def finished(self) -> None:
        if self._sent and self._scanner.finish():
            unit = self._sent[0]
            self._scanner.must_close = True
            self._passed(unit, b"", 1)
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
        self.leg.unguard()
        self.leg.owner = UNOWNED
        if reason:
            self.leg.abort()
        else:
            self.leg.close()
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self._pool.note_end(self, reason)
        self._stop_timers()
        # One that has never answered anything would have the same units for ever.
        unsent = [unit for unit in self._out if unit.replies] if self._is_proven else []
        sent = [unit for unit in self._sent if unit not in unsent] if unsent else self._sent
        self._sent, self._out = deque(), []
        for unit in sent:
            self._pool.fail(unit, Outcome.UPSTREAM_ABORTED, reason)
        for unit in reversed(unsent):
            self._pool.unsent(unit)
        self._pool.gone(self)
        for unit in unsent:
            if unit.sender is not None:
                unit.sender.go_on()

    def _stop_timers(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
