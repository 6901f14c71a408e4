"""Codecs: where the messages of a protocol end, in each direction.

A pool that shares upstreams has to know which bytes are one request and which are its reply.  That is all that a codec
finds out: it changes nothing, and keeps nothing but the few bytes of a message's head that are not yet whole.  The
caller keeps the data, and cuts it where it is told to.

All offsets are into the data of the call that returns them; a message that began in an earlier call ends in this one.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol

from proxymux.core.excerpt import excerpt
from proxymux.errors import BadCodec

__all__ = ["Codec", "CodecBase", "Kind", "ReplyScanner", "Request", "RequestScanner", "complete", "make_codec"]

#: Bytes of a message's body, or of a value in it, that a codec lets through unless it is told another limit.
BODY_LIMIT: Final = 512 * 1024 * 1024
#: Bytes of a line, its end included.
LINE_LIMIT: Final = 64 * 1024


class Kind(enum.Enum):
    """What is to be done with a request."""

    #: Any upstream may answer it; one reply comes.
    PLAIN = "plain"
    #: Any upstream may have it; no reply comes.
    SILENT = "silent"
    #: It changes its connection, or waits in it: the client needs an upstream of its own from here on.
    OWN = "own"
    #: Any upstream may answer it; one reply comes, and then the client's connection ends.
    LAST = "last"
    #: No upstream gets it; we answer with ``Request.answer``, in its turn.  The answer may be empty.
    REFUSED = "refused"
    #: No upstream gets it; we answer with ``Request.answer``, in its turn, and then the client's connection ends.
    QUIT = "quit"


@dataclass(slots=True)
class Request:
    """One request of a client, or a run of them.

    :param end: the offset where it ends, exclusive.  It begins where the one before it ended.
    :param kind: what is to be done with it.
    :param hint: what :meth:`ReplyScanner.expect` has to be told about it.
    :param count: how many requests end here.  Only PLAIN requests without a hint come as a run of more than one; a
        run's replies are as many.
    :param answer: what to send to the client for a request that no upstream gets.
    """

    end: int
    kind: Kind = Kind.PLAIN
    hint: object = None
    count: int = 1
    answer: bytes = b""


class RequestScanner(Protocol):
    """Finds the requests in what one client sends."""

    #: To be sent to the client now (100 Continue of HTTP); emptied by whoever sends it.
    interim: bytes

    def feed(self, data: bytes) -> list[Request]:
        """The requests that end in ``data``, which follows on the data of the call before.

        Nothing after a LAST or QUIT request is looked at, nor after an OWN one if the protocol may change there
        (HTTP): it is the last that is ever found.  In the other protocols what follows an OWN request is looked at, as
        it may have been refused.

        :raises BadMessage: at the first bytes that cannot be a request, with the requests before it in ``finished``.
            The scanner is not to be used after that.
        """

    @property
    def is_between(self) -> bool:
        """True unless a part of a request came whose end did not."""


class ReplyScanner(Protocol):
    """Finds the replies in what one upstream sends."""

    #: The upstream cannot be used after the reply that ended last.  So it stays.
    must_close: bool

    # Any, as it is each codec's own: no codec ever gets the hint of another.
    def expect(self, hint: Any, count: int = 1) -> None:
        """A request was sent, or a run of ``count``, to which a reply each will come.  Not called for SILENT ones.

        :param hint: that of the :class:`Request`.
        """

    def feed(self, data: bytes) -> list[int]:
        """The offsets in ``data`` where replies end, ascending.

        :raises BadMessage: at the first bytes that cannot be a reply or that nothing was sent for, with the replies
            before it in ``finished``.  The scanner is not to be used after that, nor is the upstream.
        """

    def count(self, data: bytes) -> int | None:
        """A short cut for whole replies.

        A number: ``data`` is so many replies, nothing of one was unfinished before it, and they have been taken note
        of.  None says nothing and changes nothing; :meth:`feed` is to be asked then.
        """

    def finish(self) -> bool:
        """The upstream sent FIN.  True if that is how the unfinished reply ends (an HTTP body until the end)."""

    def silence(self) -> None:
        """The upstream has been silent for the time that ends a reply.  For codecs whose ``gap`` is True."""

    @property
    def is_between(self) -> bool:
        """True unless a part of a reply came whose end did not."""


class Codec(Protocol):
    """A protocol.  Its scanners hold no reference to each other.

    A codec of the user's need not have ``pipelines``, ``silent_first`` and ``ends_at_own``: see :func:`complete`.
    """

    #: As given to :func:`make_codec`.
    name: str
    #: True if nothing in the bytes says where a reply ends, so that silence has to.
    gap: bool
    #: True if servers are known to take the next request before they have answered the one before.  Then requests of
    #: one client that came together go to one upstream together, and in FIFO mode none waits for the reply before it.
    pipelines: bool
    #: True if what an upstream says before it is asked could be taken for the first reply.  Then a new upstream is only
    #: used once it has been silent for a moment (``--raw-gap``); one that was not is closed.
    silent_first: bool
    #: True if the request scanners look at nothing after an OWN request.  Then a client to whom one is refused has its
    #: connection ended after the refusal, as nobody can tell its next request.
    ends_at_own: bool

    def requests(self) -> RequestScanner:
        """A scanner for a new client."""

    def replies(self) -> ReplyScanner:
        """A scanner for a new upstream."""

    def failure(self, problem: str) -> bytes:
        """The protocol's own error reply, for a request that could not be answered; empty if it has none."""


class CodecBase:
    """What is so for most codecs, to inherit from; each names what is otherwise with it."""

    gap = False
    pipelines = False
    silent_first = False
    ends_at_own = False


class _Completed:
    """A codec that says less than :class:`Codec` does."""

    def __init__(self, codec: Codec) -> None:
        self.name = codec.name
        self.gap = codec.gap
        self.pipelines = bool(getattr(codec, "pipelines", CodecBase.pipelines))
        self.silent_first = bool(getattr(codec, "silent_first", codec.gap))
        self.ends_at_own = bool(getattr(codec, "ends_at_own", CodecBase.ends_at_own))
        self.requests = codec.requests
        self.replies = codec.replies
        self.failure = codec.failure


def complete(codec: Codec) -> Codec:
    """The codec, with the safe answers where it lacks one of the members that it need not have.

    ``pipelines`` and ``ends_at_own`` are False then: each request waits for the reply before it, and what follows a
    refused OWN request is looked at.  ``silent_first`` is what ``gap`` is: without marks in the bytes, a greeting looks
    like any reply.

    :param codec: one with all the other members.
    """
    optional = ("pipelines", "silent_first", "ends_at_own")
    return codec if all(hasattr(codec, name) for name in optional) else _Completed(codec)


#: Our codecs: the module and the class of each, and the arguments of its constructor.
_CODECS: Final[dict[str, tuple[str, str, tuple[int, ...]]]] = {
    "raw": ("raw", "RawCodec", ()),
    "line": ("line", "LineCodec", ()),
    **{f"length:{size}": ("length", "LengthCodec", (size,)) for size in (1, 2, 4, 8)},
    "resp": ("resp", "RespCodec", ()),
    "http": ("http", "HttpCodec", ()),
    "memcache": ("memcache", "MemcacheCodec", ()),
    "modbus": ("modbus", "ModbusCodec", ()),
}
#: The same for people.
CODEC_NAMES: Final = "raw, line, length:N (N is 1, 2, 4 or 8), resp, http, memcache and modbus"


def make_codec(name: str) -> Codec:
    """The codec of that name, one of :data:`CODEC_NAMES`.

    :raises BadCodec: if there is none.
    """
    if name not in _CODECS:
        raise BadCodec(f"{excerpt(name)} is no codec: {CODEC_NAMES} are")
    module, kind, arguments = _CODECS[name]
    # Imported when it is asked for: nobody needs them all, and http brings a library.
    codec: Codec = getattr(import_module(f"proxymux.core.codecs.{module}"), kind)(*arguments)
    return codec
