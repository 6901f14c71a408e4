"""Deciding where nothing is to be decided: every client of a pool has the same upstreams."""

from __future__ import annotations

from zope.interface import implementer

from proxymux.core.decision import Decision
from proxymux.core.identity import Client
from proxymux.interfaces import IDecider


@implementer(IDecider)
class FixedDecider:
    """Decides the same for every client, before it has sent a byte.

    :param name: what logs and the process title call it.
    :param decision: what it decides.
    """

    greets = True
    undecided_reply = None
    place = "pool"

    def __init__(self, name: str, decision: Decision) -> None:
        self.name = name
        self._decision = decision

    def accepted(self, client: Client) -> Decision:
        return self._decision

    def decide(self, data: bytes, client: Client) -> Decision:
        return self._decision

    def connect_error(self, remote: str, client: Client) -> bytes:
        """There is no last word."""
        return b""

    inactivity_error = connect_error
