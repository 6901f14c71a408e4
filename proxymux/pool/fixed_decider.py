"""The decider of the pool: the same decision for every client, as all clients have the same targets."""

from __future__ import annotations

from zope.interface import implementer

from proxymux.core.decision import Decision
from proxymux.core.identity import Client
from proxymux.interfaces import IDecider


@implementer(IDecider)
class FixedDecider:
    """Decides at the accept, before the client has sent a byte.

    :param name: the service's name in logs and in the process title.
    :param decision: the decision for every client.
    """

    greets = True
    hears_failures = False
    undecided_reply = None
    place = decided_at = "pool"

    def __init__(self, name: str, decision: Decision) -> None:
        self.name = name
        self._decision = decision

    def accepted(self, client: Client) -> Decision:
        return self._decision

    def decide(self, data: bytes, client: Client) -> Decision:
        return self._decision

    def connect_error(self, remote: str, client: Client) -> bytes:
        """Return no bytes: a pool's client is sent no last word."""
        return b""

    inactivity_error = connect_error
