"""A TLS client in memory: Python's own, against an engine of ours."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TypeVar

from proxymux.net.tls.engine import WANT, TlsEngine, TlsError, pointer_to

_T = TypeVar("_T")


class MemoryClient:
    """One end of a TLS connection whose other end is ``engine``."""

    def __init__(
        self,
        engine: TlsEngine,
        context: ssl.SSLContext,
        server_name: str | None,
        session: ssl.SSLSession | None = None,
        *,
        is_server: bool = False,
    ) -> None:
        self.engine = engine
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if is_server:
            self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        else:
            self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name, session=session)
        #: Why the engine has failed.
        self.problem: TlsError | None = None
        #: What the engine has read.
        self.received = b""

    def shake_hands(self) -> None:
        """Do the handshake.

        :raises ssl.SSLError: if it fails for the client.
        """
        self._until_done(self.tls.do_handshake)
        self._turn()
        try:
            self.tls.read(1)  # the tickets of TLS 1.3
        except ssl.SSLError:
            pass  # there is nothing else; a refusal of the client's certificate is the engine's to tell

    def send(self, data: bytes) -> None:
        """Send to the engine."""
        self.tls.write(data)
        self._turn()

    def read(self) -> bytes:
        """What the engine has sent."""
        return self._until_done(lambda: self.tls.read(1 << 20))

    def say(self, data: bytes) -> None:
        """Have the engine send."""
        self.engine.write(pointer_to(data), len(data))

    def outgoing(self) -> bytes:
        """What the client has said and the engine has not been given."""
        return self._outgoing.read()

    def put(self, data: bytes) -> None:
        """Give the client what the engine has said."""
        self._incoming.write(data)

    def _until_done(self, action: Callable[[], _T]) -> _T:
        for _ in range(20):
            try:
                return action()
            except ssl.SSLWantReadError:
                self._turn()
        raise AssertionError("the engine has nothing to say")

    def _turn(self) -> None:
        """Let the engine read and answer."""
        sent = self._outgoing.read()
        if sent:
            self.engine.put_bytes(sent)
        try:
            if self.engine.is_secured or self.engine.handshake():
                buffer = bytearray(1 << 16)
                while (count := self.engine.read_into(pointer_to(buffer), len(buffer))) not in (WANT, 0):
                    self.received += buffer[:count]
        except TlsError as problem:
            self.problem = problem
        while taken := bytes(self.engine.take()):
            self._incoming.write(taken)
