"""proxymux: a TCP proxy that is programmed in Python.

The terms of its interface, in the order in which a connection meets them:

*Client*
    a program that connects to proxymux.
*Session*
    one client from accept to close.
*Admission*
    the check whether a client may connect, by its address and the number of clients.
*Decider*
    reads a client's first bytes and decides what becomes of the client.
*Decision*
    the result of a decider: :class:`Forward`, :class:`Reject`, :class:`Reply`,
    :class:`Terminate` or :data:`NEED_DATA`.
*Target*
    an address that a decision names, or one of a *Cluster*, a named set of targets that come and go.
*Connector*
    connects to a target; the live connection is an *Upstream*.
*Relay*
    moves the bytes of an *Exchange*: a client and an upstream, joined.
*Outcome*
    the one word that says how a session ended.
*Drain*
    to stop accepting and wait for the sessions to end.

*Token*
    what a client sends to the gateway in its *Handshake*, in place of an address.
*Pool*
    upstreams that clients share; a *Lease* is one of them, for as long as a client has it.
*Codec*
    finds where the messages of a protocol end.

A router file may import every name in ``__all__``; a ``.tac`` file calls :func:`Router`, :func:`Gateway` or
:func:`Multiplexer`.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from proxymux.core.codecs.view import RequestView
from proxymux.core.decision import NEED_DATA, Decision, Forward, Reject, Reply, Terminate
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
    "RequestView",
    "Router",
    "Terminate",
    "__version__",
]
_SERVICES = {"Router": "router", "Gateway": "gateway", "Multiplexer": "pool"}


def __getattr__(name: str) -> object:
    # Imported when it is used first: a service loads Twisted and OpenSSL, which a router file does not need to decide.
    if name in _SERVICES:
        _import_module("proxymux.tap.tac").watch()
        service: object = getattr(_import_module(f"proxymux.tap.{_SERVICES[name]}"), name)
        return service
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
