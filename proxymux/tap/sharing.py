"""Makes what services share with those of other machines through etcd, as the settings ask for."""

from __future__ import annotations

import secrets
import socket
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from proxymux.errors import BadAddress, ConfigError
from proxymux.gateway.settings import GatewaySettings
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.process import Process
from proxymux.settings import Settings
from proxymux.version import __version__

if TYPE_CHECKING:
    from proxymux.fleet.membership import Membership
    from proxymux.fleet.shared_deny_list import SharedDenyList
    from proxymux.fleet.shared_tokens import LocalTokens, SharedTokens
    from proxymux.fleet.store import EtcdStore

#: Random bytes of an instance's id.
_ID_SIZE: Final = 8


def make_membership(
    settings: Settings, reactor: Reactor, clock: IReactorTime, process: Process, log: Logger
) -> Membership | None:
    """The membership of this process in the fleet of ``--fleet``; None without it.

    The services of a process that name the same fleet share it.

    :raises ConfigError: if the value is no address of an etcd.
    """
    url = settings.fleet
    if url is None:
        return None
    # Not before it is wanted: the HTTP client takes memory and time to load.
    from proxymux.fleet.instance_record import InstanceRecord
    from proxymux.fleet.membership import Membership

    def make() -> Membership:
        store = _open("--fleet", url, reactor, clock)
        now = datetime.fromtimestamp(time.time(), timezone.utc)
        identity = InstanceRecord(
            id=secrets.token_hex(_ID_SIZE),
            name="",
            addresses=(),
            version=__version__,
            started=now.isoformat(timespec="seconds").replace("+00:00", "Z"),
            connections=0,
            draining=False,
            admin=None,
            pid=0,
            host=socket.gethostname(),
        )
        return Membership(store, identity, clock, log)

    return process.shared(f"--fleet {url}", make)


def make_shared_tokens(
    settings: GatewaySettings, local: LocalTokens, reactor: Reactor, clock: IReactorTime, log: Logger
) -> SharedTokens | None:
    """The one-time tokens of the fleet of ``--fleet``; None without it.

    :param local: remembers those that were used at this gateway.
    :raises ConfigError: if the value is no address of an etcd.
    """
    if settings.fleet is None:
        return None
    store = _open("--fleet", settings.fleet, reactor, clock)
    from proxymux.fleet.shared_tokens import SharedTokens

    return SharedTokens(store, local, settings.once_without_etcd == "local", clock, time.time, log)


def make_denied(settings: Settings, reactor: Reactor, clock: IReactorTime, log: Logger) -> SharedDenyList | None:
    """What follows the deny list of ``--deny-cluster``; None without it.

    :raises ConfigError: if the value is no address of an etcd.
    """
    if settings.deny_cluster is None:
        return None
    from proxymux.fleet.shared_deny_list import follow_denied

    try:
        return follow_denied(settings.deny_cluster, reactor, clock, log)
    except BadAddress as error:
        raise ConfigError("--deny-cluster", str(error)) from None


def idle_options(settings: GatewaySettings) -> list[str]:
    """What is given and has no effect, in one line each."""
    is_idle = settings.fleet is None and settings.once_without_etcd != GatewaySettings.once_without_etcd.default
    return ["--once-without-etcd: has no effect without --fleet"] if is_idle else []


def _open(option: str, url: str, reactor: Reactor, clock: IReactorTime) -> EtcdStore:
    from proxymux.fleet.store import open_store

    try:
        return open_store(url, reactor, clock)
    except BadAddress as error:
        raise ConfigError(option, str(error)) from None
