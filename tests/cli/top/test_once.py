from __future__ import annotations

import json

import pytest

from proxymux.cli.top import top
from proxymux.cli.top.once import as_text
from tests.cli.endpoints import endpoint
from tests.cli.top.instances import sample, service, session, shown


def test_text_has_every_table_with_something_in_it() -> None:
    text = as_text(shown(sessions=[session(1, client="\x1b[31m")]), "here")
    assert text.startswith("proxymux 1.0 at here, up 1m40s\n\nServices\n  SERVICE  ADDRESSES")
    assert "Pools" not in text
    assert "\\x1b[31m" in text
    assert all(line.isprintable() for line in text.splitlines())
    assert "Pools" in as_text(shown(service(pool={"cl_active": 1})), "here")


@pytest.mark.parametrize("as_json", [True, False])
def test_once_is_printed_after_two_looks(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    now = sample(0.0)
    with endpoint({"/status": now.status, "/sessions": {"sessions": now.sessions}}) as played:
        assert top(played.address, None, 0.01, 5, once=True, json=as_json) == 0
        paths = [path for _, path, _ in played.asked]
    assert paths == ["/status", "/sessions?limit=5"] * 2
    out = capsys.readouterr().out
    if as_json:
        printed = json.loads(out)
        assert set(printed) == {*now.status, "seconds", "sessions"}
        assert printed["services"][0]["rates"] == {"connections": 0, "bytes_in": 0, "bytes_out": 0}
    else:
        assert "NEW/S" in out


def test_what_does_not_answer_is_one_line_and_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with endpoint({"/status": (401, "Authorization: Bearer TOKEN is wanted")}) as played:
        assert top(played.address, None, 0.01, 5, once=True, json=False) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"proxymux top: {played.address}: Authorization: Bearer TOKEN is wanted (401)\n"


def test_a_live_view_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    now = sample(0.0)
    with endpoint({"/status": now.status, "/sessions": {"sessions": now.sessions}}) as played:
        assert top(played.address, None, 0.01, 5, once=False, json=False) == 1
    assert "--once prints once" in capsys.readouterr().err
