"""A pool of nutcracker's: what each directive may say, and what holds where it is missing.

As ``src/nc_conf.c`` of nutcracker 0.5 has it, and ``reuseport``, which is newer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from proxymux.cli.migrate.yaml_file import Directive, Section
from proxymux.core.excerpt import excerpt
from proxymux.core.health import Health, HealthRules
from proxymux.core.member import Entry, Member
from proxymux.core.target import Address, parse_target
from proxymux.errors import BadAddress, ConfigError
from proxymux.settings import LAST_PORT, nearest

DISTRIBUTIONS: Final = ("ketama", "modula", "random")
DIRECTIVES: Final = (
    *(
        "listen",
        "hash",
        "hash_tag",
        "distribution",
        "timeout",
        "backlog",
        "client_connections",
        "redis",
        "tcpkeepalive",
    ),
    *("reuseport", "redis_auth", "redis_db", "preconnect", "auto_eject_hosts", "server_connections"),
    *("server_retry_timeout", "server_failure_limit", "servers"),
)
#: The label of a server without a name leaves this port out.
_KETAMA_PORT: Final = 11211
#: What would end a server's text in a list of ours.
_SEPARATORS: Final = re.compile(r"[\s,;]")


class Listening(NamedTuple):
    """Where a pool listens.

    :param host: an address, a name, or empty for all addresses; None for a Unix socket.
    :param mode: the permissions of a Unix socket in octal digits; None if they are left to the umask.
    """

    host: str | None
    port: int = 0
    path: str = ""
    mode: str | None = None


class Server(NamedTuple):
    """One server.

    :param name: stands for it where keys are placed, if that is something else than its address; may be empty.
    """

    address: Address
    weight: int
    name: str


class NutcrackerPool:
    """One pool.

    :param section: as it stands in the file.
    :raises ConfigError: naming the file and the line, if nutcracker has no such directive, or one is missing.
    """

    def __init__(self, section: Section) -> None:
        self.section = section
        self.name = section.name
        for name, values in section.directives.items():
            if name not in DIRECTIVES:
                place = values[0].place if values else section.place
                suggestion = nearest(name, DIRECTIVES) or f"{', '.join(DIRECTIVES)} are"
                raise ConfigError(place, f"{excerpt(name)} is no directive of nutcracker; {suggestion}")
        for name in ("listen", "servers"):
            if not section.directives.get(name):
                raise ConfigError(section.place, f"{excerpt(self.name)} has no {name}; nutcracker needs it")
        if self.has("redis_auth") and not self.switch("redis"):
            raise self.bad("redis_auth", "is for redis: true only")

    def has(self, name: str) -> bool:
        """The pool has that directive."""
        return name in self.section.directives

    def text(self, name: str) -> str:
        """The text of a directive that is there."""
        return self.section.directives[name][0].text

    def place_of(self, name: str) -> str:
        """The file and the line of a directive that is there."""
        return self.section.directives[name][0].place

    def bad(self, name: str, problem: str) -> ConfigError:
        """What is wrong with a directive, as an error that says where it is."""
        return ConfigError(self.place_of(name), f"{name}: {problem}")

    def number(self, name: str, default: int) -> int:
        """A whole number, of milliseconds where it is a time."""
        if not self.has(name):
            return default
        text = self.text(name)
        if not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
            raise self.bad(name, f"{excerpt(text)} is no whole number from 0 to 999999999")
        return int(text)

    def switch(self, name: str) -> bool:
        """Yes or no; no where it is missing."""
        return self.has(name) and self.word(name, ("true", "false")) == "true"

    def word(self, name: str, words: Sequence[str]) -> str:
        """One of some words; the first where it is missing."""
        text = self.text(name) if self.has(name) else words[0]
        if text not in words:
            raise self.bad(name, f"{excerpt(text)} is not accepted; {', '.join(words)} are")
        return text

    @property
    def hash_tag(self) -> str:
        """Two characters, or none."""
        text = self.text("hash_tag") if self.has("hash_tag") else ""
        if self.has("hash_tag") and (len(text) != 2 or not text.isascii()):
            raise self.bad("hash_tag", f"{excerpt(text)} is not accepted; two characters such as {{}} are")
        return text

    @property
    def listening(self) -> Listening:
        """Where it listens."""
        text = self.text("listen")
        if text.startswith("/"):
            path, _, mode = text.rpartition(" ") if " " in text else (text, "", None)
            if mode is not None and not re.fullmatch("0*[0-7]{1,3}", mode, re.ASCII):
                raise self.bad("listen", f"{excerpt(mode)} are no permissions; octal digits such as 0666 are")
            return Listening(None, path=path, mode=mode and mode.lstrip("0").rjust(3, "0"))
        host, colon, port = text.rpartition(":")
        if not colon or not _is_port(port):
            raise self.bad("listen", f"{excerpt(text)} is not accepted; HOST:PORT, or /path with permissions, is")
        return Listening(host, int(port))

    @property
    def servers(self) -> list[Server]:
        """The servers, in their order."""
        servers, names = [], set()
        for directive in self.section.directives["servers"]:
            server, label = _server(directive)
            if label in names:
                raise ConfigError(directive.place, f"servers: {excerpt(label)} is given twice")
            names.add(label)
            servers.append(server)
        return servers


def read_pools(sections: Sequence[Section]) -> list[NutcrackerPool]:
    """The pools of a file.

    :raises ConfigError: naming the file and the line of what nutcracker would not accept.
    """
    pools = [NutcrackerPool(section) for section in sections]
    for what, of in (("name", _name), ("listen", _listen)):
        _check_different(pools, what, of)
    return pools


def _name(pool: NutcrackerPool) -> str:
    return pool.name


def _listen(pool: NutcrackerPool) -> str:
    return pool.text("listen")


def _check_different(pools: Sequence[NutcrackerPool], what: str, of: Callable[[NutcrackerPool], str]) -> None:
    seen = set()
    for pool in pools:
        if of(pool) in seen:
            raise ConfigError(pool.section.place, f"{what}: there are two pools with {excerpt(of(pool))}")
        seen.add(of(pool))


def _server(directive: Directive) -> tuple[Server, str]:
    """A server, and what stands for it where keys are placed."""
    before, blank, name = directive.text.rpartition(" ")
    place, _, weight = (before if blank else name).rpartition(":")
    if not re.fullmatch("0*[1-9][0-9]{0,8}", weight, re.ASCII):
        raise ConfigError(
            directive.place, "servers: HOST:PORT:WEIGHT, or that with a name, with a weight of 1 or more is accepted"
        )
    try:
        address = parse_target(f"unix:{place}" if place.startswith("/") else _bracketed(place))
    except BadAddress as error:
        raise ConfigError(directive.place, f"servers: {error}") from None
    label = name if blank else _label(place)
    if _SEPARATORS.search(f"{place}{label}"):
        raise ConfigError(
            directive.place,
            "servers: a path or a name with a space, a comma or a ; has no place in --cluster; rename it",
        )
    ours = Member(Entry(address), 1, Health(HealthRules()), 0.0).label
    return Server(address, int(weight), "" if label == ours else label), label


def _bracketed(place: str) -> str:
    """An address as we write it: nutcracker has no brackets around IPv6."""
    host, _, port = place.rpartition(":")
    return f"[{host}]:{port}" if ":" in host else place


def _label(place: str) -> str:
    """What nutcracker hashes for a server without a name: its address as it stands in the file."""
    if place.startswith("/"):
        return f"{place}:"
    host, _, port = place.rpartition(":")
    return host if int(port) == _KETAMA_PORT else place


def _is_port(text: str) -> bool:
    return re.fullmatch("[0-9]{1,5}", text, re.ASCII) is not None and 1 <= int(text) <= LAST_PORT
