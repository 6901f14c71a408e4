"""Setups: states of an upstream's connection that requests depend on, such as the version of the protocol.

Clients that share upstreams may have asked for different setups.  Each :class:`~proxymux.core.batch.Batch` names the
one that it needs.  An upstream that is in another gets a *preamble* before the batch, whose reply goes to no client.
The setup of a fresh connection is None, and so is that of all batches of a codec without setups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

__all__ = ["UNCHANGED", "Change", "Preamble", "Setup", "Setups"]

#: A setup is known to its codec only; others compare whether two are the same object.
Setup = object | None


@dataclass(frozen=True, slots=True)
class Preamble:
    """One request of our own, with one reply.

    :param data: the request.
    :param purpose: what the upstream is asked for, to be read after "the upstream refuses"; without any secret.
    """

    data: bytes
    purpose: str


class Setups(Protocol):
    """The setups of a codec, and how a connection gets into them."""

    def opening(self) -> Sequence[Preamble]:
        """Return what a new connection is sent before its first batch; all of it has to be accepted."""

    def switch(self, setup: Setup) -> Preamble:
        """Return what puts a connection, in whichever setup it is, into ``setup``."""

    def named(self, name: str) -> Setup:
        """Return the setup whose text is ``name``, as another process has sent it."""

    def problem(self, reply: bytes) -> str | None:
        """Return the error that a reply is, in one line without any secret; None if it is no error.

        :param reply: the first :data:`EXAMINED` bytes of the reply, or all of it.
        """


#: The most bytes of a reply to a preamble that are kept.
EXAMINED: Final = 512
#: Says of a request that the client's setup stays what it is.
UNCHANGED: Final = object()


class Change:
    """The setup of a batch that changes the setup itself: a client's own request for another one.

    The client's batches after it wait for its reply, and have the change as their setup meanwhile; :attr:`result` is
    the setup that they are sent in.

    :param before: the client's setup before.
    :param after: the one that it asks for.
    """

    __slots__ = ("_after", "_before", "is_settled", "result")

    def __init__(self, before: Setup, after: Setup) -> None:
        self._before = before
        self._after = after
        #: The reply has come.
        self.is_settled = False
        #: The client's setup from here on, once the reply has come.
        self.result: Setup = None

    def settle(self, is_refused: bool) -> None:
        """Take note of the reply.  The changes that the client asked for before are settled by then."""
        self.result = settled(self._before) if is_refused else self._after
        self.is_settled = True
        self._before = None  # no chain is kept alive


def settled(setup: Setup) -> Setup:
    """Return the setup that a change has come to; anything else, a change that is not settled too, as it is."""
    return setup.result if isinstance(setup, Change) and setup.is_settled else setup
