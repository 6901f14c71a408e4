"""Deciding where nothing is to be decided."""

from __future__ import annotations

from collections.abc import Sequence

from zope.interface import implementer

from proxymux.core.decision import Decision, Forward
from proxymux.core.identity import Client
from proxymux.interfaces import IDecider


@implementer(IDecider)
class ShareDecider:
    """Sends every client to the same targets, before it has said a word."""

    greets = True
    undecided_reply = None
    place = "pool"

    def __init__(self, name: str, targets: Sequence[str]) -> None:
        self.name = name
        self._decision = Forward(targets)

    def accepted(self, client: Client) -> Decision:
        return self._decision

    def decide(self, data: bytes, client: Client) -> Decision:
        return self._decision

    def connect_error(self, remote: str, client: Client) -> bytes:
        """There is nothing to say."""
        return b""

    inactivity_error = connect_error
