"""The contracts that users and plug-ins implement.  Inner contracts are typing Protocols beside their users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from proxymux.core.decision import Decision
    from proxymux.core.identity import Client


class IDecider(Interface):
    """Reads a client's first bytes and decides what becomes of the client."""

    name: str = Attribute("str: the decider's name in logs and in the process title")
    greets: bool = Attribute("bool: call accepted() before any byte has come")
    hears_failures: bool = Attribute("bool: connect_error() wants to be told of an upstream that ends without a byte")
    undecided_reply: bytes | None = Attribute("bytes or None: the last word to a client that leads to no decision")
    place: str = Attribute("str: file:line, or another place, that log lines about the decider begin with")
    decided_at: str = Attribute("str: where the last decision was made, as file:line if a function of the user did")

    def accepted(client: Client) -> Decision | Deferred[Decision]:  # noqa: N805
        """Decide before any byte has come; otherwise as :meth:`decide`."""

    def decide(data: bytes, client: Client) -> Decision | Deferred[Decision]:  # noqa: N805
        """Decide.

        :param data: all bytes of the client that no earlier decision consumed.
        :param client: a :class:`~proxymux.core.identity.Client`.
        :returns: a Decision, or a Deferred of one.  A Deferred may be cancelled, and must then fire.
        :raises DecisionFailed: at once or through the Deferred; no other exception is allowed.
        """

    def connect_error(remote: str, client: Client) -> bytes | Deferred[bytes]:  # noqa: N805
        """Connecting was given up, or the upstream closed before its first byte.

        :param remote: the last target that was tried, as text.
        :returns: the last word to the client, bytes or a Deferred of bytes.  Must not raise.
        """

    def inactivity_error(remote: str, client: Client) -> bytes | Deferred[bytes]:  # noqa: N805
        """The upstream's first byte did not come in time.  As :meth:`connect_error`."""
