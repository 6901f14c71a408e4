"""The members of a cluster: what a source says of them, and what is known of each while the cluster runs."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxymux.core.excerpt import excerpt
from proxymux.core.health import Health
from proxymux.core.target import Address, UnixTarget, parse_target
from proxymux.errors import BadAddress

#: The largest weight of a member.
MAX_WEIGHT: Final = 65535
#: The port that a label for ketama leaves out, as nutcracker does.
_KETAMA_PORT: Final = 11211
_OPTION: Final = re.compile(r"(weight|name)=(\S+)\Z", re.ASCII)


class Entry(NamedTuple):
    """One member, as a source names it.

    :param weight: how much it gets, compared with others; 0 is none.  None is the cluster's.
    :param name: stands for the address where keys are placed (``policy=ketama``); None is the address itself.
    """

    address: Address
    weight: int | None = None
    name: str | None = None


def parse_entry(text: str) -> Entry:
    """Read ``host:port``, or ``host:port weight=N``: an item of a static list, a line of a file, a value in etcd.

    ``name=NAME`` may follow likewise.

    :raises BadAddress: if it is anything else; the text says what is wrong.
    """
    address, *options = text.split() or [""]
    given: dict[str, str] = {}
    for option in options:
        match = _OPTION.match(option)
        if match is None or match[1] in given:
            raise BadAddress(f"{excerpt(text, 80)}: {excerpt(option)} is not weight=N or name=NAME, given once")
        given[match[1]] = match[2]
    weight = given.get("weight")
    return Entry(parse_target(address), None if weight is None else parse_weight(weight), given.get("name"))


def parse_weight(text: str) -> int:
    """Read a weight.

    :raises BadAddress: if it is not a whole number up to :data:`MAX_WEIGHT`.
    """
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) > MAX_WEIGHT:
        raise BadAddress(f"weight: {excerpt(text)} is not a whole number from 0 to {MAX_WEIGHT}")
    return int(text)


class Member:
    """One member of a cluster that runs.  The cluster changes it, others read it.

    :param entry: what the source says of it.
    :param weight: where the entry has none.
    :param now: when it was added, in the clock's seconds.
    :param cluster: the name of its cluster.
    """

    __slots__ = (
        "address",
        "cluster",
        "connections",
        "health",
        "is_drained",
        "is_held",
        "is_used",
        "label",
        "share",
        "since",
        "weight",
    )

    def __init__(self, entry: Entry, weight: int, health: Health, now: float, cluster: str = "") -> None:
        self.address = entry.address
        self.health = health
        self.cluster = cluster
        self.since = now
        #: Connections to it that are being made or live.
        self.connections = 0
        #: The operator has it get nothing new.
        self.is_drained = False
        #: The operator has what is new for it wait.
        self.is_held = False
        #: It may be chosen: it is up, not drained, and its weight is not 0.  Set by the cluster.
        self.is_used = True
        #: How much it gets, compared with others; 0 is nothing.
        self.weight = 0
        #: Stands for it where keys are placed.
        self.label = ""
        self.describe(entry, weight)
        #: What it gets now: as much as its weight says, or less while it starts slowly.  Set by the cluster.
        self.share = float(self.weight)

    def describe(self, entry: Entry, weight: int) -> bool:
        """Take what a source says of the member now; its address stays.

        :param weight: where the entry has none.
        :returns: True if that is something else than before.
        """
        before = self.weight, self.label
        self.weight = weight if entry.weight is None else entry.weight
        self.label = entry.name or _label(entry.address)
        return before != (self.weight, self.label)

    def __repr__(self) -> str:
        return f"<Member {self.address} {self.connections} connections>"


def _label(address: Address) -> str:
    """The label of a member that has no name, as nutcracker makes it."""
    if isinstance(address, UnixTarget):
        return f"{address.path}:"
    return address.host if address.port == _KETAMA_PORT else f"{address.host}:{address.port}"
