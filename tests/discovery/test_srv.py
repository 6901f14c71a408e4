"""A name in DNS as a source: when it is asked for, and what is told of the answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from proxymux.core.member import Entry
from proxymux.discovery.dns_question import NameServer
from proxymux.discovery.name_servers import Services
from proxymux.discovery.srv import FIRST_RETRY, LAST_RETRY, MAX_TTL, MIN_TTL, SrvSource, parse_name
from proxymux.discovery.srv_records import ServiceRecord
from proxymux.errors import BadAddress
from tests.discovery.listener import Told
from tests.discovery.name_server import NAME


def services(*targets: str, ttl: int = 60) -> Services:
    return Services(tuple(ServiceRecord(0, 0, 80, target) for target in targets), ttl)


class Running:
    """A source whose look-ups a test answers."""

    def __init__(self, jitter: float = 1.0) -> None:
        self.clock = Clock()
        self.told = Told()
        self.questions: list[Deferred[Services | str]] = []
        self.names: list[str] = []
        text = f"srv://{NAME}."
        self.source = SrvSource(text, cast("Any", None), self.clock, lambda: jitter, self._look_up)
        self.source.start(self.told)

    def _look_up(self, name: str) -> Deferred[Services | str]:
        self.names.append(name)
        self.questions.append(Deferred())
        return self.questions[-1]

    def answer(self, answer: Services | str) -> list[str]:
        """Answer the look-up that is under way; what the source says."""
        self.told.since()
        self.questions.pop().callback(answer)
        return self.told.since()

    def asks_after(self, seconds: float) -> bool:
        """True if the next look-up begins when so many seconds have passed, and none before."""
        assert not self.questions
        self.clock.advance(seconds - 0.01)
        assert not self.questions
        self.clock.advance(0.01)
        return len(self.questions) == 1


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.source.stop()
    assert made.clock.getDelayedCalls() == []


def test_the_name_is_looked_up_at_the_start_and_whole(running: Running) -> None:
    assert running.names == [NAME]
    assert running.told.calls == []
    assert running.answer(services("b.", "a")) == ["changed"]
    assert running.told.sets == [["a:80", "b:80"]]


@pytest.mark.parametrize(("ttl", "seconds"), [(60, 60), (0, MIN_TTL), (86400, MAX_TTL)])
def test_it_is_asked_again_when_the_records_time_is_over(running: Running, ttl: int, seconds: float) -> None:
    running.answer(services("a", ttl=ttl))
    assert running.asks_after(seconds)


def test_records_that_are_the_same_in_another_order_are_no_change(running: Running) -> None:
    running.answer(services("a", "b"))
    running.clock.advance(60)
    assert running.answer(services("b", "a")) == ["heard"]
    running.clock.advance(60)
    assert running.answer(services("b")) == ["changed"]
    assert running.told.sets == [["a:80", "b:80"], ["b:80"]]


def test_a_failure_leaves_the_members_and_it_is_tried_again_ever_later(running: Running) -> None:
    running.answer(services("a"))
    running.clock.advance(60)
    delay = FIRST_RETRY
    for _ in range(8):
        assert running.answer("the name does not exist (NXDOMAIN)") == ["failed"]
        assert running.asks_after(delay)
        delay = min(LAST_RETRY, 2 * delay)
    assert delay == LAST_RETRY
    assert set(running.told.reasons) == {f"{NAME}: the name does not exist (NXDOMAIN)"}
    assert running.answer(services("a")) == ["heard"]
    assert running.asks_after(60)
    running.answer("fails")
    assert running.asks_after(FIRST_RETRY)


def test_the_time_to_the_next_try_has_a_random_factor() -> None:
    running = Running(jitter=0.5)
    running.answer("fails")
    assert running.asks_after(0.5 * FIRST_RETRY)
    running.source.stop()


def test_a_record_that_cannot_be_used_is_a_failure(running: Running) -> None:
    assert running.answer(services("a", "b c")) == ["failed"]
    assert running.told.reasons[0].startswith(f"{NAME}: an SRV record cannot be used: 'b c:80': 'b c' is not a host")
    assert running.asks_after(FIRST_RETRY)


def test_a_service_that_is_not_to_be_had_has_no_members(running: Running) -> None:
    assert running.answer(services(".")) == ["changed"]
    assert running.told.sets == [[]]


def test_a_reload_asks_at_once_but_never_twice_at_a_time(running: Running) -> None:
    running.source.look()
    assert len(running.questions) == 1
    running.answer(services("a"))
    running.source.look()
    running.source.look()
    assert running.answer(services("a")) == ["heard"]
    assert running.asks_after(60)


def test_the_stop_cancels_a_look_up(running: Running) -> None:
    running.source.stop()
    assert running.questions[0].called
    running.source.look()
    assert (running.told.calls, len(running.questions)) == ([], 1)


def test_the_stop_cancels_the_next_question(running: Running) -> None:
    running.answer(services("a"))
    running.source.stop()
    running.clock.advance(MAX_TTL)
    assert running.questions == []


def test_a_listener_may_stop_the_source_and_an_answer_may_be_there_at_once() -> None:
    clock = Clock()

    class Stopping(Told):
        def changed(self, entries: tuple[Entry, ...]) -> None:
            super().changed(entries)
            source.stop()

    def found(_: str) -> Deferred[Services | str]:
        return succeed(services("a"))

    source = SrvSource(f"srv://{NAME}", cast("Any", None), clock, lambda: 1.0, found)
    source.start(told := Stopping())
    assert told.calls == ["changed"]
    assert clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("text", "server"),
    [
        (f"srv://{NAME}", None),
        (f"srv://127.0.0.1:5353/{NAME}", NameServer("127.0.0.1", 5353)),
        (f"srv://[::1]:53/{NAME}.", NameServer("::1", 53)),
    ],
)
def test_a_name_server_may_be_given(text: str, server: NameServer | None) -> None:
    assert parse_name(text) == (server, NAME)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("srv://", "'srv://' is not srv://_name._tcp.domain, nor srv://ADDRESS:PORT/_name._tcp.domain"),
        ("srv://users.example.com", "is not srv://_name._tcp.domain"),
        ("srv://_users.example.com", "is not srv://_name._tcp.domain"),
        ("srv://_users._tcp", "is not srv://_name._tcp.domain"),
        ("srv://_users._tcp..com", "is not srv://_name._tcp.domain"),
        ("srv://_users._tcp.example.com:80", "is not srv://_name._tcp.domain"),
        ("srv://_users._tcp.exämple.com", "is not srv://_name._tcp.domain"),
        (f"srv://_users._tcp.{50 * 'a123.'}com", "is not srv://_name._tcp.domain"),
        (f"srv://_users._tcp.{64 * 'a'}.com", "is not srv://_name._tcp.domain"),
        (f"srv://127.0.0.1/{NAME}", "'127.0.0.1' is not host:port or [v6]:port"),
        (f"srv://ns.example.com:53/{NAME}", "'ns.example.com:53': name the name server by its address, ADDRESS:PORT"),
        (f"srv://1.1.1.1:0/{NAME}", "the port is not a number from 1 to 65535"),
    ],
)
def test_what_is_no_name_of_a_service_is_refused(text: str, problem: str) -> None:
    with pytest.raises(BadAddress) as raised:
        SrvSource(text, cast("Any", None), Clock(), lambda: 1.0)
    assert problem in str(raised.value)
