"""What a pool tells of its targets' health."""

from __future__ import annotations

from proxymux.core.pool_target import parse_pool_target
from proxymux.core.slots import Bar, Slot
from proxymux.core.target import Target
from proxymux.pool.health_reports import HealthReports


class Health:
    """Notes what it is told, in words."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def succeeded(self, target: Target) -> None:
        self.told.append(f"{target} well")

    def failed(self, target: Target, reason: str) -> None:
        self.told.append(f"{target} {reason}")

    def take(self) -> list[str]:
        told, self.told = self.told, []
        return told


SLOT, OTHER = (Slot(number, parse_pool_target(f"h:{number}")) for number in (1, 2))


def reports() -> tuple[HealthReports, Health]:
    made, health = HealthReports(), Health()
    made.listener = health
    return made, health


def test_every_connect_is_told() -> None:
    made, health = reports()
    made.connected(SLOT)
    made.not_connected(SLOT, "refused")
    made.connected(OTHER)
    assert health.take() == ["h:1 well", "h:1 refused", "h:2 well"]


def test_replies_are_told_only_after_a_request_has_failed() -> None:
    made, health = reports()
    made.answered(SLOT)
    assert health.take() == []
    assert made.request_failed(SLOT, "closed")
    assert not made.request_failed(SLOT, "late"), "it is known already that the next reply is to be told"
    made.answered(OTHER)
    made.answered(SLOT)
    made.answered(SLOT)
    assert health.take() == ["h:1 closed", "h:1 late", "h:1 well"]
    assert made.request_failed(SLOT, "closed")


def test_a_target_that_takes_connections_and_answers_nothing_does_not_look_well() -> None:
    made, health = reports()
    for _ in range(2):
        made.request_failed(SLOT, "closed")
        made.connected(SLOT)
    assert health.take() == ["h:1 closed", "h:1 closed"]


def test_a_target_that_is_gone_is_forgotten() -> None:
    made, health = reports()
    made.request_failed(SLOT, "closed")
    made.keep([OTHER.target])
    made.connected(SLOT)
    assert health.take() == ["h:1 closed", "h:1 well"]
    retired = Slot(3, parse_pool_target("h:3"))
    retired.bar(Bar.RETIRED)
    made.not_connected(retired, "refused")
    assert not made.request_failed(retired, "closed")
    assert health.take() == []


def test_nobody_has_to_be_told() -> None:
    made = HealthReports()
    made.connected(SLOT)
    made.not_connected(SLOT, "refused")
    assert not made.request_failed(SLOT, "closed")
    made.answered(SLOT)
