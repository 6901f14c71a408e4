"""What every test gets: a reactor that it must leave as it found it."""

from __future__ import annotations

import gc
import os
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from proxymux.net.clock import monotonic

pytest_plugins = ["tests.services.fixtures", "tests.services.tls"]
# So that what they assert says as much as what a test does.
pytest.register_assert_rewrite("tests.services", "tests.net.scenes", "tests.core.sessions", "tests.core.proxy_protocol")


def until(condition: Callable[[], Any], what: str = "condition", seconds: float = 60.0, pause: float = 0.01) -> Any:
    """Wait, without a reactor, until ``condition()`` is true; its value then.

    :param seconds: after which it has failed.  Nothing is measured by it.
    :param pause: seconds between two looks.
    """
    waiting = threading.Event()
    for _ in range(int(seconds / pause)):
        value = condition()
        if value:
            return value
        waiting.wait(pause)
    raise AssertionError(f"{what} did not come true within {seconds} s")


def open_sockets() -> set[str]:
    """The sockets and pipes that this process has open."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            status = os.stat(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if stat.S_ISSOCK(status.st_mode) or stat.S_ISFIFO(status.st_mode):
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return found


def _left_behind(readers: set[Any], writers: set[Any], sockets: set[str]) -> list[str]:
    from twisted.internet import reactor

    gc.collect()
    left = [f"delayed call {call}" for clock in (reactor, monotonic(reactor)) for call in clock.getDelayedCalls()]
    left += [f"reader {each}" for each in set(reactor.getReaders()) - readers]
    left += [f"writer {each}" for each in set(reactor.getWriters()) - writers]
    left += [f"open {each}" for each in open_sockets() - sockets]
    return left


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> None:
    """Keep all that was there before out of the collections after every test: they take a tenth of the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user of the machine can enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="proxymux-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(autouse=True)
def clean_reactor() -> Iterator[None]:
    """Fail a test that leaves a delayed call, a reader, a writer, a socket or a logged failure behind."""
    from twisted.internet import reactor

    failures: list[LogEvent] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event)

    pytest_twisted.blockon(deferLater(reactor, 0))  # its own pipes are there then
    readers = set(reactor.getReaders())
    writers = set(reactor.getWriters())
    sockets = open_sockets()
    globalLogPublisher.addObserver(observe)
    yield
    left = _left_behind(readers, writers, sockets)
    for _ in range(200):  # what was closed by the test's last line needs turns of the reactor to be gone
        if not left:
            break
        pytest_twisted.blockon(deferLater(reactor, 0.005))
        left = _left_behind(readers, writers, sockets)
    globalLogPublisher.removeObserver(observe)
    for call in (*reactor.getDelayedCalls(), *monotonic(reactor).getDelayedCalls()):
        call.cancel()
    assert not left, "\n".join(["the test left behind:", *left])
    assert not failures, "\n".join(["the test logged:", *(event["log_failure"].getTraceback() for event in failures)])
