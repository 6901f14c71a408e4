"""What Consul says of a service (``/v1/health/service/NAME``), as members of a cluster."""

from __future__ import annotations

import json
from typing import Any, Final, Literal, NamedTuple

from proxymux.core.excerpt import excerpt
from proxymux.core.member import MAX_WEIGHT, Entry
from proxymux.core.target import Address, parse_address
from proxymux.discovery.http_connections import AskingFailed
from proxymux.errors import BadAddress

Status = Literal["passing", "warning", "critical"]
#: The names of the weights in an answer.
_WEIGHTS: Final = {"passing": "Passing", "warning": "Warning"}


class Instances(NamedTuple):
    """The instances that can be used.

    :param problem: what is wrong with those that are left out because they have no address of use; may be empty.
    """

    entries: tuple[Entry, ...]
    problem: str = ""


def read_instances(body: bytes, is_passing: bool, is_sorted: bool) -> Instances:
    """Read an answer.

    An instance with a critical check is left out, as it is by Consul's own DNS; maintenance is such a check.  Of those
    at the same address the first counts.

    :param is_passing: those with a warning are left out, too.
    :param is_sorted: the order says something, and is kept.
    :raises AskingFailed: if it is none.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise AskingFailed("the answer is not JSON") from None
    if not isinstance(answer, list) or not all(isinstance(each, dict) for each in answer):
        raise AskingFailed("the answer is not a list of instances")
    entries: dict[Address, Entry] = {}
    problems: list[str] = []
    for each in answer:
        status = _status(each.get("Checks") or ())
        if status == "critical" or (is_passing and status == "warning"):
            continue
        try:
            entry = _entry(each, status)
        except BadAddress as error:
            problems.append(f"{excerpt(_of(each.get('Service'), 'ID'))}: {error}")
        else:
            entries.setdefault(entry.address, entry)
    found = list(entries.values())
    if not is_sorted:
        found.sort(key=lambda entry: str(entry.address))
    return Instances(tuple(found), f"{len(problems)} left out: {problems[0]}" if problems else "")


def _status(checks: Any) -> Status:
    """The worst of the checks of an instance and of its node."""
    statuses = {_of(check, "Status") for check in checks} if isinstance(checks, (list, tuple)) else {None}
    if statuses <= {"passing"}:
        return "passing"
    return "warning" if statuses <= {"passing", "warning"} else "critical"


def _entry(instance: dict[str, Any], status: Status) -> Entry:
    service = instance.get("Service")
    host = _of(service, "Address") or _of(instance.get("Node"), "Address")
    port = _of(service, "Port")
    if not isinstance(host, str) or not host or type(port) is not int:
        raise BadAddress("it has no address and port")
    if port == 0:
        raise BadAddress("it has no port")
    weight = _of(_of(service, "Weights"), _WEIGHTS[status])
    return Entry(
        parse_address(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"),
        min(max(0, weight), MAX_WEIGHT) if type(weight) is int else None,
    )


def _of(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
