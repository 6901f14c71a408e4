"""Opens the slots of a pool that clients share: one connect for each slot, on behalf of no single client."""

from __future__ import annotations

from typing import Protocol

from twisted.logger import Logger

from proxymux.core.commands import ConnectFailure
from proxymux.core.events import Events
from proxymux.core.identity import Client
from proxymux.core.outcome import ConnectFault
from proxymux.core.slots import Slot
from proxymux.core.target import Target
from proxymux.net.connecting import Connecting
from proxymux.net.connection import Connection
from proxymux.net.connector import Connector

#: The connector wants a client; a shared upstream has none.
_NO_CLIENT = Client(("", 0), ("", 0))


class SlotListener(Protocol):
    """Is told how the opening of slots ended.  The pool implements it."""

    def connected(self, slot: Slot, connection: Connection) -> None:
        """The slot is connected; the listener owns ``connection`` from now on."""

    def attempt_failed(self, fault: ConnectFault) -> None:
        """An attempt to connect a slot has failed."""

    def not_connected(self, slot: Slot, reason: str) -> None:
        """The target of the slot could not be connected to; ``reason`` is one line."""


class Openings:
    """The connects that are under way, by slot.

    :param connector: connects to the slots' targets.
    :param listener: is told how each connect ended.
    """

    def __init__(self, connector: Connector, listener: SlotListener, events: Events, log: Logger) -> None:
        self._connector = connector
        self._listener = listener
        self._events = events
        self._log = log
        self._connecting: dict[Slot, Connecting] = {}

    def open(self, slot: Slot) -> None:
        """Begin to connect to the target of ``slot``, with one attempt."""
        connecting = self._connector.connect(slot.forward, _NO_CLIENT, _SlotConnect(self, slot))
        self._connecting[slot] = connecting
        connecting.start()

    def cancel(self, slot: Slot) -> bool:
        """Cancel the connect of ``slot``; the listener is not told.

        :returns: False if there is none.
        """
        connecting = self._connecting.pop(slot, None)
        if connecting is not None:
            connecting.cancel()
        return connecting is not None

    def cancel_all(self) -> list[Slot]:
        """Cancel all connects; the listener is not told.

        :returns: the slots that were being opened.
        """
        slots = list(self._connecting)
        for connecting in self._connecting.values():
            connecting.cancel()
        self._connecting.clear()
        return slots

    # Called by _SlotConnect

    def attempt_failed(self, target: Target, reason: str, fault: ConnectFault) -> None:
        """Tell of one attempt that failed: the listener, and those of the event ``connect_failed``."""
        self._listener.attempt_failed(fault)
        self._events.emit("connect_failed", self._log, str(target), reason)

    def connected(self, slot: Slot, connection: Connection) -> None:
        """Pass the connection of ``slot`` to the listener."""
        del self._connecting[slot]
        self._log.debug("upstream {number}: connected to {target}", number=slot.number, target=slot.target)
        self._listener.connected(slot, connection)

    def gave_up(self, slot: Slot, failure: ConnectFailure) -> None:
        """Log the failure, and tell the listener that ``slot`` has no connection."""
        self._connecting.pop(slot, None)
        self._log.warn("upstream {number}: {reason}", number=slot.number, reason=failure.reason)
        self._listener.not_connected(slot, failure.reason)


class _SlotConnect:
    """The listener of one slot's connect: adds the slot to what it is told."""

    def __init__(self, openings: Openings, slot: Slot) -> None:
        self._openings = openings
        self._slot = slot

    def trying(self, target: Target) -> None: ...

    def attempt_failed(self, target: Target, reason: str, fault: ConnectFault) -> None:
        self._openings.attempt_failed(target, reason, fault)

    def connected(self, connection: Connection) -> None:
        self._openings.connected(self._slot, connection)

    def gave_up(self, failure: ConnectFailure) -> None:
        self._openings.gave_up(self._slot, failure)
