"""Decisions: what becomes of a client, and how a router's result is read as one."""

from __future__ import annotations

import enum
import functools
import ipaddress
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from proxymux.core.excerpt import excerpt
from proxymux.core.outcome import Outcome, explain_handshake
from proxymux.core.target import ClusterName, InetTarget, Target, UnixTarget, parse_remote
from proxymux.core.upstream_tls import UpstreamTls, parse_upstream_tls
from proxymux.errors import BadAddress, BadResult

#: Seconds of the longest time that a result may ask for, a hundred years: the reactor's arithmetic overflows far above.
MAX_SECONDS: Final = 100 * 365 * 86400
#: Rounds of attempts after the first, where the decision does not say; the ancestor's number.
RETRIES: Final = 10
#: The most entries of a note, and the most characters of a key and a value.
MOST_NOTES: Final = 16
_KEY_LIMIT: Final = 64
_VALUE_LIMIT: Final = 256
_NOTHING: Final = b""


class NeedData(enum.Enum):
    """The type of :data:`NEED_DATA`."""

    NEED_DATA = "need data"

    def __repr__(self) -> str:
        return "NEED_DATA"

    def __bool__(self) -> Literal[False]:
        # False, so that "if sniff.ssh(data):" holds only when the data is SSH, not while it may become SSH.
        return False


#: The decision to wait: the decider is asked again when more bytes have come.  NEED_DATA is false.
NEED_DATA: Final = NeedData.NEED_DATA


class _Remotes(tuple[str | Target, ...]):
    """The targets of a list in a decision: hashable, as decisions are, and equal to the list that was written."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, tuple(other) if isinstance(other, list) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__


def _set(decision: object, name: str, value: object) -> None:
    """Put a checked value into a frozen decision, in its ``__post_init__``."""
    object.__setattr__(decision, name, value)


# Looking up a member of an Enum costs as much as a call, and every connection needs these.
_TIMED_OUT: Final = Outcome.CONNECT_TIMEOUT
_WAITED: Final = Outcome.QUEUE_TIMEOUT
_DENIED: Final = Outcome.BAD_HANDSHAKE


@dataclass(frozen=True, slots=True)
class Forward:
    """Connect to ``remote``, replay the buffer there and join both connections.

    :param remote: ``host:port``, ``[v6]:port``, ``unix:/path``, the name of a cluster, a target that was parsed before,
        or a list of them, tried in order.  Names are looked up when connecting.  A list is kept as a tuple, which is
        equal to that list.
    :param data: sent to the upstream instead of the buffer.
    :param reply: sent to the client at the decision.
    :param connect_timeout: seconds for each attempt; None or 0 is the service's default.
    :param inactivity_timeout: seconds from connect to the upstream's first byte; None or 0 is off.
    :param reply_on_connect: sent to the client when the upstream is connected.
    :param reply_on_failure: sent to the client when connecting was given up.
    :param reply_on_timeout: sent instead of ``reply_on_failure`` when every attempt timed out, or the wait for a target
        that is held was too long.
    :param reply_on_denial: sent instead of ``reply_on_failure`` when connecting to every target is forbidden.
    :param retries: rounds of attempts after the first, 0.1 s apart.
    :param retry_on: ``"timeout"`` retries only targets that timed out, and without a pause.
    :param send_proxy: ``"v1"``, ``"v2"`` or False: PROXY header to the upstream; None is the service's default.
    :param tls: TLS to the upstream: True verifies the target's host name, a text is another name to verify, a mapping
        has the names of :class:`~proxymux.core.upstream_tls.UpstreamTls`.
    :param bind: the local address to connect from.
    :param hash_key: what a cluster that places keys takes in the place of the client's address.
    :param rate: bytes a second in each direction; None is the service's default, 0 is no limit.
    :param tls_terminate: end the client's TLS here first, as :class:`Terminate` does, and forward the decrypted bytes.
    :param note: up to 16 short texts by their names, for the access log and the record of the session.
    :raises BadResult: if a value is of the wrong type or out of range.
    """

    remote: str | Target | Sequence[str | Target]
    data: bytes | None = None
    reply: bytes = _NOTHING
    connect_timeout: float | None = None
    inactivity_timeout: float | None = None
    reply_on_connect: bytes = _NOTHING
    reply_on_failure: bytes = _NOTHING
    reply_on_timeout: bytes | None = None
    reply_on_denial: bytes | None = None
    retries: int = RETRIES
    retry_on: Literal["failure", "timeout"] = "failure"
    send_proxy: Literal["v1", "v2", False] | None = None
    tls: bool | str | Mapping[str, object] | UpstreamTls = False
    bind: str | None = None
    hash_key: bytes | None = None
    rate: int | None = None
    tls_terminate: str | None = None
    note: Mapping[str, str] | None = field(default=None, hash=False)
    #: ``remote``, parsed.
    targets: tuple[Target, ...] = field(init=False, repr=False, compare=False)
    #: Those of them that are names of clusters.
    clusters: tuple[ClusterName, ...] = field(init=False, repr=False, compare=False)
    #: ``tls``, parsed; None for no TLS.
    upstream_tls: UpstreamTls | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        _set(self, "targets", _targets(self.remote))
        _set(self, "clusters", tuple(each for each in self.targets if isinstance(each, ClusterName)))
        if not isinstance(self.remote, (str, InetTarget, UnixTarget, ClusterName)):
            _set(self, "remote", _Remotes(self.remote))
        for name in ("data", "reply_on_timeout", "reply_on_denial", "hash_key"):
            value = getattr(self, name)
            if value is not None:
                _set(self, name, _bytes(name, value))
        for name in ("reply", "reply_on_connect", "reply_on_failure"):
            value = getattr(self, name)
            if value is not _NOTHING:
                _set(self, name, _bytes(name, value))
        for name in ("connect_timeout", "inactivity_timeout"):
            value = getattr(self, name)
            if value is not None:
                _set(self, name, _seconds(name, value))
        _set(self, "retries", _count("retries", self.retries))
        if self.retry_on not in ("failure", "timeout"):
            raise BadResult(f"retry_on: {excerpt(self.retry_on)} is not 'failure' or 'timeout'")
        if self.send_proxy is not None and self.send_proxy is not False and self.send_proxy not in ("v1", "v2"):
            raise BadResult(f"send_proxy: {excerpt(self.send_proxy)} is not 'v1', 'v2' or False")
        if self.tls is not False:
            _set(self, "upstream_tls", parse_upstream_tls(self.tls))
        if self.tls_terminate is not None:
            _check_path(self.tls_terminate)
        if self.bind is not None:
            _set(self, "bind", _ip("bind", self.bind))
        if self.rate is not None:
            _set(self, "rate", _count("rate", self.rate))
        if self.note is not None:
            _set(self, "note", _note(self.note))

    def reply_to(self, failed: Outcome) -> bytes:
        """The last word to the client when connecting has ``failed``."""
        reply = None
        if failed is _TIMED_OUT or failed is _WAITED:
            reply = self.reply_on_timeout
        elif failed is _DENIED:
            reply = self.reply_on_denial
        return self.reply_on_failure if reply is None else reply


@dataclass(frozen=True, slots=True)
class Reject:
    """Close the client, after sending it ``close`` if that is not empty.

    :param close: the last word to the client; True is none.
    :param note: as of :class:`Forward`.
    """

    close: bytes | Literal[True] = b""
    note: Mapping[str, str] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        _set(self, "close", b"" if self.close is True else _bytes("close", self.close))
        if self.note is not None:
            _set(self, "note", _note(self.note))

    @property
    def last_word(self) -> bytes:
        """The bytes to send before the close."""
        return b"" if self.close is True else self.close


@dataclass(frozen=True, slots=True)
class Reply:
    """Send ``reply``, drop the first ``consume`` bytes of the buffer and wait on: one step of a negotiation.

    If bytes are left in the buffer after some were consumed, the decider is asked again at once; otherwise it is asked
    when more have come.

    :param reply: sent to the client.
    :param consume: bytes of the buffer to drop, not more than the decider was given.
    :param note: as of :class:`Forward`; the notes of later decisions are added to it.
    """

    reply: bytes = b""
    consume: int = 0
    note: Mapping[str, str] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        _set(self, "reply", _bytes("reply", self.reply))
        _set(self, "consume", _count("consume", self.consume))
        if self.note is not None:
            _set(self, "note", _note(self.note))


@dataclass(frozen=True, slots=True)
class Terminate:
    """End the client's TLS here, and ask the decider again with the decrypted bytes and ``client.tls``.

    What the client has sent, and no earlier step has consumed, is the beginning of its TLS.

    :param tls_terminate: a PEM file with key and certificate chain, or a folder of such files.
    """

    tls_terminate: str

    def __post_init__(self) -> None:
        _check_path(self.tls_terminate)


@dataclass(frozen=True, slots=True)
class BadHandshake:
    """Close the client, whose handshake is wrong, after sending it ``last_word``.  Of the gateway, not for routers.

    :param last_word: the status for the client.
    :param reason: why, one of a few, to be counted.
    :param details: more for the operator.
    """

    last_word: bytes
    reason: str
    details: str = ""

    @property
    def text(self) -> str:
        """One line for the operator."""
        return explain_handshake(self.last_word.decode("latin-1"), self.reason, self.details)


@dataclass(frozen=True, slots=True)
class Share:
    """Have the client's requests share upstreams with those of others, from the first byte on.  Not for routers.

    :param targets: of the upstreams.
    """

    targets: tuple[Target, ...]

    @property
    def remote(self) -> tuple[str, ...]:
        """The targets as texts."""
        return tuple(map(str, self.targets))


Decision = Forward | Reject | Reply | Terminate | NeedData | BadHandshake | Share

_FORWARD_KEYS = frozenset(Forward.__dataclass_fields__) - {"targets", "clusters", "upstream_tls"}
_KINDS: dict[str, frozenset[str]] = {
    "remote": _FORWARD_KEYS,
    "tls_terminate": frozenset({"tls_terminate"}),
    "close": frozenset({"close", "note"}),
    "noop": frozenset({"noop"}),
    "consume": frozenset({"reply", "consume", "note"}),
    "reply": frozenset({"reply", "consume", "note"}),
}


def from_result(result: object, clusters: Container[str] | None = None) -> Decision:
    """The decision that a router has returned.

    :param result: a decision, a dict with the keys of a decision, or None.
    :param clusters: the names of the clusters that there are; None takes any name.
    :raises BadResult: if it is anything else; the text says what is wrong.
    """
    decision = _decision(result)
    if clusters is not None and isinstance(decision, Forward) and decision.clusters:
        for cluster in decision.clusters:
            if cluster.name not in clusters:
                raise BadResult(
                    f"remote: {excerpt(cluster.name, 80)} is neither host:port, [v6]:port or unix:/path"
                    " nor the name of a cluster (--cluster)"
                )
    return decision


def _decision(result: object) -> Decision:
    if isinstance(result, (Forward, Reject, Reply, Terminate, NeedData)):
        return result
    if result is None:
        return NEED_DATA
    if isinstance(result, dict):
        if type(result) is dict and len(result) == 1 and type(result.get("remote")) is str:
            return _forward_to(result["remote"])
        return _from_dict(result)
    raise BadResult(
        f"returned {excerpt(result, 80)}, which is not a decision: a dict, Forward, Reject, Reply or NEED_DATA is"
    )


@functools.lru_cache(maxsize=1024)
def _forward_to(remote: str) -> Forward:
    """A Forward with nothing but a target.  Cached: most results are that, for few targets, and a Forward is frozen."""
    return Forward(remote)


def in_words(decision: object) -> str:
    """A decision, or the error in its place, as a phrase for logs, without the client's data."""
    if isinstance(decision, Forward):
        return f"forwards to {', '.join(map(str, decision.targets))}"
    if isinstance(decision, Share):
        return f"shares upstreams to {', '.join(decision.remote)}"
    if isinstance(decision, Reject):
        return f"rejects with {len(decision.last_word)} bytes" if decision.close else "rejects"
    if isinstance(decision, Terminate):
        return f"ends TLS here with {decision.tls_terminate}"
    if isinstance(decision, Reply):
        return f"replies with {len(decision.reply)} bytes and consumes {decision.consume}"
    return "waits for more" if decision is NEED_DATA else f"fails ({decision})"


def _from_dict(result: dict[Any, Any]) -> Decision:
    kind = next((each for each in _KINDS if each in result), None)
    if kind is None:
        raise BadResult(f"returned {excerpt(result, 80)}, which has none of the keys remote, close, noop and reply")
    unknown = [key for key in result if key not in _KINDS[kind]]
    if unknown:
        raise BadResult(f"returned a dict with {kind!r} in which {excerpt(unknown[0])} has no place")
    if kind == "remote":
        return Forward(**result)
    if kind in ("reply", "consume"):
        return Reply(**result)
    if kind == "tls_terminate":
        return Terminate(**result)
    value = result[kind]
    if kind == "close":
        return Reject(value, result.get("note"))
    if value is not True:
        raise BadResult(f"noop: {excerpt(value)} is not True")
    return NEED_DATA


def _targets(remote: object) -> tuple[Target, ...]:
    if isinstance(remote, (list, tuple)) and not isinstance(remote, (InetTarget, UnixTarget, ClusterName)):
        if not remote:
            raise BadResult("remote: the list of targets is empty")
        return tuple(_target(each) for each in remote)
    return (_target(remote),)


def _target(text: object) -> Target:
    if isinstance(text, (InetTarget, UnixTarget, ClusterName)):
        return text
    try:
        return parse_remote(text)
    except BadAddress as error:
        raise BadResult(f"remote: {error}") from None


def _bytes(name: str, value: object) -> bytes:
    if type(value) is bytes:
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(memoryview(value))  # a subclass of bytes could override len() and the like
    hint = ", write b'...' or .encode()" if isinstance(value, str) else ""
    raise BadResult(f"{name}: {excerpt(value)} is {type(value).__name__}, not bytes{hint}")


def _seconds(name: str, value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_SECONDS:
        raise BadResult(f"{name}: {excerpt(value)} is not a number of seconds")
    return float(value) or None


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise BadResult(f"{name}: {excerpt(value)} is not a whole number of at least 0")
    return int.__add__(value, 0)


def _check_path(value: object) -> None:
    if not isinstance(value, str) or not value:
        raise BadResult(f"tls_terminate: {excerpt(value)} is not the path of a file or folder")


def _note(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping) or len(value) > MOST_NOTES:
        raise BadResult(f"note: {excerpt(value)} is not a dict of up to {MOST_NOTES} texts")
    return {_short("key", key, _KEY_LIMIT): _short("value", each, _VALUE_LIMIT) for key, each in value.items()}


def _short(kind: str, value: object, limit: int) -> str:
    if not isinstance(value, str):
        raise BadResult(f"note: the {kind} {excerpt(value)} is {type(value).__name__}, not str")
    text = str.__add__(value, "")  # a subclass could override its methods
    if len(text) > limit:
        raise BadResult(f"note: the {kind} {excerpt(text)} is longer than {limit} characters")
    return text


def _ip(name: str, value: object) -> str:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise BadResult(f"{name}: {excerpt(value)} is not an IP address") from None
