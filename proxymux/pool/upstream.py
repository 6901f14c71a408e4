"""One shared connection of the pool: sends batches, and divides what comes back into their replies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from mypy_extensions import mypyc_attr
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from proxymux.core.batch import Batch
from proxymux.core.codecs import Codec, remaining
from proxymux.core.outcome import Outcome
from proxymux.core.repeating import choose_repeated
from proxymux.core.setup import Setup, settled
from proxymux.core.slots import Slot
from proxymux.core.wheel import ROUNDING, Timer
from proxymux.errors import BadMessage
from proxymux.net.connection import EARLY, UNOWNED, Connection
from proxymux.net.timers import Timers
from proxymux.net.wording import explain
from proxymux.pool.setting_up import PreambleListener, SettingUp

#: The most bytes of a reply that are read and dropped after its client has left; if more are to come, the upstream is
#: closed.
MOST_DROPPED: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class UpstreamRules:
    """What all upstreams of a pool have in common.

    :param clock: times the gap; ``timers`` are too coarse for that.
    :param soon: calls a function after the sockets that are ready now have been handled, or at once.
    :param request_timeout: seconds from sending a batch until all its replies must have come.
    :param gap: seconds of silence that end a reply whose codec finds no end in the bytes; also how long a new upstream
        is watched for a greeting, with codecs that are ``silent_first``.
    :param repeats: batches that may be carried out twice are sent once more if an upstream closes without a reply.
    :param fence: sent after a batch that ends with a request without a reply, whose client's next request may go to
        another upstream: the batch is done when this has been answered.  Empty is none.
    """

    clock: IReactorTime
    timers: Timers
    codec: Codec
    soon: Callable[[Callable[[], None]], None]
    request_timeout: float
    gap: float
    repeats: bool
    fence: bytes


class UpstreamListener(Protocol):
    """Is told of the events of an upstream and its batches.  The pool implements it."""

    def opened(self, upstream: Upstream) -> None:
        """The upstream is ready for its first batch."""

    def blocked(self, upstream: Upstream) -> None:
        """The upstream must get no more batches for now: its output is full, or it is about to be closed."""

    def unblocked(self, upstream: Upstream) -> None:
        """The output of the upstream has drained; it may get batches again."""

    def released(self, upstream: Upstream, batch: Batch, data: bytes) -> None:
        """All replies to ``batch`` have come.

        :param data: the last part of the replies; the listener passes it to the batch's sender.
        """

    def answered(self, upstream: Upstream) -> None:
        """A batch was answered, the first one since :attr:`Upstream.is_proven` was false."""

    def broke(self, upstream: Upstream, reason: str) -> None:
        """The upstream has failed requests that it has; it is closed next.

        :param reason: why, in one line.
        """

    def fail(self, batch: Batch, outcome: Outcome, reason: str) -> None:
        """The replies to ``batch``, which was on this upstream, will not come completely."""

    def closing(self, upstream: Upstream, reason: str) -> None:
        """The upstream is being closed; its batches are reported next.

        :param reason: why, in one line; empty for one that is closed because it is idle or the pool stops.
        """

    def unsent(self, batch: Batch) -> None:
        """``batch`` was on this upstream and may go to another: no byte of it was sent, or it is repeated."""

    def gone(self, upstream: Upstream) -> None:
        """The upstream is closed, and all its batches have been reported."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Upstream:
    """The connection of an open slot.

    Replies come in the order of the requests.  Bytes that no request is waiting for, or that cannot be a reply, close
    the connection.
    """

    def __init__(self, rules: UpstreamRules, listener: UpstreamListener, slot: Slot, connection: Connection) -> None:
        self.slot = slot
        self.connection: Connection = connection
        self._rules = rules
        self._now = rules.timers.seconds
        self._listener = listener
        self._scanner = rules.codec.replies()
        #: The setup that the next batch finds.
        self.setup: Setup = None
        setups = rules.codec.setups
        self._setting_up = None if setups is None else SettingUp(setups, self)
        #: Batches that were given to this upstream and are not completely answered, in their order.
        self._outstanding: deque[Batch] = deque()
        #: Those of them whose bytes are not yet passed to the connection, see :meth:`_flush`.
        self._unflushed: list[Batch] = []
        #: Batches that are done once this upstream is gone: the replies to their fences will not come.
        self._unfenced: list[Batch] = []
        #: At least one batch was answered completely.
        self._has_answered = False
        #: The same, and since the listener has last set this to False.
        self.is_proven = False
        #: The batch whose client has left while its replies came, and how many bytes of them were dropped since.
        self._unwanted: Batch | None = None
        self._dropped = 0
        self._timer: Timer | None = None
        self._gap_call: IDelayedCall | None = None
        #: When a batch was last sent or bytes came, in the clock's seconds.
        self.used_at = self._now()
        self.is_gone = False
        connection.owner = self
        connection.register_producer(self)
        connection.resume()

    def begin(self) -> None:
        """Have the upstream reported as opened: at once, after the gap of silence, or when the login is accepted."""
        if self._setting_up is not None:
            self._setting_up.open(lambda: self._listener.opened(self))
        elif self._rules.codec.silent_first:
            # Bytes that come before the gap has passed, a greeting, close it instead.
            self._gap_call = self._rules.clock.callLater(self._rules.gap, self._stayed_silent)
        else:
            self._listener.opened(self)

    # Sending

    def send(self, batch: Batch) -> None:
        """Send ``batch``, in one write with the other batches of this turn; before it what puts us into its setup."""
        if batch.setup is not self.setup:
            assert self._setting_up is not None
            self._setting_up.before(batch)
        rules = self._rules
        now = batch.sent_at = self._now()
        for hint, count in batch.expected:
            self._scanner.expect(hint, count)
        self._outstanding.append(batch)
        self._unflushed.append(batch)
        if len(self._unflushed) == 1:
            rules.soon(self._flush)  # may call it before it returns
        if self._timer is None:
            self._timer = rules.timers.after(rules.request_timeout, self._check_request_timeout)
        self.used_at = now
        if batch.ends_silent and rules.fence:
            self._send_fence(batch)

    def _send_fence(self, batch: Batch) -> None:
        """Have ``batch`` done when the server has carried out the requests at its end, which have no replies."""
        fence = Batch(self._rules.fence, [(None, 1)], 1)
        fence.setup = self.setup
        fence.listener = PreambleListener(
            lambda _: self._listener.released(self, batch, b""), lambda _: self._unfenced.append(batch)
        )
        self.send(fence)

    def prepare(self, batch: Batch) -> None:
        """Give this upstream to the sender of ``batch``, which wants it alone, once it is in the batch's setup.

        The upstream must have nothing outstanding.
        """
        setup = settled(batch.setup)
        if setup is self.setup:
            self._give(batch)
        else:
            assert self._setting_up is not None
            self._setting_up.enter(
                setup,
                lambda: self._give(batch),
                lambda reason: self._listener.fail(batch, Outcome.UPSTREAM_ABORTED, reason),
            )

    def _give(self, batch: Batch) -> None:
        if batch.sender is not None:
            batch.sender.given(batch)

    def hand_over(self) -> Connection:
        """Give the connection away to one client; this upstream does not use it any more."""
        self._flush()
        self._stop_timers()
        self.connection.unregister_producer()
        self.connection.pause()
        self.connection.owner = EARLY
        return self.connection

    def _flush(self) -> None:
        out, self._unflushed = self._unflushed, []
        if not self.is_gone and out:
            self.connection.send(out[0].data if len(out) == 1 else b"".join([batch.data for batch in out]))

    def pauseProducing(self) -> None:
        self._listener.blocked(self)

    def resumeProducing(self) -> None:
        self._listener.unblocked(self)

    def stopProducing(self) -> None:
        """Nothing to do: the connection also calls :meth:`lost`."""

    # Called by the connection

    def made(self) -> None: ...
    def secured(self) -> None: ...
    def flushed(self) -> None: ...

    def received(self, data: bytes) -> None:
        if not self._outstanding:
            self.close("it speaks before it is asked" if self.slot.is_opening else "an unsolicited message")
            return
        self.used_at = self._now()
        if len(self._outstanding) == 1 and self._outstanding[0].woven is None:
            count = self._scanner.count(data)
            if count is not None and count == self._outstanding[0].replies:
                self._complete(self._outstanding[0], data)  # the usual case
                return
            if count is not None:
                self._pass_on(self._outstanding[0], data, count)
                return
        problem = None
        try:
            ends = self._scanner.feed(data)
        except BadMessage as error:
            ends, problem = error.finished, error
        if problem is not None:
            self._listener.blocked(self)  # the replies below free the slot; it must get no new batch
        start = done = 0
        while done < len(ends):
            batch = self._outstanding[0]
            count = min(batch.replies, len(ends) - done)
            if batch.woven is not None:
                batch.ends = [end - start for end in ends[done : done + count]]
            done += count
            end = ends[done - 1]
            if count == batch.replies:
                self._complete(batch, data[start:end])
            else:
                self._pass_on(batch, data[start:end], count)
            if self.is_gone:
                return
            start = end
        if problem is not None:
            self._break(str(problem))
        elif start < len(data):
            self._outstanding[0].ends = ()
            self._pass_on(self._outstanding[0], data[start:], 0)
        if self._rules.codec.gap and not self.is_gone:
            self._wait_for_silence()

    def _pass_on(self, batch: Batch, data: bytes, ended: int) -> None:
        """Pass a part of the replies to ``batch`` on to its sender.

        :param ended: the number of replies that end in ``data``.
        """
        if batch.replies == ended:
            self._complete(batch, data)
            return
        batch.replies -= ended
        if batch.listener is not None:
            batch.listener.add(data)
        if batch.sender is None:
            self._drop(batch, len(data))
        elif data:
            batch.sender.reply(batch, data)

    def _complete(self, batch: Batch, data: bytes) -> None:
        """Report ``batch`` as answered; ``data`` is the last part of its replies."""
        self._outstanding.popleft()
        batch.replies = 0
        if batch.listener is not None:
            batch.listener.add(data)
            batch.listener.succeed()
            if isinstance(batch.listener, PreambleListener):
                return
        if not self.is_proven:
            self.is_proven = self._has_answered = True
            self._listener.answered(self)
        if self._scanner.must_close:
            batch.is_last = True  # the client's connection has to end too: that may be what marks the end of the reply
            self.close("the upstream said that it closes", True)
            if batch.sender is not None:
                batch.sender.done(batch, data)
        elif batch.ends_silent and self._rules.fence:
            if batch.sender is not None and data:
                batch.sender.reply(batch, data)
        else:
            self._listener.released(self, batch, data)

    def give_up(self, batch: Batch) -> None:
        """Take note that nobody wants the replies to ``batch``, which is on this upstream, any more."""
        if self.is_gone:
            return
        if self._rules.codec.gap:
            self.close("the client left, and its reply could be taken for another's")
        elif self._outstanding and self._outstanding[0] is batch:
            self._drop(batch, 0)

    def _drop(self, batch: Batch, size: int) -> None:
        """Drop bytes of replies that nobody wants, and close the upstream if too many are still to come.

        One that has batches of others, too, is closed only if their replies might never come: a close would fail them.
        """
        if batch is not self._unwanted:
            self._unwanted, self._dropped = batch, 0
        self._dropped += size
        rest = remaining(self._scanner)
        if rest is not None and (
            max(rest, self._dropped) <= MOST_DROPPED or any(each.sender is not None for each in self._outstanding)
        ):
            return
        self.close("the client left before its reply was over", True)

    def complete_silent(self, batch: Batch) -> None:
        """Report ``batch``, whose requests have no replies, as answered; called after :meth:`send`.

        If there is a fence its reply does.
        """
        self._outstanding.remove(batch)
        if batch.listener is not None:
            batch.listener.succeed()
        if not self._rules.fence:
            self._listener.released(self, batch, b"")

    def finished(self) -> None:
        self.used_at = self._now()
        if self._outstanding and self._scanner.finish():
            batch = self._outstanding[0]
            self._scanner.must_close = True
            batch.ends = (0,)
            self._pass_on(batch, b"", 1)
        if self._outstanding:
            self._break("the upstream closed", True)
        else:
            self.close("the upstream closed", True)

    def lost(self, reason: Exception | None) -> None:
        if self._outstanding:
            self._listener.broke(self, explain(reason))
        self._end(explain(reason), True)

    # Silence, which ends the replies of codecs that find no end in the bytes

    def _wait_for_silence(self) -> None:
        if self._gap_call is not None:
            self._gap_call.reset(self._rules.gap)
        elif self._outstanding:
            self._gap_call = self._rules.clock.callLater(self._rules.gap, self._gap_passed)

    def _stayed_silent(self) -> None:
        self._gap_call = None
        self._listener.opened(self)

    def _gap_passed(self) -> None:
        self._gap_call = None
        self.used_at = self._now()
        self._scanner.silence()
        if self._outstanding:
            self._pass_on(self._outstanding[0], b"", 1)

    # The end

    def _check_request_timeout(self) -> None:
        self._timer = None
        if not self._outstanding:
            return
        limit = self._rules.request_timeout
        left = self._outstanding[0].sent_at + limit - self._now()
        if left > ROUNDING:
            self._timer = self._rules.timers.after(left, self._check_request_timeout)
            return
        late = self._outstanding.popleft()
        reason = f"no reply within {limit:g} s (--request-timeout)"
        self._listener.blocked(self)  # likewise
        self._listener.fail(late, Outcome.REQUEST_TIMEOUT, reason)
        self._break("a reply is late")

    def _break(self, reason: str, repeats: bool = False) -> None:
        """Close the connection as :meth:`close` does, since the target has failed requests."""
        self._listener.broke(self, reason)
        self.close(reason, repeats)

    def close(self, reason: str, repeats: bool = False) -> None:
        """Close the connection and report all its batches.

        :param reason: why, in one line; with a reason the connection is reset, without (idle, stopped) closed normally.
        :param repeats: batches to which nothing has come may be sent once more.
        """
        if self.is_gone:
            return
        if not reason and not self._outstanding:
            self._flush()  # batches without a reply are answered before they are sent
            if self.is_gone:
                return
        # Closed before it is reported: the slot may be opened again at once, and must not have two connections.
        self.connection.unregister_producer()
        self.connection.owner = UNOWNED
        if reason:
            self.connection.abort()
        else:
            self.connection.close()
        self._end(reason, repeats)

    def _end(self, reason: str, repeats: bool) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        self._listener.blocked(self)  # a client that is told of a failure below may have more for this slot
        self._listener.closing(self, reason)
        self._stop_timers()
        # Unsent batches are only requeued if this upstream has ever answered; a broken one would get them for ever.
        # Those of our own are not needed any more.
        again = set(filter(_is_clients, self._unflushed)) if self._has_answered else set()
        if repeats and self._rules.repeats:
            again |= choose_repeated(self._outstanding, again, self._rules.codec)
        outstanding, self._outstanding, self._unflushed = self._outstanding, deque(), []
        for batch in outstanding:
            if batch not in again:
                self._listener.fail(batch, Outcome.UPSTREAM_ABORTED, reason)
        returned = [batch for batch in outstanding if batch in again] if again else []
        for batch in reversed(returned):
            self._listener.unsent(batch)
        self._listener.gone(self)
        for batch in self._unfenced:
            # One that has failed, or is returned, has replies to come.
            if batch.sender is not None and not batch.replies:
                batch.sender.done(batch, b"")
        for batch in returned:
            if batch.sender is not None:
                batch.sender.go_on()

    def _stop_timers(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._gap_call is not None:
            self._gap_call.cancel()
            self._gap_call = None


def _is_clients(batch: Batch) -> bool:
    """True for a batch that has replies and is a client's, not a preamble of our own."""
    return bool(batch.replies) and not isinstance(batch.listener, PreambleListener)
