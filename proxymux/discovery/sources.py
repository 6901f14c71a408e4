"""The kinds of sources, and which of them a text asks for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, cast

from twisted.internet.interfaces import IReactorTime

from proxymux.core.excerpt import excerpt
from proxymux.discovery.source import Source
from proxymux.discovery.static import StaticSource
from proxymux.errors import BadAddress
from proxymux.net.reactor.twisted_types import Reactor


class MakeSource(Protocol):
    """The constructor of a source that does I/O.

    :raises BadAddress: if it cannot use the text; it is not asked whether it can be used otherwise.
    """

    def __call__(self, text: str, reactor: Reactor, clock: IReactorTime, jitter: Callable[[], float], /) -> Source:
        """Make the source, without I/O.

        :param text: the source with its scheme, by which one class may serve two (``etcd://`` and ``etcds://``).
        :param clock: measures the time and makes the delayed calls.
        :param jitter: returns a random factor from 0.5 to 1.5, for the time to the next try after a failure.
        """


class Kind(NamedTuple):
    """A kind of source: a module, which is imported only when it is asked for, and its class, a :class:`MakeSource`."""

    module: str
    name: str

    def load(self) -> MakeSource:
        """Import the class."""
        return cast("MakeSource", getattr(importlib.import_module(f"proxymux.discovery.{self.module}"), self.name))


#: The kinds by their schemes.  A text without one is a static list.
KINDS: Final = {
    "file:": Kind("file", "FileSource"),
    "srv://": Kind("srv", "SrvSource"),
    "etcd://": Kind("etcd_source", "EtcdSource"),
    "etcds://": Kind("etcd_source", "EtcdSource"),
    "consul://": Kind("consul", "ConsulSource"),
    "consuls://": Kind("consul", "ConsulSource"),
    "rediscluster://": Kind("redis_cluster.source", "RedisClusterSource"),
    "redisclusters://": Kind("redis_cluster.source", "RedisClusterSource"),
}
#: Begins a text that is a URL, well-formed or not; ``unix:/path`` is a target, and so is ``etcd:2379``, a host's name.
_SCHEME: Final = re.compile(r"(?!unix:)[A-Za-z][A-Za-z0-9+.-]*:/{1,2}")
#: A URL that lacks its scheme, or a part of it: what is wrong with it is not to be said by showing a password in it.
_NO_TARGETS: Final = re.compile(r"(?!.*unix:)[^@?]*[@?]", re.DOTALL)


def make_source(text: str, reactor: Reactor, clock: IReactorTime, jitter: Callable[[], float]) -> Source:
    """Make the source that ``text`` describes; it does no I/O yet.

    :param text: targets with commas between them, or a scheme of :data:`KINDS` and what its kind reads.
    :param clock: measures the time and makes the delayed calls.
    :param jitter: returns a random factor from 0.5 to 1.5.
    :raises BadAddress: if it describes none; the text says what is wrong, without a password.
    """
    for scheme, kind in KINDS.items():
        if text.startswith(scheme):
            return kind.load()(text, reactor, clock, jitter)
    found = _SCHEME.match(text)
    if found is not None:
        accepted = ", ".join(KINDS)
        raise BadAddress(f"{excerpt(found[0])} begins no source; targets with commas between them, or {accepted} do")
    if _NO_TARGETS.match(text):
        raise BadAddress("targets have no @ and no ? in them; write SCHEME://… for what is no list of targets")
    return StaticSource(text)
