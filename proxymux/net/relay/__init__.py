"""Relays: what carries the bytes once a client and its upstream are joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from proxymux.core.states import RelayEnd
from proxymux.net.leg import Leg


@dataclass(slots=True)
class Opening:
    """How an exchange begins, and its limits.

    :param data: sent upstream first.
    :param client_finished: the client has already sent FIN.
    :param first_byte_timeout: seconds from now to the upstream's first byte, or None.
    :param idle_timeout: seconds without a byte either way, or None.
    :param ended: called once, when the exchange is over, with the client's leg, which nobody owns then.
    """

    data: bytes
    client_finished: bool
    first_byte_timeout: float | None
    idle_timeout: float | None
    ended: Callable[[RelayEnd, Leg], None]
