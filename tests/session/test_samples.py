"""The first bytes of a session, as far as its decision saw them, become a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.services.fixtures import Running, Start, StartPool
from tests.services.peers import Net, in_reactor, settle, until


@pytest.fixture(params=["auto", "transport"])
def relay(request: pytest.FixtureRequest) -> str:
    relay: str = request.param
    return relay


def samples(folder: Path) -> dict[str, bytes]:
    """What is in the folder, by service, session and word."""
    return {path.name.split("-", 1)[1]: path.read_bytes() for path in sorted(folder.iterdir())}


@in_reactor
async def test_it_has_what_the_decision_saw_and_says_what_came_of_it(start: Start, net: Net, tmp_path: Path) -> None:
    target = net.upstream()

    def proxy(data: bytes) -> Any:
        if data[:1] == b"r":
            return {"close": b"no"}
        if data[:1] == b"e":
            raise ValueError("error")
        if data[:1] == b"h":
            return {"reply": b"hi", "consume": 1}
        return {"remote": target.remote} if len(data) > 3 else None

    proxy_ = start(proxy, capture=str(tmp_path / "samples"))
    client = await proxy_.connect()
    await client.send(b"h")
    assert await client.receive(2) == b"hi"
    for part in (b"ab", b"cd"):
        await client.send(part)
        await settle()
    upstream = await target.accept()
    await client.send(b"after the decision")
    await upstream.receive(22)
    upstream.close()
    client.close()
    for data in (b"reject", b"error", b"x"):
        await proxy_.ask(data)
    await proxy_.ended(4)
    folder = tmp_path / "samples"
    await until(lambda: folder.exists() and len(samples(folder)) == 4, "the samples")
    assert samples(folder) == {
        f"router-1-forward-{target.remote}": b"habcd",
        "router-2-reject-2": b"reject",
        "router-3-router_error": b"error",
        "router-4-undecided": b"x",
    }


@in_reactor
async def test_a_client_of_a_pool_has_none_since_no_byte_decides(
    start_pool: StartPool, net: Net, tmp_path: Path, services: list[Running]
) -> None:
    pool = start_pool(net.upstream(), capture=str(tmp_path / "samples"))
    client = await pool.connect()
    await client.send(b"x")
    await settle()
    services.remove(pool)
    await pool.stop()
    assert len(pool.records) == 1
    assert not (tmp_path / "samples").exists()
