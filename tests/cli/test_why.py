from __future__ import annotations

import json
from typing import Any

import pytest

from proxymux.cli.admin_client import NotAnswered
from proxymux.cli.why import explain_lines, why
from tests.cli.endpoints import endpoint

SESSION: dict[str, Any] = {
    "id": 17,
    "service": "router",
    "client": "192.0.2.1:50000",
    "target": "b.example:2",
    "state": "ended",
    "seconds": 3.5,
    "bytes_in": 18,
    "bytes_out": 1,
    "worker": 2,
    "local": "192.0.2.2:5432",
    "time": "2026-05-04T10:00:00.000+00:00",
    "outcome": "upstream_aborted",
    "reason": "connection reset by peer",
    "note": {"tenant": "blue"},
    "tls": {"version": "TLSv1.3"},
    "phases": [
        {"phase": "deciding", "from": 0.0, "to": 0.25},
        {"phase": "connecting", "from": 0.25, "to": 1.0},
        {"phase": "first byte", "from": 1.0, "to": 1.5},
        {"phase": "joined", "from": 1.5, "to": 3.5},
    ],
    "seen": [1, 5, 18],
    "decided_at": "router.py:12",
    "attempts": [
        {"target": "a.example:1", "from": 0.25, "to": 0.5, "error": "connection refused"},
        {"target": "b.example:2", "from": 0.5, "to": 1.0, "error": None},
    ],
}
LIVE = {
    **SESSION,
    **dict.fromkeys(("outcome", "reason", "note", "tls", "worker", "target", "decided_at")),
    "state": "reading",
    "phases": [{"phase": "deciding", "from": 0.0, "to": None}],
    "attempts": [],
}


def test_a_session_that_has_ended_is_explained() -> None:
    assert explain_lines(SESSION) == [
        "Session 17 of the router: from 192.0.2.1:50000 to b.example:2, in worker 2.",
        "It was accepted on 192.0.2.2:5432 at 2026-05-04T10:00:00.000+00:00.",
        "What decides was asked 3 times, about 1, 5, 18 bytes.",
        "It was decided after 0.250 s, by router.py:12.",
        "Of 2 attempts to connect 1 failed; the last error was: connection refused.",
        "The client uses TLS: version TLSv1.3.",
        "The router noted: tenant blue.",
        "It has passed on 18 bytes from the client and 1 byte to it.",
        "It ended after 3.500 s as upstream_aborted: The upstream was reset, or closed without a byte.",
        "The reason: connection reset by peer.",
        "Look at the log of the target at this time: it crashed, restarted, or did not like what it was sent.",
        "",
        "0.000000  accepted on 192.0.2.2:5432",
        "0.250000  decided by router.py:12",
        "0.250000  attempt 1 to connect to a.example:1",
        "0.500000  attempt 1 failed: connection refused",
        "0.500000  attempt 2 to connect to b.example:2",
        "1.000000  connected",
        "1.500000  first byte of the upstream",
        "3.500000  ended: upstream_aborted, 18 bytes in, 1 byte out",
    ]


def test_a_live_session_is_explained_by_what_it_waits_for() -> None:
    lines = explain_lines(LIVE)
    assert lines[0] == "Session 17 of the router: from 192.0.2.1:50000."
    assert "There is no decision yet." in lines
    assert "It is live, for 3.500 s so far: it is not decided yet." in lines
    assert lines[-1] == "3.500000  now: reading, 18 bytes in, 1 byte out"


def test_one_that_failed_says_that_all_attempts_did() -> None:
    failed = {**SESSION, "outcome": "unreachable", "attempts": SESSION["attempts"][:1], "phases": SESSION["phases"][:2]}
    assert "Of 1 attempt to connect all failed; the last error was: connection refused." in explain_lines(failed)


def test_an_outcome_of_a_later_version_is_no_error() -> None:
    assert any("none that this version knows" in line for line in explain_lines({**SESSION, "outcome": "new"}))


def test_whatever_a_client_has_sent_is_printable() -> None:
    nasty = "\x1b]0;x\x07\u202e\n"
    texts = dict.fromkeys(("client", "target", "local", "reason", "decided_at", "time", "service"), nasty)
    lines = explain_lines({**SESSION, **texts, "note": {nasty: nasty}, "tls": {nasty: nasty}})
    assert all(line.isprintable() for line in lines)
    assert any("\\x1b]0;x\\x07\\u202e\\n" in line for line in lines)


@pytest.mark.parametrize("session", [None, [], {}, {**SESSION, "phases": []}, {**SESSION, "seconds": "x"}])
def test_what_is_no_session_is_said(session: Any) -> None:
    with pytest.raises(NotAnswered, match="is no session"):
        explain_lines(session)


def test_the_command_prints_sentences_or_json_or_one_line_of_error(capsys: pytest.CaptureFixture[str]) -> None:
    with endpoint({"/sessions/17": SESSION, "/sessions/18": (404, "there is no such session")}) as played:
        assert why(played.address, 17, as_json=False) == 0
        assert capsys.readouterr().out.splitlines() == explain_lines(SESSION)
        assert why(played.address, 17, as_json=True) == 0
        assert json.loads(capsys.readouterr().out) == SESSION
        assert why(played.address, 18, as_json=False) == 1
        said = capsys.readouterr()
        assert (said.out, said.err) == ("", f"proxymux why: {played.address}: there is no such session (404)\n")
