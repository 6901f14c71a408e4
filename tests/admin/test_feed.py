"""The feed of the status page: what it collects, for whom, and who is dropped."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent
from zope.interface import implementer

from proxymux.admin.counters import RESULT_CELLS, SIZE
from proxymux.admin.feed import INTERVAL, MAX_VIEWERS, SESSION_KEYS, SLOW_LIMIT, Feed, Viewer, changes
from proxymux.admin.fleets import Fleets


def session(number: int, **fields: Any) -> dict[str, Any]:
    line = {"id": number, "service": "router", "client": f"10.0.0.{number}:1", "target": "10.1.0.1:80"}
    return {
        **line,
        "state": "joined",
        "seconds": 100.0 - number,
        "bytes_in": 1,
        "bytes_out": 2,
        "worker": None,
        **fields,
    }


class Shown:
    """An instance that says what a test has it say, and notes what it is asked."""

    def __init__(self) -> None:
        self.live = [session(1), session(2), session(3)]
        self.pool: dict[str, float] | None = None
        self.limits: list[int] = []
        self.counted = 0
        self.late: Deferred[dict[str, Any]] | None = None
        self.fault: Exception | None = None
        self.fleets = Fleets()

    def status(self) -> Deferred[dict[str, Any]]:
        if self.fault is not None:
            return fail(self.fault)
        return self.late or succeed({"services": [{"service": "router", "pool": self.pool}]})

    def sessions(self, limit: int) -> Deferred[list[dict[str, Any]]]:
        self.limits.append(limit)
        return succeed([dict(each) for each in self.live[:limit]])

    def is_ready(self) -> Deferred[bool]:
        return succeed(True)

    def counters(self) -> Deferred[dict[str, list[float]]]:
        self.counted += 1
        cells = [0.0] * SIZE
        cells[RESULT_CELLS], cells[RESULT_CELLS + 1] = 5.0, 2.0
        return succeed({"router": cells, "another": cells})


@implementer(ILogObserver)
class Watching:
    """A feed, and who watches."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.shown = Shown()
        self.lines: list[str] = []
        self.feed = Feed(self.shown, self.clock, Logger("feed", observer=self))  # type: ignore[arg-type]  # what the feed does not ask is left away
        self.dropped: list[Viewer] = []

    def __call__(self, event: LogEvent) -> None:
        self.lines.append(formatEvent(event))

    def join(self, limit: int = 100) -> tuple[Viewer, list[Any]]:
        """One more viewer, and the messages it gets."""
        messages: list[Any] = []

        def write(data: bytes) -> None:
            assert data.startswith(b"data: ")
            assert data.index(b"\n") == len(data) - 2
            messages.append(json.loads(data[6:]))

        def abort() -> None:
            self.dropped.append(viewer)

        viewer = Viewer(limit, write, abort, self.clock.seconds)
        self.feed.join(viewer)
        return viewer, messages

    def ids(self, message: Any) -> list[int]:
        return [row[0] for row in message["sessions"]["rows"]]


@pytest.fixture
def watching() -> Watching:
    return Watching()


def test_nothing_is_collected_while_nobody_watches(watching: Watching) -> None:
    watching.clock.advance(10 * INTERVAL)
    assert watching.shown.limits == []
    viewer, messages = watching.join()
    watching.clock.advance(INTERVAL)
    watching.feed.leave(viewer)
    watching.clock.advance(10 * INTERVAL)
    assert (len(watching.shown.limits), len(messages)) == (2, 2)
    assert not watching.clock.getDelayedCalls()


def test_however_many_watch_there_is_one_collection_a_second(watching: Watching) -> None:
    all_messages = [watching.join(limit)[1] for limit in (1, 2, 3, 100)]
    for _ in range(5):
        watching.clock.advance(INTERVAL)
    assert watching.shown.limits[1:] == [100] * 5
    assert [len(messages) for messages in all_messages] == [6, 5, 5, 5]
    assert [watching.ids(messages[0]) for messages in all_messages] == [[1], [1, 2], [1, 2, 3], [1, 2, 3]]


def test_after_all_that_there_is_only_changes_are_told(watching: Watching) -> None:
    _, messages = watching.join()
    assert messages[0]["sessions"]["keys"] == list(SESSION_KEYS)
    live = watching.shown.live
    for each in live:
        each["seconds"] += INTERVAL
    live[1]["bytes_out"] = 9
    live[2:] = [session(4)]
    watching.clock.advance(INTERVAL)
    told = messages[1]["sessions"]
    assert watching.ids(messages[1]) == [2, 4]
    assert told["rows"][0][SESSION_KEYS.index("bytes_out")] == 9
    assert told["gone"] == [3]
    _, later = watching.join()
    watching.clock.advance(INTERVAL)
    assert watching.ids(later[0]) == [1, 2, 4]
    assert watching.ids(messages[2]) == []


def test_what_moves_into_a_limit_is_told(watching: Watching) -> None:
    _, messages = watching.join(2)
    del watching.shown.live[0]
    watching.clock.advance(INTERVAL)
    assert watching.ids(messages[1]) == [3]
    assert messages[1]["sessions"]["gone"] == [1]


def test_one_that_takes_nothing_is_sent_nothing_more_and_then_dropped(watching: Watching) -> None:
    viewer, messages = watching.join()
    _, others = watching.join()
    viewer.pauseProducing()
    for _ in range(int(SLOW_LIMIT / INTERVAL) - 1):
        watching.clock.advance(INTERVAL)
    assert (len(messages), len(others), watching.dropped) == (1, 9, [])
    watching.clock.advance(INTERVAL)
    assert watching.dropped == [viewer]
    watching.clock.advance(INTERVAL)
    assert (len(messages), len(others)) == (1, 11)


def test_one_that_has_missed_something_is_told_all_again(watching: Watching) -> None:
    viewer, messages = watching.join()
    viewer.pauseProducing()
    watching.shown.live[0]["bytes_in"] = 7
    watching.clock.advance(SLOW_LIMIT - INTERVAL)
    viewer.resumeProducing()
    watching.clock.advance(INTERVAL)
    assert watching.ids(messages[1]) == [1, 2, 3]
    viewer.pauseProducing()
    watching.clock.advance(SLOW_LIMIT - INTERVAL)
    assert watching.dropped == []


def test_nobody_more_may_watch_than_the_limit(watching: Watching) -> None:
    viewers = []
    while not watching.feed.is_full:
        viewers.append(watching.join()[0])
    assert len(viewers) == MAX_VIEWERS
    watching.feed.leave(viewers[0])
    assert not watching.feed.is_full


def test_an_answer_that_takes_long_holds_the_next_question_back(watching: Watching) -> None:
    watching.shown.late = Deferred()
    viewer, messages = watching.join()
    watching.clock.advance(5 * INTERVAL)
    assert watching.shown.limits == []
    watching.shown.late.callback({"services": []})
    assert len(messages) == 1
    old = watching.shown.late = Deferred()
    watching.clock.advance(INTERVAL)
    watching.feed.leave(viewer)
    watching.shown.late = None
    _, newer = watching.join()
    old.callback({"services": []})
    assert (len(messages), len(newer)) == (1, 1)


def test_what_fails_is_said_once_and_drops_all(watching: Watching) -> None:
    viewers = [watching.join()[0] for _ in range(2)]
    watching.shown.fault = ValueError("no\nanswer")
    watching.clock.advance(INTERVAL)
    watching.clock.advance(INTERVAL)
    assert watching.dropped == viewers
    assert len(watching.lines) == 1
    assert watching.lines[0].startswith("--admin: /events: ValueError: no")
    assert "\n" not in watching.lines[0]
    watching.shown.fault = None
    assert len(watching.join()[1]) == 1


def test_requests_are_counted_of_pools_only(watching: Watching) -> None:
    _, messages = watching.join()
    assert (messages[0]["requests"], watching.shown.counted) == ({}, 0)
    watching.shown.pool = {"cl_active": 1}
    watching.clock.advance(INTERVAL)
    assert messages[1]["requests"] == {"router": 7.0}


def test_a_session_that_only_grows_older_is_no_change() -> None:
    age = SESSION_KEYS.index("seconds")
    before = {1: [0] * len(SESSION_KEYS)}
    after = {1: [9 if at == age else 0 for at in range(len(SESSION_KEYS))]}
    assert changes(before, after) == {"rows": [], "gone": []}
