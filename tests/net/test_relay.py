"""The relay: what it carries, how it ends, and that nobody has to wait for somebody else."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.net.conftest import RELAYS, Join
from tests.net.peers import MEGABYTE, in_reactor, noise, together


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@in_reactor
async def test_64_mib_both_ways_at_once(join: Join) -> None:
    proxy, client, upstream = await join()
    question, answer = noise(64 * MEGABYTE, "question"), noise(64 * MEGABYTE, "answer")

    async def talk(peer: Any, data: bytes) -> None:
        await peer.send(data)
        peer.finish()

    _, _, received, answered = await together(
        talk(client, question), talk(upstream, answer), upstream.read_all(), client.read_all()
    )
    assert hashlib.sha256(received).digest() == hashlib.sha256(question).digest()
    assert hashlib.sha256(answered).digest() == hashlib.sha256(answer).digest()
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", 5 + len(question), len(answer))
