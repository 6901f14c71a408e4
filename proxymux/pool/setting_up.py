"""Puts an upstream into the setup that its next batch needs: by requests of our own, whose replies go to no client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from proxymux.core.batch import Batch, ReplyListener
from proxymux.core.outcome import Outcome
from proxymux.core.setup import EXAMINED, Change, Preamble, Setup, Setups, settled


class SetupListener(Protocol):
    """Sends what is needed.  The upstream implements it."""

    #: The setup that the next batch will find; an unsettled Change while that depends on a reply.
    setup: Setup

    def send(self, batch: Batch) -> None:
        """Send ``batch`` behind those that were sent before."""

    def close(self, reason: str) -> None:
        """Close the upstream, as it refuses what has to be."""


class SettingUp:
    """Keeps one upstream in the setups that its batches need.

    :param listener: the upstream.
    """

    __slots__ = ("_known", "_listener", "_setups")

    def __init__(self, setups: Setups, listener: SetupListener) -> None:
        self._setups = setups
        self._listener = listener
        #: The setup that the replies so far have shown.
        self._known: Setup = None

    def open(self, done: Callable[[], None]) -> None:
        """Send what a new connection needs first, if anything, and call ``done`` when all of it is accepted."""
        preambles = self._setups.opening()
        for place, preamble in enumerate(preambles, 1):
            self._send(preamble, done if place == len(preambles) else _nothing)
        if not preambles:
            done()

    def before(self, batch: Batch) -> None:
        """Have the upstream in the setup of ``batch``, which is sent next; or note that the batch changes the setup."""
        setup = batch.setup = settled(batch.setup)
        if isinstance(setup, Change):
            batch.listener = _ChangeListener(self, setup, _listener_of(batch))
            self._listener.setup = setup
        elif setup is not self._listener.setup:
            self.enter(setup, _nothing)

    def enter(self, setup: Setup, done: Callable[[], None], failed: Callable[[str], None] | None = None) -> None:
        """Put the upstream into ``setup``, and call ``done`` when it has accepted that.

        :param failed: called with the reason if the upstream is gone before.
        """
        self._listener.setup = setup

        def entered() -> None:
            self._known = setup
            done()

        # A server that has no other setup may not know the command for this one either.
        self._send(self._setups.switch(setup), entered, failed, lambda: self._known is setup)

    def _send(
        self,
        preamble: Preamble,
        done: Callable[[], None],
        failed: Callable[[str], None] | None = None,
        may_fail: Callable[[], bool] = lambda: False,
    ) -> None:
        batch = Batch(preamble.data, [(None, 1)], 1)

        def replied(reply: bytes) -> None:
            problem = self._setups.problem(reply)
            if problem is None or may_fail():
                done()
                return
            reason = f"the server refuses {preamble.purpose}: {problem}"
            self._listener.close(reason)
            if failed is not None:
                failed(reason)

        batch.listener = PreambleListener(replied, failed)
        batch.setup = self._listener.setup
        self._listener.send(batch)

    def changed(self, change: Change, reply: bytes) -> None:
        """Take note of the reply to a client's own request for another setup."""
        is_refused = self._setups.problem(reply) is not None
        change.settle(is_refused)
        if not is_refused:
            self._known = change.result
        if self._listener.setup is change:
            self._listener.setup = self._known


class PreambleListener:
    """Reads the reply to a preamble.  A batch with such a listener is our own, and no client's.

    :param replied: called with the beginning of the reply, when it is complete.
    :param failed: called with the reason if the reply will not come.
    """

    __slots__ = ("_failed", "_replied", "_reply")

    def __init__(self, replied: Callable[[bytes], None], failed: Callable[[str], None] | None) -> None:
        self._replied = replied
        self._failed = failed
        self._reply = b""

    def add(self, data: bytes) -> None:
        self._reply += data[: EXAMINED - len(self._reply)]

    def succeed(self) -> None:
        self._replied(self._reply)

    def fail(self, outcome: Outcome, reason: str) -> None:
        if self._failed is not None:
            self._failed(reason)


class _ChangeListener:
    """Reads the reply to a client's request for another setup, beside the listener that the batch has otherwise."""

    __slots__ = ("_change", "_reply", "_setting_up", "other")

    def __init__(self, setting_up: SettingUp, change: Change, other: ReplyListener | None) -> None:
        self._setting_up = setting_up
        self._change = change
        self.other = other
        self._reply = b""

    def add(self, data: bytes) -> None:
        self._reply += data[: EXAMINED - len(self._reply)]
        if self.other is not None:
            self.other.add(data)

    def succeed(self) -> None:
        self._setting_up.changed(self._change, self._reply)
        if self.other is not None:
            self.other.succeed()

    def fail(self, outcome: Outcome, reason: str) -> None:
        if self.other is not None:
            self.other.fail(outcome, reason)


def _listener_of(batch: Batch) -> ReplyListener | None:
    """Return the listener of a batch, without the one of an upstream that closed before the batch was sent."""
    return batch.listener.other if isinstance(batch.listener, _ChangeListener) else batch.listener


def _nothing() -> None:
    """Nothing waits for this reply."""
