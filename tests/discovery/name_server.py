"""A name server that answers what a test tells it to."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from twisted.names import dns

from proxymux.discovery.dns_question import NameServer
from tests.services.peers import until

NAME = "_users._tcp.example.com"


def record(target: str, priority: int = 0, weight: int = 0, port: int = 80, ttl: int = 60, name: str = NAME) -> Any:
    """An SRV record as an answer has it."""
    payload = dns.Record_SRV(priority, weight, port, target, ttl)
    return dns.RRHeader(name, dns.SRV, dns.IN, ttl, payload)


def reply_to(question: dns.Message, *records: Any, **fields: object) -> bytes:
    """A reply to ``question``, with the fields of the message that are given."""
    message = dns.Message(question.id, answer=1, recDes=1, recAv=1, maxSize=0)
    message.queries = question.queries
    message.answers = list(records)
    for name, value in fields.items():
        setattr(message, name, value)
    data: bytes = message.toStr()
    return data


class ScriptedServer:
    """A name server on loopback, over UDP and TCP."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, 0), family=family)
        self._datagrams = socket.socket(family, socket.SOCK_DGRAM)
        self.server = NameServer(address, self._listener.getsockname()[1])
        self._datagrams.bind(self.server)
        for each in (self._listener, self._datagrams):
            each.setblocking(False)
        self._client: Any = None

    def close(self) -> None:
        self._listener.close()
        self._datagrams.close()

    async def asked(self) -> dns.Message:
        """The next question over UDP."""
        data, self._client = await self._wait(self._datagrams)
        return _message(data)

    def is_asked(self) -> bool:
        """True if there is another question over UDP, which is taken."""
        return self._received(self._datagrams) is not None

    def reply(self, data: bytes) -> None:
        """Send a datagram to who has asked."""
        self._datagrams.sendto(data, self._client)

    async def asked_over_tcp(self) -> tuple[dns.Message, socket.socket]:
        """The next question over TCP, and its connection."""

        def accepted() -> socket.socket | None:
            with contextlib.suppress(BlockingIOError):
                return self._listener.accept()[0]
            return None

        stream: Any = await until(accepted, "a connection")
        stream.setblocking(False)
        data, _ = await self._wait(stream)
        return _message(data[2:]), stream

    async def _wait(self, from_socket: socket.socket) -> tuple[bytes, Any]:
        received: Any = await until(lambda: self._received(from_socket), "a question")
        return received[0], received[1]

    @staticmethod
    def _received(from_socket: socket.socket) -> tuple[bytes, Any] | None:
        with contextlib.suppress(BlockingIOError):
            return from_socket.recvfrom(512)
        return None


def framed(data: bytes) -> bytes:
    """A message as it goes over TCP."""
    return len(data).to_bytes(2, "big") + data


def _message(data: bytes) -> dns.Message:
    message = dns.Message()
    message.fromStr(data)
    return message
