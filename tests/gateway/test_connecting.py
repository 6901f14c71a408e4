"""Connecting: 502 and 504, and where tokens may lead."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from tests.gateway.conftest import StartGateway, finish, old, sealed, served, told
from tests.net.scenes import send_and_finish
from tests.services.peers import Net, in_reactor, noise, of_one_port, settle, together, until

# 502 and 504


@in_reactor
async def test_a_target_that_refuses_is_502_after_one_attempt_whatever_retry_says(
    gateway: StartGateway, net: Net
) -> None:
    target = net.upstream(listens=False)
    for arguments in ([], ["--retry", "5"]):
        proxy = gateway(*arguments)
        client = await proxy.shows(old(target.remote), b"rest")
        assert await told(client) == b"502"
        await proxy.has_failed(1)
        record = await proxy.record()
        assert (record.outcome, record.target) == ("unreachable", target.remote)
        assert record.reason == f"{target.remote}: connection refused"


@in_reactor
async def test_a_target_that_finishes_before_its_first_byte_still_gets_all(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway()
    client = await proxy.shows(old(target.remote), b"rest")
    sink = await target.accept()
    sink.finish()
    assert await client.read_all() == b"200"
    _, received = await together(send_and_finish(client, noise(1_000_000)), sink.read_all())
    assert received == b"rest" + noise(1_000_000)
    record = await proxy.record()
    assert (record.outcome, record.bytes_out) == ("completed", 3)


@in_reactor
async def test_a_name_that_does_not_resolve_is_502(gateway: StartGateway) -> None:
    proxy = gateway("--retry", "3")
    client = await proxy.shows(old("nowhere.example:80"))
    assert await told(client) == b"502"
    assert proxy.names.asked == 1
    assert (await proxy.record()).reason == "nowhere.example:80: name does not resolve"


@pytest.mark.parametrize(("arguments", "attempts", "seconds"), [
    ([], 1, 3.0), (["--retry", "1"], 1, 3.0), (["--retry", "3"], 3, 3.0),
    (["--timeout", "0.5"], 1, 0.5), (["--retry", "2", "--timeout", "20"], 2, 20.0),
])  # fmt: skip
@in_reactor
async def test_a_target_that_does_not_answer_is_504_after_so_many_attempts_in_all_without_a_pause(
    gateway: StartGateway, net: Net, arguments: list[str], attempts: int, seconds: float
) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    proxy = gateway(*arguments)
    client = await proxy.shows(old(target.remote))
    await settle()
    for attempt in range(1, attempts + 1):
        proxy.clock.advance(seconds - 0.2)
        await proxy.has_failed(attempt - 1)
        assert not client.has_something()
        proxy.clock.advance(0.2)
        if attempt < attempts:
            await proxy.has_failed(attempt)
    assert await told(client) == b"504"
    await proxy.has_failed(attempts)
    record = await proxy.record()
    assert (record.outcome, record.target) == ("connect_timeout", target.remote)
    assert record.reason == f"{target.remote}: timed out after {seconds:g} s"
    assert record.seconds == pytest.approx(attempts * seconds)


@in_reactor
async def test_a_name_whose_look_up_takes_too_long_is_504(gateway: StartGateway) -> None:
    proxy = gateway()
    never: Deferred[list[str]] = Deferred()
    proxy.names.addresses["slow.example"] = [never]
    client = await proxy.shows(old("slow.example:80"))
    await settle()
    proxy.clock.advance(3)
    assert await told(client) == b"504"
    never.callback(["127.0.0.1"])


@in_reactor
async def test_a_second_attempt_may_succeed(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway("--retry", "2")
    never: Deferred[list[str]] = Deferred()
    proxy.names.addresses["slow.example"] = [never, ["127.0.0.1"]]
    client = await proxy.shows(old(f"slow.example:{target.port}"), b"rest")
    await settle()
    proxy.clock.advance(3)
    await finish(client, await served(client, target, b"rest"))
    never.callback([])


@in_reactor
async def test_of_a_list_the_first_that_answers_is_taken(gateway: StartGateway, net: Net) -> None:
    refuses, target, unused = net.upstream(listens=False), net.upstream(), net.upstream()
    proxy = gateway()
    client = await proxy.shows(sealed(refuses.remote, "nowhere.example:1", target.remote, unused.remote), b"rest")
    await finish(client, await served(client, target, b"rest"))
    assert await unused.is_left_alone()
    assert (await proxy.record()).target == target.remote


@in_reactor
async def test_a_list_of_which_one_refuses_and_one_times_out_is_502(gateway: StartGateway, net: Net) -> None:
    refuses, silent = net.upstream(listens=False), net.upstream(listens=False)
    silent.fill_queue()
    for targets in ((refuses, silent), (silent, refuses)):
        proxy = gateway("--retry", "2")
        client = await proxy.shows(sealed(*[each.remote for each in targets]))
        await settle()
        for _ in range(2):
            assert not client.has_something()
            proxy.clock.advance(3)
            await settle()
        assert await told(client) == b"502"
        assert (await proxy.record()).outcome == "unreachable"
        assert [target for target, _ in proxy.failed_attempts].count(silent.remote) == 2
        assert [target for target, _ in proxy.failed_attempts].count(refuses.remote) == 1


@in_reactor
async def test_a_list_of_which_all_time_out_is_504(gateway: StartGateway, net: Net) -> None:
    silent = [net.upstream(listens=False), net.upstream(listens=False)]
    for each in silent:
        each.fill_queue()
    proxy = gateway()
    client = await proxy.shows(sealed(*[each.remote for each in silent]))
    await settle()
    proxy.clock.advance(3)
    await settle()
    assert not client.has_something()
    proxy.clock.advance(3)
    assert await told(client) == b"504"


@in_reactor
async def test_a_client_that_leaves_while_it_is_being_connected_ends_it(gateway: StartGateway, net: Net) -> None:
    target = net.upstream(listens=False)
    target.fill_queue()
    proxy = gateway("--retry", "100")
    client = await proxy.shows(old(target.remote))
    await settle()
    client.reset()
    assert (await proxy.record()).outcome == "client_aborted"
    assert proxy.failed_attempts == []


# Where tokens may lead


@pytest.mark.parametrize("name", ["127.0.0.1", "inside.example", "0.0.0.0", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"])
@pytest.mark.parametrize("rule", [["--deny-target", "127.0.0.0/8"], ["--allow-target", "10.0.0.0/8"]])
@in_reactor
async def test_a_denied_target_is_401_and_is_judged_by_what_it_resolves_to(
    gateway: StartGateway, net: Net, name: str, rule: list[str]
) -> None:
    target = net.upstream()
    proxy = gateway(*rule, "--retry", "3")
    proxy.names.addresses["inside.example"] = [["127.0.0.1"]]
    client = await proxy.shows(old(f"{name}:{target.port}"))
    assert await told(client) == b"401"
    record = await proxy.record()
    assert record.outcome == "bad_handshake"
    assert str(record.reason).startswith("401 ")
    assert str(record.reason).endswith(("denied (--deny-target)", "not allowed (--allow-target)"))
    assert proxy.names.asked <= 1
    assert await target.is_left_alone()
    assert any(line.startswith("401: 1 (denied target ") for line in proxy.service.statistics.lines())


@in_reactor
async def test_an_allowed_port_goes_and_another_does_not(gateway: StartGateway, net: Net) -> None:
    target, other = net.upstream(), net.upstream()
    proxy = gateway("--allow-target", f"127.0.0.0/8:{target.port}")
    client = await proxy.shows(old(target.remote))
    await finish(client, await served(client, target))
    client = await proxy.shows(old(other.remote))
    assert await told(client) == b"401"


@in_reactor
async def test_of_a_names_addresses_only_good_ones_are_connected_to(gateway: StartGateway, net: Net) -> None:
    good, bad = of_one_port(net, "127.0.0.2", "127.0.0.1")
    proxy = gateway("--deny-target", "127.0.0.1")
    proxy.names.addresses["both.example"] = [["127.0.0.1", "127.0.0.2"]]
    client = await proxy.shows(old(f"both.example:{good.port}"))
    await finish(client, await served(client, good))
    assert await bad.is_left_alone()


@in_reactor
async def test_the_address_that_was_judged_is_the_one_connected_to(gateway: StartGateway, net: Net) -> None:
    good, bad = of_one_port(net, "127.0.0.2", "127.0.0.1")
    proxy = gateway("--deny-target", "127.0.0.1")
    proxy.names.addresses["rebinding.example"] = [["127.0.0.2"], ["127.0.0.1"]]
    client = await proxy.shows(old(f"rebinding.example:{good.port}"))
    await finish(client, await served(client, good))
    client = await proxy.shows(old(f"rebinding.example:{good.port}"))
    assert await told(client) == b"401"
    assert await bad.is_left_alone()


@in_reactor
async def test_of_a_list_a_denied_target_is_passed_over(gateway: StartGateway, net: Net) -> None:
    denied, target = net.upstream("127.0.0.1"), net.upstream("127.0.0.2")
    proxy = gateway("--deny-target", "127.0.0.1")
    client = await proxy.shows(sealed(denied.remote, target.remote))
    await finish(client, await served(client, target))
    refused = net.upstream("127.0.0.2", listens=False)
    client = await proxy.shows(sealed(denied.remote, refused.remote))
    assert await told(client) == b"502"
    client = await proxy.shows(sealed(denied.remote, denied.remote))
    assert await told(client) == b"401"
    assert await denied.is_left_alone()


@pytest.mark.parametrize(
    "listen", ["tcp:0:interface=127.0.0.1", "tcp:0", r"tcp:0:interface=\:\:1", r"tcp:0:interface=\:\:"]
)
@in_reactor
async def test_the_gateway_does_not_lead_to_itself(gateway: StartGateway, net: Net, listen: str) -> None:
    proxy = gateway(listen=listen)
    host, _, port = proxy.address.rpartition(":")
    ways = ["[::1]", "[::]", "[::%1]", "six.example"] if ":" in host else []
    if host in ("127.0.0.1", "0.0.0.0", "[::]"):
        ways += ["127.0.0.1", "0.0.0.0", "localhost", "[::ffff:127.0.0.1]", "[::ffff:0.0.0.0]"]
    if host in ("0.0.0.0", "[::]"):
        ways += ["127.0.0.2"]
    proxy.names.addresses["localhost"] = [["127.0.0.1"]]
    proxy.names.addresses["six.example"] = [["::1"]]
    reach = f"[::1]:{port}" if host == "[::]" else f"127.0.0.1:{port}" if host == "0.0.0.0" else proxy.address
    for number, way in enumerate(ways, 1):
        client = await net.connect(reach)
        await client.send(old(f"{way}:{port}") + b"\n")
        assert await told(client) == b"401", way
        records = await proxy.ended(number)
        assert str(records[-1].reason).endswith("the gateway itself"), way


@in_reactor
async def test_another_port_of_its_address_is_not_itself(gateway: StartGateway, net: Net) -> None:
    target = net.upstream()
    proxy = gateway(listen="tcp:0")
    client = await net.connect(f"127.0.0.1:{proxy.address.rpartition(':')[2]}")
    await client.send(old(f"0.0.0.0:{target.port}") + b"\n")
    await finish(client, await served(client, target))


@in_reactor
async def test_who_waits_too_long_for_a_held_target_is_told_504_and_one_too_many_502(
    gateway: StartGateway, net: Net
) -> None:
    target = net.upstream()
    running = gateway("--queue-limit", "1", "--queue-timeout", "5")
    running.service.steering.hold(target.remote)
    client = await running.shows(sealed(target.remote))
    await until(lambda: running.service.steering.holds[0].waiting, "it to wait")
    assert await told(await running.shows(sealed(target.remote))) == b"502"
    running.clock.advance(5.1)
    assert await told(client) == b"504"
    assert [record.outcome for record in await running.ended(2)] == ["queue_full", "queue_timeout"]
    running.service.steering.release(target.remote)
    assert await target.is_left_alone()
