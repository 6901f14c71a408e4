"""Codecs: each finds where the messages of one protocol end, in both directions.

A pool whose clients share upstreams has to know which bytes are one request and which are its reply.  A codec finds
only that.  It keeps no bytes but an unfinished line or header; the caller keeps the messages and cuts the data at the
offsets that the codec returns.  It changes no bytes either, unless the protocol numbers its messages, see
:class:`Rewriter`.

Offsets are into the ``data`` argument of the call that returns them, also for a message that began in an earlier call.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from proxymux.core.codecs.limits import DEFAULT_LIMITS, Limits
from proxymux.core.codecs.view import RequestView
from proxymux.core.excerpt import excerpt
from proxymux.core.setup import UNCHANGED, Setup, Setups
from proxymux.errors import BadCodec

__all__ = [
    "Codec",
    "CodecBase",
    "KeyedScanner",
    "Kind",
    "ReplyScanner",
    "Request",
    "RequestScanner",
    "Rewriter",
    "SpecialRequest",
    "complete",
    "make_codec",
    "remaining",
]


class Kind(enum.Enum):
    """How the pool handles a request."""

    #: Any upstream may get the request; it has one reply.
    PLAIN = "plain"
    #: Any upstream may get the request; it has no reply.
    SILENT = "silent"
    #: The request changes the state of its connection, or blocks it: the client gets an upstream alone from here on.
    OWN = "own"
    #: Any upstream may get the request; it has one reply, after which the client's connection is closed.
    LAST = "last"
    #: Any upstream may get :attr:`SpecialRequest.data` in the place of the request; it has one reply.
    REPLACED = "replaced"
    #: No upstream gets the request; the pool replies with ``Request.answer``, which may be empty, in its turn.
    REFUSED = "refused"
    #: No upstream gets the request; the pool replies with ``Request.answer`` in its turn, and closes the client.
    QUIT = "quit"


@dataclass(slots=True)
class Request:
    """One request of a client, or a run of consecutive ones.

    :param end: the offset behind its last byte.  The request begins at the end of the one before it.
    :param kind: how the pool handles the request.
    :param hint: passed to :meth:`ReplyScanner.expect`; anything that the reply scanner has to know of the request.
    :param count: the number of requests in the run, each with one reply.  More than one only for PLAIN requests without
        a hint.
    :param answer: the reply to a REFUSED or QUIT request.
    """

    end: int
    kind: Kind = Kind.PLAIN
    hint: object = None
    count: int = 1
    answer: bytes = b""


@dataclass(slots=True)
class SpecialRequest(Request):
    """A request of which there is more to say.  Such requests are rare, so the others need not carry it.

    :param name: what an OWN or refused request is called in logs and counts, which is one of a small fixed set.
    :param data: the bytes that an upstream gets in the place of a REPLACED request.
    :param setup: of a REPLACED request: the client's setup from here on, if the reply is no error.
    :param problem: why a REFUSED or QUIT request that wanted an upstream of its own was refused; else empty.
    """

    name: str = ""
    data: bytes = b""
    setup: Setup = UNCHANGED
    problem: str = ""


class RequestScanner(Protocol):
    """Finds the requests in what one client sends.

    A scanner may have the attribute ``is_pinned``.  Once it is True, requests that were found as PLAIN before, but not
    sent yet, are handled as OWN (HTTP, where a reply may show that the client needs an upstream alone).

    It may have the methods ``pack()``, which returns what the scanner of another process needs to go on with the client
    between two requests, as JSON can hold it, or None if that cannot be said; and ``unpack(packed)``.  The clients of
    one that has none stay with their worker at a rollover.

    A scanner that has the method ``cut_keyed`` is a :class:`KeyedScanner`, too.
    """

    #: Bytes to be sent to the client at once (HTTP's 100 Continue); the caller sends them and resets this to ``b""``.
    interim: bytes

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that end in ``data``, which continues the data of the call before.

        A LAST or QUIT request is the last that the scanner ever returns; what follows is ignored.  The same holds for
        an OWN request of a codec with ``ends_at_own`` (HTTP, where the protocol may change).  Other codecs scan on
        after an OWN request, as the pool may have refused it.

        :raises BadMessage: at the first bytes that cannot be a request, with the requests before them in ``finished``.
            The scanner must not be used after that.
        """

    @property
    def is_between(self) -> bool:
        """True if no request is unfinished."""


@runtime_checkable
class KeyedScanner(Protocol):
    """A request scanner that finds the usual requests of a pool that routes, and their keys, in one pass."""

    def cut_keyed(self, data: bytes) -> tuple[list[int], list[bytes]] | None:
        """Return where each request in ``data`` ends, and its key, if all are whole, PLAIN, without a hint, and have
        exactly one key.

        :returns: None if that is not so, or cannot be told at a glance.  Nothing is taken note of then, and the caller
            has to call ``feed`` with the same data.
        """


@runtime_checkable
class Portable(Protocol):
    """A request scanner whose clients can be handed over to another process."""

    def pack(self) -> dict[str, Any] | None:
        """What a scanner there needs to go on with the client; None if that cannot be said."""

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on with a client of another process."""


class ReplyScanner(Protocol):
    """Finds the replies in what one upstream sends."""

    #: True once a reply has ended after which the upstream's connection must be closed.  Does not become False again.
    must_close: bool

    # Any: the type of a hint is private to each codec, and no codec gets the hint of another.
    def expect(self, hint: Any, count: int = 1) -> None:
        """Take note that requests were sent.  Not called for SILENT requests, which have no reply.

        :param hint: the hint of the :class:`Request`.
        :param count: the number of requests, each of which has one reply.
        """

    def feed(self, data: bytes) -> list[int]:
        """Return the offsets in ``data`` where replies end, in ascending order.

        :raises BadMessage: at the first bytes that cannot be a reply, or that no request is waiting for, with the
            offsets before them in ``finished``.  Neither the scanner nor the upstream must be used after that.
        """

    def count(self, data: bytes) -> int | None:
        """Scan ``data`` quickly, if it consists of complete replies only.

        :returns: the number of replies in ``data``, which are taken note of as by :meth:`feed`; or None if it may begin
            or end within a reply, or the codec has no quick scan.  Nothing is taken note of then, and the caller has to
            call :meth:`feed` with the same data.
        """

    def finish(self) -> bool:
        """Take note that the upstream sent FIN.

        :returns: True if that completes the unfinished reply, as with an HTTP body without a length.
        """

    def silence(self) -> None:
        """Take note that the upstream was silent for the gap, which ends a reply.  Only for codecs with ``gap``."""

    @property
    def is_between(self) -> bool:
        """True if no reply is unfinished."""


@runtime_checkable
class Rewriter(Protocol):
    """Changes what goes to one upstream, and undoes that in what comes back.

    For protocols that number their messages: numbers of the upstream's own take the place of the clients', which may be
    equal.  The reply scanners of a codec with ``rewrites`` are rewriters, too.
    """

    def outgoing(self, data: bytes) -> bytes:
        """Return what is sent in the place of ``data``.

        :param data: whole requests; they are those that :meth:`ReplyScanner.expect` was called for, in the same order.
        """

    def incoming(self, data: bytes) -> bytes:
        """Return what takes the place of ``data``, which the upstream has sent; ``feed`` is called with it.

        A part that cannot be told yet is kept for the next call.  At what must reach nobody the rewriter stops: it
        returns what came before, and the next ``feed`` raises :class:`~proxymux.errors.BadMessage`.
        """


def remaining(scanner: ReplyScanner) -> int | None:
    """Return how many bytes of the unfinished reply are still to come, at least; None if it may be endless.

    A reply scanner says so by a method ``remaining()``.  One that has none does not know, which is 0.
    """
    ask: Callable[[], int | None] | None = getattr(scanner, "remaining", None)
    return 0 if ask is None else ask()


class Codec(Protocol):
    """A protocol: makes the scanners for its clients and upstreams.  Scanners share no state.

    A user's codec may leave out ``pipelines``, ``silent_first``, ``ends_at_own``, ``setups``, ``requests_for``,
    ``rewrites``, ``fence``, ``failure_for``, ``repeatable``, ``view``, ``key_of`` and ``cut_run``: see
    :func:`complete`.
    """

    #: The name for ``--codec`` and :func:`make_codec`.
    name: str
    #: True if the bytes do not show where a reply ends, so that the pool takes silence for the end.
    gap: bool
    #: True if servers accept the next request before they have answered the one before.  Then requests of one client
    #: that came together are sent to one upstream together, and in FIFO mode none waits for the reply before it.
    pipelines: bool
    #: True if a server's greeting could be taken for its first reply.  Then a new upstream is used only after it has
    #: been silent for ``--raw-gap``; one that sends anything before that is closed.
    silent_first: bool
    #: True if the request scanners ignore everything after an OWN request.  Then a client whose OWN request is refused
    #: is closed after the refusal, as its next request cannot be found.
    ends_at_own: bool
    #: True if the reply scanners are :class:`Rewriter`, too.
    rewrites: bool
    #: A request that changes nothing and has one reply; empty if the protocol has none.  Where a client's next request
    #: may go to another upstream, it is sent after a SILENT one, and its reply shows that the server has come so far.
    #: The reply scanners are told of it by ``expect(None)``.
    fence: bytes

    @property
    def setups(self) -> Setups | None:
        """The states of a connection that requests depend on; None if there is one only."""

    def requests(self) -> RequestScanner:
        """Make the scanner for a new client."""

    def requests_for(self, may_have_own: Callable[[], bool]) -> RequestScanner:
        """Make the scanner for a new client of a pool.

        :param may_have_own: returns False if an OWN request would be refused now, for want of an upstream.  A codec in
            whose protocol other requests depend on such a one refuses it, and them, itself.
        """

    def replies(self) -> ReplyScanner:
        """Make the scanner for a new upstream."""

    def failure(self, problem: str) -> bytes:
        """Return the protocol's error reply for a request that got no reply; empty if the protocol has none.

        :param problem: why, in one line.
        """

    def failure_for(self, request: bytes, problem: str) -> bytes:
        """As :meth:`failure`, for protocols whose error reply depends on the request.

        :param request: the request, or several of which it is the first.
        """

    def repeatable(self, data: bytes) -> bool:
        """Return True if the requests in ``data`` may be carried out twice, as the result is the same.

        Asked only if the upstream has closed before it sent a byte of the reply.

        :param data: one request or several, complete.
        """

    def view(self, data: bytes) -> RequestView:
        """Return what a router sees of a request.

        :param data: one whole request.
        """

    def key_of(self, data: bytes) -> bytes | None:
        """Return the key of a request that has exactly one, if it can be told at a glance; else None.

        It is asked for every request of a pool that shards; where it says None, :meth:`view` is asked.

        :param data: one whole request.
        """

    def cut_run(self, data: bytes) -> list[tuple[int, bytes | None]]:
        """Return where each request of a run ends, and what :meth:`key_of` says of it.

        :param data: the requests of a :class:`Request` whose ``count`` is more than one.
        """


class CodecBase:
    """A base class with the usual values of a codec's members; a codec sets those that differ."""

    gap = False
    pipelines = False
    silent_first = False
    ends_at_own = False
    rewrites = False
    fence = b""
    setups: Setups | None = None
    if TYPE_CHECKING:
        name: str

        def requests(self) -> RequestScanner: ...

    def requests_for(self, may_have_own: Callable[[], bool]) -> RequestScanner:
        return self.requests()

    def failure(self, problem: str) -> bytes:
        return b""

    def failure_for(self, request: bytes, problem: str) -> bytes:
        return self.failure(problem)

    def repeatable(self, data: bytes) -> bool:
        return False

    def view(self, data: bytes) -> RequestView:
        return RequestView(data, self.name)

    def key_of(self, data: bytes) -> bytes | None:
        return None

    def cut_run(self, data: bytes) -> list[tuple[int, bytes | None]]:
        return _cut(self.requests(), data)


class _Completed:
    """Wraps a user's codec and adds the members that it leaves out."""

    def __init__(self, codec: Codec) -> None:
        self.name = codec.name
        self.gap = codec.gap
        self.pipelines = bool(getattr(codec, "pipelines", CodecBase.pipelines))
        self.silent_first = bool(getattr(codec, "silent_first", codec.gap))
        self.ends_at_own = bool(getattr(codec, "ends_at_own", CodecBase.ends_at_own))
        self.setups = getattr(codec, "setups", None)
        self.rewrites = bool(getattr(codec, "rewrites", CodecBase.rewrites))
        self.fence: bytes = getattr(codec, "fence", CodecBase.fence)
        self.requests = codec.requests
        self.requests_for = getattr(codec, "requests_for", lambda _: codec.requests())
        self.replies = codec.replies
        self.failure = codec.failure
        self.repeatable: Callable[[bytes], bool] = getattr(codec, "repeatable", CodecBase().repeatable)
        self._failure_for: Callable[[bytes, str], bytes] | None = getattr(codec, "failure_for", None)
        self.view: Callable[[bytes], RequestView] = getattr(codec, "view", lambda data: RequestView(data, codec.name))
        self.key_of: Callable[[bytes], bytes | None] = getattr(codec, "key_of", lambda data: None)
        self.cut_run: Callable[[bytes], list[tuple[int, bytes | None]]] = getattr(
            codec, "cut_run", lambda data: _cut(codec.requests(), data)
        )

    def failure_for(self, request: bytes, problem: str) -> bytes:
        return self.failure(problem) if self._failure_for is None else self._failure_for(request, problem)


#: The members of a codec that :func:`complete` adds.
_OPTIONAL: Final = (
    "pipelines",
    "silent_first",
    "ends_at_own",
    "setups",
    "requests_for",
    "rewrites",
    "fence",
    "failure_for",
    "repeatable",
    "view",
    "key_of",
    "cut_run",
)


def _cut(scanner: RequestScanner, data: bytes) -> list[tuple[int, bytes | None]]:
    """Where each request of a run ends: a scanner that is given single bytes finds single requests."""
    return [(at + 1, None) for at in range(len(data)) if scanner.feed(data[at : at + 1])]


def complete(codec: Codec) -> Codec:
    """Return the codec with safe defaults for the optional members that it leaves out.

    ``pipelines`` and ``ends_at_own`` default to False: each request waits for the reply before it, and the scanner is
    expected to go on after a refused OWN request.  ``silent_first`` defaults to the value of ``gap``: if the bytes do
    not show where a reply ends, a greeting looks like any reply.  ``setups`` defaults to None, ``requests_for`` to
    ``requests``, ``rewrites`` to False, ``fence`` to none, and ``failure_for`` to ``failure``.  Without ``repeatable``
    no request is sent twice.  ``view`` defaults to one with neither command nor keys, ``key_of`` to none, and
    ``cut_run`` to what the scanner finds byte by byte.

    :param codec: a codec that has all other members.
    """
    return codec if all(hasattr(codec, name) for name in _OPTIONAL) else _Completed(codec)


#: The built-in codecs by their names: module, class, and the arguments that its constructor gets beside the limits.
_CODECS: Final[dict[str, tuple[str, str, dict[str, int]]]] = {
    "raw": ("raw", "RawCodec", {}),
    "line": ("line", "LineCodec", {}),
    **{f"length:{size}": ("length", "LengthCodec", {"width": size}) for size in (1, 2, 4, 8)},
    "resp": ("resp", "RespCodec", {}),
    "http": ("http", "HttpCodec", {}),
    "memcache": ("memcache", "MemcacheCodec", {}),
    "modbus": ("modbus", "ModbusCodec", {}),
}
#: The names in words, for help and error messages.
CODEC_NAMES: Final = "raw, line, length:N (N is 1, 2, 4 or 8), resp, http, memcache and modbus"


def make_codec(name: str, limits: Limits = DEFAULT_LIMITS, **choices: object) -> Codec:
    """Make a built-in codec by its name, one of :data:`CODEC_NAMES`.

    :param choices: further arguments, which only the codec of that name takes.
    :raises BadCodec: if there is no codec of that name.
    """
    if name not in _CODECS:
        raise BadCodec(f"{excerpt(name)} is no codec: {CODEC_NAMES} are")
    module, kind, arguments = _CODECS[name]
    # Imported only when needed: a pool uses one codec.
    make = getattr(import_module(f"proxymux.core.codecs.{module}"), kind)
    codec: Codec = make(**arguments, **choices, limits=limits)
    return codec
