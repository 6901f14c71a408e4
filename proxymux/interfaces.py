"""The contracts between the parts.  Every service is one choice for each of them."""

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
        :param client: a :class:`~proxymux.core.client.Client`.
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


class ILegOwner(Interface):
    """Is told what happens to one connection."""

    def made():  # type: ignore[no-untyped-def]
        """The connection is there.  On a TLS connection the handshake is still to come."""

    def secured():  # type: ignore[no-untyped-def]
        """The TLS handshake is done and the peer's certificate was found good."""

    def received(data):  # type: ignore[no-untyped-def]  # noqa: N805
        """Bytes have come."""

    def finished():  # type: ignore[no-untyped-def]
        """The peer has sent FIN.  Comes at most once; not every transport can tell it from a loss."""

    def flushed():  # type: ignore[no-untyped-def]
        """Our own FIN has been sent, after every byte."""

    def lost(reason):  # type: ignore[no-untyped-def]  # noqa: N805
        """The connection is gone.  Comes once and last.

        :param reason: an exception, or None if it was closed in good order.
        """


class IRelay(Interface):
    """Joins two connections."""

    def join(client, upstream, opening):  # type: ignore[no-untyped-def]  # noqa: N805
        """Carry bytes both ways until it ends.

        :param client: the client's :class:`~proxymux.net.leg.Leg`.
        :param upstream: the upstream's.
        :param opening: an :class:`~proxymux.net.relay.Opening`.
        :returns: an IExchange.
        """


class IExchange(Interface):
    """Two joined connections.  Once it has ended it has closed the upstream and let go of the client."""

    client = Attribute("Leg: the client's, which need not be the one that was joined")
    bytes_in = Attribute("int: bytes that came from the client")
    bytes_out = Attribute("int: bytes that came from the upstream")
    first_byte_at = Attribute("float or None: when the upstream's first byte came, in the clock's seconds")

    def abort():  # type: ignore[no-untyped-def]
        """End it now; nobody is told."""
