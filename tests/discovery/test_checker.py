"""When members are checked, on a clock that only the test moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from twisted.internet.task import Clock
from twisted.logger import Logger

from proxymux.core.health import JITTER, Health, HealthRules
from proxymux.core.member import Entry, Member
from proxymux.core.target import Address, parse_target
from proxymux.core.wheel import TICK
from proxymux.discovery.check import CheckListener
from proxymux.discovery.checker import MOST_CHECKS, Checker
from proxymux.net.timers import Timers

RULES = HealthRules(rise=2, fall=2, interval=2.0)


def members(count: int, first: int = 1) -> list[Member]:
    return [
        Member(Entry(parse_target(f"10.0.0.1:{number}")), 1, Health(RULES), 0.0)
        for number in range(first, first + count)
    ]


class FakeCheck:
    """A check that ends when the test says so, or at once."""

    def __init__(self, scene: Scene, target: Address, listener: CheckListener) -> None:
        self._scene = scene
        self.target = target
        self.listener = listener
        self.began_at = -1.0
        self.is_cancelled = False

    def start(self) -> None:
        self.began_at = self._scene.clock.seconds()
        self._scene.under_way.append(self)
        self._scene.most = max(self._scene.most, len(self._scene.under_way))
        if self._scene.at_once is not None:
            self.end(self._scene.at_once)

    def end(self, problem: str = "") -> None:
        """End it, with a problem or none."""
        self._scene.under_way.remove(self)
        if problem:
            self.listener.failed(problem)
        else:
            self.listener.passed()

    def cancel(self) -> None:
        assert self in self._scene.under_way
        self._scene.under_way.remove(self)
        self.is_cancelled = True


class Scene:
    """A checker, and books about what it does.

    :param chances: the random numbers that it gets, in turn.
    """

    def __init__(self, only_down: bool = False, chances: tuple[float, ...] = (0.5,)) -> None:
        self.clock = Clock()
        self.made: list[FakeCheck] = []
        self.under_way: list[FakeCheck] = []
        #: The most that were under way at once.
        self.most = 0
        #: The problem of checks that end as soon as they begin, empty for none; None lets them go on.
        self.at_once: str | None = None
        self.told: list[tuple[Member, str | None]] = []
        #: Called when it was told.
        self.when_told: Callable[[], None] = lambda: None
        self.takes_note = True
        self._chances = list(chances)
        self.checker = Checker(
            self._make, Timers(self.clock, Logger("proxymux")), RULES.interval, only_down, self, self._chance
        )

    def _make(self, target: Address, listener: CheckListener) -> FakeCheck:
        self.made.append(FakeCheck(self, target, listener))
        return self.made[-1]

    def _chance(self) -> float:
        self._chances.append(self._chances.pop(0))
        return self._chances[-1]

    def checked(self, member: Member, problem: str | None) -> None:
        self.told.append((member, problem))
        now = self.clock.seconds()
        if self.takes_note and problem is None:
            member.health.check_passed(now)
        elif self.takes_note and problem is not None:
            member.health.check_failed(problem, now)
        self.when_told()

    def pass_time(self, seconds: float, step: float = 0.05) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)

    def times(self, member: Member) -> list[float]:
        """When its checks began."""
        return [check.began_at for check in self.made if check.target == member.address]


def test_nothing_happens_before_there_are_members() -> None:
    scene = Scene()
    scene.pass_time(10)
    assert scene.made == []
    assert not scene.clock.getDelayedCalls()


def test_a_member_is_told_of_after_each_of_its_checks() -> None:
    scene = Scene()
    [member] = members(1)
    scene.checker.members_changed([member])
    scene.pass_time(1.2)
    [check] = scene.under_way
    assert check.target == member.address
    assert scene.told == []
    check.end()
    scene.pass_time(2.2)
    scene.under_way[0].end("refused")
    assert scene.told == [(member, None), (member, "refused")]


def test_the_first_checks_are_spread_over_one_interval() -> None:
    scene = Scene(chances=(0.0, 0.5, 0.99))
    scene.at_once = ""
    scene.checker.members_changed(members(20))
    assert scene.made == []  # a new member is used before its first check
    scene.pass_time(RULES.interval + TICK)
    first = [scene.times(member)[0] for member, _ in scene.told[:20]]
    assert len(scene.told) >= 20
    for tenth in range(10):
        low = RULES.interval * tenth / 10
        assert 1 <= sum(low <= at <= low + 0.3 for at in first) <= 6


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 1 - JITTER), (0.5, 1.0), (1.0, 1 + JITTER)])
def test_a_check_follows_another_after_an_interval_with_jitter(chance: float, pause: float) -> None:
    scene = Scene(chances=(chance,))
    scene.at_once = ""
    [member] = members(1)
    scene.checker.members_changed([member])
    scene.pass_time(30)
    times = scene.times(member)
    assert len(times) > 10
    for before, after in itertools.pairwise(times):
        assert after - before == pytest.approx(RULES.interval * pause, abs=TICK + 0.06)


def test_the_interval_is_from_start_to_start_and_no_check_is_started_twice() -> None:
    scene = Scene()
    [member] = members(1)
    scene.checker.members_changed([member])
    scene.pass_time(1.2)
    [check] = scene.under_way
    scene.pass_time(1.5)
    check.end()
    scene.pass_time(0.6)
    assert len(scene.made) == 2
    scene.pass_time(10)  # longer than an interval
    assert len(scene.made) == 2
    scene.under_way[0].end()
    scene.pass_time(TICK + 0.05)  # the next is long due
    assert len(scene.made) == 3


def test_no_more_than_a_number_are_under_way_and_who_waited_longest_is_next() -> None:
    scene = Scene()
    many = members(MOST_CHECKS + 20)
    scene.checker.members_changed(many)
    scene.pass_time(3)
    assert scene.checker.under_way == scene.most == len(scene.made) == MOST_CHECKS
    for number in range(20):
        scene.under_way[0].end()
        assert len(scene.made) == MOST_CHECKS + number + 1
    places = [many.index(member) for check in scene.made for member in many if member.address == check.target]
    assert sorted(places) == list(range(MOST_CHECKS + 20))
    # The order in which they were due, but for those of the same tick.
    assert all(abs(place - number) <= 5 for number, place in enumerate(places))
    scene.pass_time(30)
    assert scene.most == MOST_CHECKS


def test_checks_that_end_at_once_are_no_recursion() -> None:
    scene = Scene()
    many = members(MOST_CHECKS + 5000)
    scene.checker.members_changed(many)
    scene.pass_time(2.5)
    assert len(scene.under_way) == MOST_CHECKS
    scene.at_once = "refused"
    scene.under_way[0].end()
    assert len(scene.told) == 5001
    assert scene.checker.under_way == MOST_CHECKS - 1


def test_members_come_and_go() -> None:
    scene = Scene()
    old, kept = members(2)
    scene.checker.members_changed([old, kept])
    scene.pass_time(2.2)
    of_old, of_kept = scene.under_way
    [new] = members(1, 10)
    scene.checker.members_changed([new, kept])
    assert of_old.is_cancelled
    assert scene.under_way == [of_kept]
    scene.pass_time(2.2)
    assert [check.target for check in scene.under_way] == [kept.address, new.address]
    of_kept.end()
    assert scene.told == [(kept, None)]
    scene.checker.members_changed([new])
    scene.pass_time(10)
    assert len(scene.times(kept)) == 1
    assert len(scene.times(old)) == 1


def test_members_that_wait_for_their_turn_or_their_time_go_too() -> None:
    scene = Scene()
    many = members(MOST_CHECKS + 2)
    scene.checker.members_changed(many)
    scene.pass_time(2.2)
    begun = {check.target for check in scene.made}
    waiting, gone = [member for member in many if member.address not in begun]
    stay = [member for member in many if member is not gone]
    scene.checker.members_changed([*stay, *members(1, 200)])
    scene.checker.members_changed(stay)
    scene.under_way[0].end()
    assert scene.made[-1].target == waiting.address
    scene.under_way[0].end()
    assert scene.checker.under_way == len(scene.under_way) == MOST_CHECKS - 1
    assert len(scene.made) == MOST_CHECKS + 1


def test_the_room_of_members_that_go_is_for_others() -> None:
    scene = Scene()
    many = members(MOST_CHECKS + 10)
    scene.checker.members_changed(many)
    scene.pass_time(2.2)
    begun = {check.target for check in scene.made}
    waiting = [member for member in many if member.address not in begun]
    at_work = [member for member in many if member.address in begun]
    scene.checker.members_changed([*waiting, *at_work[10:]])
    assert {check.target for check in scene.under_way} == {member.address for member in [*waiting, *at_work[10:]]}
    assert scene.checker.under_way == MOST_CHECKS


def test_stop_leaves_nothing() -> None:
    scene = Scene()
    scene.checker.members_changed(members(MOST_CHECKS + 10))
    scene.pass_time(1.5)
    scene.under_way[0].end()
    scene.checker.stop()
    scene.checker.stop()
    assert scene.under_way == []
    assert scene.checker.under_way == 0
    made = len(scene.made)
    scene.pass_time(10)
    assert len(scene.made) == made
    assert not scene.clock.getDelayedCalls()


@pytest.mark.parametrize("only_down", [False, True])
@pytest.mark.parametrize("action", ["stop", "change"])
def test_whoever_is_told_may_stop_the_checker_or_change_the_members(action: str, only_down: bool) -> None:
    scene = Scene(only_down)
    first, second = members(2)
    for member in (first, second):
        down(scene, member)
    scene.when_told = scene.checker.stop if action == "stop" else lambda: scene.checker.members_changed([second])
    scene.checker.members_changed([first, second])
    scene.at_once = "refused"
    scene.pass_time(4.2)
    assert scene.checker.under_way == 0
    if action == "stop":
        assert len(scene.told) == 1
        assert not scene.clock.getDelayedCalls()
    else:
        assert len(scene.told) > 1
        assert {member for member, _ in scene.told[1:]} == {second}
    scene.checker.stop()


def test_a_listener_that_takes_no_note_does_not_send_the_checker_in_a_circle() -> None:
    scene = Scene(only_down=True)
    [bad] = members(1)
    down(scene, bad)
    scene.takes_note = False
    scene.at_once = "refused"
    scene.checker.members_changed([bad])
    scene.pass_time(10)
    assert len(scene.made) <= 10 / TICK
    scene.checker.stop()


# Only those that are down


def down(scene: Scene, member: Member) -> None:
    """Have it go down by connects that failed."""
    for _ in range(RULES.fall):
        member.health.failed("refused", scene.clock.seconds())
    assert not member.health.is_up
    scene.checker.went_down(member)


def test_only_members_that_are_down_are_checked_when_their_health_says_so() -> None:
    scene = Scene(only_down=True)
    up, bad = members(2)
    scene.checker.members_changed([up, bad])
    scene.pass_time(10)
    assert scene.made == []
    began = scene.clock.seconds()
    down(scene, bad)
    scene.checker.went_down(bad)  # told twice
    scene.at_once = "refused"
    scene.pass_time(100)
    times = [at - began for at in scene.times(bad)]
    assert times[:3] == pytest.approx([2, 4, 8], abs=3 * TICK)
    assert times[-1] - times[-2] == pytest.approx(20, abs=2 * TICK)
    assert scene.times(up) == []


def test_one_that_is_back_is_not_checked_any_more() -> None:
    scene = Scene(only_down=True)
    [bad] = members(1)
    scene.checker.members_changed([bad])
    down(scene, bad)
    scene.at_once = ""
    scene.pass_time(30)
    assert bad.health.is_up
    assert scene.times(bad) == pytest.approx([2, 4], abs=2 * TICK)  # rise
    assert not scene.clock.getDelayedCalls()
    down(scene, bad)
    scene.pass_time(30)
    assert len(scene.made) > 2


def test_one_that_came_back_in_another_way_before_its_check_is_not_checked() -> None:
    scene = Scene(only_down=True)
    [bad] = members(1)
    scene.checker.members_changed([bad])
    down(scene, bad)
    for _ in range(RULES.rise):
        scene.clock.advance(0.9)
        bad.health.check_passed(scene.clock.seconds() + 1)
    assert bad.health.is_up
    scene.pass_time(30)
    assert scene.made == []


def test_one_that_is_down_when_it_comes_is_checked_and_one_that_goes_is_not() -> None:
    scene = Scene(only_down=True)
    bad, gone = members(2)
    down(scene, bad)
    down(scene, gone)
    scene.checker.members_changed([bad, gone])
    scene.pass_time(1)
    scene.checker.members_changed([bad])
    scene.checker.went_down(gone)
    scene.pass_time(2)
    assert [check.target for check in scene.under_way] == [bad.address]
    scene.checker.went_down(bad)  # while its check is under way
    scene.pass_time(10)
    assert len(scene.made) == 1
    scene.checker.stop()
    assert not scene.clock.getDelayedCalls()


def test_where_all_are_checked_a_member_that_goes_down_keeps_its_time() -> None:
    scene = Scene()
    [bad] = members(1)
    scene.checker.members_changed([bad])
    scene.at_once = "refused"
    scene.pass_time(1.2)
    down(scene, bad)
    scene.pass_time(10)
    assert len(scene.made) == 6
