"""What is said to a node to learn the topology: a login where one is wanted, then the question."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxymux.core.redis_cluster.resp_values import RespError, RespReader, Value
from proxymux.core.redis_cluster.topology import Topology, parse_shards, parse_slots
from proxymux.core.target import InetTarget
from proxymux.errors import BadMessage

_SHARDS: Final = (b"CLUSTER", b"SHARDS")
_SLOTS: Final = (b"CLUSTER", b"SLOTS")
#: The word that an error begins with.  What follows is not shown: it may repeat what was sent.
_CODE: Final = re.compile(rb"[A-Z]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Login:
    """Whom nodes are asked as.

    :param user: empty for the user that a password alone stands for.
    """

    user: bytes = field(repr=False)
    password: bytes = field(repr=False)

    @property
    def words(self) -> tuple[bytes, ...]:
        """The command."""
        return (b"AUTH", *((self.user,) if self.user else ()), self.password)


class Said(NamedTuple):
    """What is to be done after a node has said something.

    :param send: the bytes to send next; may be empty.
    :param topology: the end, if it is one.
    """

    send: bytes = b""
    topology: Topology | None = None


class TopologyTalk:
    """The talk on one connection.  ``CLUSTER SLOTS`` is asked for where ``CLUSTER SHARDS`` is refused.

    :param node: who is asked.
    :param is_tls: the nodes are wanted by their ports of TLS.
    :param login: None to show none.
    """

    __slots__ = ("_is_tls", "_login", "_node", "_question", "_reader")

    def __init__(self, node: InetTarget, is_tls: bool, login: Login | None) -> None:
        self._node = node
        self._is_tls = is_tls
        self._login = login
        self._reader = RespReader()
        #: What is to be answered next; None before the login is.
        self._question: tuple[bytes, ...] | None = None

    def begin(self) -> bytes:
        """Begin, on a connection that is established.

        :returns: the bytes to send.
        """
        if self._login is not None:
            return command(*self._login.words)
        self._question = _SHARDS
        return command(*self._question)

    def received(self, data: bytes) -> Said:
        """Take what the node has sent, in whatever pieces.

        :raises BadMessage: if it refuses, or its answer is none of use; the text says why, without what it was sent.
        """
        values = self._reader.feed(data)
        if len(values) > 1:
            raise BadMessage("Redis Cluster: an answer that nobody has asked for")
        return self._take(values[0]) if values else Said()

    def _take(self, value: Value) -> Said:
        if self._question is None:
            if isinstance(value, RespError):
                raise BadMessage(f"the login is refused: {_code(value)}")
            self._question = _SHARDS
            return Said(command(*self._question))
        if isinstance(value, RespError):
            if self._question == _SHARDS and _code(value) in ("ERR", "NOPERM"):  # older, or it may not be asked
                self._question = _SLOTS
                return Said(command(*self._question))
            raise BadMessage(f"it does not say who serves what: {_code(value)}")
        if self._question == _SHARDS:
            topology = parse_shards(value, self._node, self._is_tls)
        else:
            topology = parse_slots(value, self._node)
        if not topology.slots.served:  # as one says that has left its cluster, or never joined one
            raise BadMessage("no slot is served")
        return Said(topology=topology)


def command(*words: bytes) -> bytes:
    """A command as it is sent."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _code(error: RespError) -> str:
    found = _CODE.match(error.text)
    return "an error" if found is None else found[0].decode("ascii")
