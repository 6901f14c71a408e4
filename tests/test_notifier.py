"""What systemd is told, and when, by a clock."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from proxymux.notifier import STATUS_INTERVAL, Notifier
from proxymux.systemd import NotifySocket


class Heard(NotifySocket):
    """Keeps what it is given, as long as there is room."""

    def __init__(self, **environment: str) -> None:
        super().__init__({"NOTIFY_SOCKET": "/run/notify", **environment}, 1)
        self.messages: list[str] = []
        self.room = 1000

    @property
    def new_pid(self) -> int | None:
        return None

    def send(self, *assignments: str, descriptors: Sequence[int] = ()) -> bool:
        if len(self.messages) >= self.room:
            return False
        self.messages.append(" ".join(assignments))
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_watchdog_is_fed_at_half_of_its_time_while_the_clock_turns(clock: Clock) -> None:
    heard = Heard(WATCHDOG_USEC="4000000")
    notifier = Notifier(heard, clock, lambda: "fine")
    clock.advance(60)
    assert heard.messages == []
    notifier.ready()
    assert heard.messages == ["READY=1 STATUS=fine", "WATCHDOG=1"]
    clock.pump([1.9, 0.1, 1.9])
    assert heard.messages[2:] == ["WATCHDOG=1"]
    notifier.close()
    assert not clock.getDelayedCalls()


def test_the_status_is_sent_when_it_has_changed(clock: Clock) -> None:
    words = ["one"]
    heard = Heard()
    notifier = Notifier(heard, clock, lambda: words[0])
    notifier.ready()
    notifier.ready()
    clock.pump([STATUS_INTERVAL] * 3)
    words[0] = "two"
    clock.pump([STATUS_INTERVAL] * 3)
    assert heard.messages == ["READY=1 STATUS=one", "STATUS=two"]
    notifier.close()


def test_a_reload_ends_when_the_last_one_has(clock: Clock) -> None:
    heard = Heard()
    notifier = Notifier(heard, clock, lambda: "fine")
    early: Deferred[object] = Deferred()
    notifier.reloading(early)  # of which systemd, which waits for READY=1, hears nothing
    early.callback(None)
    notifier.ready()
    first: Deferred[object] = Deferred()
    second: Deferred[object] = Deferred()
    notifier.reloading(first)
    notifier.reloading(second)
    second.callback(None)
    begins = [message.split("MONOTONIC_USEC=") for message in heard.messages[1:]]
    assert [words for words, _ in begins] == ["RELOADING=1 "] * 2
    assert all(int(number) > 0 for _, number in begins)
    first.callback(None)
    assert heard.messages[3:] == ["READY=1 STATUS=fine"]
    notifier.close()


def test_nothing_is_ready_any_more_once_it_stops(clock: Clock) -> None:
    heard = Heard()
    notifier = Notifier(heard, clock, lambda: "fine")
    notifier.ready()
    reload: Deferred[object] = Deferred()
    notifier.reloading(reload)
    notifier.stopping()
    notifier.stopping()
    reload.callback(None)
    notifier.reloading(Deferred())
    assert [message.split("=")[0] for message in heard.messages] == ["READY", "RELOADING", "STOPPING"]
    notifier.close()


def test_what_a_full_queue_does_not_take_is_sent_later_in_its_order(clock: Clock) -> None:
    heard = Heard()
    heard.room = 0
    notifier = Notifier(heard, clock, lambda: "fine")
    notifier.ready()
    notifier.stopping()
    clock.advance(1)
    assert heard.messages == []
    heard.room = 10
    clock.advance(1)
    assert heard.messages == ["READY=1 STATUS=fine", "STOPPING=1 STATUS=fine"]
    notifier.close()
    assert not clock.getDelayedCalls()


def test_without_systemd_nothing_is_done(clock: Clock) -> None:
    notifier = Notifier(NotifySocket({}, 1), clock, lambda: "fine")
    notifier.ready()
    notifier.reloading(Deferred())
    notifier.stopping()
    assert not clock.getDelayedCalls()
