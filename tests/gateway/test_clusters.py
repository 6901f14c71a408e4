"""Tokens that name clusters."""

from __future__ import annotations

from tests.gateway.conftest import StartGateway, old, sealed, served
from tests.services.peers import Net, in_reactor


@in_reactor
async def test_a_sealed_token_may_name_a_cluster(gateway: StartGateway, net: Net) -> None:
    dead, target = net.upstream(listens=False), net.upstream()
    running = gateway("--cluster", f"users={dead.remote},{target.remote}")
    client = await running.shows(sealed("users"), b"rest")
    await served(client, target, b"rest")


@in_reactor
async def test_a_list_may_name_clusters_too(gateway: StartGateway, net: Net) -> None:
    dead, target = net.upstream(listens=False), net.upstream()
    running = gateway("--cluster", f"users={dead.remote}")
    await served(await running.shows(sealed("users", target.remote)), target)


@in_reactor
async def test_a_cluster_that_there_is_not_is_a_token_for_elsewhere(gateway: StartGateway, net: Net) -> None:
    running = gateway("--cluster", f"users={net.upstream().remote}")
    client = await running.shows(sealed("others", j="once"))
    assert await client.read_all() == b"401"
    client.close()
    record = await running.record()
    assert (record.outcome, record.reason) == ("bad_handshake", "401 no cluster of that name (--cluster): others")


@in_reactor
async def test_an_old_token_names_no_cluster(gateway: StartGateway, net: Net) -> None:
    running = gateway("--cluster", f"users={net.upstream().remote}")
    assert await (await running.shows(old("users"))).read_all() == b"401"


@in_reactor
async def test_a_cluster_without_anybody_is_502(gateway: StartGateway, net: Net) -> None:
    running = gateway("--cluster", f"users={net.upstream(listens=False).remote}")
    client = await running.shows(sealed("users"))
    assert await client.read_all() == b"502"
    client.close()
    assert (await running.record()).outcome == "unreachable"


@in_reactor
async def test_the_operator_s_rules_hold_for_members_and_are_no_failure_of_theirs(
    gateway: StartGateway, net: Net
) -> None:
    target = net.upstream()
    running = gateway("--cluster", f"users={target.remote};fall=1", "--deny-target", "127.0.0.0/8")
    assert await (await running.shows(sealed("users"))).read_all() == b"401"
    [member] = running.service.clusters.show()["users"]
    assert (member["up"], member["connections"]) == (True, 0)
