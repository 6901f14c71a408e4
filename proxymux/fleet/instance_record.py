"""What an instance says of itself to the fleet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from proxymux.printable import printable

#: The most characters of a text in a record of another instance that are kept.
MAX_TEXT: Final = 256
#: The most addresses of another instance that are kept.
MAX_ADDRESSES: Final = 64
#: The most bytes of a record that is read.
MAX_RECORD: Final = 65536


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """One instance of the fleet.

    :param id: names it; no other instance has had the same.
    :param name: its services, such as ``gateway``.
    :param addresses: where they listen, as ``ip:port`` or ``unix:/path``.
    :param version: of proxymux.
    :param started: when, as RFC 3339 has it.
    :param connections: clients now, or a while ago.
    :param draining: it accepts no more.
    :param admin: where its admin endpoint listens; None if it has none.
    :param pid: the number of its process.
    :param host: the name of its machine.
    """

    id: str
    name: str
    addresses: tuple[str, ...]
    version: str
    started: str
    connections: int
    draining: bool
    admin: str | None
    pid: int
    host: str

    def as_json(self) -> dict[str, Any]:
        """The record, fit for JSON."""
        return asdict(self) | {"addresses": list(self.addresses)}

    def to_value(self) -> str:
        """The record as the value of its key."""
        return json.dumps(self.as_json())

    @property
    def line(self) -> str:
        """The record in one printable line: its id, where it listens, and what else is known of it."""
        parts = [
            self.id,
            ",".join(self.addresses) or "-",
            f"name={self.name}",
            f"version={self.version}",
            f"started={self.started}",
            f"connections={self.connections}",
            f"host={self.host}",
            f"pid={self.pid}",
            *([f"admin={self.admin}"] if self.admin is not None else []),
            *(["draining"] if self.draining else []),
        ]
        return printable(" ".join(parts))


def parse_record(id: str, value: bytes) -> InstanceRecord:
    """Read the record of an instance, which anybody may have written who may write to etcd.

    What is missing, of another type or too long is empty, zero or cut: an instance of another version is shown, too.

    :param id: of its key.
    """
    try:
        given = json.loads(value[:MAX_RECORD])
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        given = {}
    admin = given.get("admin")
    return InstanceRecord(
        id=_text(id),
        name=_text(given.get("name")),
        addresses=tuple(_texts(given.get("addresses"))),
        version=_text(given.get("version")),
        started=_text(given.get("started")),
        connections=_count(given.get("connections")),
        draining=given.get("draining") is True,
        admin=_text(admin) if isinstance(admin, str) else None,
        pid=_count(given.get("pid")),
        host=_text(given.get("host")),
    )


def _text(given: object) -> str:
    return given[:MAX_TEXT] if isinstance(given, str) else ""


def _texts(given: object) -> Iterable[str]:
    return map(_text, given[:MAX_ADDRESSES]) if isinstance(given, list) else ()


def _count(given: object) -> int:
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**63 else 0
