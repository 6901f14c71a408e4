from __future__ import annotations

import dataclasses
import json

import pytest

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
    assert [field.name for field in dataclasses.fields(Record)] == KEYS


def test_an_ending_needs_no_reason() -> None:
    assert Ending(Outcome.COMPLETED) == Ending(Outcome.COMPLETED, None)


def test_an_ending_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Ending(Outcome.COMPLETED).outcome = Outcome.IDLE  # type: ignore[misc]
