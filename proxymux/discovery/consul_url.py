"""Which service of which Consul is meant: ``consul://host:8500/service?tag=…&passing=…``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from proxymux.core.excerpt import excerpt
from proxymux.core.target import InetTarget, parse_address
from proxymux.discovery.blocking_query import Query
from proxymux.discovery.http_tls import TlsFiles
from proxymux.errors import BadAddress

#: The schemes, and whether they mean HTTPS.
SCHEMES: Final = {"consul": False, "consuls": True}
DEFAULT_PORT: Final = 8500
#: The parameters, in the order in which messages name them; those of TLS apart.
_PARAMETERS: Final = ("tag", "passing", "token", "near", "dc")
_TLS_PARAMETERS: Final = ("ca", "cert")
#: ``passing`` alone says yes, as it does to Consul.
_YES_OR_NO: Final = {"": True, "true": True, "1": True, "false": False, "0": False}
#: What can stand in a header.
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,1024}", re.ASCII)
_ACCEPTED: Final = "consul://HOST:PORT/SERVICE is accepted, with ?PARAMETER=VALUE&... behind it"


@dataclass(frozen=True, slots=True)
class ConsulUrl:
    """One service of one Consul, as the operator names it.

    :param server: where Consul's HTTP API is; an agent, as a rule.
    :param is_passing: only instances are meant all of whose checks pass.
    :param tags: an instance has to have all of them.
    :param near: the node by whose distance the instances are sorted, or None.
    :param dc: the datacenter, or None for the agent's.
    :param tls: None is plain HTTP.
    """

    server: InetTarget
    service: str
    is_passing: bool = True
    tags: tuple[str, ...] = ()
    near: str | None = None
    dc: str | None = None
    tls: TlsFiles | None = None
    token: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.server}/{quote(self.service)}"

    def path(self, query: Query) -> str:
        """What is asked for: the health endpoint with its parameters."""
        given: list[tuple[str, str]] = [("tag", tag) for tag in self.tags]
        given += [("passing", "true")] if self.is_passing else []
        given += [(name, value) for name, value in (("near", self.near), ("dc", self.dc)) if value is not None]
        if query.after:
            given += [("index", str(query.after)), ("wait", f"{query.wait}s")]
        parameters = "&".join(f"{name}={quote(value, safe='')}" for name, value in given)
        return f"/v1/health/service/{quote(self.service, safe='')}" + (f"?{parameters}" if parameters else "")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request: the token is there, and nowhere else."""
        return {} if self.token is None else {"X-Consul-Token": self.token}


def parse_consul_url(text: str) -> ConsulUrl:
    """Read where members come from.

    :raises BadAddress: if it is anything else; the text says what is wrong, without the token.
    """
    scheme, colon, rest = text.partition("://")
    if not colon or scheme not in SCHEMES:
        raise BadAddress(f"{_ACCEPTED}; consuls:// is for HTTPS")
    place, _, query = rest.partition("?")
    host, _, path = place.partition("/")
    if "@" in host or "#" in text:  # what stands there may be meant for secret
        raise BadAddress(f"{scheme}://: neither a user nor a # is accepted; give the token as token=TOKEN, # as %23")
    service = _decoded("the service", path.removesuffix("/"))
    if not service or "/" in path.removesuffix("/"):
        raise BadAddress(f"{scheme}://: there has to be the name of one service behind the host; {_ACCEPTED}")
    given = _parameters(query, (*_PARAMETERS, *(_TLS_PARAMETERS if SCHEMES[scheme] else ())))
    single = {name: values[0] for name, values in given.items()}
    return ConsulUrl(
        server=_server(host),
        service=service,
        is_passing=_yes_or_no(single.get("passing", "true")),
        tags=tuple(given.get("tag", ())),
        near=single.get("near"),
        dc=single.get("dc"),
        tls=TlsFiles(single.get("ca"), single.get("cert")) if SCHEMES[scheme] else None,
        token=single.get("token"),
    )


def _server(host: str) -> InetTarget:
    has_port = not host.endswith("]") if host.startswith("[") else ":" in host
    return parse_address(host if has_port else f"{host}:{DEFAULT_PORT}")


def _parameters(query: str, names: tuple[str, ...]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, value in _split(query):
        if name in _TLS_PARAMETERS and name not in names:
            raise BadAddress(f"{name}: is for consuls:// only")
        if name not in names:
            raise BadAddress(f"{excerpt(name)} is no parameter of a service in Consul; {', '.join(names)} are")
        if name in given and name != "tag":
            raise BadAddress(f"{name} is given twice")
        if name == "token" and not _TOKEN.fullmatch(value):
            raise BadAddress("token: is none; up to 1024 printable ASCII characters without a space are accepted")
        if not value and name != "passing":
            raise BadAddress(f"{name} has no value; write {name}=VALUE")
        given.setdefault(name, []).append(value)
    return given


def _split(query: str) -> Iterator[tuple[str, str]]:
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        yield name, _decoded(name, value)


def _decoded(name: str, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise BadAddress(f"{name if name in _PARAMETERS else 'a value'}: is not UTF-8 behind its %") from None


def _yes_or_no(text: str) -> bool:
    if text not in _YES_OR_NO:
        raise BadAddress(f"passing: {excerpt(text)} is not accepted; true and false are")
    return _YES_OR_NO[text]
