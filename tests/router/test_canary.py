"""The canary: when a reloaded router is taken, when it is dropped, and that it has no effect before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from proxymux.core.decision import NEED_DATA, Forward, Reject, Reply
from proxymux.core.identity import Client
from proxymux.errors import ConfigError
from proxymux.interfaces import IDecider
from proxymux.router.canary import Canaries
from proxymux.router.settings import RouterSettings
from tests.router.conftest import Log, Write

A = "def proxy(data):\n    return {'remote': 'a:1'} if len(data) > 1 else None\n"
B = A.replace("a:1", "b:1")
#: Decides otherwise about data that begins with x.
MOSTLY_A = "def proxy(data):\n    return {'remote': 'b:1' if data[:1] == b'x' else 'a:1'} if len(data) > 1 else None\n"
FAILS = "def proxy(data):\n    raise ValueError('no')\n"


class Service:
    """What a service does with its decider."""

    def __init__(self, write: Write, log: Log, source: str, **settings: Any) -> None:
        self._write = write
        self.log = log
        self.clock = Clock()
        self._write(source)
        given = {"router": "router.py", "listen": "tcp:0", "canary": 3, **settings}
        self._make = Canaries(RouterSettings.read(given), self.clock, log.logger)
        self._make.install = self._install
        self.decider: IDecider = self._make()

    def _install(self, decider: IDecider) -> None:
        self.decider = decider

    def reload(self, source: str) -> None:
        self._write(source)
        self.decider = self._make()

    def session(self, *chunks: bytes) -> Any:
        """What becomes of a new client that sends these chunks."""
        client = Client(("192.0.2.1", 50000), ("192.0.2.2", 5432))
        result: Any = NEED_DATA
        decider = self.decider  # a session keeps the one that it began with
        if decider.greets:
            result = decider.accepted(client)
        for chunk in chunks:
            result = decider.decide(chunk, client)
        return result

    def sessions(self, *chunks: bytes) -> list[str]:
        """The targets of new clients that send one chunk each."""
        return [self.session(chunk).remote for chunk in chunks]

    @property
    def said(self) -> str:
        """The last line of the log."""
        return self.log.lines()[-1]


Start = Callable[..., Service]


@pytest.fixture
def start(write: Write, log: Log) -> Start:
    return lambda source, **settings: Service(write, log, source, **settings)


def test_without_a_reload_it_does_nothing(start: Start) -> None:
    service = start(A)
    assert service.sessions(b"ab", b"ab", b"ab", b"ab") == ["a:1"] * 4
    assert service.log.lines() == []


def test_without_the_option_a_reload_takes_the_new_router_at_once(start: Start) -> None:
    service = start(A, canary=None)
    service.reload(B)
    assert service.sessions(b"ab") == ["b:1"]


def test_a_router_that_agrees_is_taken(start: Start) -> None:
    service = start(A)
    service.reload(A + "# the same\n")
    assert service.said == "canary: the new router runs in the shadow for 3 sessions, and is taken then"
    old = service.decider
    assert service.sessions(b"ab", b"cd") == ["a:1"] * 2
    assert service.session(b"a") is NEED_DATA  # it is not decided, and counts for nothing
    assert service.decider is old
    assert service.sessions(b"ef") == ["a:1"]
    assert service.said == "canary: router is taken after 3 sessions, of which it decided 0 otherwise"
    assert service.decider is not old
    count = len(service.log.lines())
    service.sessions(b"ab")
    assert len(service.log.lines()) == count


def test_one_that_decides_otherwise_is_dropped_with_one_line(start: Start) -> None:
    service = start(A)
    service.reload(B)
    count = len(service.log.lines())
    assert service.sessions(*[b"ab"] * 5) == ["a:1"] * 5
    assert service.log.lines()[count:] == [
        "canary: dropped after 1 of 3 sessions, the old one stays: it decides otherwise, more than 0 times"
        " (--canary-differences); 192.0.2.1:50000: the old one forwards to a:1, the new one forwards to b:1"
    ]


def test_as_many_as_are_accepted_may_differ(start: Start) -> None:
    service = start(A, canary_differences=1)
    service.reload(MOSTLY_A)
    assert service.sessions(b"xx", b"ab", b"ab") == ["a:1"] * 3
    assert service.log.lines("warn") == [
        "canary: 192.0.2.1:50000: the old one forwards to a:1, the new one forwards to b:1"
        " (1 differ after 1 of 3 sessions)"
    ]
    assert service.said.endswith("is taken after 3 sessions, of which it decided 1 otherwise")
    assert service.sessions(b"xx") == ["b:1"]


def test_its_first_error_drops_it_whatever_may_differ(start: Start) -> None:
    service = start(A, canary_differences=1000)
    service.reload(FAILS)
    count = len(service.log.lines())
    assert service.sessions(b"ab", b"ab") == ["a:1"] * 2
    [line] = service.log.lines()[count:]
    assert line.startswith("canary: dropped after 0 of 3 sessions, the old one stays: ")
    assert line.endswith("router.py:2: proxy raised ValueError: no")


def test_a_further_reload_replaces_the_candidate_and_one_that_fails_to_load_does_not(start: Start) -> None:
    service = start(A, canary=2)
    service.reload(B)
    with pytest.raises(ConfigError, match="--router"):
        service.reload("def proxy(:\n")
    service.reload(A)
    assert "canary: dropped after 0 of 2 sessions: there is a newer one" in service.log.lines()
    service.sessions(b"ab", b"ab")
    assert service.said.endswith("is taken after 2 sessions, of which it decided 0 otherwise")


def test_a_negotiation_is_one_session_and_its_notes_are_the_candidates_own(start: Start) -> None:
    source = (
        "def proxy(data, client):\n"
        "    steps = client.state['steps'] = client.state.get('steps', 0) + 1\n"
        "    return {'reply': b'more', 'consume': 1} if steps < 3 else {'close': b'%d' % steps}\n"
    )
    service = start(source, canary=1)
    service.reload(source)
    old = service.decider
    assert service.session(b"a", b"b") == Reply(b"more", consume=1)
    assert service.decider is old
    assert service.session(b"a", b"b", b"c") == Reject(b"3")
    assert service.decider is not old


def test_a_greeting_that_only_one_of_them_has_is_a_difference(start: Start) -> None:
    greets = A + "def proxy_accepted(client):\n    return {'reply': b'hello'}\n"
    service = start(A)
    service.reload(greets)
    assert service.session(b"ab") == Forward("a:1")
    assert "the old one waits for more, the new one replies with 5 bytes" in service.said
    service = start(greets)
    service.reload(A)
    assert service.session() == Reply(b"hello", consume=0)
    assert "the old one replies with 5 bytes and consumes 0, the new one waits for more" in service.said


def test_an_async_candidate_that_takes_too_long_differs(start: Start) -> None:
    service = start(A)
    service.reload("from twisted.internet.defer import Deferred\ndef proxy(data):\n    return Deferred()\n")
    assert service.sessions(b"ab") == ["a:1"]
    service.clock.advance(30)
    assert "canary: dropped after 1 of 3 sessions" in service.said
    assert service.clock.getDelayedCalls() == []


def test_a_shadow_stays_beside_it_with_notes_of_its_own(start: Start, write: Write) -> None:
    write("def proxy(data, client):\n    client.state['of'] = 'shadow'\n    return {'remote': 'a:1'}\n", "shadow.py")
    counts = (
        "def proxy(data, client):\n"
        "    assert 'of' not in client.state\n"
        "    client.state['of'] = 'own'\n"
        "    return {'remote': 'a:1'}\n"
    )
    service = start(counts, shadow="shadow.py", canary=1)
    service.reload(counts)
    assert service.sessions(b"ab") == ["a:1"]
    assert service.said.endswith("is taken after 1 sessions, of which it decided 0 otherwise")
    assert service.sessions(b"ab") == ["a:1"]
    assert not isinstance(service.decider.decide(b"ab", Client(("192.0.2.1", 1), ("192.0.2.2", 2))), Deferred)
