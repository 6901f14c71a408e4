"""The settings of a router, beside those that all services share."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Final

from proxymux.errors import ConfigError
from proxymux.fields import Count, Flag, OptionalCount, OptionalText, Values
from proxymux.settings import LAST_PORT, WATCH_HELP, WATCH_NOTHING, Settings, host_endpoint

_DEFAULT_HOST: Final = "0.0.0.0"
_DEFAULT_PORT: Final = 5432


@dataclass
class RouterSettings(Settings):
    """The settings of a router.

    :raises ConfigError: naming the option that has a bad value.
    """

    router: OptionalText = OptionalText(
        None, "router file, or package.module[:attribute]", metavar="FILE", short="c", old_name="config"
    )
    _: KW_ONLY
    listen: Values[str] = Settings.listen.with_default((), "--host and --port")
    host: OptionalText = OptionalText(
        None,
        "address to listen on",
        "an IP address or name of this machine",
        metavar="HOST",
        shown=_DEFAULT_HOST,
        short="h",
    )
    port: OptionalCount = OptionalCount(
        None,
        "port to listen on",
        f"a port from 0 to {LAST_PORT}",
        low=0,
        high=LAST_PORT,
        takes_off=False,
        metavar="PORT",
        shown=str(_DEFAULT_PORT),
        short="p",
    )
    watch: Flag = Flag(WATCH_HELP)
    shadow: OptionalText = OptionalText(
        None, "second router, asked about the same bytes without effect; differences are logged", metavar="FILE"
    )
    canary: OptionalCount = OptionalCount(
        None, "sessions through which a reloaded router runs in the shadow before it is taken"
    )
    canary_differences: Count = Count(0, "of these sessions that it may decide otherwise", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.watch and self.router is None:
            raise ConfigError("--watch", WATCH_NOTHING)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The endpoints to listen on: ``--listen``; and host with port if one of them is given, or nothing at all."""
        if self.listen and self.host is None and self.port is None:
            return self.listen
        return (
            *self.listen,
            host_endpoint(
                _DEFAULT_HOST if self.host is None else self.host, _DEFAULT_PORT if self.port is None else self.port
            ),
        )
