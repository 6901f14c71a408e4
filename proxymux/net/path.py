"""The path that every client takes: what the services differ in, and what a service's sessions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.core.admission import Admission
from proxymux.core.events import Events
from proxymux.net.connector import Connector
from proxymux.net.timers import Timers


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session may take.  Times are in seconds, sizes in bytes; None is off."""

    decide_timeout: float = 30.0
    max_buffer: int = 65536
    idle_timeout: float | None = None


@dataclass(slots=True)
class Path:
    """The choices that make a service.

    :param service: its name in the access log.
    :param clock: measures.
    :param timers: wait.
    :param wall: seconds since the epoch.
    :param decider: an :class:`~proxymux.interfaces.IDecider`; a reload puts another in its place.
    :param relay: an :class:`~proxymux.interfaces.IRelay`.
    """

    service: str
    clock: IReactorTime
    timers: Timers
    wall: Callable[[], float]
    decider: Any
    connector: Connector
    relay: Any
    admission: Admission
    limits: Limits
    events: Events
    log: Logger
