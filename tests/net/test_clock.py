"""The monotonic clock, in the reactor, with each of its alarms."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

import proxymux
from proxymux.net.alarm import DescriptorAlarm, ThreadAlarm, make_alarm
from proxymux.net.clock import MakeAlarm, MonotonicClock, monotonic
from proxymux.net.reactor.twisted_types import Reactor, installed_reactor
from tests.services.peers import in_reactor, until

PACKAGE = Path(proxymux.__file__).parent
#: Where the time of day is read, for the epoch's seconds in log lines and tokens.
OF_THE_DAY = {
    "admin/log_outputs.py",
    "tap/wiring.py",
    "tap/gateway.py",
    "tap/demo/gateway.py",
    "tap/supervising.py",
    "tap/sharing.py",
    "cli/token.py",
}
#: Longer than a test takes, in seconds.
LONG = 600


@implementer(ILogObserver)
class Lines:
    """What was logged."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture(params=[DescriptorAlarm, ThreadAlarm])
def clock(request: pytest.FixtureRequest, lines: Lines) -> Iterator[MonotonicClock]:
    clock = MonotonicClock(installed_reactor(), Logger("proxymux", observer=lines), cast("MakeAlarm", request.param))
    yield clock
    for call in clock.getDelayedCalls():
        call.cancel()


@in_reactor
async def test_calls_are_made_in_the_order_of_their_times(clock: MonotonicClock) -> None:
    called: list[tuple[float, float]] = []

    def call_in(seconds: float) -> None:
        call = clock.callLater(seconds, lambda: called.append((call.getTime(), time.monotonic())))

    for seconds in (0.04, 0.02, 0.01, 0):
        call_in(seconds)
    assert called == []
    await until(lambda: len(called) == 4, "all calls")
    assert called == sorted(called)
    assert all(now >= due for due, now in called)
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize("step", [-3600, 3600])
@in_reactor
async def test_it_does_not_follow_the_time_of_day(
    clock: MonotonicClock, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    before = clock.seconds()
    soon, late = (clock.callLater(seconds, called.append, f"in {seconds} s") for seconds in (0.02, LONG))
    monkeypatch.setattr(installed_reactor(), "seconds", lambda: time.time() + step)
    await until(lambda: called, "the call that is due soon")
    assert called == ["in 0.02 s"]
    assert not soon.active()
    assert late.active()
    assert 0.02 <= clock.seconds() - before < LONG


@in_reactor
async def test_one_that_is_cancelled_is_not_made(clock: MonotonicClock) -> None:
    called: list[str] = []
    calls: list[IDelayedCall] = []
    clock.callLater(0.01, lambda: calls[0].cancel())
    calls.append(clock.callLater(0.02, called.append, "second"))
    clock.callLater(0.03, called.append, "third")
    await until(lambda: called, "a call")
    assert called == ["third"]


@in_reactor
async def test_one_may_be_cancelled_by_another_of_the_same_turn(clock: MonotonicClock) -> None:
    called: list[str] = []
    calls: list[IDelayedCall] = []

    def cancel_all() -> None:
        for call in calls:
            call.cancel()

    clock.callLater(0, cancel_all)
    calls += [clock.callLater(0, called.append, "cancelled") for _ in range(3)]
    clock.callLater(0.01, called.append, "other")
    await until(lambda: called, "a call")
    assert called == ["other"]
    assert clock.getDelayedCalls() == []


@in_reactor
async def test_a_call_may_be_moved(clock: MonotonicClock) -> None:
    called: list[int] = []
    calls = [clock.callLater(seconds, called.append, number) for number, seconds in enumerate((LONG, 0.001, 0.002))]
    calls[1].reset(0.06)
    calls[2].delay(0.03)
    calls[0].reset(0.01)
    times = [call.getTime() for call in calls]
    assert max(times) - time.monotonic() < LONG / 2
    await until(lambda: len(called) == 3, "all calls")
    assert called == sorted(called, key=lambda number: times[number])


@in_reactor
async def test_one_that_raises_harms_no_other(clock: MonotonicClock, lines: Lines) -> None:
    called: list[int] = []
    clock.callLater(0, lambda: 1 / 0)
    clock.callLater(0, called.append, 1)
    await until(lambda: called, "the other call")
    assert [event["log_failure"].type for event in lines.events] == [ZeroDivisionError]


@in_reactor
async def test_calls_that_a_call_makes_wait_for_the_next_turn(clock: MonotonicClock) -> None:
    called: list[int] = []

    def again() -> None:
        called.append(len(called))
        if len(called) < 50:
            clock.callLater(0, again)
            assert len(called) == called[-1] + 1, "called at once"

    again()
    await until(lambda: len(called) == 50, "all calls")


def test_cancelled_calls_do_not_pile_up(clock: MonotonicClock) -> None:
    clock.callLater(LONG, print)
    for _ in range(1000):
        clock.callLater(LONG, print).cancel()
    assert len(clock._calls) < 100
    assert len(clock.getDelayedCalls()) == 1


def test_without_calls_it_has_nothing_of_the_systems(clock: MonotonicClock) -> None:
    readers = set(installed_reactor().getReaders())
    calls = [clock.callLater(LONG, print) for _ in range(3)]
    assert clock._alarm is not None
    for call in calls:
        call.cancel()
    assert clock._alarm is None
    assert set(installed_reactor().getReaders()) == readers


def test_a_system_without_timer_descriptors_has_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    for replacement in (no_more, lambda *_, **__: object()):  # the latter: a C library that lacks it
        monkeypatch.setattr("ctypes.CDLL", replacement)
        made = make_alarm(installed_reactor(), print)
        assert isinstance(made, ThreadAlarm)
        made.close()


def test_a_reactor_has_one_and_the_clock_of_a_test_is_its_own() -> None:
    reactor: Reactor = installed_reactor()
    assert isinstance(monotonic(reactor), MonotonicClock)
    assert monotonic(reactor) is monotonic(reactor)
    clock = Clock()
    assert monotonic(clock) is clock


# No module measures anything by another clock


def reads_of(source: str) -> set[str]:
    """The times other than the clock's that a module reads: the time of day, and the reactor's."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found.add("import of single names from time")
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        if owner == "time" and node.attr in ("time", "time_ns"):
            found.add("time of day")
        if owner.endswith("reactor") and node.attr in ("seconds", "callLater", "getDelayedCalls"):
            found.add("time of the reactor")
    return found


def test_nothing_is_measured_by_the_time_of_day() -> None:
    found = {path.relative_to(PACKAGE).as_posix(): reads_of(path.read_text()) for path in PACKAGE.rglob("*.py")}
    assert {name: reads for name, reads in found.items() if reads} == {name: {"time of day"} for name in OF_THE_DAY}


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ("self._reactor.callLater(1, f)", {"time of the reactor"}),
        ("now = reactor.seconds", {"time of the reactor"}),
        ("limit(time.time())", {"time of day"}),
        ("from time import time", {"import of single names from time"}),
        ("clock.callLater(time.monotonic(), f)", set()),
    ],
)
def test_such_a_read_would_be_found(source: str, reads: set[str]) -> None:
    assert reads_of(source) == reads
