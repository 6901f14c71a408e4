"""The settings of a gateway, beside those that all services share."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Final, Literal

from proxymux.errors import ConfigError
from proxymux.fields import (
    AbsoluteFile,
    Choice,
    Count,
    Duration,
    OptionalCount,
    OptionalText,
    Secret,
    Switch,
    Values,
    in_words,
)
from proxymux.fields.texts import one_of
from proxymux.gateway.target_rules import TargetRule, parse_target_rule
from proxymux.settings import Settings, address_endpoint

if TYPE_CHECKING:
    from proxymux.core.token.legacy import Digest

#: The environment variable that may hold the secret of old tokens.
SECRET_VARIABLE: Final = "PROXYMUX_SECRET"
_DEFAULT_ADDRESS: Final = "0.0.0.0:0"
OnceWithoutEtcd = Literal["refuse", "local"]
_ONCE_WITHOUT_ETCD: Final[tuple[OnceWithoutEtcd, ...]] = ("refuse", "local")
_DIGESTS: Final[tuple[Digest, ...]] = ("md5", "sha256", "pbkdf2")


def _digest(text: str) -> Digest:
    return one_of(_DIGESTS, text)


@dataclass
class GatewaySettings(Settings):
    """The settings of a gateway.

    :raises ConfigError: naming the option that has a bad value.
    """

    secret: Secret = Secret(
        None, "secret of old tokens; seen by who can list processes: better --secret-file", metavar="S"
    )
    _: KW_ONLY
    secret_file: AbsoluteFile = AbsoluteFile(
        None, "file with the secret of old tokens", shown=f"the variable {SECRET_VARIABLE}"
    )
    key_file: AbsoluteFile = AbsoluteFile(
        None, "file of keys of sealed tokens, KID BASE64 a line; the first seals, all open"
    )
    legacy: Switch = Switch(True, ("on", "off"), "on", "whether old tokens are accepted")
    digest: Values[Digest] = Values(
        ("md5",), _digest, f"digest of old tokens, {in_words(_DIGESTS)}", in_words(_DIGESTS), metavar="NAME"
    )
    audience: OptionalText = OptionalText(None, "name that a token must name if it names one", metavar="NAME")
    once_without_etcd: Choice[OnceWithoutEtcd] = Choice(
        "refuse", _ONCE_WITHOUT_ETCD, "what becomes of one-time tokens while --fleet does not answer"
    )
    listen: Values[str] = Settings.listen.with_default((), "--addr")
    addr: OptionalText = OptionalText(
        None, "HOST:PORT to listen on; the port is logged", metavar="HOST:PORT", shown=_DEFAULT_ADDRESS
    )
    reuse: Switch = Switch(False, ("0", "1"), "1", "whether the port is shared with other processes (SO_REUSEPORT)")
    decide_timeout: Duration = Settings.decide_timeout.with_default(10)
    tcp_keepalive: OptionalCount = Settings.tcp_keepalive.with_default(15)
    retry: Count = Count(1, "attempts in all to connect; only time-outs are tried again, at once")
    timeout: Duration = Duration(
        3, "for each attempt to connect, the look-up of the name and all its addresses included"
    )
    buffer: Count = Count(65536, "that the relay reads at once", unit="bytes", low=1024, high=16 << 20)
    allow_target: Values[TargetRule] = Values(
        (),
        parse_target_rule,
        "CIDR[:PORTS] that clients may be connected to, after resolution",
        "CIDR[:PORTS]",
        TargetRule,
        metavar="CIDR[:PORTS]",
        shown="all",
    )
    deny_target: Values[TargetRule] = Values(
        (),
        parse_target_rule,
        "CIDR[:PORTS] that they may not be connected to; wins over --allow-target",
        "CIDR[:PORTS]",
        TargetRule,
        metavar="CIDR[:PORTS]",
    )
    max_failures: OptionalCount = OptionalCount(600, "bad handshakes a minute until an address waits")
    pprof: OptionalText = OptionalText(
        None,
        "endpoint of profiling pages: a Twisted server endpoint; a port alone is one of 127.0.0.1",
        "a port, or a Twisted server endpoint such as tcp:6060:interface=127.0.0.1",
        metavar="ENDPOINT",
        shown="off",
    )
    gateway_pidfile: AbsoluteFile = AbsoluteFile("gateway.pid", "file that gets the process's number", takes_off=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.secret is not None and self.secret_file is not None:
            raise ConfigError("--secret-file", "is given beside --secret; give one of them")
        self._addr_endpoint()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints to listen on: those of ``--listen``, and ``--addr`` if it is given or ``--listen`` is not."""
        if self.listen and self.addr is None:
            return self.listen
        return (*self.listen, self._addr_endpoint())

    @property
    def connect_timeout(self) -> float:
        """Seconds for one attempt to connect to one target, the look-up of its name included."""
        return self.timeout

    def _addr_endpoint(self) -> str:
        return address_endpoint("--addr", _DEFAULT_ADDRESS if self.addr is None else self.addr)
