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

*Token*
    what a client shows to the gateway in its *Handshake*, in the place of an address.
*Pool*
    upstreams that clients share; a *Lease* is one of them, for as long as a client has it.
*Codec*
    says where the messages of a protocol end.

A router file may import everything that is named here; a ``.tac`` file wants :func:`Router`, :func:`Gateway` or
:func:`Multiplexer`.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from proxymux.core.decision import NEED_DATA, Decision, Forward, Reject, Reply
from proxymux.core.identity import Client
from proxymux.version import __version__

if TYPE_CHECKING:
    from proxymux.tap.gateway import Gateway
    from proxymux.tap.pool import Multiplexer
    from proxymux.tap.router import Router

__all__ = [
    "NEED_DATA",
    "Client",
    "Decision",
    "Forward",
    "Gateway",
    "Multiplexer",
    "Reject",
    "Reply",
    "Router",
    "__version__",
]
_SERVICES = {"Router": "router", "Gateway": "gateway", "Multiplexer": "pool"}


def __getattr__(name: str) -> object:
    # A service needs Twisted and OpenSSL; a router file that only decides is not to load them.
    if name in _SERVICES:
        service: object = getattr(_import_module(f"proxymux.tap.{_SERVICES[name]}"), name)
        return service
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
