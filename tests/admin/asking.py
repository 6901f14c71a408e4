"""Asks the admin endpoint of a running service, as bytes on a connection."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.services.fixtures import Running
from tests.services.peers import Net, Peer

TOKEN: Final = "a-token-of-the-tests"


@dataclass(frozen=True)
class Said:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @classmethod
    def read(cls, data: bytes) -> Said:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        fields = (line.split(": ", 1) for line in lines)
        return cls(int(first.split()[1]), {name.lower(): value for name, value in fields}, body)


class Asker:
    """Asks one endpoint.

    :param running: the service that has it.
    """

    def __init__(self, net: Net, running: Running) -> None:
        self._net = net
        [endpoint] = running.service.admin
        self.address = str(endpoint.address)

    async def connect(self) -> Peer:
        return await self._net.connect(self.address)

    async def raw(self, data: bytes) -> Said:
        """What is answered to these bytes, on a connection that is closed after it."""
        peer = await self.connect()
        await peer.send(data)
        return Said.read(await peer.read_all())

    async def get(self, path: str, method: str = "GET", body: bytes = b"", **headers: str | None) -> Said:
        """What is answered to a request; in the names of ``headers`` underscores stand for dashes."""
        fields = {"Host": self.address, "Connection": "close", "Content-Length": str(len(body)), **headers}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items() if value is not None]
        return await self.raw("\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode("latin-1") + body)

    async def post(self, path: str, token: str | None = TOKEN, **headers: str | None) -> Said:
        """What is answered to a POST with the token."""
        shown = None if token is None else f"Bearer {token}"
        return await self.get(path, "POST", b"", Authorization=shown, **headers)
