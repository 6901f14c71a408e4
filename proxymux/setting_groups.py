"""The settings in groups, in which help and manual pages show them."""

from __future__ import annotations

from typing import Any, Final

from proxymux.fields import Setting
from proxymux.settings import Settings

#: The shared settings by what they are about.  Those that are not here come last.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "Where it listens": ("listen", "trust_proxy", "backlog"),
    "Who may connect": (
        "allow",
        "deny",
        "deny_file",
        "deny_cluster",
        "max_connections",
        "max_per_client",
        "max_rate",
    ),
    "How long and how much": (
        "decide_timeout",
        "max_buffer",
        "idle_timeout",
        "rate",
        "drain_timeout",
        "queue_limit",
        "queue_timeout",
    ),
    "Upstreams": ("cluster", "send_proxy", "tls_ca", "tls_cert"),
    "TLS of clients": ("tls_client_ca", "tls_crl", "tls_allow", "tls_min", "tls_alpn", "tls_key_password_file"),
    "Processes and machines": ("workers", "workers_by_cpu", "rollover_timeout", "fleet"),
    "Watching it": (
        "admin",
        "admin_token_file",
        "admin_host",
        "access_log",
        "capture",
        "capture_limit",
        "log_level",
        "log_format",
        "log_syslog",
        "log_facility",
    ),
    "Sockets": ("relay", "tcp_keepalive", "tcp_user_timeout"),
}
_REST: Final = "More"


def grouped(kind: type[Settings], own: str) -> dict[str, list[Setting[Any, Any]]]:
    """The settings of a service that are options, by group.

    :param kind: their class.
    :param own: the group of those that other services have not; it is the first.
    """
    shared = {name: title for title, names in GROUPS.items() for name in names}
    rest = dict.fromkeys((each.name for each in Settings.fields()), _REST)
    found: dict[str, list[Setting[Any, Any]]] = {title: [] for title in (own, *GROUPS, _REST)}
    for each in kind.fields():
        if each.is_option:
            found[{**rest, **shared}.get(each.name, own)].append(each)
    return {title: settings for title, settings in found.items() if settings}
