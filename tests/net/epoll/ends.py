"""A TLS socket and its peer."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from proxymux.net.epoll.send_buffer import SendBuffer
from proxymux.net.epoll.tls import TlsSocket
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from tests.net.tls.memory import MemoryClient
from tests.services.certificates import Authority, Credentials


@dataclass(eq=False)
class Connection:
    """The connection of a TLS socket."""

    sock: TlsSocket | None = None
    send_buffer: SendBuffer | None = None
    is_ending: bool = False
    has_turn: bool = True
    is_secured: bool = False
    reads_again: int = 0

    def read_again(self) -> None:
        self.reads_again += 1

    def note_secured(self) -> None:
        self.is_secured = True

    def may_shake_hands(self) -> bool:
        return self.has_turn


class Ends:
    """A TLS socket whose handshake is done, and the other end: its client, and the plain socket under that."""

    def __init__(self, authority: Authority, own: Credentials, *, is_secured: bool = True) -> None:
        engine = ServerContexts(str(own.file), ServerRules()).engine(None)
        context = authority.for_client()
        context.check_hostname = False
        self.client = MemoryClient(engine, context, None)
        if is_secured:
            self.client.shake_hands()
        self.below, peer = socket.socketpair()
        self.peer = peer
        self.below.setblocking(False)
        self.connection = Connection()
        self.tls = self.connection.sock = TlsSocket(self.below, engine, self.connection)

    def close(self) -> None:
        self.below.close()
        self.peer.close()

    def say(self, data: bytes) -> None:
        """Have the client send ``data``, encrypted."""
        self.client.tls.write(data)
        self.peer.sendall(self.client.outgoing())

    def read(self, size: int = 100) -> bytes:
        buffer = bytearray(size)
        with memoryview(buffer) as view:
            return bytes(buffer[: self.tls.recv_into(view)])
