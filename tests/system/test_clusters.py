"""Clusters in running processes: targets that come, go and die under load."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import until
from tests.discovery.etcd_server import running_etcd
from tests.system.clusters import TO_USERS, TOKEN, Admin, Load, Targets, all_were_connected, answered_by
from tests.system.conftest import Start
from tests.system.workers import crew, roll_over, serving

pytestmark = pytest.mark.slow

MakeTargets = Callable[[int], Targets]


@pytest.fixture
def targets() -> Iterator[MakeTargets]:
    made: list[Targets] = []

    def make(count: int) -> Targets:
        made.append(Targets(count))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize("health", ["", ";health=off", ";health=tcp"], ids=["ejected checked", "none", "all"])
def test_a_target_that_dies_under_load_costs_no_client_and_is_used_again_when_it_is_back(
    start: Start, targets: MakeTargets, health: str
) -> None:
    some = targets(3)
    victim = some.ports[0]
    options = f"{health};interval=0.2;fall=2;rise=2"
    proxy = start(TO_USERS, "--cluster", f"users={some}{options}", "--admin", "0")
    admin = Admin(proxy)
    with Load(proxy) as load:
        load.wait_for(30)
        some.kill(victim)
        until(lambda: victim not in admin.up(), "it to be ejected")
        load.wait_for(30)
        some.revive(victim)
        served = some.running[victim]
        until(lambda: served.served, "it to be used again")
    assert set(map(int, filter(None, load.answers))) == set(some.ports)
    until(lambda: admin.up() == set(some.ports), "all to be up")
    all_were_connected(proxy, load, 1)


def test_half_of_all_targets_flap_and_no_client_notices(start: Start, targets: MakeTargets) -> None:
    some = targets(6)
    flapping = some.ports[:3]
    proxy = start(TO_USERS, "--cluster", f"users={some};health=tcp;interval=0.2;fall=2;rise=1")
    source = random.Random(20261130)
    until_then = time.monotonic() + float(os.environ.get("FLAP_SECONDS", "6"))
    kills = 0
    with Load(proxy) as load:
        while time.monotonic() < until_then:
            port = source.choice(flapping)
            kills += port in some.running
            (some.kill if port in some.running else some.revive)(port)
            load.wait_for(source.randrange(5, 60))
    assert set(map(int, filter(None, load.answers))) >= set(some.ports[3:])
    all_were_connected(proxy, load, kills)


def test_targets_in_a_file_come_and_go_under_load(start: Start, targets: MakeTargets, tmp_path: Path) -> None:
    some = targets(4)
    file = tmp_path / "targets"

    def write(ports: list[int]) -> None:
        fresh = tmp_path / "fresh"
        fresh.write_text("# users\n" + "".join(f"127.0.0.1:{port} weight=2\n" for port in ports))
        fresh.replace(file)

    write(some.ports[:2])
    proxy = start(TO_USERS, "--cluster", f"users=file:{file}", "--admin", "0")
    admin = Admin(proxy)
    with Load(proxy) as load:
        load.wait_for(20)
        assert answered_by(load) == set(some.ports[:2])
        for ports in (some.ports[1:], some.ports[2:], some.ports[:1]):
            write(ports)
            proxy.signal(signal.SIGHUP)  # else it is looked at every two seconds
            until(lambda: set(admin.members()) == set(ports), "the change")  # noqa: B023
            load.wait_for(20)
    assert answered_by(load) == set(some.ports)
    write([])
    file.write_text("nonsense\n")
    proxy.signal(signal.SIGHUP)
    proxy.wait_for_log("cluster users: .*targets, line 1: .*; its 1 targets stay")
    assert set(admin.members()) == set(some.ports[:1])


def test_targets_in_etcd_come_and_go_under_load_also_while_it_is_away(
    start: Start, targets: MakeTargets, tmp_path: Path
) -> None:
    some = targets(4)
    first, second, third, fourth = some.ports
    with running_etcd(tmp_path) as etcd:
        etcd.put_all({b"/users/%d" % port: b"127.0.0.1:%d weight=3" % port for port in (first, second)})
        source = f"users=etcd://{etcd.address}/users/"
        proxy = start(TO_USERS, "--cluster", source, "--admin", "0", "--relay", "fd")
        admin = Admin(proxy)
        until(lambda: set(admin.members()) == {first, second}, "what etcd has at first")
        with Load(proxy) as load:
            load.wait_for(20)
            etcd.put_all({b"/users/%d" % third: b"127.0.0.1:%d" % third})
            etcd.control("del", f"/users/{first}")
            until(lambda: set(admin.members()) == {second, third}, "the change")
            load.wait_for(20)
            etcd.kill()
            proxy.wait_for_log(r"cluster users: etcd.*; its 2 targets stay")
            load.wait_for(20)
            etcd.start()
            etcd.put_all({b"/users/%d" % fourth: b"127.0.0.1:%d" % fourth})
            revision = json.loads(etcd.control("get", "/users/", "--write-out=json"))["header"]["revision"]
            etcd.control("compact", str(revision))
            until(lambda: set(admin.members()) == {second, third, fourth}, "it to have caught up")
            load.wait_for(20)
    assert answered_by(load) == set(some.ports)
    outcomes = Counter(record["outcome"] for record in proxy.records(load.answers.total()))
    assert set(outcomes) == {"completed"}


def test_one_of_several_workers_checks_for_all_and_drains_outlive_a_rollover(
    start: Start, targets: MakeTargets, tmp_path: Path
) -> None:
    some = targets(3)
    (tmp_path / "token").write_text(TOKEN)
    proxy = start(
        TO_USERS,
        *("--cluster", f"users={some};health=tcp;interval=0.3;fall=2;rise=2"),
        *("--workers", "2", "--admin", "0", "--admin-token-file", str(tmp_path / "token")),
    )
    first, second, third = some.ports
    crew(proxy, 2)
    admin = Admin(proxy)
    some.kill(first)
    until(lambda: admin.up() == {second, third}, "all workers to know that it is down")
    assert admin.steer(second, "drain") == f"127.0.0.1:{second} is drained\n"
    with Load(proxy) as load:
        load.wait_for(20)
    assert answered_by(load) == {third}
    roll_over(proxy, 2)
    assert admin.up() == {second, third}
    with Load(proxy) as load:
        load.wait_for(20)
    assert answered_by(load) == {third}
    [checker] = [pid for pid, place in serving(proxy).items() if place == 1]
    os.kill(checker, signal.SIGKILL)
    crew(proxy, 2, {checker})
    some.revive(first)
    assert admin.steer(second, "enable") == f"127.0.0.1:{second} is used again\n"
    until(lambda: admin.up() == {first, second, third}, "somebody to have checked it")
    with Load(proxy) as load:
        load.wait_for(40)
    assert answered_by(load) == set(some.ports)


def test_what_a_member_has_is_counted_also_after_a_rollover(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as target, contextlib.ExitStack() as stack:
        port = target.getsockname()[1]
        proxy = start(TO_USERS, "--cluster", f"users=127.0.0.1:{port}", "--workers", "2", "--admin", "0")
        admin = Admin(proxy)
        crew(proxy, 2)
        for _ in range(4):
            client = stack.enter_context(proxy.connect())
            client.sendall(b"hello")
            upstream, _ = target.accept()
            stack.enter_context(upstream)
        assert admin.members()[port]["connections"] == 4
        roll_over(proxy, 2)
        assert admin.members()[port]["connections"] == 4
        stack.close()
        until(lambda: admin.members()[port]["connections"] == 0, "all to be counted no more")


def test_what_cannot_be_a_cluster_ends_the_start_with_one_line(start: Start) -> None:
    for cluster, says in {
        "users": "NAME=SOURCE is accepted",
        "users=": "users: has no source",
        "users=a": "users: 'a' is not host:port",
        "users=a:1;policy=best": "users: policy: 'best' is not accepted; round-robin, ",
        "users=ftp://a:1": "users: 'ftp://' begins no source; ",
        "users=file:/nowhere/targets": "users: /nowhere/targets: No such file or directory",
        "users=etcd://u:geheim@": "users: ",
    }.items():
        proxy = start(TO_USERS, "--cluster", cluster)
        assert proxy.wait() == 1
        [line] = [line for line in proxy.log().splitlines() if line.startswith("proxymux: ")]
        assert line.startswith(f"proxymux: --cluster: {says}"), line
        assert "geheim" not in proxy.log()
