"""A service, as a handover needs it."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.admin.counters import Counters
from proxymux.session.registry import SessionRegistry


class MovingService(Protocol):
    """A service whose sessions are moved."""

    @property
    def sessions(self) -> SessionRegistry:
        """The live ones."""

    @property
    def counters(self) -> Counters | None:
        """Count them; None if nobody asks."""

    @property
    def room(self) -> int:
        """How many descriptors of further sessions fit into the limit of the process."""

    @property
    def clock(self) -> IReactorTime:
        """Measures limits."""

    @property
    def log(self) -> Logger:
        """Where it logs."""
