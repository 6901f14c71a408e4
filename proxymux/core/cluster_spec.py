"""What a ``--cluster`` says: ``NAME=SOURCE;option=value;…``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from proxymux.core.check_spec import CheckSpec, parse_check
from proxymux.core.excerpt import excerpt
from proxymux.core.health import HealthRules
from proxymux.core.member import parse_weight
from proxymux.core.quantity import SECONDS, in_plain, with_units
from proxymux.core.target import parse_cluster_name
from proxymux.core.upstream_tls import UpstreamTls, parse_upstream_tls
from proxymux.errors import BadAddress, BadResult

Policy = Literal["round-robin", "least-connections", "random", "hash", "ketama", "modula"]
KeyOf = Literal["client", "key"]

POLICIES: Final[tuple[Policy, ...]] = ("round-robin", "least-connections", "random", "hash", "ketama", "modula")
#: Policies that place keys as nutcracker does.
HASHED: Final = ("ketama", "modula")
#: What is hashed by policies that place keys: the client's address, or the key of a pooled request.
KEYS: Final[tuple[KeyOf, ...]] = ("client", "key")
#: How policies that are :data:`HASHED` hash a key.
HASHES: Final = (
    *("fnv1a_64", "md5", "crc32", "crc32a", "crc16", "fnv1_64", "fnv1a_32", "fnv1_32"),
    *("one_at_a_time", "hsieh", "murmur", "jenkins"),
)
#: Policies that place keys.
PLACING: Final = ("hash", *HASHED)
#: The options, in the order in which messages name them.
OPTIONS: Final = (
    *("policy", "hash", "hash_tag", "health", "interval", "timeout", "rise", "fall", "status", "send", "expect"),
    *("connections", "weight", "slow_start", "max_ejected", "tls"),
)
_RULES: Final = HealthRules()
#: What may be shown of a text that was to be a name, or an option.
_NAME_LIKE: Final = re.compile(r"[^:/@;?]*\Z")
_OPTION_LIKE: Final = re.compile(r"[a-z_-]{1,20}\Z")
#: The longest time in an option, in seconds.
_LONGEST: Final = 86400.0


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """One cluster, as the operator describes it.

    :param source: where its members come from; may hold a password, so it is never shown.
    :param key_of: what is hashed where the router gives no ``hash_key``; None is not said, which for a router is the
        client's address, and for a pool with a policy that is :data:`HASHED` the key.
    :param hash_name: how these policies hash.
    :param hash_tag: of a key they hash only what stands between these two characters; may be empty.
    :param check: how the members are checked; None checks none that is up.
    :param timeout: seconds that a check may take.
    :param connections: upstreams to each member of a pool; connections of a router to each, or None for no limit.
    :param weight: of members whose source gives none.
    :param slow_start: seconds in which a new member, or one that came back, grows to its whole share; 0 is at once.
    :param max_ejected: the part of the members, up to 1, that may be ejected by failures that no check confirms.
    :param tls: TLS to the members; None is none.
    """

    name: str
    source: str = field(repr=False)
    policy: Policy = "round-robin"
    key_of: KeyOf | None = None
    hash_name: str = "fnv1a_64"
    hash_tag: str = ""
    check: CheckSpec | None = None
    health: HealthRules = _RULES
    timeout: float = 2.0
    connections: int | None = None
    weight: int = 1
    slow_start: float = 0.0
    max_ejected: float = 0.5
    tls: UpstreamTls | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def shards(self) -> bool:
        """In a pool each key has its member."""
        return self.key_of == "key" or (self.policy in HASHED and self.key_of is None)

    @property
    def checks_ejected(self) -> bool:
        """Members that are down are checked before they come back, by a connect where there is no other check."""
        return self.health.is_checked


def parse_cluster(text: str) -> ClusterSpec:
    """Read ``NAME=SOURCE`` with options behind it, each after a ``;``.  Whether the source can be used is not checked.

    :raises BadAddress: if it is anything else; the text says what is wrong, without the source.
    """
    name, equals, rest = text.partition("=")
    if not equals:
        raise BadAddress("NAME=SOURCE is accepted, such as users=10.0.0.1:80,10.0.0.2:80;policy=random")
    if not _NAME_LIKE.match(name):  # it may be a source with a password, whose name is missing
        raise BadAddress("what stands before the first = is no name; write NAME=SOURCE")
    parse_cluster_name(name)
    source, *options = rest.split(";")
    if not source.strip():
        raise BadAddress(f"{name}: has no source; targets, file:, srv://, etcd://, consul:// or rediscluster:// is one")
    try:
        return _make(name, source.strip(), _options(options))
    except (BadAddress, BadResult) as error:
        raise BadAddress(f"{name}: {error}") from None


def _options(parts: list[str]) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key = key.strip()
        if key not in OPTIONS:
            shown = excerpt(key) if _OPTION_LIKE.match(key) else "what stands behind a ;"  # or a part of a password
            raise BadAddress(f"{shown} is no option; {', '.join(OPTIONS)} are")
        if not equals or not value:
            raise BadAddress(f"{key} has no value; write {key}=VALUE")
        if key == "hash" and value in KEYS:  # the one word says what is hashed, the other how
            key = "key_of"
        if key in options:
            raise BadAddress(f"{key.replace('key_of', 'hash')} is given twice")
        options[key] = value
    return options


def _make(name: str, source: str, options: Mapping[str, str]) -> ClusterSpec:
    policy = _word("policy", options.get("policy", "round-robin"), POLICIES)
    for option, policies in (("key_of", PLACING), ("hash", HASHED), ("hash_tag", HASHED)):
        if option in options and policy not in policies:
            raise BadAddress(f"{option.replace('key_of', 'hash')}: means nothing with policy={policy}")
    health = options.get("health")
    interval = _number(options, "interval", _RULES.interval, low=0.01)
    check = parse_check(options)
    given: dict[str, Any] = {
        "policy": policy,
        "check": check,
        "health": HealthRules(
            int(_number(options, "rise", _RULES.rise, low=1, high=1000, is_whole=True)),
            int(_number(options, "fall", _RULES.fall, low=1, high=1000, is_whole=True)),
            interval,
            health != "off",
        ),
        "timeout": _number(options, "timeout", interval, low=0.01),
        "slow_start": _number(options, "slow_start", 0.0),
    }
    readers: dict[str, Callable[[str], object]] = {
        "connections": lambda value: int(_number({"connections": value}, "connections", 1, 1, 1e6, is_whole=True)),
        "weight": parse_weight,
        "max_ejected": _part,
        "key_of": lambda value: value,
        "hash": lambda value: _word("hash", value, (*HASHES, *KEYS)),
        "hash_tag": _tag,
        "tls": parse_upstream_tls,
    }
    names = {"hash": "hash_name"}
    for option, read in readers.items():
        if option in options:
            given[names.get(option, option)] = read(options[option])
    return ClusterSpec(name, source, **given)


def _word(name: str, value: str, words: tuple[Any, ...]) -> Any:
    if value not in words:
        raise BadAddress(f"{name}: {excerpt(value)} is not accepted; {', '.join(words)} are")
    return value


def _number(
    options: Mapping[str, str],
    name: str,
    default: float,
    low: float = 0.0,
    high: float = _LONGEST,
    is_whole: bool = False,
) -> float:
    text = options.get(name)
    if text is None:
        return default
    pattern = "[0-9]{1,9}" if is_whole else r"[0-9]{1,9}(\.[0-9]{1,9})?|\.[0-9]{1,9}"
    plain = text if is_whole else in_plain(text, SECONDS)
    if not re.fullmatch(pattern, plain, re.ASCII) or not low <= float(plain) <= high:
        kind, units = ("a whole number", "") if is_whole else ("a number of seconds", with_units(SECONDS))
        raise BadAddress(f"{name}: {excerpt(text)} is not accepted; {kind} from {low:g} to {high:g}{units} is")
    return float(plain)


def _part(text: str) -> float:
    match = re.fullmatch("([0-9]{1,3})%", text, re.ASCII)
    if match is None or int(match[1]) > 100:
        raise BadAddress(f"max_ejected: {excerpt(text)} is not accepted; a percentage from 0% to 100% is")
    return int(match[1]) / 100


def _tag(text: str) -> str:
    if len(text) != 2 or not text.isascii():
        raise BadAddress(f"hash_tag: {excerpt(text)} is not accepted; two characters such as {{}} are")
    return text
