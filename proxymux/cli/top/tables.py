"""The tables of ``proxymux top``: what is in their columns, as text and as what they are sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from proxymux.cli.top.samples import Shown, identify
from proxymux.cli.top.units import duration, number, rate
from proxymux.printable import printable

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    :param width: in cells of the terminal; the least one where it is flexible.
    :param of: what it says of an item, and is sorted by.
    :param shown: the same as text.
    :param is_flexible: it takes a share of what the others leave.
    :param wide_from: how wide the terminal has to be for it to be shown.
    """

    title: str
    width: int
    of: Callable[[Item], Any]
    shown: Callable[[Any], str] | None = None
    is_flexible: bool = False
    wide_from: int = 0

    @property
    def is_number(self) -> bool:
        """True if it stands to the right."""
        return self.shown is not None

    def text(self, item: Item) -> str:
        """What it says of an item, printable."""
        value = self.of(item)
        return printable("-" if value is None else str(value)) if self.shown is None else self.shown(value)


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    :param items: of what is shown.
    :param key: which item it is.
    :param sorted_by: the column at first.
    """

    title: str
    columns: tuple[Column, ...]
    items: Callable[[Shown], list[Item]]
    key: Callable[[Item], Any]
    sorted_by: int = 0


def _of(*path: str) -> Callable[[Item], Any]:
    """What stands in an item under these keys, one within the other; None if nothing does."""

    def found(item: Item) -> Any:
        value: Any = item
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    return found


def _failed(service: Item) -> int:
    return sum(count for outcome, count in service.get("outcomes", {}).items() if outcome != "completed")


def _state(service: Item) -> str:
    return "draining" if service.get("draining") else "serving"


def _services(shown: Shown) -> list[Item]:
    return [{**each, "at": at} for at, each in enumerate(shown["services"])]


def _pools(shown: Shown) -> list[Item]:
    return [each for each in _services(shown) if each.get("pool")]


def _sessions(shown: Shown) -> list[Item]:
    return list(shown["sessions"])


def _workers(shown: Shown) -> list[Item]:
    return list(shown["workers"])


def targets(shown: Shown) -> list[Item]:
    """The targets: of clusters, of sessions, and those that are held."""
    found: dict[tuple[str | None, str], Item] = {}

    def target(name: str, cluster: str | None = None) -> Item:
        empty = {"target": name, "cluster": cluster, "up": None, "sessions": 0, "held": None, "waiting": None}
        return found.setdefault((cluster, name), {**empty, "bytes_in": None, "bytes_out": None})

    for service in shown["services"]:
        for cluster, members in service.get("clusters", {}).items():
            for member in members:
                item = target(member["target"], cluster)
                item["up"] = "yes" if member.get("up") else "no"
                item["sessions"] += member.get("connections", 0)
        for hold in service.get("holds", ()):
            item = target(hold["target"])
            item["held"] = max(item["held"] or 0, hold["seconds"])
            item["waiting"] = (item["waiting"] or 0) + hold["waiting"]
    for session in (each for each in shown["sessions"] if each.get("target")):
        item = target(session["target"])
        item["sessions"] += 1
        for key in ("bytes_in", "bytes_out"):
            item[key] = _sum([item[key], session["rates"][key]])
    return list(found.values())


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


_IN: Final = Column("IN/S", 5, _of("rates", "bytes_in"), rate)
_OUT: Final = Column("OUT/S", 5, _of("rates", "bytes_out"), rate)

SERVICES: Final = Table(
    "Services",
    (
        Column("SERVICE", 8, _of("service")),
        Column("ADDRESSES", 10, lambda item: " ".join(item.get("addresses", ())), is_flexible=True),
        Column("STATE", 8, _state),
        Column("LIVE", 5, _of("connections"), number),
        Column("MOST", 5, _of("most"), number, wide_from=90),
        Column("TOTAL", 5, _of("total"), number),
        Column("FAILED", 6, _failed, number),
        Column("NEW/S", 5, _of("rates", "connections"), rate),
        _IN,
        _OUT,
    ),
    _services,
    _of("at"),
)
SESSIONS: Final = Table(
    "Sessions",
    (
        Column("ID", 10, _of("id"), lambda value: str(value)),
        Column("SERVICE", 8, _of("service"), wide_from=100),
        Column("CLIENT", 12, _of("client"), is_flexible=True),
        Column("TARGET", 12, _of("target"), is_flexible=True),
        Column("STATE", 10, _of("state")),
        Column("AGE", 6, _of("seconds"), duration),
        Column("IN", 5, _of("bytes_in"), number, wide_from=95),
        Column("OUT", 5, _of("bytes_out"), number, wide_from=95),
        _IN,
        _OUT,
        Column("WORKER", 6, _of("worker"), number, wide_from=110),
    ),
    _sessions,
    identify,
)
POOLS: Final = Table(
    "Pools",
    (
        Column("SERVICE", 8, _of("service"), is_flexible=True),
        *(
            Column(name.upper(), len(name), _of("pool", name), number)
            for name in ("cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_login")
        ),
        Column("MAXWAIT", 7, _of("pool", "maxwait"), duration),
    ),
    _pools,
    _of("at"),
)
TARGETS: Final = Table(
    "Targets",
    (
        Column("TARGET", 15, _of("target"), is_flexible=True),
        Column("CLUSTER", 8, _of("cluster")),
        Column("UP", 3, _of("up")),
        Column("SESSIONS", 8, _of("sessions"), number),
        Column("IN/S", 5, _of("bytes_in"), rate),
        Column("OUT/S", 5, _of("bytes_out"), rate),
        Column("HELD", 6, _of("held"), duration),
        Column("WAITING", 7, _of("waiting"), number),
    ),
    targets,
    lambda item: (item["cluster"], item["target"]),
)
WORKERS: Final = Table(
    "Workers",
    (
        Column("WORKER", 6, _of("number"), number),
        Column("PID", 8, _of("pid"), lambda value: str(value)),
        Column("CONNECTIONS", 11, _of("connections"), number),
        Column("STATE", 8, _state, is_flexible=True),
    ),
    _workers,
    _of("pid"),
)
#: All of them, in their order.
TABLES: Final = (SERVICES, SESSIONS, POOLS, TARGETS, WORKERS)


def arranged(table: Table, shown: Shown, column: int, is_reversed: bool, words: str) -> list[Item]:
    """The items of a table, sorted by a column; those that have ``words`` in any of their texts, in whatever case."""
    items = table.items(shown)
    if words:
        wanted = words.casefold()
        items = [each for each in items if any(wanted in one.text(each).casefold() for one in table.columns)]
    of = table.columns[column].of
    known = [each for each in items if of(each) is not None]
    return sorted(known, key=of, reverse=is_reversed) + [each for each in items if of(each) is None]
