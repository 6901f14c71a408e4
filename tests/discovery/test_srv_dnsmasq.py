"""SRV records of a real name server, dnsmasq."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from proxymux.discovery.dns_question import Question
from proxymux.discovery.source import Source
from proxymux.discovery.sources import make_source
from proxymux.discovery.srv import FIRST_RETRY
from proxymux.net.clock import monotonic
from proxymux.net.reactor.twisted_types import installed_reactor
from tests import conftest
from tests.discovery.listener import Told
from tests.discovery.name_server import NAME
from tests.services.peers import in_reactor, until
from tests.system.conftest import free_port, need

pytestmark = pytest.mark.slow  # a process for each test, and more than one for some


class Dnsmasq:
    """A dnsmasq on loopback, which knows of ``example.com`` only what a test gives it."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "dnsmasq.conf"
        self._program = need("dnsmasq")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def serve(self, *records: str, ttl: int = 60) -> None:
        """Answer by ``records`` from now on, each ``target,port,priority,weight``; with none there is no such name."""
        self.stop()
        lines = [f"srv-host={NAME},{record}" if record else f"srv-host={NAME}" for record in records]
        self._config.write_text("\n".join([*lines, "local=/example.com/", f"local-ttl={ttl}", ""]))
        self._process = subprocess.Popen(
            [
                *(self._program, "--keep-in-foreground", f"--port={self.port}", "--listen-address=127.0.0.1"),
                *("--bind-interfaces", "--no-resolv", "--no-hosts", "--user=", f"--conf-file={self._config}"),
                "--pid-file=",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        conftest.until(self._listens, "dnsmasq")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None
            # It has a child for each TCP connection, which has the port a little longer, and answers nothing there.
            conftest.until(self._is_gone, "the end of dnsmasq's children")

    def is_truncated(self) -> bool:
        """True if its answer over UDP says that it is not whole."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(30)
            client.connect(("127.0.0.1", self.port))
            question = Question(NAME)
            client.send(question.data)
            answer = question.read(client.recv(65535))
        assert answer is not None
        return bool(answer.trunc)

    def _is_gone(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            try:
                client.bind(("127.0.0.1", self.port))
            except OSError:
                return False
        return True

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0


class Running:
    """A source that asks dnsmasq, with a clock that the test moves."""

    def __init__(self, dnsmasq: Dnsmasq, name: str = NAME) -> None:
        self.clock = Clock()
        self.told = Told()
        text = f"srv://127.0.0.1:{dnsmasq.port}/{name}"
        self.source: Source = make_source(text, installed_reactor(), self.clock, lambda: 1.0)
        self.source.start(self.told)

    async def says(self) -> str:
        """The next call."""
        await until(lambda: self.told.calls, "the source to say something")
        return self.told.calls.pop(0)

    async def says_after(self, seconds: float) -> str:
        """The first call of the look-up that begins when so many seconds have passed."""
        (call,) = self.clock.getDelayedCalls()
        assert call.getTime() == pytest.approx(self.clock.seconds() + seconds)
        self.clock.advance(seconds)
        return await self.says()


@pytest.fixture
def dnsmasq(tmp_path: Path) -> Iterator[Dnsmasq]:
    made = Dnsmasq(tmp_path)
    yield made
    made.stop()


@in_reactor
async def test_priorities_weights_and_the_time_of_the_records(dnsmasq: Dnsmasq) -> None:
    dnsmasq.serve("a.example.com,80,10,3", "b.example.com,81,10,0", "c.example.com,82,20,9", ttl=7)
    running = Running(dnsmasq)
    assert await running.says() == "changed"
    assert running.told.sets == [["a.example.com:80 weight=3", "b.example.com:81 weight=1"]]
    assert await running.says_after(7) == "heard"
    running.source.stop()


@in_reactor
async def test_answers_that_change(dnsmasq: Dnsmasq) -> None:
    dnsmasq.serve("a.example.com,80", "b.example.com,80", ttl=5)
    running = Running(dnsmasq)
    await running.says()
    dnsmasq.serve("b.example.com,80", "c.example.com,80", ttl=9)
    assert await running.says_after(5) == "changed"
    dnsmasq.serve("", ttl=9)  # the target is the root
    assert await running.says_after(9) == "changed"
    assert running.told.sets == [
        ["a.example.com:80", "b.example.com:80"],
        ["b.example.com:80", "c.example.com:80"],
        [],
    ]
    running.source.stop()


@in_reactor
async def test_a_name_that_goes_away_and_comes_back(dnsmasq: Dnsmasq) -> None:
    dnsmasq.serve("a.example.com,80", ttl=5)
    running = Running(dnsmasq)
    await running.says()
    dnsmasq.serve()
    assert await running.says_after(5) == "failed"
    assert running.told.reasons == [f"{NAME}: the name does not exist (NXDOMAIN)"]
    dnsmasq.serve("a.example.com,80", ttl=5)
    assert await running.says_after(FIRST_RETRY) == "heard"
    assert len(running.told.sets) == 1
    running.source.stop()


@in_reactor
async def test_a_server_that_goes_away_and_comes_back(dnsmasq: Dnsmasq) -> None:
    dnsmasq.serve("a.example.com,80", ttl=5)
    running = Running(dnsmasq)
    await running.says()
    dnsmasq.stop()
    assert await running.says_after(5) == "failed"
    assert running.told.reasons == [f"{NAME}: 127.0.0.1:{dnsmasq.port}: connection refused"]
    dnsmasq.serve("b.example.com,80", ttl=5)
    assert await running.says_after(FIRST_RETRY) == "changed"
    running.source.stop()


@in_reactor
async def test_a_domain_of_which_the_server_knows_nothing(dnsmasq: Dnsmasq) -> None:
    dnsmasq.serve()
    running = Running(dnsmasq, "_users._tcp.example.org")
    assert await running.says() == "failed"
    assert running.told.reasons == [
        f"_users._tcp.example.org: 127.0.0.1:{dnsmasq.port} refuses to answer (REFUSED)",
    ]
    running.source.stop()


@in_reactor
@pytest.mark.parametrize("count", [20, 1000])
async def test_an_answer_of_more_than_512_bytes_comes_over_tcp(dnsmasq: Dnsmasq, count: int) -> None:
    names = sorted(f"target-{number}.example.com" for number in range(count))
    dnsmasq.serve(*(f"{name},80" for name in names))
    assert dnsmasq.is_truncated()
    running = Running(dnsmasq)
    assert await running.says() == "changed"
    assert running.told.sets == [[f"{name}:80" for name in names]]
    running.source.stop()


@in_reactor
async def test_a_change_is_in_force_when_the_time_is_over_by_the_real_clock(dnsmasq: Dnsmasq) -> None:
    dnsmasq.serve("a.example.com,80", ttl=1)
    told = Told()
    reactor = installed_reactor()
    clock = monotonic(reactor)
    source = make_source(f"srv://127.0.0.1:{dnsmasq.port}/{NAME}", reactor, clock, lambda: 1.0)
    began = clock.seconds()
    source.start(told)
    await until(lambda: told.calls == ["changed", "heard"], "two answers")
    assert clock.seconds() - began > 0.99
    dnsmasq.serve("b.example.com,80", ttl=1)
    await until(lambda: len(told.sets) == 2, "the change")
    assert told.sets == [["a.example.com:80"], ["b.example.com:80"]]
    source.stop()
