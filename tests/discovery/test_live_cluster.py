from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from zope.interface import implementer

from proxymux.core.balancing import make_balancer
from proxymux.core.cluster import MANY, MOST_MEMBERS, PAUSE
from proxymux.core.cluster_spec import parse_cluster
from proxymux.core.member import Entry, Member
from proxymux.core.target import parse_target
from proxymux.discovery.clusters import Clusters
from proxymux.discovery.live_cluster import LiveCluster
from proxymux.discovery.source import SourceListener
from proxymux.discovery.static import StaticSource
from proxymux.errors import BadAddress, ConfigError, NoMember
from proxymux.net.timers import Timers

A, B = ADDRESSES = parse_target("a:1"), parse_target("b:1")


class FakeSource:
    """A source that says what a test has it say."""

    def __init__(self) -> None:
        self.listener: SourceListener | None = None
        self.problem = ""
        self.looks = 0

    def check(self) -> None:
        if self.problem:
            raise BadAddress(self.problem)

    def start(self, listener: SourceListener) -> None:
        self.listener = listener

    def look(self) -> None:
        self.looks += 1

    def stop(self) -> None:
        self.listener = None


class FakeChecks:
    def __init__(self) -> None:
        self.members: list[Member] = []
        self.down: list[Member] = []
        self.is_stopped = False

    def members_changed(self, members: Iterable[Member]) -> None:
        self.members = list(members)

    def went_down(self, member: Member) -> None:
        self.down.append(member)

    def stop(self) -> None:
        self.is_stopped = True


@implementer(ILogObserver)
class Scene:
    """A cluster that runs on a test's clock."""

    def __init__(self, options: str = "", source: Any = None) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self.source = source or FakeSource()
        log = Logger("proxymux", observer=self)
        spec = parse_cluster(f"users=x:1{options}")
        self.cluster = LiveCluster(spec, self.source, make_balancer(spec, lambda: 0.5), Timers(self.clock, log), log)
        self.checks = FakeChecks()
        self.cluster.checks = self.checks
        self.changes = 0
        self.cluster.watchers.append(self.note_change)
        self.cluster.start()

    def __call__(self, event: LogEvent) -> None:
        self.lines.append(f"{event['log_level'].name}: {formatEvent(event)}")

    def note_change(self) -> None:
        self.changes += 1

    def told(self, *entries: Entry) -> None:
        listener: Any = self.source.listener
        listener.changed(entries)

    def fail(self, member: Member, times: int) -> None:
        for _ in range(times):
            self.cluster.connect_failed(member, "refused")


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.told(Entry(A), Entry(B))
    return scene


def member(scene: Scene, at: int) -> Member:
    found = scene.cluster.member_at(ADDRESSES[at])
    assert found is not None
    return found


def test_what_the_source_says_is_told_once(scene: Scene) -> None:
    assert scene.lines == ["info: cluster users: 2 targets, 2 added, 0 removed"]
    scene.told(Entry(A), Entry(B))
    assert (len(scene.lines), scene.changes) == (1, 1)
    scene.told(Entry(A))
    assert scene.lines[1:] == ["info: cluster users: 1 targets, 0 added, 1 removed"]
    assert scene.checks.members == [member(scene, 0)]


def test_the_age_is_that_of_the_last_word_of_the_source(scene: Scene) -> None:
    scene.clock.advance(5)
    assert scene.cluster.age == 5
    scene.cluster.heard()
    assert scene.cluster.age == 0
    scene.cluster.failed("refused")
    scene.clock.advance(1)
    assert scene.cluster.age == 1
    assert Scene(source=StaticSource("a:1")).cluster.age == 0


def test_a_source_that_was_never_heard_is_as_old_as_the_wait_for_it() -> None:
    scene = Scene()
    scene.clock.advance(7)
    assert scene.cluster.age == 7
    assert not scene.cluster.is_known


def test_a_source_that_fails_is_told_once_a_minute_and_again_after_it_was_heard(scene: Scene) -> None:
    line = "warn: cluster users: refused; its 2 targets stay"
    for _ in range(3):
        scene.cluster.failed("refused")
        scene.clock.advance(1)
    assert scene.lines.count(line) == 1
    scene.cluster.heard()
    scene.cluster.failed("refused")
    assert scene.lines.count(line) == 2
    scene.clock.advance(60)
    scene.cluster.failed("refused")
    assert scene.lines.count(line) == 3


def test_targets_beyond_the_limit_are_not_dropped_in_silence() -> None:
    scene = Scene()
    scene.told(*(Entry(parse_target(f"a:{port}")) for port in range(1, MOST_MEMBERS + 2)))
    assert scene.lines[0] == "warn: cluster users: of 20001 targets only the first 20000 are used"
    assert len(scene.cluster.show()) == MOST_MEMBERS


def test_who_watches_is_told_when_others_are_used(scene: Scene) -> None:
    scene.fail(member(scene, 0), 2)
    assert scene.changes == 1
    scene.fail(member(scene, 0), 1)
    assert scene.changes == 2
    assert scene.checks.down == [member(scene, 0)]
    scene.clock.advance(10)
    for _ in range(2):
        scene.cluster.checked(member(scene, 0), None)
    assert scene.changes == 3


def test_without_checks_a_member_comes_back_by_itself_and_who_watches_is_told() -> None:
    scene = Scene(";health=off;interval=3")
    scene.told(Entry(A), Entry(B))
    scene.fail(member(scene, 0), 3)
    changes = scene.changes
    scene.clock.advance(2.9)
    assert scene.changes == changes
    scene.clock.advance(0.2)
    assert scene.changes == changes + 1
    assert member(scene, 0).is_used


def test_where_very_many_members_go_down_who_watches_is_told_a_little_later() -> None:
    scene = Scene(";fall=1")
    scene.told(*(Entry(parse_target(f"a:{port}")) for port in range(1, MANY + 2)))
    first, second, third = (found for found, _ in zip(scene.cluster.cluster.members.values(), range(3), strict=False))
    scene.clock.advance(PAUSE)
    told = scene.changes
    for member in (first, second, third):
        scene.fail(member, 1)
    assert scene.changes == told + 1
    scene.clock.advance(1)
    assert scene.changes == told + 2
    assert [member.is_used for member in (first, second, third)] == [False] * 3
    assert scene.clock.getDelayedCalls() == []


def test_it_stops_with_its_source_and_its_checks_and_leaves_no_timer() -> None:
    scene = Scene(";health=off")
    scene.told(Entry(A), Entry(B))
    scene.fail(member(scene, 0), 3)
    scene.cluster.stop()
    assert scene.checks.is_stopped
    assert scene.source.listener is None
    scene.clock.advance(3)  # the wheel's own call is over then
    assert scene.clock.getDelayedCalls() == []


# Several processes


def test_what_is_checked_elsewhere_counts_here_and_what_is_checked_here_is_told() -> None:
    scene = Scene(";health=tcp;fall=2")
    clusters = Clusters({"users": scene.cluster})
    told: list[tuple[str, str, str | None]] = []
    clusters.share_checks(lambda *result: told.append(result))
    clusters.check_here(False)
    scene.told(Entry(A), Entry(B))
    assert scene.checks.members == []
    unknown = [("users", "c:1", "refused"), ("others", "a:1", "refused")]
    clusters.checked_elsewhere([*unknown, ("users", "a:1", "refused"), ("users", "a:1", "refused")])
    assert [each["up"] for each in scene.cluster.show()] == [False, True]
    assert told == []
    clusters.check_here(True)
    assert len(scene.checks.members) == 2
    scene.cluster.checked(member(scene, 1), None)
    assert told == [("users", "b:1", None)]
    clusters.check_here(False)
    assert scene.checks.members == []


def test_who_only_checks_what_is_down_does_so_everywhere() -> None:
    scene = Scene()
    clusters = Clusters({"users": scene.cluster})
    clusters.share_checks(lambda *result: pytest.fail("it is each process's own"))
    clusters.check_here(False)
    scene.told(Entry(A), Entry(B))
    assert len(scene.checks.members) == 2
    scene.cluster.checked(member(scene, 0), "refused")


def test_what_others_have_found_before_is_so_from_the_start() -> None:
    scene = Scene(";health=tcp;fall=4")
    scene.told(Entry(A), Entry(B))
    Clusters({"users": scene.cluster}).condemn([("users", "b:1", "late"), ("others", "a:1", "late")])
    assert [(each["up"], each["reason"]) for each in scene.cluster.show()] == [(True, None), (False, "late")]


def test_what_others_have_found_before_counts_also_where_the_source_answers_later() -> None:
    scene = Scene(";health=tcp;fall=4")
    Clusters({"users": scene.cluster}).condemn([("users", "b:1", "late")])
    scene.told(Entry(A), Entry(B))
    assert [(each["up"], each["reason"]) for each in scene.cluster.show()] == [(True, None), (False, "late")]


# All clusters


def test_a_source_that_cannot_be_used_is_a_bad_option() -> None:
    scene = Scene()
    scene.source.problem = "no such file"
    with pytest.raises(ConfigError, match="--cluster: users: no such file"):
        Clusters({"users": scene.cluster}).check()


def test_a_reload_has_all_sources_look(scene: Scene) -> None:
    Clusters({"users": scene.cluster}).look()
    assert scene.source.looks == 1


def test_a_member_is_found_by_its_name_however_it_is_written(scene: Scene) -> None:
    scene.told(Entry(parse_target("[::1]:1")))
    clusters = Clusters({"users": scene.cluster})
    assert clusters.find("users", "[0::1]:1") is scene.cluster
    for name, target in (("users", "a:1"), ("others", "[::1]:1")):
        with pytest.raises(NoMember):
            clusters.find(name, target)
    with pytest.raises(BadAddress):
        clusters.find("users", "a")
    assert clusters.ages() == {"users": 0.0}
    assert list(clusters.show()) == ["users"]
