from __future__ import annotations

import dataclasses
import json

import pytest

from proxymux.admin.access_log import FIELDS
from proxymux.core.outcome import Ending, Outcome, Record

#: As the contract's A8 lists them.
OUTCOMES = [
    "completed",
    "refused",
    "rejected",
    "undecided",
    "router_error",
    "bad_handshake",
    "unreachable",
    "connect_timeout",
    "inactive",
    "idle",
    "queue_full",
    "queue_timeout",
    "request_timeout",
    "protocol_error",
    "client_aborted",
    "upstream_aborted",
    "drained",
]
KEYS = [
    "time",
    "service",
    "session",
    "client",
    "local",
    "target",
    "outcome",
    "reason",
    "bytes_in",
    "bytes_out",
    "decide_seconds",
    "connect_seconds",
    "first_byte_seconds",
    "seconds",
]


def test_the_outcomes_are_those_of_the_contract() -> None:
    assert [outcome.value for outcome in Outcome] == OUTCOMES


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_is_its_word_wherever_it_is_shown(outcome: Outcome) -> None:
    assert str(outcome) == outcome.value
    assert f"{outcome}" == outcome.value
    assert json.dumps(outcome) == f'"{outcome.value}"'
    assert outcome == outcome.value


def test_a_record_has_the_keys_of_the_access_log_in_their_order() -> None:
    assert list(Record._fields[: len(KEYS)]) == KEYS
    assert list(FIELDS) == KEYS


def test_a_field_of_a_record_is_an_attribute_and_an_item() -> None:
    record = Record(1.0, "router", 7, "c", "l", "t", Outcome.IDLE, "why", 1, 2, 0.1, 0.2, 0.3, 0.4, "200", "it")
    for name in Record._fields:
        assert record[name] == getattr(record, name)
    with pytest.raises(KeyError):
        record["nothing"]
    with pytest.raises(AttributeError):
        record.outcome = Outcome.COMPLETED  # type: ignore[misc]


def test_the_text_of_an_ending_has_its_status_and_details_where_the_handshake_was_bad() -> None:
    assert Ending(Outcome.BAD_HANDSHAKE, "expired", "401", "17 s ago").text == "401 expired: 17 s ago"
    assert Ending(Outcome.BAD_HANDSHAKE, "TLS: eof").text == "TLS: eof"
    assert Ending(Outcome.UNREACHABLE, "refused", "502").text == "refused"
    assert Ending(Outcome.DRAINED, status="200").text is None


def test_an_ending_needs_no_reason() -> None:
    assert Ending(Outcome.COMPLETED) == Ending(Outcome.COMPLETED, None)


def test_an_ending_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Ending(Outcome.COMPLETED).outcome = Outcome.IDLE  # type: ignore[misc]
