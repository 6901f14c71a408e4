"""The tables of limits, made from the settings and from the code when the docs are built.

In a page, ``.. limits::`` stands for the limits that options set, and ``.. fixed-limits::`` for those that none sets.
"""

from __future__ import annotations

import importlib
import re

from proxymux.fields import Count, Duration, OptionalCount, OptionalDuration, OptionalRate, Setting
from proxymux.gateway.settings import GatewaySettings
from proxymux.pool.settings import PoolSettings
from proxymux.router.settings import RouterSettings

_DIRECTIVE = re.compile(r"^\.\. (limits|fixed-limits)::$", re.MULTILINE)
_SERVICES = {"router": RouterSettings, "gateway": GatewaySettings, "pool": PoolSettings}
_NUMBERS = (Count, Duration, OptionalCount, OptionalDuration, OptionalRate)
#: Numbers that bound nothing which others can use up.
_NO_LIMITS = {
    "port",
    "canary",
    "canary_differences",
    "tcp_keepalive",
    "raw_gap",
    "retry",
    "database",
    "rollover_timeout",
}
#: Constants: the module, the name, the unit, and what it bounds.
FIXED = (
    ("proxymux.core.token", "MAX_TOKEN", "bytes", "the first line of a gateway's client"),
    ("proxymux.core.token.sealed", "MAX_TARGETS", "", "targets in one token"),
    ("proxymux.core.token.verifier", "MAX_REMEMBERED", "", "used one-time tokens remembered; beyond it none is taken"),
    ("proxymux.core.proxy_protocol.v1", "LIMIT", "bytes", "a PROXY header of version 1"),
    ("proxymux.core.proxy_protocol.v2", "LIMIT", "bytes", "a PROXY header of version 2"),
    ("proxymux.net.lingering", "LINGER", "seconds", "that a connection lingers after its last byte"),
    ("proxymux.net.lingering", "MOST_READ", "bytes", "that are read and thrown away meanwhile"),
    ("proxymux.net.connection", "PLENTY", "bytes", "that wait for a slow reader until its sender is paused"),
    ("proxymux.core.codecs.resp.replies", "DEPTH_LIMIT", "", "arrays within arrays in a reply of Redis"),
    ("proxymux.admin.site", "MAX_CONNECTIONS", "", "connections to the admin endpoint"),
    ("proxymux.admin.channel", "MAX_REQUEST", "bytes", "a request to the admin endpoint"),
    ("proxymux.admin.feed", "MAX_VIEWERS", "", "viewers of the status page's stream"),
    ("proxymux.admin.log_queue", "MAX_QUEUED", "bytes", "of log lines for a slow disk; more are counted and dropped"),
    ("proxymux.admin.log_lines", "MAX_LINE", "bytes", "a line of the text log"),
    ("proxymux.core.sample", "MAX_SAMPLE", "bytes", "of a client that --capture keeps"),
    ("proxymux.discovery.file", "MAX_SIZE", "bytes", "a file of targets"),
    ("proxymux.discovery.http_connections", "MAX_ANSWER", "bytes", "an answer of etcd or Consul"),
    ("proxymux.core.redis_cluster.resp_values", "MAX_ANSWER", "bytes", "an answer of a Redis Cluster about itself"),
    ("proxymux.pool.following", "MAX_SLOTS", "", "slots of a pool that follows clusters"),
    ("proxymux.source_files", "MAX_ENTRIES", "", "files and folders that --watch looks at"),
    ("proxymux.fleet.denied", "MAX_NETWORKS", "", "networks in a --deny-cluster"),
)  # fmt: skip
_HEAD = """\
.. list-table::
   :header-rows: 1
   :widths: {}
"""


def expand(page: str) -> str:
    """Return the source of a page with the tables in the places of the directives."""
    makers = {"limits": limits, "fixed-limits": fixed_limits}
    return _DIRECTIVE.sub(lambda found: makers[found[1]](), page)


def limits() -> str:
    """The limits that options set: for which services, the default, and what is limited."""
    settings: dict[tuple[str, str], tuple[Setting[object, object], list[str]]] = {}
    for service, kind in _SERVICES.items():
        for each in kind.fields():
            if each.is_option and isinstance(each, _NUMBERS) and each.name not in _NO_LIMITS:
                settings.setdefault((each.option, each.help_line), (each, []))[1].append(service)
    rows = [
        (f"``{each.option}``", "all" if len(services) == len(_SERVICES) else ", ".join(services), each.default_text,
         each.meaning.replace("*", "\\*"))
        for each, services in settings.values()
    ]  # fmt: skip
    return _table("24 12 16 48", ("Option", "Service", "Default", "What is limited"), sorted(rows))


def fixed_limits() -> str:
    """The limits that no option sets."""
    rows = []
    for module, name, unit, meaning in FIXED:
        value = getattr(importlib.import_module(module), name)
        rows.append((f"{value:,}{f' {unit}' if unit else ''}", meaning.replace("--capture", "``--capture``")))
    return _table("25 75", ("Limit", "What is limited"), rows)


def _table(widths: str, *rows: object) -> str:
    head, body = rows
    lines = [_HEAD.format(widths)]
    for row in (head, *body):  # type: ignore[misc]
        lines.extend(f"   {'* ' if not number else '  '}- {cell}".rstrip() for number, cell in enumerate(row))
    return "\n".join([*lines, ""])
