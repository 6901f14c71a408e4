from __future__ import annotations

from typing import Any

import pytest

from proxymux.core.events import EVENTS, EventListener, Events


class Desk:
    """Events, with what was reported and spawned."""

    def __init__(self) -> None:
        self.reported: list[tuple[EventListener, BaseException]] = []
        self.spawned: list[tuple[EventListener, Any]] = []
        self.events = Events(
            lambda listener, error: self.reported.append((listener, error)),
            lambda listener, awaitable: self.spawned.append((listener, awaitable)),
        )


class Refusal(Exception):
    pass


def refuse(*_: object) -> None:
    raise Refusal("no")


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_events_are_these() -> None:
    assert {"connected", "decided", "connect_failed", "ended"} <= set(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
def test_every_listener_gets_every_argument_in_the_order_they_came(desk: Desk, event: str) -> None:
    heard: list[Any] = []
    desk.events.on(event, lambda *arguments: heard.append(("first", arguments)))
    desk.events.on(event, lambda *arguments: heard.append(("second", arguments)))
    assert desk.events.emit(event, 1, "two") is None
    assert heard == [("first", (1, "two")), ("second", (1, "two"))]


def test_nobody_else_hears_an_event(desk: Desk) -> None:
    heard: list[str] = []
    desk.events.on("connected", lambda: heard.append("connected"))
    desk.events.emit("ended")
    assert heard == []


def test_without_listeners_nothing_happens(desk: Desk) -> None:
    assert desk.events.emit("ended", 1) is None
    assert not desk.events.heard("ended")


def test_on_answers_the_listener(desk: Desk) -> None:
    assert desk.events.on("ended", refuse) is refuse
    assert desk.events.heard("ended")


def test_on_without_a_listener_is_a_decorator_that_changes_nothing(desk: Desk) -> None:
    @desk.events.on("ended")
    def listener(record: int) -> int:
        heard.append(record)
        return record

    heard: list[int] = []
    desk.events.emit("ended", 7)
    assert heard == [7]
    assert listener(8) == 8


def test_off_undoes_on(desk: Desk) -> None:
    heard: list[int] = []
    listener = desk.events.on("ended", heard.append)
    desk.events.off("ended", listener)
    desk.events.emit("ended", 1)
    assert heard == []
    assert not desk.events.heard("ended")


def test_off_undoes_on_for_a_bound_method(desk: Desk) -> None:
    class Listening:
        def ended(self, record: int) -> None:
            heard.append(record)

    heard: list[int] = []
    listening = Listening()
    desk.events.on("ended", listening.ended)
    desk.events.off("ended", listening.ended)
    desk.events.emit("ended", 1)
    assert heard == []


def test_off_of_a_listener_that_is_not_on_changes_nothing(desk: Desk) -> None:
    desk.events.on("ended", refuse)
    desk.events.off("ended", print)
    desk.events.off("connected", refuse)
    assert desk.events.heard("ended")


@pytest.mark.parametrize("name", ["nonsense", "", "Connected", "connected "])
def test_there_is_no_other_event(desk: Desk, name: str) -> None:
    with pytest.raises(ValueError, match="is not an event: connected, "):
        desk.events.on(name, refuse)
    with pytest.raises(ValueError, match="is not an event"):
        desk.events.on(name)
    with pytest.raises(ValueError, match="is not an event"):
        desk.events.off(name, refuse)


def test_a_listener_that_raises_is_reported_and_harms_no_other(desk: Desk) -> None:
    heard: list[int] = []
    desk.events.on("ended", heard.append)
    desk.events.on("ended", refuse)
    desk.events.on("ended", heard.append)
    error = desk.events.emit("ended", 1)
    assert heard == [1, 1]
    assert isinstance(error, Refusal)
    assert desk.reported == [(refuse, error)]


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, RecursionError])
def test_whatever_a_listener_raises_harms_no_other(desk: Desk, kind: type[BaseException]) -> None:
    def leave(_: int) -> None:
        raise kind("leaving")

    heard: list[int] = []
    desk.events.on("ended", leave)
    desk.events.on("ended", heard.append)
    error = desk.events.emit("ended", 1)
    assert heard == [1]
    assert [listener for listener, _ in desk.reported] == [leave]
    assert error is not None


def test_the_first_of_several_errors_is_the_answer_and_all_are_reported(desk: Desk) -> None:
    errors = [Refusal("first"), Refusal("second")]

    def raising(error: Refusal) -> EventListener:
        def listener() -> None:
            raise error

        return listener

    listeners = [desk.events.on("connected", raising(error)) for error in errors]
    assert desk.events.emit("connected") is errors[0]
    assert desk.reported == list(zip(listeners, errors, strict=True))


def test_a_listener_that_is_called_wrongly_is_reported(desk: Desk) -> None:
    desk.events.on("ended", lambda: None)
    assert isinstance(desk.events.emit("ended", 1), TypeError)
    assert len(desk.reported) == 1


def test_what_an_async_listener_returns_is_spawned_and_not_waited_for(desk: Desk) -> None:
    async def listener(number: int) -> None:
        heard.append(number)

    heard: list[int] = []
    desk.events.on("ended", listener)
    assert desk.events.emit("ended", 1) is None
    assert heard == []
    [(who, awaitable)] = desk.spawned
    assert who is listener
    with pytest.raises(StopIteration):
        awaitable.send(None)
    assert heard == [1]


def test_what_a_plain_listener_returns_is_nobodys_business(desk: Desk) -> None:
    desk.events.on("ended", lambda: "something")
    desk.events.emit("ended")
    assert desk.spawned == []


def test_a_listener_may_take_itself_off(desk: Desk) -> None:
    def once(number: int) -> None:
        heard.append(number)
        desk.events.off("ended", once)

    heard: list[int] = []
    desk.events.on("ended", once)
    desk.events.on("ended", heard.append)
    desk.events.emit("ended", 1)
    desk.events.emit("ended", 2)
    assert heard == [1, 1, 2]


def test_a_listener_that_joins_during_an_event_hears_the_next(desk: Desk) -> None:
    heard: list[int] = []

    def invite(_: int) -> None:
        desk.events.on("ended", heard.append)
        desk.events.off("ended", invite)

    desk.events.on("ended", invite)
    desk.events.emit("ended", 1)
    assert heard == []
    desk.events.emit("ended", 2)
    assert heard == [2]


def test_two_services_do_not_share_listeners() -> None:
    one, other = Desk(), Desk()
    one.events.on("ended", refuse)
    assert not other.events.heard("ended")
