"""The statistics."""

from __future__ import annotations

import pytest

from proxymux.admin import statistics as statistics_module
from proxymux.admin.statistics import Entry, Statistics
from proxymux.core.outcome import Ending, Outcome, Record

BAD = Ending(Outcome.BAD_HANDSHAKE, "wrong secret", "401")
DENIED = Ending(Outcome.BAD_HANDSHAKE, "127.0.0.1:1: denied (--deny-target)", "401")


def record(ending: Ending, target: str | None = None) -> Record:
    return Record(
        0.0, "gateway", 1, "client", "local", target, ending.outcome, ending.text, 0, 0, None, None, None, 1.0,
        status=ending.status, cause=ending.reason,
    )  # fmt: skip


def counted(ending: Ending, target: str | None = None) -> Entry:
    statistics = Statistics()
    statistics.note(record(ending, target))
    [(entry, count)] = statistics.counts.items()
    assert count == 1
    return entry


@pytest.mark.parametrize(
    ("ending", "entry"),
    [
        (BAD, Entry("401", "wrong secret", "")),
        (Ending(Outcome.BAD_HANDSHAKE, "expired", "401", "17 s ago"), Entry("401", "expired", "")),
        (Ending(Outcome.BAD_HANDSHAKE, "no decision within 10 s", "400"), Entry("400", "no decision within 10 s", "")),
        (Ending(Outcome.BAD_HANDSHAKE, "TLS: wrong version number"), Entry("-", "bad_handshake", "")),
        (Ending(Outcome.UNDECIDED, "connection lost"), Entry("-", "undecided", "")),
        (Ending(Outcome.REFUSED, "address denied"), Entry("-", "refused", "")),
        (Ending(Outcome.DRAINED), Entry("-", "drained", "")),
        (Ending(Outcome.PROTOCOL_ERROR, "no PROXY header"), Entry("-", "protocol_error", "")),
    ],
)
def test_without_a_target_the_reason_counts(ending: Ending, entry: Entry) -> None:
    assert counted(ending) == entry


@pytest.mark.parametrize("outcome", [each for each in Outcome if each is not Outcome.BAD_HANDSHAKE])
def test_who_was_connected_was_told_200_however_it_ended(outcome: Outcome) -> None:
    assert counted(Ending(outcome, "why", "200"), "a:1") == Entry("200", "", "a:1")


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (Ending(Outcome.UNREACHABLE, "a:1: connection refused", "502"), "502"),
        (Ending(Outcome.CONNECT_TIMEOUT, "a:1: timed out", "504"), "504"),
        (Ending(Outcome.CLIENT_ABORTED, "reset"), "-"),
        (Ending(Outcome.DRAINED), "-"),
    ],
)
def test_who_was_not_connected_counts_for_the_target(ending: Ending, status: str) -> None:
    assert counted(ending, "a:1") == Entry(status, "", "a:1")


def test_a_bad_handshake_without_a_reason_is_counted_too() -> None:
    assert counted(Ending(Outcome.BAD_HANDSHAKE)) == Entry("-", "bad_handshake", "")


def test_the_lines_are_by_status_and_the_most_frequent_is_first() -> None:
    statistics = Statistics()
    assert statistics.lines() == []
    for _ in range(3):
        statistics.note(record(Ending(Outcome.COMPLETED, status="200"), "a:1"))
    statistics.note(record(Ending(Outcome.COMPLETED, status="200"), "b:1"))
    for _ in range(5):
        statistics.note(record(BAD))
    statistics.note(record(Ending(Outcome.UNREACHABLE, status="502"), "b:1"))
    assert statistics.lines() == ["401: 5 (wrong secret 5)", "200: 4 (a:1 3, b:1 1)", "502: 1 (b:1 1)"]


def test_a_line_names_ten_targets_and_counts_all() -> None:
    statistics = Statistics()
    for number in range(12):
        statistics.note(record(Ending(Outcome.COMPLETED, status="200"), f"t{number:02}:1"))
    [line] = statistics.lines()
    assert line.startswith("200: 12 (t00:1 1, ")
    assert line.count(":1 1") == 10


def test_targets_beyond_the_limit_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics_module, "MAX_TARGETS", 2)
    statistics = Statistics()
    for name in ("a", "b", "c", "d", "a"):
        statistics.note(record(Ending(Outcome.COMPLETED, status="200"), name))
    assert statistics.counts == {Entry("200", "", "a"): 2, Entry("200", "", "b"): 1, Entry("200", "", "others"): 2}


def test_a_tls_handshake_is_no_status_of_ours() -> None:
    statistics = Statistics()
    statistics.note(record(Ending(Outcome.BAD_HANDSHAKE, "TLS: no shared cipher")))
    assert statistics.counts == {Entry("-", "bad_handshake", ""): 1}


def test_good_tokens_are_counted_by_their_keys_and_denied_targets_say_so() -> None:
    statistics = Statistics()
    for key in ("k1", None, "k1"):
        statistics.opened(key)
    statistics.note(record(DENIED, "127.0.0.1:1"))
    assert statistics.lines() == ["good tokens: 3 (k1 2, old 1)", "401: 1 (denied target 127.0.0.1:1 1)"]
