"""The contract that a user or a plug-in may implement.  Inner contracts are typing Protocols beside their users."""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IDecider(Interface):
    """Reads a client's first bytes and decides what becomes of it."""

    name = Attribute("str: what logs and the process title call it")
    greets = Attribute("bool: ask accepted() before any byte has come")
    undecided_reply = Attribute("bytes or None: the last word to a client that leads to no decision")
    place = Attribute("str: where to look when it is to blame")

    def accepted(client):  # type: ignore[no-untyped-def]  # noqa: N805
        """Decide before any byte has come; otherwise as :meth:`decide`."""

    def decide(data, client):  # type: ignore[no-untyped-def]  # noqa: N805
        """Decide.

        :param data: all bytes of the client that no earlier decision consumed.
        :param client: a :class:`~proxymux.core.identity.Client`.
        :returns: a Decision, or a Deferred of one.  A Deferred may be cancelled and must then come to an end.
        :raises DecisionFailed: at once or through the Deferred, and nothing else.
        """

    def connect_error(remote, client):  # type: ignore[no-untyped-def]  # noqa: N805
        """Connecting was given up, or the upstream closed before its first byte.

        :param remote: the target as a text, the last one tried.
        :returns: the client's last word, bytes or a Deferred of bytes.  Does not raise.
        """

    def inactivity_error(remote, client):  # type: ignore[no-untyped-def]  # noqa: N805
        """The upstream's first byte did not come in time.  As :meth:`connect_error`."""
