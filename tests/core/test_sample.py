"""Samples: what they hold, and what their names say."""

from __future__ import annotations

import pytest

from proxymux.core.decision import NEED_DATA, BadHandshake, Decision, Forward, Reject, Reply, Share, Terminate
from proxymux.core.sample import MAX_SAMPLE, Sample, name_of, recorded_word, word_of
from proxymux.core.target import parse_target


@pytest.mark.parametrize(
    ("decision", "word"),
    [
        (Forward("db.example:5432"), "forward-db.example:5432"),
        (Forward(["a:1", "[::1]:2"]), "forward-a:1,[::1]:2"),
        (Forward("unix:/run/a b"), "forward-unix:%2Frun%2Fa%20b"),
        (Reject(), "reject"),
        (Reject(b"who?"), "reject-4"),
        (Terminate("/etc/tls"), "terminate-%2Fetc%2Ftls"),
        (Share((parse_target("a:1"),)), "share"),
        (NEED_DATA, "undecided"),
    ],
)
def test_a_decision_is_a_word(decision: Decision, word: str) -> None:
    assert word_of(decision) == word
    assert recorded_word(name_of(0.0, "router", 7, word)) == word


def test_a_bad_handshake_is_one_whatever_its_reason() -> None:
    assert word_of(BadHandshake(b"401", "wrong secret", "details")) == "bad_handshake"


def test_a_name_says_time_service_session_and_word() -> None:
    assert name_of(1777888800.1239, "router", 12, "reject") == "20260504T100000.123Z-router-12-reject"


def test_a_long_word_is_cut_and_stays_different_from_others() -> None:
    words = {word_of(Forward(["a" * 60 + f":{1 + port}" for port in range(count)])) for count in range(5, 10)}
    assert len(words) == 5
    assert all(len(word) == 160 for word in words)


@pytest.mark.parametrize("name", ["", "sample", "a-b-c-d", "20260504T100000.123Z-router-12"])
def test_another_name_has_no_word(name: str) -> None:
    assert recorded_word(name) is None


def test_a_sample_is_what_the_decider_was_shown_last() -> None:
    sample = Sample()
    sample.show(b"ab")
    sample.show(b"abcd")
    assert sample.take() == b"abcd"
    sample.show(b"later")
    assert sample.take() == b""


def test_what_a_step_has_consumed_belongs_to_it() -> None:
    sample = Sample()
    sample.show(b"hello, ")
    sample.reply(Reply(b"hi", consume=5))
    sample.show(b", world")
    assert sample.take() == b"hello, world"


def test_a_sample_that_becomes_too_long_is_none() -> None:
    sample = Sample()
    for _ in range(MAX_SAMPLE // 65536 + 1):
        sample.show(b"x" * 65536)
        sample.reply(Reply(b"go on", consume=65536))
    sample.show(b"x")
    assert sample.is_over
    assert sample.take() == b""
