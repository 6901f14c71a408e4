"""Opening the slots of a pool: one connect for each, which nobody but the pool waits for."""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

from proxymux.core.commands import ConnectFailure
from proxymux.core.decision import Forward
from proxymux.core.events import Events
from proxymux.core.identity import Client
from proxymux.core.slots import Slot
from proxymux.core.target import Target
from proxymux.net.connection import Connection
from proxymux.net.connector import Connecting, Connector

_NOBODY = Client(("", 0), ("", 0))


class SlotListener(Protocol):
    """Is told what becomes of slots that are being opened."""

    def connected(self, slot: Slot, connection: Connection) -> None:
        """A slot has its connection."""

    def not_connected(self, slot: Slot) -> None:
        """A slot has none."""


class Openings:
    """The slots that are being opened.

    :param connector: connects.
    :param listener: is told what becomes of them.
    """

    def __init__(self, connector: Connector, listener: SlotListener, events: Events, log: Logger) -> None:
        self._connector = connector
        self._listener = listener
        self._events = events
        self._log = log
        self._connecting: dict[Slot, Connecting] = {}

    def open(self, slot: Slot) -> None:
        """Connect a slot."""
        forward = Forward(slot.target, retries=0)
        connecting = self._connector.connect(forward, _NOBODY, _SlotConnect(self, slot))
        self._connecting[slot] = connecting
        connecting.start()

    def cancel(self) -> list[Slot]:
        """Give up all; nobody is told.

        :returns: the slots that have no connection now.
        """
        slots = list(self._connecting)
        for connecting in self._connecting.values():
            connecting.cancel()
        self._connecting.clear()
        return slots

    # What a slot's connect tells

    def attempt_failed(self, target: Target, reason: str) -> None:
        """A target could not be connected to."""
        self._events.emit("connect_failed", self._log, str(target), reason)

    def connected(self, slot: Slot, connection: Connection) -> None:
        """There is a connection."""
        del self._connecting[slot]
        self._listener.connected(slot, connection)

    def gave_up(self, slot: Slot, failure: ConnectFailure) -> None:
        """There will be none."""
        self._connecting.pop(slot, None)
        self._log.warn("upstream {number}: {reason}", number=slot.number, reason=failure.reason)
        self._listener.not_connected(slot)


class _SlotConnect:
    """Wants a connection for a slot."""

    def __init__(self, openings: Openings, slot: Slot) -> None:
        self._openings = openings
        self._slot = slot

    def trying(self, target: Target) -> None: ...

    def attempt_failed(self, target: Target, reason: str) -> None:
        self._openings.attempt_failed(target, reason)

    def connected(self, connection: Connection) -> None:
        self._openings.connected(self._slot, connection)

    def gave_up(self, failure: ConnectFailure) -> None:
        self._openings.gave_up(self._slot, failure)
