"""The text log: which events are written, and as which text."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from twisted.logger import (
    ILogObserver,
    LegacyLogObserverWrapper,
    LogEvent,
    Logger,
    LogLevel,
    LogPublisher,
    globalLogPublisher,
    textFileLogObserver,
)
from twisted.python import log as old_log
from twisted.python.failure import Failure
from zope.interface import implementer

from proxymux.admin import text_log
from proxymux.admin.text_log import TextLog
from proxymux.settings import LogFormat
from proxymux.settings import LogLevel as LogLevelName

NASTY = "\x1b[31m\0 \u202e\udcff\nforged"
SHOWN = "\\x1b[31m\\x00 \\u202e\\udcff\\nforged"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ")


class Written:
    """A file that twistd would log to, and a publisher of Twisted's that leads there through a text log."""

    def __init__(self, level: LogLevelName = "info", form: LogFormat = "text") -> None:
        self.file = io.BytesIO()
        self.log = TextLog(level)
        self.log.form = form
        self.publisher = LogPublisher(self.log.wrap(textFileLogObserver(self.file)))

    def logger(self, name: str = "some.module") -> Logger:
        return Logger(name, observer=cast("ILogObserver", self.publisher))

    def lines(self) -> list[str]:
        """What was written, without the times."""
        lines = self.file.getvalue().decode("utf-8").splitlines()
        return [TIME.sub("", line) for line in lines]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warn", "error", "critical"]),
        ("info", ["info", "warn", "error", "critical"]),
        ("warn", ["warn", "error", "critical"]),
        ("error", ["error", "critical"]),
    ],
)
def test_events_below_the_level_are_not_written_whoever_logs_them(level: LogLevelName, expected: list[str]) -> None:
    written = Written(level)
    for each in ("debug", "info", "warn", "error", "critical"):
        written.logger("twisted.internet").emit(LogLevel.levelWithName(each), "text")
    assert written.lines() == [f"[twisted.internet#{each}] text" for each in expected]


def test_the_most_talkative_service_of_a_process_sets_the_level() -> None:
    root = logging.getLogger()
    before = root.level
    try:
        written = Written("warn")
        written.log.admit("debug")
        written.log.admit("error")
        written.logger().debug("all of it")
        assert written.lines() == ["[some.module#debug] all of it"]
    finally:
        root.setLevel(before)


def test_an_event_without_a_level_is_information() -> None:
    event: LogEvent = {"log_format": "text", "log_time": 0.0, "log_namespace": "somebody"}
    written, silent = Written("info"), Written("warn")
    written.publisher(event)
    silent.publisher(event)
    assert written.lines() == ["[somebody#info] text"]
    assert silent.lines() == []


def test_a_message_is_one_printable_line() -> None:
    written = Written()
    written.logger().info("from outside: {text}", text=NASTY)
    assert written.lines() == [f"[some.module#info] from outside: {SHOWN}"]


def test_the_name_of_a_logger_is_printable_too() -> None:
    written = Written()
    written.logger("name\n\x1b").info("text")
    assert written.lines() == ["[name\\n\\x1b#info] text"]


def test_braces_in_a_foreign_text_are_not_a_format() -> None:
    written = Written()
    written.logger().info("{text}", text="{0} {log_time} {text}")
    assert written.lines() == ["[some.module#info] {0} {log_time} {text}"]


def test_a_traceback_follows_line_by_line_and_what_was_raised_is_printable() -> None:
    written = Written()
    try:
        raise ValueError(NASTY)
    except ValueError:
        written.logger().failure("it failed")
    lines = written.lines()
    assert lines[:2] == ["[some.module#critical] it failed", "\tTraceback (most recent call last):"]
    assert "\\x1b[31m\\x00 \\u202e\\udcff" in "".join(lines)
    assert all(line.startswith("\t") for line in lines[1:])
    assert all(line.replace("\t", "").isprintable() for line in lines)


def test_an_exception_whose_methods_raise_is_logged_all_the_same() -> None:
    class Bad(Exception):
        def __str__(self) -> str:
            raise SystemError("no text")

    written = Written()
    written.logger().failure("it failed", Failure(Bad()))
    assert written.lines()[0] == "[some.module#critical] it failed"


def test_details_follow_below_the_message() -> None:
    written = Written()
    written.logger().debug("not seen", details_below="x")
    written.logger().info("the traceback:", details_below=f"first\n  second {NASTY}\n")
    assert written.lines() == [
        "[some.module#info] the traceback:",
        "\tfirst",
        "\t  second \\x1b[31m\\x00 \\u202e\\udcff",
        "\tforged",
    ]


def test_of_too_many_lines_the_first_and_the_last_are_written() -> None:
    written = Written()
    written.logger().info("text", details_below="\n".join(map(str, range(1000))))
    lines = written.lines()
    assert len(lines) == 202
    assert (lines[1], lines[100], lines[101], lines[102], lines[-1]) == (
        "\t0",
        "\t99",
        "\t... (800 lines more)",
        "\t900",
        "\t999",
    )


def test_a_message_that_is_too_long_is_cut() -> None:
    written = Written()
    written.logger().info("{text}", text="x" * 100_000)
    [line] = written.lines()
    assert len(line) < 9000
    assert line.endswith("characters more)")


def test_an_event_that_says_nothing_is_not_written() -> None:
    written = Written()
    written.publisher({"log_level": LogLevel.info, "log_time": 0.0, "log_namespace": "nobody"})
    assert written.lines() == []


# JSON


def test_a_line_may_be_a_json_object() -> None:
    written = Written(form="json")
    written.logger().warn("from outside: {text}", text=NASTY)
    try:
        raise ValueError("no")
    except ValueError:
        written.logger().failure("it failed")
    first, second = (json.loads(line) for line in written.lines())
    assert list(first) == ["time", "level", "logger", "message"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {"level": "warn", "logger": "some.module", "message": f"from outside: {SHOWN}"}
    assert (second["level"], second["message"]) == ("critical", "it failed")
    assert (second["details"][0], second["details"][-1]) == (
        "Traceback (most recent call last):",
        "builtins.ValueError: no",
    )


# Twisted's old log


@pytest.fixture
def published() -> Iterator[Written]:
    """One that Twisted's log leads to, the old one's too."""
    written = Written()
    observer = cast("ILogObserver", written.publisher)
    globalLogPublisher.addObserver(observer)
    yield written
    globalLogPublisher.removeObserver(observer)


def test_the_old_log_is_written_with_its_level_and_system(published: Written) -> None:
    old_log.msg("said", NASTY)
    old_log.msg("by somebody", system="Protocol,0,127.0.0.1\n")
    old_log.msg("a debug line", logLevel=logging.DEBUG)
    old_log.msg("an error", isError=True)
    assert published.lines() == [
        f"[twisted.python.log#info] said {SHOWN}",
        "[Protocol,0,127.0.0.1\\n#info] by somebody",
        "[twisted.python.log#critical] an error",
    ]


def test_an_old_observer_such_as_that_of_syslog_gets_the_printable_text() -> None:
    told: list[dict[str, Any]] = []
    emit: Any = told.append
    observer = TextLog("info").wrap(LegacyLogObserverWrapper(emit))
    logger = Logger("some.module", observer=observer)
    logger.error("from outside: {text}", text=NASTY)
    logger.debug("not seen")
    [event] = told
    assert old_log.textFromEventDict(event) == f"from outside: {SHOWN}"
    assert (event["system"], event["isError"]) == ("some.module#error", 1)


def test_an_observer_of_the_users_own_gets_the_events_as_they_are() -> None:
    told: list[LogEvent] = []

    @implementer(ILogObserver)
    def observer(event: LogEvent) -> None:
        told.append(event)

    logger = Logger("some.module", observer=TextLog("info").wrap(observer))
    logger.info("{text}", text=NASTY)
    logger.debug("not seen")
    [event] = told
    assert event["text"] == NASTY
    assert event["log_format"] == "{text}"


# The standard library's


@pytest.fixture
def standard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Written]]:
    """Make the text log of the process, as a service with a level does, in the place of what the tests have."""
    root = logging.getLogger()
    level = root.level
    observers: list[ILogObserver] = []
    monkeypatch.setattr(TextLog, "_of_process", None)
    monkeypatch.setattr(text_log, "wrap_observers", lambda wrap: None)

    def make(level: LogLevelName) -> Written:
        root.handlers.clear()  # those of pytest, of this part of the test
        written = Written(level)
        log = TextLog.of_process(level)
        observer = log.wrap(textFileLogObserver(written.file))
        observers.append(observer)
        globalLogPublisher.addObserver(observer)
        return written

    yield make
    for observer in observers:
        globalLogPublisher.removeObserver(observer)
    root.handlers = [each for each in root.handlers if type(each).__module__ != text_log.__name__]
    root.setLevel(level)


def test_what_is_logged_by_the_standard_library_has_its_level_and_name(standard: Callable[..., Written]) -> None:
    written = standard("info")
    logger = logging.getLogger("my.router")
    logger.debug("not seen")
    logger.info("to %s", NASTY)
    logger.warning("careful")
    logger.error("wrong")
    logger.critical("very wrong")
    logger.log(35, "between")
    logging.info("of the root")
    assert written.lines() == [
        f"[my.router#info] to {SHOWN}",
        "[my.router#warn] careful",
        "[my.router#error] wrong",
        "[my.router#critical] very wrong",
        "[my.router#warn] between",
        "[root#info] of the root",
    ]


def test_what_the_level_does_not_admit_is_not_even_made(standard: Callable[..., Written]) -> None:
    standard("error")
    assert not logging.getLogger("my.router").isEnabledFor(logging.WARNING)
    assert logging.getLogger("my.router").isEnabledFor(logging.ERROR)


def test_a_logger_that_is_more_talkative_than_the_level_is_not_heard(standard: Callable[..., Written]) -> None:
    written = standard("warn")
    logger = logging.getLogger("my.talkative")
    logger.setLevel(logging.DEBUG)
    logger.debug("not seen")
    logger.warning("seen")
    assert written.lines() == ["[my.talkative#warn] seen"]


def test_a_message_that_cannot_be_formatted_is_told_as_it_is(standard: Callable[..., Written]) -> None:
    written = standard("info")
    logging.getLogger("my.router").info("%d clients", "many")
    assert written.lines() == ["[my.router#info] '%d clients' % ('many',) raises TypeError"]


def test_a_stack_is_shown_below(standard: Callable[..., Written]) -> None:
    written = standard("info")
    logging.getLogger("my.router").info("here", stack_info=True)
    assert written.lines()[:2] == ["[my.router#info] here", "\tStack (most recent call last):"]


def test_a_second_service_adds_nothing(standard: Callable[..., Written]) -> None:
    written = standard("info")
    TextLog.of_process("warn")
    logging.getLogger("my.router").info("once")
    assert written.lines() == ["[my.router#info] once"]


def test_an_observer_that_logs_by_the_standard_library_is_not_asked_about_its_own_lines(
    standard: Callable[..., Written],
) -> None:
    written = standard("info")
    told: list[str] = []

    @implementer(ILogObserver)
    def observer(event: LogEvent) -> None:
        told.append(event["log_namespace"])
        logging.getLogger("echo").error("again")

    Logger("some.module", observer=TextLog.of_process("info").wrap(observer)).info("text")
    assert told == ["some.module"]
    assert written.lines() == []


# Streams


def test_an_ascii_stream_loses_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="strict"))
    observer = TextLog("info").wrap(textFileLogObserver(sys.stdout))
    Logger("some.module", observer=observer).info("{text}", text=f"日本 {NASTY}")
    assert raw.getvalue().endswith(f"[some.module#info] \\u65e5\\u672c {SHOWN}\n".encode())


@pytest.mark.parametrize("leaves", [True, False])
def test_what_would_go_to_standard_output_goes_to_standard_error_if_that_is_for_the_access_log(
    monkeypatch: pytest.MonkeyPatch, leaves: bool
) -> None:
    out, err, file = io.StringIO(), io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    log = TextLog("info")
    log.leaves_stdout = leaves
    for target in (out, file):
        Logger("some.module", observer=log.wrap(textFileLogObserver(target))).info("text")
    assert bool(out.getvalue()) is not leaves
    assert bool(err.getvalue()) is leaves
    assert file.getvalue().endswith("[some.module#info] text\n")
