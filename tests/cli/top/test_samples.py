from __future__ import annotations

from typing import Any

import pytest

from proxymux.cli.admin_client import AdminClient, NotAnswered
from proxymux.cli.top.samples import compare, take
from tests.cli.endpoints import endpoint
from tests.cli.top.instances import sample, service, session


def test_rates_are_what_was_between_two_samples() -> None:
    before = sample(10.0, sessions=[session(1, bytes_in=0)])
    now = sample(14.0, service(total=12, bytes_in=1400, bytes_out=2000), sessions=[session(1), session(2)])
    shown = compare(before, now)
    assert shown["seconds"] == 4
    assert shown["services"][0]["rates"] == {"connections": 0.5, "bytes_in": 100, "bytes_out": 0}
    old, new = shown["sessions"]
    assert old["rates"] == {"bytes_in": 25, "bytes_out": 0}
    assert new["rates"] == {"bytes_in": None, "bytes_out": None}
    assert {key: shown[key] for key in ("name", "version", "workers")} == {
        key: now.status[key] for key in ("name", "version", "workers")
    }


def test_services_of_one_process_may_have_the_same_numbers() -> None:
    before, now = ([session(1, bytes_in=at), session(1, service="pool", bytes_in=5 * at)] for at in (10, 20))
    shown = compare(sample(0.0, sessions=before), sample(10.0, sessions=now))
    assert [each["rates"]["bytes_in"] for each in shown["sessions"]] == [1, 5]


def test_there_are_no_rates_over_a_restart_or_of_what_is_not_counted() -> None:
    restarted = sample(14.0, service(total=2), uptime_seconds=1.0)
    none = {"connections": None, "bytes_in": None, "bytes_out": None}
    assert compare(sample(10.0), restarted)["services"][0]["rates"] == none
    assert compare(None, restarted)["seconds"] is None
    fewer = compare(sample(10.0), sample(14.0, service(total=2, bytes_in=None)))
    assert fewer["services"][0]["rates"] == {"connections": None, "bytes_in": None, "bytes_out": 0}


def test_a_sample_is_the_status_and_the_oldest_sessions() -> None:
    wanted = sample(0.0)
    with endpoint({"/status": wanted.status, "/sessions?limit=7": {"sessions": wanted.sessions}}) as played:
        taken = take(AdminClient(played.address), 7)
    assert (taken.status, taken.sessions) == (wanted.status, wanted.sessions)


@pytest.mark.parametrize(
    ("status", "sessions"),
    [
        ({"services": None}, []),
        ({"services": [{}]}, []),
        ({"workers": [1]}, []),
        ({}, [{"id": 1}]),
        ({}, None),
        ({}, [7]),
    ],
)
def test_what_is_not_whole_is_of_another_version(status: dict[str, Any], sessions: Any) -> None:
    answers = {"/status": {**sample(0.0).status, **status}, "/sessions": {"sessions": sessions}}
    with endpoint(answers) as played, pytest.raises(NotAnswered, match="of this version"):
        take(AdminClient(played.address), 7)
