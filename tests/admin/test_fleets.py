"""The instances of fleets, as the admin endpoint lists them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from twisted.internet.defer import Deferred, succeed

from proxymux.admin.fleets import MAX_LISTED, Fleets
from tests.admin.asking import Asker
from tests.services.fixtures import Start
from tests.services.peers import Net, in_reactor


@dataclass
class Instance:
    id: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Fleet:
    def __init__(self, *names: str) -> None:
        self.names = names

    def members(self) -> Deferred[list[Any]]:
        return succeed([Instance(name) for name in self.names])


def ids(fleets: Fleets) -> list[str] | None:
    told: list[list[dict[str, Any]] | None] = []
    fleets.members().addCallback(told.append)
    [members] = told
    return None if members is None else [each["id"] for each in members]


def test_a_process_of_no_fleet_lists_none() -> None:
    assert ids(Fleets()) is None


def test_those_of_several_fleets_are_listed_once_and_sorted() -> None:
    fleets, fleet = Fleets(), Fleet("c", "a")
    for each in (fleet, fleet, Fleet("b", "c")):
        fleets.add(each)
    assert ids(fleets) == ["a", "b", "c"]


def test_so_many_are_listed() -> None:
    fleets = Fleets()
    fleets.add(Fleet(*(f"{number:05}" for number in range(MAX_LISTED + 1))))
    assert ids(fleets) == [f"{number:05}" for number in range(MAX_LISTED)]


@in_reactor
async def test_the_status_has_the_fleet_where_there_is_one(start: Start, net: Net) -> None:
    running = start(lambda data: None, admin=0)
    asker = Asker(net, running)
    assert "fleet" not in (await asker.get("/status")).json
    [endpoint] = running.service.admin
    endpoint.instance.fleets.add(Fleet("a"))
    assert (await asker.get("/status")).json["fleet"] == [{"id": "a"}]
