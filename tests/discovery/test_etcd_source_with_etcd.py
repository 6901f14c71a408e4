"""The source in a real etcd: members that come and go, and all that happens to an etcd meanwhile."""

from __future__ import annotations

import gc
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.threads import deferToThread

from proxymux.discovery.etcd.address import parse_etcd_address
from proxymux.discovery.etcd.client import EtcdClient
from proxymux.discovery.etcd.following import GAP
from proxymux.discovery.etcd_source import EtcdSource
from proxymux.net.clock import monotonic
from tests.discovery.etcd.records import SourceRecord
from tests.discovery.etcd_server import EtcdServer, running_etcd
from tests.services.certificates import Authority
from tests.services.peers import in_reactor, together, until

pytestmark = pytest.mark.slow


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdServer]:
    with running_etcd(tmp_path) as server:
        yield server


def start(text: str) -> tuple[EtcdSource, SourceRecord]:
    from twisted.internet import reactor

    source, record = EtcdSource(text, reactor, monotonic(reactor), lambda: 1.0), SourceRecord()  # type: ignore[arg-type]
    source.check()
    source.start(record)
    return source, record


def client_of(etcd: EtcdServer) -> EtcdClient:
    from twisted.internet import reactor

    address = parse_etcd_address(f"etcd://{etcd.address}/any/")
    return EtcdClient(address, reactor, monotonic(reactor))  # type: ignore[arg-type]


async def put_all(client: EtcdClient, values: dict[bytes, bytes]) -> None:
    """Put keys, a few at once."""
    items = list(values.items())

    async def some(start: int) -> None:
        for key, value in items[start::8]:
            await client.put(key, value)

    await together(*(some(number) for number in range(8)))


@in_reactor
async def test_members_come_and_go_with_their_keys(etcd: EtcdServer) -> None:
    etcd.control("put", "/users/b", "10.0.0.2:80 weight=3")
    source, record = start(f"etcd://{etcd.address}/users/")
    await until(lambda: record.texts == ["10.0.0.2:80"], "the first set")
    assert record.sets[0][0].weight == 3
    etcd.control("put", "/users/a", "10.0.0.1:80")
    await until(lambda: record.texts == ["10.0.0.1:80", "10.0.0.2:80"], "another")
    etcd.control("put", "users/c", "10.0.0.3:80")
    etcd.control("put", "/users2/c", "10.0.0.9:80")
    await until(lambda: record.texts == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"], "one without a slash")
    etcd.control("del", "/users/a")
    await until(lambda: record.texts == ["10.0.0.2:80", "10.0.0.3:80"], "one to go")
    etcd.control("put", "/users/b", "10.0.0.2")
    await until(lambda: record.failures, "the bad value to be told")
    assert "the key '/users/b': '10.0.0.2' is not host:port" in record.failures[0]
    assert record.texts == ["10.0.0.2:80", "10.0.0.3:80"]
    etcd.control("del", "--prefix", "/users/")
    await until(lambda: record.texts == ["10.0.0.3:80"], "all with a slash to go")
    source.stop()


@in_reactor
async def test_the_set_stays_while_etcd_is_away_and_is_caught_up_with(etcd: EtcdServer) -> None:
    etcd.control("put", "/users/a", "10.0.0.1:80")
    source, record = start(f"etcd://{etcd.address}/users/")
    await until(lambda: record.texts == ["10.0.0.1:80"], "the first set")
    etcd.kill()
    await until(lambda: any("refused" in reason for reason in record.failures), "the failure to be told")
    assert record.texts == ["10.0.0.1:80"]
    answers = record.answers
    etcd.start()
    etcd.control("put", "/users/b", "10.0.0.2:80")
    await until(lambda: record.texts == ["10.0.0.1:80", "10.0.0.2:80"], "what was missed")
    assert record.answers >= answers
    source.stop()


@in_reactor
async def test_a_compaction_while_etcd_was_away_loses_nothing(etcd: EtcdServer) -> None:
    etcd.control("put", "/users/a", "10.0.0.1:80")
    etcd.control("put", "/users/b", "10.0.0.2:80")
    source, record = start(f"etcd://{etcd.address}/users/")
    await until(lambda: len(record.texts) == 2, "the first set")
    etcd.kill()
    await until(lambda: record.failures, "the failure to be told")
    etcd.start()  # the source cannot come back before all of this is done: the reactor does not turn
    etcd.control("del", "/users/a")
    for number in range(5):
        etcd.control("put", "/users/c", f"10.0.0.3:{80 + number}")
    etcd.control("compaction", "8")
    await until(lambda: record.texts == ["10.0.0.2:80", "10.0.0.3:84"], "the last state")
    source.stop()


@in_reactor
async def test_an_etcd_that_comes_back_empty_is_believed(etcd: EtcdServer, tmp_path: Path) -> None:
    for number in range(5):
        etcd.control("put", "/users/a", f"10.0.0.1:{80 + number}")
    source, record = start(f"etcd://{etcd.address}/users/")
    await until(lambda: record.texts == ["10.0.0.1:84"], "the first set")
    etcd.kill()
    (tmp_path / "etcd").rename(tmp_path / "old")
    etcd.start()
    etcd.control("put", "/users/b", "10.0.0.2:80")
    await until(lambda: record.texts == ["10.0.0.2:80"], "the new data")
    source.stop()


@in_reactor
async def test_ten_thousand_keys(etcd: EtcdServer) -> None:
    etcd.put_all({b"/users/%05d" % number: b"10.0.%d.%d:80" % divmod(number, 250) for number in range(10_000)})
    source, record = start(f"etcd://{etcd.address}/users/")
    await until(lambda: record.sets, "the first set")
    assert [len(entries) for entries in record.sets] == [10_000]
    assert record.texts[-1] == "10.0.39.249:80"
    etcd.control("put", "/users/10000", "10.1.0.1:80")
    await until(lambda: record.texts[-1] == "10.1.0.1:80", "one more")
    assert [len(entries) for entries in record.sets] == [10_000, 10_001]
    source.stop()


@in_reactor
async def test_more_than_a_thousand_changes_a_second(etcd: EtcdServer) -> None:
    """As fast as etcd takes them: 20,000 in transactions of 100, and 2,000 by themselves."""
    from twisted.internet import reactor

    client = client_of(etcd)
    source, record = start(f"etcd://{etcd.address}/users/")
    await until(lambda: record.sets, "the first set")
    clock = monotonic(reactor)
    begun, memory = clock.seconds(), []
    for round_ in range(20):
        for number in range(10):
            await deferToThread(etcd.put_all, members(round_, number))
        await put_all(client, members(round_, 11))
        memory.append(resident())
    took = clock.seconds() - begun
    last = [value.decode() for value in members(19, 11).values()]
    await until(lambda: record.texts == last, "the final state")
    assert len(record.sets) <= took / GAP + 3
    assert max(memory) < memory[4] + (16 << 20)
    assert record.failures == []
    source.stop()
    client.close()


def members(round_: int, number: int) -> dict[bytes, bytes]:
    """A hundred keys, whose values differ from those of every other round and number."""
    return {b"/users/%02d" % n: b"10.0.%d.%d:%d" % (round_, number, 1 + n) for n in range(100)}


def resident() -> int:
    """The bytes of memory that this process uses."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@in_reactor
async def test_user_and_password(etcd: EtcdServer) -> None:
    etcd.control("put", "/users/a", "10.0.0.1:80")
    etcd.control("user", "add", "root:s@cret")
    etcd.control("user", "grant-role", "root", "root")
    etcd.control("role", "add", "reader")
    etcd.control("role", "grant-permission", "reader", "--prefix=true", "read", "/users/")
    etcd.control("user", "add", "some:one")
    etcd.control("user", "grant-role", "some", "reader")
    etcd.control("auth", "enable")
    source, record = start(f"etcd://root:s%40cret@{etcd.address}/users/")
    await until(lambda: record.texts == ["10.0.0.1:80"], "the first set")
    etcd.kill()
    etcd.start()  # the token is gone
    etcd.control("--user", "root:s@cret", "put", "/users/b", "10.0.0.2:80")
    await until(lambda: record.texts == ["10.0.0.1:80", "10.0.0.2:80"], "another")
    source.stop()
    source, record = start(f"etcd://some:one@{etcd.address}/users/")  # who may not read users/
    await until(lambda: record.texts == ["10.0.0.1:80", "10.0.0.2:80"], "the first set")
    etcd.control("--user", "root:s@cret", "del", "/users/a")
    await until(lambda: record.texts == ["10.0.0.2:80"], "one to go")
    assert record.failures == []
    source.stop()
    source, record = start(f"etcd://root:wr0ng@{etcd.address}/users/")
    await until(lambda: record.failures, "the refusal")
    assert "authentication failed" in record.failures[0]
    assert "wr0ng" not in "".join(record.failures)
    source.stop()


@in_reactor
async def test_tls(tmp_path: Path, authority: Authority) -> None:
    own = authority.issue("127.0.0.1")
    with running_etcd(tmp_path, authority, own) as etcd:
        etcd.control("put", "/users/a", "10.0.0.1:80")
        source, record = start(f"etcds://{etcd.address}/users/?ca={authority.file}&cert={own.file}")
        await until(lambda: record.texts == ["10.0.0.1:80"], "the first set")
        etcd.control("put", "/users/b", "10.0.0.2:80")
        await until(lambda: record.texts == ["10.0.0.1:80", "10.0.0.2:80"], "another")
        source.stop()
        stranger = tmp_path / "strangers"
        stranger.mkdir()
        source, record = start(f"etcds://{etcd.address}/users/?ca={Authority(stranger, 'other').file}&cert={own.file}")
        await until(lambda: record.failures, "the refusal")
        assert "its issuer is not known" in record.failures[0]
        source.stop()
