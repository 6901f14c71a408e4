"""Deciding by a token."""

from __future__ import annotations

import base64
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from proxymux.admin.statistics import Statistics
from proxymux.core.decision import NEED_DATA, BadHandshake, Decision, Forward
from proxymux.core.identity import Client
from proxymux.core.target import parse_target
from proxymux.core.token import MAX_TOKEN, Claims, legacy
from proxymux.core.token.legacy import seal_legacy
from proxymux.core.token.sealed import Keys
from proxymux.core.token.verifier import ReplayCache, TokenVerifier
from proxymux.gateway.failure_budget import FailureBudget
from proxymux.gateway.token_decider import SpentTokens, TokenDecider
from proxymux.interfaces import IDecider
from proxymux.net.timers import Timers

SECRET: Final = b"p0S8rX680*48"
EXAMPLE: Final = b"U2FsdGVkX19KIJ9OQJKT/yHGMrS+5SsBAAjetomptQ0="
KEYS: Final = Keys({"k1": bytes(range(32))})
NOW: Final = 1_000_000.0
WRONG: Final = "wrong secret or digest, damaged, or what it holds is not host:port"


def client(host: str = "192.0.2.7") -> Client:
    return Client((host, 1234), ("192.0.2.1", 80))


class Gateway:
    """A decider on a clock."""

    def __init__(self, failures: int | None = 600, attempts: int = 1, spent_tokens: SpentTokens | None = None) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock, Logger())
        self.budget = FailureBudget(failures)
        self.statistics = Statistics()
        self.now = NOW
        self.decider = TokenDecider(
            TokenVerifier(SECRET, ("md5",), KEYS, None),
            ReplayCache() if spent_tokens is None else spent_tokens,
            self.budget,
            self.statistics.opened,
            attempts,
            self.timers,
            lambda: self.now,
        )

    def decide(self, data: bytes, host: str = "192.0.2.7") -> Decision:
        """What is decided at once."""
        decision = self.decider.decide(data, client(host))
        assert not isinstance(decision, Deferred)
        return decision

    def later(self, data: bytes, host: str = "192.0.2.7") -> list[Any]:
        """What is decided, when it is."""
        waiting = self.decider.decide(data, client(host))
        assert isinstance(waiting, Deferred)
        decided: list[Any] = []
        waiting.addBoth(decided.append)
        return decided


def sealed(**claims: Any) -> bytes:
    return KEYS.seal({"t": "a:1", "e": int(NOW) + 60, **claims}, bytes(16)).encode()


def forward(*targets: str, data: bytes = b"", retries: int = 0) -> Forward:
    return Forward(
        tuple(map(parse_target, targets)),
        data=data,
        reply_on_connect=b"200",
        reply_on_failure=b"502",
        reply_on_timeout=b"504",
        reply_on_denial=b"401",
        retries=retries,
        retry_on="timeout",
    )


def blocks(padded: bytes) -> bytes:
    """An old token of whole blocks with this at its end, however it is padded."""
    key, iv = legacy._DERIVE["md5"](SECRET, b"saltsalt")
    encryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).encryptor()
    return base64.b64encode(b"Salted__saltsalt" + encryptor.update(padded) + encryptor.finalize())


def test_it_is_a_decider_that_does_not_greet_and_says_400_to_who_comes_to_nothing() -> None:
    decider = Gateway().decider
    verifyObject(IDecider, decider)
    assert decider.undecided_reply == b"400"
    assert not decider.greets
    assert decider.accepted(client()) is NEED_DATA


def test_the_error_callbacks_have_nothing_to_add() -> None:
    decider = Gateway().decider
    assert decider.connect_error("a:1", client()) == b""
    assert decider.inactivity_error("a:1", client()) == b""


@pytest.mark.parametrize("data", [b"", b"x", EXAMPLE, EXAMPLE + b"\r", b"x" * MAX_TOKEN, b"x" * MAX_TOKEN + b"\r"])
def test_it_waits_for_the_lines_end(data: bytes) -> None:
    gateway = Gateway(failures=1)
    assert gateway.decide(data) is NEED_DATA
    assert gateway.budget.wait("192.0.2.7", 0) == 0


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("rest", [b"", b"r", b"\n", b"rest" * 1000])
def test_a_token_forwards_with_what_came_after_it(end: bytes, rest: bytes) -> None:
    assert Gateway().decide(EXAMPLE + end + rest) == forward("127.0.0.1:62863", data=rest)
    assert Gateway().decide(sealed(t=["a:1", "b:2"]) + end + rest) == forward("a:1", "b:2", data=rest)


def test_the_line_is_not_sent_upstream() -> None:
    """Its decision has bytes in the place of the buffer, even if there are none."""
    decision = Gateway().decide(EXAMPLE + b"\n")
    assert isinstance(decision, Forward)
    assert decision.data == b""


@pytest.mark.parametrize(("attempts", "retries"), [(1, 0), (3, 2), (2**31 - 1, 2**31 - 2)])
def test_attempts_in_all_are_one_more_than_retries(attempts: int, retries: int) -> None:
    for line in (EXAMPLE + b"\n", EXAMPLE + b"\nrest"):
        decision = Gateway(attempts=attempts).decide(line)
        assert isinstance(decision, Forward)
        assert decision.retries == retries


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "neither a sealed token nor one of OpenSSL's"),
        (b"abc", "not base64"),
        (EXAMPLE + b" ", "not base64"),
        (EXAMPLE[:-8] + b"AAAAAAA=", WRONG),
        (seal_legacy("127.0.0.1:1", b"another", "md5", bytes(8)).encode(), WRONG),
        (seal_legacy("127.0.0.1:62863", SECRET, "sha256", bytes(8)).encode(), WRONG),
        (blocks(b"127.0.0.1\x07\x07\x07\x07\x07\x07\x07"), WRONG),
        (sealed(e=0), "expired: 1000000 s ago"),
        (sealed(n=int(NOW) + 31), "not yet valid: for another 31 s"),
        (sealed(c="10.0.0.0/8"), "for another client"),
        (sealed(a="eu"), "for another audience (--audience)"),
        (b"pm1.k2.AAAA", "no key of that id"),
    ],
)
def test_a_bad_token_is_401_and_the_reason_holds_neither_token_nor_secret(line: bytes, reason: str) -> None:
    decision = Gateway().decide(line + b"\nrest")
    assert isinstance(decision, BadHandshake)
    assert decision.last_word == b"401"
    assert decision.text == f"401 {reason}"
    assert SECRET.decode() not in repr(decision)


@pytest.mark.parametrize("data", [b"x" * 1025, b"x" * 1025 + b"\n", bytes(65536), b"x" * 1024 + b"\rx"])
def test_a_line_that_is_too_long_is_400(data: bytes) -> None:
    assert Gateway().decide(data) == BadHandshake(b"400", "no line's end within 1024 bytes")


def test_bad_padding_and_a_bad_address_are_the_same_decision() -> None:
    """Or else the gateway tells who asks often enough what is in a token."""
    gateway = Gateway(failures=None)
    bad_padding = [blocks(b"nothing" + bytes([last]) * 9) for last in (0, 1, 8, 10, 16, 17, 255) if last not in (1,)]
    bad_address = [blocks(b"no address here" + b"\x01"), blocks(b"\x10" * 16), blocks(b"nothing" + b"\x09" * 9)]
    decisions = {repr(gateway.decide(line + b"\n")) for line in (*bad_padding, *bad_address)}
    assert decisions == {repr(BadHandshake(b"401", WRONG))}


def test_good_tokens_are_counted_by_the_key_that_opened_them() -> None:
    gateway = Gateway()
    for line in (EXAMPLE, sealed(), sealed(), b"bad", sealed(e=0)):
        gateway.decide(line + b"\n")
    assert gateway.statistics.keys == {"old": 1, "k1": 2}
    assert not gateway.statistics.counts  # that of how sessions end is for when they have


# One-time tokens


def test_a_one_time_token_opens_once_whoever_shows_it() -> None:
    gateway = Gateway()
    line = sealed(j="once") + b"\n"
    assert gateway.decide(line) == forward("a:1")
    assert gateway.decide(line, "192.0.2.8") == BadHandshake(b"401", "one-time token was used before")


def test_a_one_time_token_is_not_used_up_by_who_may_not_use_it() -> None:
    gateway = Gateway()
    line = sealed(j="once", c="192.0.2.8") + b"\n"
    assert gateway.decide(line, "192.0.2.7") == BadHandshake(b"401", "for another client")
    assert gateway.decide(line, "192.0.2.8") == forward("a:1")


def test_a_token_that_is_good_for_long_stays_used_up_over_a_reload() -> None:
    replay_cache = ReplayCache()
    line = sealed(j="once") + b"\n"
    assert Gateway(spent_tokens=replay_cache).decide(line) == forward("a:1")
    assert isinstance(Gateway(spent_tokens=replay_cache).decide(line), BadHandshake)


# The failure budget


def test_an_address_that_failed_too_often_waits_even_with_a_good_token() -> None:
    gateway = Gateway(failures=2)
    for _ in range(2):
        assert isinstance(gateway.decide(b"bad\n"), BadHandshake)
    good, bad = gateway.later(EXAMPLE + b"\n"), gateway.later(b"bad\n")
    gateway.clock.advance(29.8)
    assert (good, bad) == ([], [])
    gateway.clock.advance(0.4)
    assert good == [forward("127.0.0.1:62863")]
    assert bad == [BadHandshake(b"401", "not base64")]
    assert gateway.decide(EXAMPLE + b"\n", "192.0.2.8") == forward("127.0.0.1:62863")


def test_of_many_that_wait_one_a_share_of_the_minute_gets_it_wrong() -> None:
    gateway = Gateway(failures=6)
    for _ in range(6):
        gateway.decide(b"bad\n")
    waiting = [gateway.later(b"bad\n") for _ in range(5)]
    for turn in range(1, 6):
        gateway.clock.pump([0.1] * 102)
        assert sum(map(len, waiting)) == turn, turn


def test_a_line_that_is_too_long_counts_and_one_that_is_not_whole_does_not() -> None:
    gateway = Gateway(failures=1)
    assert gateway.decide(b"x") is NEED_DATA
    assert isinstance(gateway.decide(bytes(2000)), BadHandshake)
    assert gateway.later(EXAMPLE + b"\n") == []
    assert isinstance(gateway.decide(bytes(2000)), BadHandshake)  # it gets nothing, and need not wait for that


def test_good_tokens_do_not_count() -> None:
    gateway = Gateway(failures=1)
    for _ in range(10):
        assert gateway.decide(EXAMPLE + b"\n") == forward("127.0.0.1:62863")


def test_without_a_budget_nobody_waits() -> None:
    gateway = Gateway(failures=None)
    for _ in range(2000):
        assert isinstance(gateway.decide(b"bad\n"), BadHandshake)


def test_a_token_that_expires_while_it_waits_has_expired() -> None:
    gateway = Gateway(failures=1)
    gateway.decide(b"bad\n")
    decided = gateway.later(sealed(e=int(NOW)) + b"\n")
    gateway.now = NOW + 60
    gateway.clock.advance(61)
    assert decided == [BadHandshake(b"401", "expired", "60 s ago")]


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_who_leaves_while_waiting_leaves_no_timer_and_uses_nothing_up(rounds: int) -> None:
    gateway = Gateway(failures=1)
    gateway.decide(b"bad\n")
    waiting = gateway.decider.decide(sealed(j="once") + b"\n", client())
    assert isinstance(waiting, Deferred)
    for _ in range(rounds):
        gateway.budget.fail("192.0.2.7", gateway.clock.seconds())
        gateway.clock.advance(60)
    failures: list[Failure] = []
    waiting.addErrback(failures.append)
    waiting.cancel()
    assert [failure.type for failure in failures] == [CancelledError]
    gateway.timers.stop()
    assert not gateway.clock.getDelayedCalls()
    gateway.now += 1
    assert gateway.decide(sealed(j="once") + b"\n", "192.0.2.8") == forward("a:1")


def test_who_leaves_while_it_is_asked_whether_a_token_was_used_is_not_blamed() -> None:
    asked: list[Deferred[None]] = []

    class Asking:
        def spend(self, claims: Claims, now: float) -> Deferred[None]:
            asked.append(Deferred())
            return asked[-1]

    gateway = Gateway(failures=1, spent_tokens=Asking())
    decided = gateway.later(sealed(j="once") + b"\n")
    asked[0].cancel()
    assert [failure.type for failure in decided] == [CancelledError]
    assert gateway.decide(sealed() + b"\n") == forward("a:1")  # at once, since it has failed in nothing


# Anything


@settings(database=None, deadline=None, max_examples=500)
@given(st.binary(max_size=120), st.binary(max_size=40))
def test_whatever_comes_is_decided_and_every_split_alike(line: bytes, rest: bytes) -> None:
    data = line + b"\n" + rest
    whole = Gateway(failures=None).decide(data)
    end = data.index(b"\n") + 1
    gateway = Gateway(failures=None)
    for size in range(end):
        assert gateway.decide(data[:size]) is NEED_DATA
    assert isinstance(whole, BadHandshake)
    assert gateway.decide(data[:end]) == whole
