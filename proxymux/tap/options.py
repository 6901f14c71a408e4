"""The options that all services share.  Importing this, and ``--help``, load nothing heavy."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from twisted.python import usage

from proxymux.core.excerpt import excerpt
from proxymux.errors import ConfigError, ProxymuxError
from proxymux.settings import Settings, read_settings


def fail(error: object) -> NoReturn:
    """End the start-up: one line on standard error, exit status 1."""
    print(f"proxymux: {error}", file=sys.stderr)
    raise SystemExit(1)


def _repeatable(name: str, help_line: str) -> Callable[[Any, str], None]:
    def add(self: SharedOptions, value: str) -> None:
        self[name].append(value)

    add.__doc__ = help_line
    return add


def address_endpoint(option: str, text: str) -> str:
    """The server endpoint for ``HOST:PORT``.

    :raises ConfigError: naming ``option``, if it is not that.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not host:
        raise ConfigError(option, f"{excerpt(text)} is not accepted; HOST:PORT such as 0.0.0.0:8000 is")
    return host_endpoint(option, host, port)


def host_endpoint(option: str, host: str, port: str) -> str:
    """The server endpoint for a host, which is an IP address or a name of this machine, and a port.

    :raises ConfigError: naming ``option``, if the port is none.
    """
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ConfigError(option, f"{excerpt(port)} is not accepted; a port from 0 to 65535 is")
    escaped = host.replace("\\", "\\\\").replace(":", "\\:")
    return f"tcp:{port}:interface={escaped}"


class SharedOptions(usage.Options):
    """Options of every service."""

    optParameters: ClassVar[list[list[Any]]] = [
        ["max-connections", None, None, "clients at once; one over is closed [default: off]"],
        ["max-per-client", None, None, "clients at once from one address [default: off]"],
        ["decide-timeout", None, None, "seconds until a client must have led to a decision [default: 30, gateway 10]"],
        ["max-buffer", None, None, "bytes kept of a client while undecided; more closes it [default: 65536]"],
        ["backlog", None, None, "length of the listen queue [default: 4096]"],
        ["idle-timeout", None, None, "seconds without a byte either way that end a connection, 0 is off [default: 0]"],
        ["drain-timeout", None, None, "seconds that TERM and INT wait for connections to end [default: 10]"],
        ["send-proxy", None, None, "PROXY protocol header to every upstream: v1 or v2 [default: off]"],
        ["access-log", None, None, "file, or - for stdout, that gets one JSON line a connection [default: off]"],
        ["log-level", None, None, "debug, info, warn or error [default: info]"],
        ["relay", None, None, "what carries the bytes: auto, fd or transport [default: auto]"],
        [
            "tcp-keepalive",
            None,
            None,
            "seconds of silence until a peer is probed, or off [default: off, gateway 15]",
        ],
        ["tcp-user-timeout", None, None, "seconds that sent bytes may go unacknowledged, or off [default: off]"],
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        ["check", None, "check everything, print ok or what is wrong, and exit without listening"]
    ]

    opt_listen = _repeatable(
        "listen",
        "Twisted server endpoint; haproxy: before it takes PROXY protocol headers. Repeatable."
        " [default: --host and --port, or --addr]",
    )
    opt_trust_proxy = _repeatable(
        "trust-proxy", "CIDR that may send a PROXY header on a haproxy: listener. Repeatable. [default: loopback]"
    )
    opt_allow = _repeatable("allow", "CIDR that may connect. Repeatable. [default: all]")
    opt_deny = _repeatable("deny", "CIDR that may not connect; wins over --allow. Repeatable. [default: none]")
    opt_deny_file = _repeatable(
        "deny-file", "file of one CIDR a line, # comments; read again on HUP. Repeatable. [default: none]"
    )

    _REPEATABLE = ("listen", "trust-proxy", "allow", "deny", "deny-file")

    def __init__(self) -> None:
        super().__init__()
        for name in self._REPEATABLE:
            self[name] = []

    def parseOptions(self, options: Any = None) -> None:
        """Parse; a bad option is one line on standard error and exit status 1."""
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            # getopt's words begin with "option", ours with the option.
            fail(re.sub(r"^option (--?\S+) ", r"\1: ", str(error)) + "; see --help")
        except ProxymuxError as error:
            fail(error)

    def parseArgs(self, *arguments: str) -> None:
        """There are none.

        :raises UsageError: if there are.
        """
        if arguments:
            raise usage.UsageError(f"{arguments[0]}: is no option")

    def settings(self, listen: list[str]) -> Settings:
        """The shared options' values.

        :param listen: where to listen.
        :raises ConfigError: naming the option that has a bad value.
        """
        names = [parameter[0] for parameter in SharedOptions.optParameters] + list(self._REPEATABLE)
        given = {name.replace("-", "_"): self[name] for name in names}
        return read_settings({**given, "listen": listen})
