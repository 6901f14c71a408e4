from __future__ import annotations

from proxymux.cli.top.tables import SERVICES, SESSIONS, TARGETS, arranged, targets
from tests.cli.top.instances import service, session, shown


def ids(**how: object) -> list[int]:
    wanted = {"column": 0, "is_reversed": False, "words": "", **how}
    sessions = [session(2, target="B"), session(10, target=None), session(1, target="a")]
    return [each["id"] for each in arranged(SESSIONS, shown(sessions=sessions), **wanted)]  # type: ignore[arg-type]


def test_a_table_is_sorted_by_any_column_and_what_is_unknown_comes_last() -> None:
    assert ids() == [1, 2, 10]
    assert ids(is_reversed=True) == [10, 2, 1]
    by_target = next(at for at, column in enumerate(SESSIONS.columns) if column.title == "TARGET")
    assert ids(column=by_target) == [2, 1, 10]
    assert ids(column=by_target, is_reversed=True) == [1, 2, 10]


def test_a_table_is_filtered_by_what_is_to_be_read_in_it() -> None:
    assert ids(words="b") == [2]
    assert ids(words="192.0.2.1") == [1, 10]
    assert ids(words="nothing") == []


def test_targets_are_those_of_sessions_of_clusters_and_those_that_are_held() -> None:
    of_cluster = [{"target": "c:1", "up": False, "connections": 4, "weight": 1}]
    holds = [{"target": "a.example:1", "seconds": 5.0, "waiting": 2}, {"target": "d:1", "seconds": 1.0, "waiting": 0}]
    found = {
        (each["cluster"], each["target"]): (each["sessions"], each["up"], each["held"], each["waiting"])
        for each in targets(shown(service(holds=holds, clusters={"users": of_cluster}), service(holds=holds[:1])))
    }
    assert found == {
        ("users", "c:1"): (4, "no", None, None),
        (None, "a.example:1"): (3, None, 5.0, 4),
        (None, "d:1"): (0, None, 1.0, 0),
    }


def test_whatever_stands_in_a_cell_is_printable() -> None:
    [item] = arranged(SESSIONS, shown(sessions=[session(1, client="\x1b[2J\n")]), 0, False, "")
    assert "\\x1b[2J\\n" in [column.text(item) for column in SESSIONS.columns]


def test_what_did_not_complete_has_failed() -> None:
    [item] = SERVICES.items(shown())
    assert {column.title: column.text(item) for column in SERVICES.columns}["FAILED"] == "1"
    assert [TARGETS.key(each) for each in targets(shown())] == [(None, "a.example:1")]
