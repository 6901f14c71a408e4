"""What etcd is told of when it is back."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from proxymux.core.target import InetTarget
from proxymux.core.token import Claims
from proxymux.fleet import owed_tokens
from proxymux.fleet.owed_tokens import PAUSE, OwedTokens
from tests.fleet.stores import refused


class Scene:
    def __init__(self) -> None:
        self.clock = Clock()
        self.is_away = True
        self.hangs = False
        self.told: list[str | None] = []
        self.asked = 0
        self.owed = OwedTokens(self.write, self.clock)

    def write(self, claims: Claims) -> Deferred[bool]:
        self.asked += 1
        if self.hangs:
            return Deferred()
        if self.is_away:
            return fail(refused())
        self.told.append(claims.once)
        return succeed(True)

    def add(self, *names: str) -> None:
        for name in names:
            self.owed.add(Claims((InetTarget("db", 1, False),), expires=1, once=name, key="k1"))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_is_told_when_it_answers_again_in_their_order(scene: Scene) -> None:
    scene.add("one", "two")
    scene.clock.advance(PAUSE)
    scene.add("three")
    scene.clock.advance(PAUSE)
    assert (scene.told, scene.asked) == ([], 2)
    scene.is_away = False
    scene.clock.advance(PAUSE)
    assert scene.told == ["one", "two", "three"]
    assert len(scene.owed) == 0
    assert scene.clock.getDelayedCalls() == []


def test_there_are_not_without_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owed_tokens, "MAX_OWED", 2)
    scene.add("one", "two", "three")
    assert len(scene.owed) == 2
    scene.owed.stop()


@pytest.mark.parametrize("hangs", [False, True])
def test_a_stop_leaves_nothing(scene: Scene, hangs: bool) -> None:
    scene.hangs = hangs
    scene.add("one")
    scene.clock.advance(PAUSE)
    scene.owed.stop()
    scene.is_away = False
    scene.clock.advance(PAUSE)
    assert scene.told == []
    assert scene.clock.getDelayedCalls() == []
