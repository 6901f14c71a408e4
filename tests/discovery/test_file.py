"""Members in a file: read, watched, and refused whole where a line is bad."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from proxymux.core.member import Entry
from proxymux.core.target import parse_target
from proxymux.discovery import file
from proxymux.discovery.file import LOOK_INTERVAL, FileSource, parse_lines
from proxymux.errors import BadAddress
from tests.discovery.listener import Told


class Running:
    """A source that has begun to tell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = Clock()
        self.told = Told()
        self.source = FileSource(f"file:{path}", None, self.clock, None)
        self.source.start(self.told)

    def write(self, text: str) -> None:
        """Replace the file as an operator should: by renaming another over it."""
        new = self.path.with_name("new")
        new.write_text(text)
        new.rename(self.path)

    def pass_time(self) -> list[str]:
        """Have the source look once; what it says."""
        self.told.since()
        self.clock.advance(LOOK_INTERVAL)
        return self.told.since()


@pytest.fixture
def targets(tmp_path: Path) -> Path:
    path = tmp_path / "targets"
    path.write_text("10.0.0.1:80\n10.0.0.2:80 weight=3 name=two  # the big one\n\n# that is all\n")
    return path


@pytest.fixture
def running(targets: Path) -> Iterator[Running]:
    made = Running(targets)
    yield made
    made.source.stop()
    assert made.clock.getDelayedCalls() == []


def test_a_line_is_a_member_and_may_have_a_weight_a_name_and_a_comment() -> None:
    found = parse_lines(" a:1\r\n[::1]:2 weight=0\n#\n\n\tunix:/x name=y # z", {})
    assert tuple(found.values()) == (
        Entry(parse_target("a:1")),
        Entry(parse_target("[::1]:2"), 0),
        Entry(parse_target("unix:/x"), name="y"),
    )


def test_a_line_that_is_known_is_not_read_again() -> None:
    known = parse_lines("a:1\nb:1 weight=2", {})
    found = parse_lines("c:1\nb:1 weight=2 # still\n", known)
    assert list(found) == ["c:1", "b:1 weight=2"]
    assert found["b:1 weight=2"] is known["b:1 weight=2"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:1\n\nb", "line 3: 'b' is not host:port"),
        ("a:1 weight=x", "line 1: weight: 'x' is not a whole number"),
        ("a:1 # one\nb:2\na:1 weight=2", "line 3: a:1 is in line 1 already"),
        ("a:1,b:1", "line 1: 'a:1,b:1'"),
    ],
)
def test_a_bad_line_is_named_by_its_number(text: str, problem: str) -> None:
    with pytest.raises(BadAddress) as raised:
        parse_lines(text, {})
    assert str(raised.value).startswith(problem)


def test_the_members_are_told_at_the_start_and_that_nothing_has_changed_at_each_look(running: Running) -> None:
    assert running.told.sets == [["10.0.0.1:80", "10.0.0.2:80 weight=3 name=two"]]
    assert running.told.since() == ["changed"]
    assert [running.pass_time() for _ in range(3)] == [["heard"]] * 3


def test_a_file_that_is_renamed_over_it_is_seen(running: Running) -> None:
    running.pass_time()
    running.write("10.0.0.3:80")
    assert running.pass_time() == ["changed"]
    assert running.told.sets[1:] == [["10.0.0.3:80"]]
    assert running.pass_time() == ["heard"]


def test_a_file_that_is_written_in_place_is_seen(running: Running) -> None:
    running.pass_time()
    with running.path.open("a") as open_file:
        open_file.write("10.0.0.3:80")
    assert running.pass_time() == ["changed"]
    assert running.told.sets[-1][2:] == ["10.0.0.3:80"]


def test_a_file_that_says_the_same_in_other_words_changes_nothing(running: Running) -> None:
    running.pass_time()
    running.write("# sorted\n10.0.0.1:80\n\n10.0.0.2:80 name=two weight=3\n")
    assert running.pass_time() == ["heard"]


def test_a_swapped_folder_of_a_config_map_is_seen(tmp_path: Path) -> None:
    """As Kubernetes does it: the file is a link into ``..data``, which is a link to a folder with a date."""
    for name, text in (("..1", "a:1"), ("..2", "b:1")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "targets").write_text(text)
        os.utime(tmp_path / name / "targets", ns=(1, 1))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "targets").symlink_to("..data/targets")
    running = Running(tmp_path / "targets")
    running.pass_time()
    (tmp_path / "..data_tmp").symlink_to("..2")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")
    assert running.pass_time() == ["changed"]
    assert running.told.sets == [["a:1"], ["b:1"]]
    running.source.stop()


def test_a_bad_line_refuses_the_whole_change_and_is_told_once(running: Running) -> None:
    running.pass_time()
    running.write("10.0.0.3:80\n10.0.0.4:80\nnonsense\n")
    assert [running.pass_time() for _ in range(3)] == [["failed"], [], []]
    assert running.told.reasons[0].startswith(f"{running.path}, line 3: 'nonsense' is not host:port")
    running.write("10.0.0.3:80\n10.0.0.4:80\n")
    assert running.pass_time() == ["changed"]
    assert running.told.sets[1:] == [["10.0.0.3:80", "10.0.0.4:80"]]


def test_a_file_that_vanishes_leaves_the_members_and_may_come_back(running: Running) -> None:
    running.pass_time()
    text = running.path.read_text()
    running.path.unlink()
    assert [running.pass_time() for _ in range(3)] == [["failed"], [], []]
    assert running.told.reasons == [f"{running.path}: No such file or directory"]
    running.write(text)
    assert [running.pass_time() for _ in range(2)] == [["heard"], ["heard"]]
    assert len(running.told.sets) == 1


@pytest.mark.parametrize("text", ["", "\n", " \n\t\n"])
def test_an_empty_file_is_taken_for_one_that_is_being_written(running: Running, text: str) -> None:
    running.pass_time()
    running.path.write_text(text)
    assert running.pass_time() == ["failed"]
    assert running.told.reasons == [
        f"{running.path}: the file is empty; for no targets at all write a line with a comment (# none)"
    ]
    assert len(running.told.sets) == 1


def test_a_file_with_nothing_but_a_comment_takes_all_members_away(running: Running) -> None:
    running.pass_time()
    running.write("# none\n")
    assert running.pass_time() == ["changed"]
    assert running.told.sets[1:] == [[]]


def test_a_file_that_is_not_there_at_the_start_is_found_when_it_comes(tmp_path: Path) -> None:
    running = Running(tmp_path / "later")
    assert running.told.since() == ["failed"]
    running.write("a:1")
    assert running.pass_time() == ["changed"]
    running.source.stop()


def test_a_reload_looks_at_once_and_tells_of_a_bad_file_again(running: Running) -> None:
    running.told.since()
    running.write("10.0.0.3:80")
    running.source.look()
    assert running.told.since() == ["changed"]
    running.write("nonsense")
    running.source.look()
    running.source.look()
    assert running.told.since() == ["failed", "failed"]


def test_nothing_is_told_after_the_stop(running: Running) -> None:
    running.source.stop()
    running.told.since()
    running.write("10.0.0.3:80")
    assert running.pass_time() == []
    running.source.look()
    assert running.told.since() == []


def test_a_listener_may_stop_the_source(targets: Path) -> None:
    clock = Clock()

    class Stopping(Told):
        def changed(self, entries: tuple[Entry, ...]) -> None:
            super().changed(entries)
            source.stop()

    source = FileSource(f"file:{targets}", None, clock, None)
    source.start(told := Stopping())
    assert told.calls == ["changed"]
    assert clock.getDelayedCalls() == []


def test_a_relative_path_is_of_the_folder_at_construction(
    targets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = FileSource("file:targets", None, Clock(), None)
    monkeypatch.chdir("/")
    source.check()


def test_a_check_says_why_a_file_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def problem(name: str) -> str:
        with pytest.raises(BadAddress) as raised:
            FileSource(f"file:{tmp_path / name}", None, Clock(), None).check()
        return str(raised.value).removeprefix(str(tmp_path / name))

    assert problem("nowhere") == ": No such file or directory"
    (tmp_path / "folder").mkdir()
    assert problem("folder") == ": Is a directory"
    os.mkfifo(tmp_path / "pipe")
    assert problem("pipe") == ": not a regular file"
    (tmp_path / "image").write_bytes(b"\xff\xd8")
    assert problem("image") == ": not a text file"
    (tmp_path / "bad").write_text("a:1\na:0\n")
    assert problem("bad") == ", line 2: 'a:0': the port is not a number from 1 to 65535"
    monkeypatch.setattr(file, "MAX_SIZE", 10)
    (tmp_path / "large").write_text("a:1" + 8 * "\n")
    assert problem("large") == ": larger than 10 bytes"


@pytest.mark.parametrize("text", ["", "a\0b"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(BadAddress, match="file: has no path"):
        FileSource(f"file:{text}", None, Clock(), None)
