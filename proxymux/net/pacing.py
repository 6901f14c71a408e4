"""Flows that keep to a rate, of whatever kinds their connections are.

What has been read and may not pass yet is held, and no more is read meanwhile; a timer lets the next bytes pass.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall

from proxymux.core.pacing import LONGEST_PAUSE, Pacer
from proxymux.core.wheel import TICK, Timer
from proxymux.net.connection import Connection
from proxymux.net.exchange import Flow
from proxymux.net.timers import Timers


class PacedFlow(Flow):
    """A flow whose bytes pass at a limited rate.

    The ends of its connection wait until what came before them has passed.  A reset by the client does not, unless it
    had finished: what it sent is not delivered then, as with other flows.

    :param is_patient: what came before a reset is delivered first.
    :param rate: bytes a second, or None.
    """

    __slots__ = (
        "_done",
        "_held",
        "_is_finishing",
        "_is_full",
        "_is_losing",
        "_is_patient",
        "_loss",
        "_pacer",
        "_timer",
        "_timers",
    )

    def __init__(
        self, connection: Connection, sink: Connection, timers: Timers, rate: int | None, is_patient: bool
    ) -> None:
        super().__init__(connection, sink)
        self._timers = timers
        self._pacer = Pacer(rate, timers.seconds())
        self._is_patient = is_patient
        #: What may not pass yet, behind the bytes of it that have passed.
        self._held = b""
        self._done = 0
        #: The other connection has too much to send.
        self._is_full = False
        #: The connection's FIN or its loss waits for what is held.
        self._is_finishing = self._is_losing = False
        self._loss: Exception | None = None
        self._timer: Timer | IDelayedCall | None = None

    def replay(self, data: bytes) -> None:
        # Its bytes have been counted when they came; until they have passed they are taken off again.
        self.count -= len(data)
        self._hold(data)
        self._let_pass()

    def go(self) -> None:
        self._read_on()

    def leave(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._held = b""
        self._done = 0
        super().leave()

    # Called by the connection

    def received(self, data: bytes) -> None:
        self._hold(data)
        if self._timer is None:
            self._let_pass()

    def finished(self) -> None:
        if self._held:
            self._is_finishing = True
        else:
            super().finished()

    def lost(self, reason: Exception | None) -> None:
        if self._held and (self._is_patient or self.connection.is_finished):
            self._is_losing, self._loss = True, reason
            self.sink.pause()  # what it still sends has nowhere to go
        else:
            super().lost(reason)

    # Called by the sink, whose producer the flow is

    def pauseProducing(self) -> None:
        self._is_full = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._is_full = False
        self._read_on()

    # Passing

    def _hold(self, data: bytes) -> None:
        self._held = self._held[self._done :] + data if self._held else data
        self._done = 0

    def _let_pass(self) -> None:
        """Pass on what may pass now, and set the timer if bytes are left."""
        assert self.exchange is not None
        left = len(self._held) - self._done
        count = self._pacer.take(left, self.exchange.seconds())
        piece = self._held if count == len(self._held) else self._held[self._done : self._done + count]
        self._done += count
        if count < left:
            self.connection.pause()
            self._wait()
        else:
            self._held = b""
            self._done = 0
        if piece:
            super().received(piece)

    def _wait(self) -> None:
        pause = self._pacer.pause
        if pause < LONGEST_PAUSE:
            self._timer = self._timers.exactly_after(pause, self._waited)
        else:
            # All that wait for one tick cost one call.  Half a tick, as the wheel is late by up to a whole one.
            self._timer = self._timers.after(TICK / 2, self._waited)

    def _waited(self) -> None:
        self._timer = None
        self._let_pass()
        if not self._held and self.exchange is not None:
            self._go_on()

    def _go_on(self) -> None:
        """Do what has waited for the last byte to pass."""
        if self._is_finishing:
            self._is_finishing = False
            super().finished()
        if self._is_losing and self.exchange is not None:
            self._is_losing = False
            super().lost(self._loss)
        elif self.exchange is not None:
            self._read_on()

    def _read_on(self) -> None:
        if not self._held and not self._is_full and not self.sink.is_lost:
            super().resumeProducing()
