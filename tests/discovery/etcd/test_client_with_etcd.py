"""The client with a real etcd: keys, leases, users, TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from proxymux.discovery.etcd.address import parse_etcd_address
from proxymux.discovery.etcd.client import EtcdClient
from proxymux.discovery.http_client import KEPT_FOR
from proxymux.errors import EtcdError
from proxymux.net.clock import monotonic
from tests.discovery.etcd_server import EtcdServer, running_etcd
from tests.services.certificates import Authority
from tests.services.peers import in_reactor, settle, together
from tests.system.conftest import free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    with running_etcd(tmp_path) as server:
        yield server


def client_of(text: str) -> EtcdClient:
    from twisted.internet import reactor

    return EtcdClient(parse_etcd_address(text), reactor, monotonic(reactor))  # type: ignore[arg-type]


@in_reactor
async def test_keys_are_put_read_created_once_and_deleted(etcd: EtcdServer) -> None:
    client = client_of(f"etcd://{etcd.address}/a/")
    await client.put(b"/a/1", b"one")
    await client.put(b"/a/2", b"\x00\xff")
    await client.put(b"/b", b"other")
    revision, found = await client.range_prefix(b"/a/")
    assert found == {b"/a/1": b"one", b"/a/2": b"\x00\xff"}
    assert revision == 4
    assert await client.get(b"/b") == b"other"
    assert await client.get(b"/c") is None
    assert await client.create(b"/b", b"mine") is False
    assert sorted(await together(*(created(client, number) for number in range(20)))) == [False] * 19 + [True]
    assert await client.delete(b"/b") is True
    assert await client.delete(b"/b") is False
    client.close()


async def created(client: EtcdClient, number: int) -> bool:
    return await client.create(b"/new", b"%d" % number)


@in_reactor
async def test_leases_carry_keys(etcd: EtcdServer) -> None:
    client = client_of(f"etcd://{etcd.address}/a/")
    lease = await client.grant(60)
    await client.put(b"/a/1", b"one", lease)
    assert await client.create(b"/a/2", b"two", lease)
    assert await client.keep_alive(lease) == 60
    assert len((await client.range_prefix(b"/a/"))[1]) == 2
    await client.revoke(lease)
    await client.revoke(lease)
    assert await client.keep_alive(lease) == 0
    assert (await client.range_prefix(b"/a/"))[1] == {}
    with pytest.raises(EtcdError, match=r"lease not found"):
        await client.put(b"/a/1", b"one", lease)
    client.close()


@in_reactor
async def test_ten_thousand_keys_are_read_at_one_revision(etcd: EtcdServer) -> None:
    client = client_of(f"etcd://{etcd.address}/a/")
    keys = {b"/a/%05d" % number: b"10.0.0.1:%d" % number for number in range(10_000)}
    etcd.put_all(keys)
    revision, found = await client.range_prefix(b"/a/")
    assert found == keys
    assert list(found) == sorted(keys)
    assert revision == 101
    client.close()


@in_reactor
async def test_another_member_is_asked_where_one_does_not_answer(etcd: EtcdServer) -> None:
    nobody = free_port()
    client = client_of(f"etcd://127.0.0.1:{nobody},{etcd.address}/a/")
    assert await client.create(b"/a/1", b"one")
    etcd.kill()
    with pytest.raises(EtcdError, match=r"^127.0.0.1:[0-9]+: connection refused$"):
        await client.get(b"/a/1")
    etcd.start()
    assert await client.get(b"/a/1") == b"one"
    client.close()
    with pytest.raises(EtcdError, match="closed"):
        await client.get(b"/a/1")


@in_reactor
async def test_a_user_gets_a_token_and_a_new_one_when_it_is_not_valid(etcd: EtcdServer) -> None:
    client = client_of(f"etcd://root:s%40cret@{etcd.address}/a/")
    await client.put(b"/a/1", b"etcd asks nobody for a name yet")
    etcd.control("user", "add", "root:s@cret")
    etcd.control("user", "grant-role", "root", "root")
    etcd.control("auth", "enable")
    await client.put(b"/a/1", b"one")
    etcd.kill()
    etcd.start()  # its tokens are gone
    assert await client.get(b"/a/1") == b"one"
    client.close()
    stranger = client_of(f"etcd://root:wr0ng@{etcd.address}/a/")
    with pytest.raises(EtcdError, match="authentication failed") as caught:
        await stranger.get(b"/a/1")
    assert "wr0ng" not in str(caught.value)
    stranger.close()
    nobody = client_of(f"etcd://{etcd.address}/a/")
    with pytest.raises(EtcdError, match="user name is empty"):
        await nobody.get(b"/a/1")
    nobody.close()


@in_reactor
async def test_tls_with_an_own_authority_and_a_client_certificate(tmp_path: Path, authority: Authority) -> None:
    own = authority.issue("127.0.0.1")
    stranger = Authority(tmp_path, "unknown")
    with running_etcd(tmp_path, authority, own) as etcd:
        files = f"?ca={authority.file}&cert={own.file}"
        client = client_of(f"etcds://{etcd.address}/a/{files}")
        await client.put(b"/a/1", b"one")
        assert await client.get(b"/a/1") == b"one"
        client.close()
        local = etcd.address.replace("127.0.0.1", "localhost")
        for host, query, problem in (
            (etcd.address, f"?ca={authority.file}", "."),
            (etcd.address, f"?ca={stranger.file}&cert={own.file}", "not accepted: its issuer is not known"),
            (etcd.address, f"?ca={tmp_path}/none.pem", "none.pem: no such file"),
            (local, files, "the certificate is not one for localhost; it names 127.0.0.1"),
        ):
            client = client_of(f"etcds://{host}/a/{query}")
            with pytest.raises(EtcdError, match=f"(?i){problem}"):
                await client.get(b"/a/1")
            client.close()


@in_reactor
async def test_connections_that_were_kept_and_lost_are_forgotten(tmp_path: Path, authority: Authority) -> None:
    from twisted.internet import reactor

    used: Any = reactor
    own, clock = authority.issue("127.0.0.1"), Clock()
    with running_etcd(tmp_path, authority, own) as etcd:
        address = parse_etcd_address(f"etcds://{etcd.address}/a/?ca={authority.file}&cert={own.file}")
        client = EtcdClient(address, used, clock)
        await client.put(b"/a/1", b"one")
        etcd.kill()
        await settle()
        clock.advance(KEPT_FOR + 1)
        etcd.start()
        assert await client.get(b"/a/1") == b"one"
        clock.advance(KEPT_FOR + 1)
        await settle()
        assert await client.get(b"/a/1") == b"one"
        client.close()
    assert clock.getDelayedCalls() == []
