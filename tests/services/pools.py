"""What tests of the pool have in common."""

from __future__ import annotations

from tests.services.fixtures import Running
from tests.services.peers import Peer, Upstream, settle, until

#: More than the pool waits whether a new upstream speaks first, or whether more of a raw reply comes.
GAP = 0.006
#: Longer than a tick of the pool's timers.
TICK = 0.11


async def opened(pool: Running, target: Upstream) -> Peer:
    """The next connection from the pool, which has found it to be of use."""
    upstream = await target.accept()
    await settle()
    pool.clock.advance(GAP)
    await settle()
    return upstream


async def pass_time(pool: Running, seconds: float) -> None:
    """Let time pass for the pool, as it does: not all at once."""
    while seconds > 0:
        pool.clock.advance(min(seconds, 0.1))
        seconds -= 0.1
        await settle()


async def waits(pool: Running, count: int) -> None:
    """Wait until so many requests or clients wait, and see that they are no more."""
    leasing = pool.service.leases.leasing
    await until(lambda: leasing.waiting >= count, f"{count} to wait")
    await settle()
    assert leasing.waiting == count


async def clients(pool: Running, count: int) -> list[Peer]:
    """Clients that are in."""
    made = [await pool.connect() for _ in range(count)]
    await until(lambda: pool.service.leases.clients >= count, f"{count} clients")
    return made


async def is_silent(*peers: Peer) -> bool:
    """True if none of them has anything to read."""
    await settle()
    return not any(peer.has_something() for peer in peers)


def state(pool: Running) -> dict[str, float]:
    """Its counts."""
    found: dict[str, float] = pool.service.leases.state()
    return found


async def asked(pool: Running, target: Upstream, request: bytes = b"ask\n") -> tuple[Peer, Peer]:
    """A client and the new upstream that has its request."""
    client = await pool.connect()
    await client.send(request)
    upstream = await opened(pool, target)
    assert await upstream.receive(len(request)) == request
    return client, upstream


async def serves(pool: Running, target: Upstream) -> None:
    """See that a new client gets its own reply, on a new upstream."""
    client, upstream = await asked(pool, target, b"new\n")
    await upstream.send(b"own\n")
    assert await client.receive(4) == b"own\n"
