"""Connecting to the members of a cluster: who is tried, what a failure costs, and what is counted."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from proxymux import Forward
from proxymux.core.member import Entry
from proxymux.core.proxy_protocol import encode
from proxymux.core.target import parse_target
from proxymux.errors import NoMember
from proxymux.net.member_attempts import MEMBERS_A_ROUND
from tests.net.test_connecting import asks, is_served
from tests.services.certificates import Credentials
from tests.services.fixtures import RELAYS, Callback, Running, Start
from tests.services.peers import Net, Upstream, in_reactor, settle, until
from tests.services.tls import tls_upstream

TO_USERS: dict[str, Any] = {"remote": "users"}


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def users(*targets: Upstream, options: str = "") -> list[str]:
    return [f"users={','.join(each.remote for each in targets)}{options}"]


def shown(proxy: Running) -> dict[str, tuple[bool, int]]:
    """Of each member of the cluster whether it is up, and how many connections it has."""
    return {each["target"]: (each["up"], each["connections"]) for each in proxy.service.clusters.show()["users"]}


@in_reactor
async def test_a_cluster_s_members_get_clients_in_turn_and_count_them_to_their_end(start: Start, net: Net) -> None:
    first, second = net.upstream(), net.upstream()
    proxy = start(lambda data: TO_USERS, cluster=users(first, second))
    client = await asks(proxy)
    upstream = await first.accept()
    assert await upstream.receive(5) == b"hello"
    await until(lambda: shown(proxy)[first.remote] == (True, 1), "it to be counted")
    other = await asks(proxy)
    await is_served(other, second)
    await proxy.ended(1)
    assert shown(proxy) == {first.remote: (True, 1), second.remote: (True, 0)}
    client.finish()
    upstream.finish()
    await proxy.ended(2)
    assert shown(proxy) == {first.remote: (True, 0), second.remote: (True, 0)}
    assert [record.target for record in proxy.records] == [second.remote, first.remote]


@in_reactor
async def test_a_dead_member_costs_no_client_and_is_ejected_after_as_many_failures_as_it_may_have(
    start: Start, net: Net
) -> None:
    dead, alive = net.upstream(listens=False), net.upstream()
    proxy = start(lambda data: TO_USERS, cluster=users(dead, alive, options=";fall=2;interval=1"))
    for _ in range(6):
        await is_served(await asks(proxy), alive)
    records = await proxy.ended(6)
    assert {record.outcome for record in records} == {"completed"}
    await proxy.has_failed(2)
    assert proxy.failed_attempts == [(dead.remote, "connection refused")] * 2
    assert shown(proxy) == {dead.remote: (False, 0), alive.remote: (True, 0)}
    assert ("info", f"cluster users: {dead.remote} is down: connection refused") in proxy.lines


@in_reactor
async def test_where_all_are_down_clients_are_told_at_once(start: Start, net: Net) -> None:
    dead = net.upstream(listens=False)
    told = Callback(b"sorry")
    proxy = start(
        lambda data: TO_USERS, connect_error=told, cluster=users(dead, options=";health=off;fall=2;interval=4")
    )
    client = await asks(proxy)
    await proxy.has_failed(1)
    proxy.clock.advance(0.1)
    assert await client.read_all() == b"sorry"
    client.close()
    other = await asks(proxy)
    assert await other.read_all() == b"sorry"  # no time has passed
    other.close()
    records = await proxy.ended(2)
    assert [record.outcome for record in records] == ["unreachable"] * 2
    assert [record.target for record in records] == told.remotes == [dead.remote, "users"]
    refused = (dead.remote, "connection refused")
    assert proxy.failed_attempts == [refused, refused, ("users", "no target is up: connection refused")]
    proxy.clock.advance(4)  # then it is tried again
    dead.listen()
    await is_served(await asks(proxy), dead)


@in_reactor
async def test_a_list_goes_on_behind_a_cluster_that_has_nobody(start: Start, net: Net) -> None:
    dead, spare = net.upstream(listens=False), net.upstream()
    proxy = start(lambda data: {"remote": ["users", spare.remote]}, cluster=users(dead))
    await is_served(await asks(proxy), spare)
    assert (await proxy.record()).target == spare.remote


@in_reactor
async def test_a_cluster_that_there_is_not_is_the_router_s_error(start: Start, net: Net) -> None:
    proxy = start(lambda data: {"remote": "others"}, cluster=users(net.upstream()))
    assert await proxy.ask(b"hello") == b""
    assert (await proxy.record()).outcome == "router_error"
    [line] = proxy.errors
    assert "proxy remote: 'others' is neither host:port" in line
    assert "--cluster" in line


@in_reactor
async def test_a_key_always_has_the_same_member_and_another_one_when_that_is_down(start: Start, net: Net) -> None:
    targets = [net.upstream() for _ in range(3)]
    proxy = start(lambda data: Forward("users", hash_key=data[:5]), cluster=users(*targets, options=";policy=hash"))
    for _ in range(3):
        await asks(proxy)
    await until(lambda: sum(count for _, count in shown(proxy).values()) == 3, "all to be connected")
    [member] = [target for target in targets if shown(proxy)[target.remote][1] == 3]
    its_name = member.remote
    for _ in range(3):
        await member.accept()
    member.close()
    await asks(proxy)
    await proxy.has_failed(1)
    await until(lambda: sum(count for _, count in shown(proxy).values()) == 4, "the other one to be connected")
    assert shown(proxy)[its_name][1] == 3


@in_reactor
async def test_without_a_key_the_client_s_address_is_one(start: Start, net: Net) -> None:
    targets = [net.upstream() for _ in range(3)]
    proxy = start(lambda data: TO_USERS, cluster=users(*targets, options=";policy=hash"))
    sources = [f"127.0.0.{number}" for number in range(2, 6)]
    for source in sources * 2:
        client = await proxy.connect(source=source)
        await client.send(b"hello")
    await until(lambda: sum(count for _, count in shown(proxy).values()) == 8, "all to be connected")
    assert all(count % 2 == 0 for _, count in shown(proxy).values())  # so few are never too many for one


@in_reactor
async def test_no_more_connections_than_a_member_may_have(start: Start, net: Net) -> None:
    first, second = net.upstream(), net.upstream()
    proxy = start(lambda data: TO_USERS, cluster=users(first, second, options=";connections=1"))
    clients = [await asks(proxy) for _ in range(2)]
    await until(lambda: shown(proxy) == {first.remote: (True, 1), second.remote: (True, 1)}, "both to be taken")
    late = await asks(proxy)
    assert await late.read_all() == b""
    assert (await proxy.record()).reason == "users: no target may be tried"
    clients[0].reset()
    await until(lambda: shown(proxy)[first.remote] == (True, 0), "it to be counted no more")
    await asks(proxy)
    await until(lambda: shown(proxy)[first.remote] == (True, 1), "another to be there")


@in_reactor
async def test_who_leaves_while_it_is_connected_is_counted_no_more(start: Start, net: Net) -> None:
    silent = net.upstream()
    silent.fill_queue()
    proxy = start(lambda data: {**TO_USERS, "connect_timeout": 5}, cluster=users(silent))
    clients = [await asks(proxy) for _ in range(3)]
    await until(lambda: shown(proxy)[silent.remote][1] >= 1, "one to be tried")
    for client in clients:
        client.reset()
    await proxy.ended(3)
    assert shown(proxy)[silent.remote] == (True, 0)


@in_reactor
async def test_a_drained_member_gets_nothing_new_and_keeps_what_it_has(start: Start, net: Net) -> None:
    first, second = net.upstream(), net.upstream()
    proxy = start(lambda data: TO_USERS, cluster=users(first, second))
    client = await asks(proxy)
    upstream = await first.accept()
    steering = proxy.service.steering
    assert [steering.drain(first.remote, "users"), steering.drain(first.remote, "users")] == [True, False]
    for _ in range(3):
        await is_served(await asks(proxy), second)
    await upstream.send(b"still here")
    assert await client.receive(10) == b"still here"
    assert [steering.enable(first.remote, "users"), steering.enable(first.remote, "users")] == [True, False]
    await is_served(await asks(proxy), first)


@in_reactor
async def test_what_is_steered_must_be_a_member(start: Start, net: Net) -> None:
    target = net.upstream()
    steering = start(lambda data: TO_USERS, cluster=users(target)).service.steering
    for steer in (steering.drain, steering.enable, steering.hold, steering.release):
        with pytest.raises(NoMember, match="no target of the cluster users"):
            steer("127.0.0.1:1", "users")
        with pytest.raises(NoMember, match="there is no cluster others; there are: users"):
            steer(target.remote, "others")


@in_reactor
async def test_who_has_left_can_be_released_and_enabled(start: Start, net: Net) -> None:
    gone, target = net.upstream(), net.upstream()
    proxy = start(lambda data: TO_USERS, cluster=users(gone, target))
    steering, cluster = proxy.service.steering, proxy.service.clusters["users"]
    assert steering.hold(gone.remote, "users")
    assert steering.drain(gone.remote, "users")
    cluster.changed((Entry(parse_target(target.remote)),))
    assert steering.release(gone.remote, "users")
    assert steering.enable(gone.remote, "users")
    with pytest.raises(NoMember):
        steering.enable(gone.remote, "users")


@in_reactor
async def test_clients_wait_for_a_held_member_only_if_there_is_no_other(start: Start, net: Net) -> None:
    first, second = net.upstream(), net.upstream()
    proxy = start(lambda data: TO_USERS, cluster=users(first, second))
    steering = proxy.service.steering
    steering.hold(first.remote, "users")
    for _ in range(3):
        await is_served(await asks(proxy), second)
    steering.hold(second.remote, "users")
    client = await asks(proxy)
    await until(lambda: sum(hold.waiting for hold in steering.holds) == 1, "it to wait")
    await settle()
    assert not client.has_something()
    steering.release(first.remote, "users")
    steering.release(second.remote, "users")
    await until(lambda: sum(count for _, count in shown(proxy).values()) == 1, "it to go on")


@pytest.mark.parametrize("relay", ["fd"])  # Twisted leaves such a socket to the garbage collector, which says so
@in_reactor
async def test_a_connect_that_fails_for_want_of_something_here_is_not_the_member_s_fault(
    start: Start, net: Net
) -> None:
    target = net.upstream()
    proxy = start(
        lambda data: {**TO_USERS, "bind": "192.0.2.1", "retries": 0}, cluster=users(target, options=";fall=1")
    )
    assert await proxy.ask(b"hello") == b""
    assert (await proxy.record()).outcome == "unreachable"
    assert shown(proxy)[target.remote] == (True, 0)


@pytest.mark.parametrize("retry_on", ["timeout", "failure"])
@in_reactor
async def test_so_many_members_are_tried_in_one_round_and_no_more(start: Start, net: Net, retry_on: str) -> None:
    dead = [net.upstream(listens=False) for _ in range(MEMBERS_A_ROUND + 8)]
    result = {**TO_USERS, "retries": 0, "retry_on": retry_on}
    proxy = start(lambda data: Forward(**result), cluster=users(*dead))
    assert await proxy.ask(b"hello") == b""
    assert (await proxy.record()).outcome == "unreachable"
    assert len(proxy.failed_attempts) == MEMBERS_A_ROUND


@in_reactor
async def test_who_waits_for_a_held_member_that_leaves_or_is_drained_goes_to_another(start: Start, net: Net) -> None:
    held, other = net.upstream(), net.upstream()
    proxy = start(lambda data: TO_USERS, cluster=users(held))
    steering, cluster = proxy.service.steering, proxy.service.clusters["users"]
    first = cluster.member_at(parse_target(held.remote))
    for change in (
        lambda: cluster.changed((Entry(parse_target(other.remote)),)),
        lambda: cluster.drain(parse_target(held.remote), True),
    ):
        cluster.changed((Entry(parse_target(held.remote)),))
        steering.hold(held.remote)
        client = await asks(proxy)
        await until(lambda: sum(hold.waiting for hold in steering.holds) == 1, "it to wait")
        cluster.changed(tuple(Entry(parse_target(each.remote)) for each in (held, other)))
        change()
        steering.release(held.remote)
        await is_served(client, other)
    await proxy.ended(2)
    assert first.connections == 0
    assert shown(proxy) == {held.remote: (True, 0), other.remote: (True, 0)}


@pytest.mark.usefixtures("trust")
@in_reactor
async def test_tls_that_a_decision_asks_for_and_that_fails_ejects_no_member(
    start: Start, net: Net, upstreams_own: Credentials
) -> None:
    target = net.upstream()
    proxy = start(lambda data: {**TO_USERS, "tls": data.decode()}, cluster=users(target, options=";fall=1"))
    client = await asks(proxy, b"what.a.client.says.example")
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        await tls_upstream(net, target, upstreams_own)
    assert await client.read_all() == b""
    assert f"{target.remote}: TLS: " in str((await proxy.record()).reason)
    assert shown(proxy) == {target.remote: (True, 0)}


@in_reactor
async def test_a_client_is_placed_by_any_path_that_its_header_may_have(start: Start, net: Net) -> None:
    target = net.upstream()
    proxy = start(
        lambda data: TO_USERS, cluster=users(target, options=";policy=hash"), listen="haproxy:tcp:0:interface=127.0.0.1"
    )
    header = encode("v2", "/run/\udcff", "/run/proxy")
    client = await asks(proxy, header + b"hello")
    await is_served(client, target)


@in_reactor
async def test_a_member_has_no_connection_of_a_client_that_is_only_told_the_last_word(start: Start, net: Net) -> None:
    target = net.upstream()
    last_word: Deferred[bytes] = Deferred()
    proxy = start(
        lambda data: {**TO_USERS, "inactivity_timeout": 5},
        inactivity_error=lambda remote: last_word,
        cluster=users(target, options=";connections=1"),
    )
    client = await asks(proxy)
    await target.accept()
    await until(lambda: shown(proxy)[target.remote] == (True, 1), "it to be connected")
    await settle()
    proxy.clock.advance(5)
    await until(lambda: shown(proxy)[target.remote] == (True, 0), "its connection to be counted no more")
    await is_served(await asks(proxy), target)
    last_word.callback(b"too slow")
    assert await client.read_all() == b"too slow"


@in_reactor
async def test_of_more_members_than_a_round_has_each_is_tried_before_one_is_tried_again(start: Start, net: Net) -> None:
    dead = [net.upstream(listens=False) for _ in range(MEMBERS_A_ROUND + 8)]
    alive = net.upstream()
    options = ";policy=random;health=off;fall=1000"
    proxy = start(lambda data: TO_USERS, cluster=users(*dead, alive, options=options))
    client = await asks(proxy)
    for _ in range(2):
        await settle()
        proxy.clock.advance(0.1)
    await is_served(client, alive)
    attempts = [target for target, _ in proxy.failed_attempts]
    assert len(attempts) == len(set(attempts)) <= len(dead)
