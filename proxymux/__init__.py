"""proxymux: a TCP proxy that is programmed in Python.

Its words, in the order in which they happen:

*Client*
    who connects to us.
*Session*
    one client from accept to close.
*Admission*
    whether the client may come in at all.
*Decider*
    reads the client's first bytes.
*Decision*
    what it says: :class:`Forward`, :class:`Reject`, :class:`Reply` or :data:`NEED_DATA`.
*Target*
    an address that a decision names.
*Connector*
    gets an *Upstream*: a live connection to a target.
*Relay*
    carries the bytes of an *Exchange*: a client and an upstream, joined.
*Outcome*
    the one word that ends a session.
*Drain*
    to stop accepting and let the sessions end.

A router file may import everything that is named here; a ``.tac`` file wants :func:`Router`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from proxymux.core.client import Client
from proxymux.core.decision import NEED_DATA, Decision, Forward, Reject, Reply
from proxymux.version import __version__

if TYPE_CHECKING:
    from proxymux.tap.router import Router

__all__ = ["NEED_DATA", "Client", "Decision", "Forward", "Reject", "Reply", "Router", "__version__"]


def __getattr__(name: str) -> Any:
    # A service needs Twisted and OpenSSL; a router file that only decides is not to load them.
    if name == "Router":
        from proxymux.tap.router import Router

        return Router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
