"""Translates a pool of nutcracker's into a command line of ours, with notes on what has no counterpart."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxymux.cli.migrate.nutcracker import DISTRIBUTIONS, Listening, NutcrackerPool, Server
from proxymux.core import cluster_spec
from proxymux.core.excerpt import excerpt
from proxymux.core.health import LONGEST_BACKOFF
from proxymux.core.member import MAX_WEIGHT
from proxymux.core.target import parse_cluster_name
from proxymux.errors import BadAddress
from proxymux.settings import host_endpoint

#: ``--pidfile=``, as several pools are started in one folder.
_PROGRAM: Final = ("twistd", "-n", "--pidfile=", "proxymux-pool")
_RETRY_TIMEOUT: Final = 30000
_FAILURE_LIMIT: Final = 2
#: The least seconds that an ``interval`` may have.
_LEAST_INTERVAL: Final = 0.01


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The command line of one pool.

    :param place: the file and the line of the pool; ``number`` is that line.
    :param options: what stands behind ``proxymux-pool``.
    :param notes: what is otherwise than with nutcracker, and what to do, in one line each.
    :param is_faithful: each key stays at its server.  If not the line is written as a comment.
    """

    name: str
    place: str
    number: int
    options: tuple[str, ...]
    notes: tuple[str, ...] = ()
    is_faithful: bool = True

    def __str__(self) -> str:
        """The line for the shell."""
        return shlex.join((*_PROGRAM, *self.options))


def command_line_of(pool: NutcrackerPool) -> CommandLine:
    """Translate a pool.

    :raises ConfigError: naming the file and the line of what nutcracker would not accept, or has no place here.
    """
    notes: list[str] = []
    cluster = _cluster_name(pool, notes)
    servers = pool.servers
    differences = _differences(pool, servers)
    notes += differences
    options = [
        *("--listen", _endpoint(pool.listening, notes)),
        *("--mode", "funnel", "--async", "--codec", "resp" if pool.switch("redis") else "memcache"),
        *("--cluster", f"{cluster}={';'.join((_members(pool, servers), *_placing(pool), *_ejecting(pool, notes)))}"),
        *("--target", cluster),
        *_limits(pool, notes),
        *_redis(pool, cluster, notes),
    ]
    if pool.switch("reuseport"):
        notes.append("reuseport: processes share the port by --workers N here, which divides the upstreams among them")
    section = pool.section
    return CommandLine(pool.name, section.place, section.number, tuple(options), tuple(notes), not differences)


def _cluster_name(pool: NutcrackerPool, notes: list[str]) -> str:
    try:
        return parse_cluster_name(pool.name).name
    except BadAddress:
        name = f"pool{pool.section.number}"
        notes.append(f"{excerpt(pool.name)} is no name of a cluster here; it is called {name}")
        return name


def _differences(pool: NutcrackerPool, servers: Sequence[Server]) -> list[str]:
    """Why keys would be placed elsewhere; with one server there is no elsewhere."""
    distribution = pool.word("distribution", DISTRIBUTIONS)
    found: list[str] = []
    if len(servers) == 1 or distribution == "random":
        return found
    if max(_weights(pool, servers)) > MAX_WEIGHT:
        found.append(f"servers: a weight above {MAX_WEIGHT} has no counterpart; {MAX_WEIGHT} stands in its place")
    if found:
        found.append(
            "so the line below would look for keys where they are not. Remove the # before it for a cache that may"
            " start empty, or for data that you copy; else leave this pool with nutcracker"
        )
    return found


def _weights(pool: NutcrackerPool, servers: Sequence[Server]) -> list[int]:
    """The weights, without a divisor that they have in common where only counts what they are to each other."""
    if pool.word("distribution", DISTRIBUTIONS) == "modula":
        return [server.weight for server in servers]
    divisor = math.gcd(*(server.weight for server in servers))
    return [server.weight // divisor for server in servers]


def _members(pool: NutcrackerPool, servers: Sequence[Server]) -> str:
    texts = []
    for server, weight in zip(servers, _weights(pool, servers), strict=True):
        text = str(server.address)
        if weight != 1:
            text += f" weight={min(weight, MAX_WEIGHT)}"
        texts.append(text + (f" name={server.name}" if server.name else ""))
    return ",".join(texts)


def _placing(pool: NutcrackerPool) -> list[str]:
    distribution = pool.word("distribution", DISTRIBUTIONS)
    if distribution == "random":
        return ["policy=random"]
    placing = [f"policy={distribution}", "hash=key", f"hash={pool.word('hash', cluster_spec.HASHES)}"]
    return [*placing, f"hash_tag={pool.hash_tag}"] if pool.hash_tag else placing


def _ejecting(pool: NutcrackerPool, notes: list[str]) -> list[str]:
    """The options of health, and of the connections to each server."""
    connections = pool.number("server_connections", 1)
    if connections == 0:
        raise pool.bad("server_connections", "0 is not accepted, by nutcracker either; 1 is the least")
    options = [f"connections={connections}"] if connections > 1 else []
    if not pool.switch("auto_eject_hosts"):
        return [*options, "health=off", "max_ejected=0%"]
    fall = max(1, pool.number("server_failure_limit", _FAILURE_LIMIT))
    interval = max(_LEAST_INTERVAL, pool.number("server_retry_timeout", _RETRY_TIMEOUT) / 1000)
    notes.append(
        "auto_eject_hosts: after an ejection one failure is enough for the next, which lasts twice as long, up to"
        f" {LONGEST_BACKOFF} times {interval:g} s; with health={'resp' if pool.switch('redis') else 'memcache'} in the"
        " place of health=off a check, not a client's request, finds out whether the server is back"
    )
    return [*options, "health=off", f"fall={fall}", f"interval={interval:.9g}", "max_ejected=100%"]


def _limits(pool: NutcrackerPool, notes: list[str]) -> list[str]:
    options: list[str] = []
    timeout = pool.number("timeout", 0)
    if timeout:
        options += ["--request-timeout", f"{timeout / 1000:g}", "--queue-timeout", f"{timeout / 1000:g}"]
    else:
        notes.append(
            "timeout: nutcracker waits without end, which is not to be had; give --request-timeout if 60 s are few"
        )
    if pool.has("backlog"):
        options += ["--backlog", str(max(1, pool.number("backlog", 0)))]
    if pool.number("client_connections", 0):
        options += ["--max-connections", pool.text("client_connections").lstrip("0")]
        notes.append("client_connections: nutcracker 0.5 reads it and sets no limit; --max-connections is one")
    return options + (["--warmup"] if pool.switch("preconnect") else [])


def _redis(pool: NutcrackerPool, cluster: str, notes: list[str]) -> list[str]:
    """The database and the password, of which nothing but its place is written."""
    options: list[str] = []
    has_password = pool.has("redis_auth") and pool.text("redis_auth") != ""
    database = pool.number("redis_db", 0) if pool.switch("redis") else 0
    if database and has_password:
        notes.append(
            "redis_db: nutcracker 0.5 selects it before it logs in, which Redis refuses, so its keys are in database 0,"
            f" as they are here; --database {database} selects it"
        )
    elif database:
        options += ["--database", str(database)]
    if has_password:
        file = f"{cluster}.auth"
        options += ["--auth-file", file]
        notes.append(
            f"redis_auth: write {file}, readable for the pool's user alone, with two lines, where PASSWORD is what"
            f" stands in {pool.place_of('redis_auth')}: upstream default PASSWORD, and client default PASSWORD"
        )
    return options


def _endpoint(listening: Listening, notes: list[str]) -> str:
    if listening.host is None:
        mode = listening.mode
        if mode is None:
            mode = "600"
            notes.append("listen: nutcracker leaves the socket's permissions to its umask; mode=600 is for one user")
        return f"unix:{_escaped(listening.path)}:mode={mode}"
    return host_endpoint(listening.host, listening.port) if listening.host else f"tcp:{listening.port}"


def _escaped(path: str) -> str:
    """A path as it stands in the description of an endpoint."""
    return re.sub(r"([\\:=])", r"\\\1", path)
