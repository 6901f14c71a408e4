"""``proxymux connect``: standard input and output, joined to the target of a token."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Any, Final

from proxymux.core.target import InetTarget, parse_target
from proxymux.errors import BadAddress, ProxymuxError

_SIZE: Final = 1 << 16
#: Seconds until the gateway must have connected us.
_TIMEOUT: Final = 30.0


class NotConnected(ProxymuxError):
    """There is no way through the gateway."""


def connect(gateway: str, token: str) -> int:
    """Join standard input and output to the target of ``token``, until both have ended.

    :param gateway: ``HOST:PORT``.
    :param token: itself, or ``@`` and the name of a file that holds it, which other users cannot see.
    :returns: the exit status; what went wrong is on standard error.
    """
    try:
        connection = _open(gateway, _read_token(token))
    except (NotConnected, OSError) as error:
        print(f"proxymux connect: {gateway}: {error}", file=sys.stderr)
        return 1
    threading.Thread(target=_send, args=(connection,), daemon=True).start()
    try:
        while data := connection.recv(_SIZE):
            _write(data)
    except OSError as error:
        print(f"proxymux connect: {gateway}: {error}", file=sys.stderr)
        return 1
    return 0


def _read_token(token: str) -> str:
    if not token.startswith("@"):
        return token
    with open(token[1:], encoding="ascii", errors="replace") as file:
        return file.readline().strip()


def _open(gateway: str, token: str) -> socket.socket:
    try:
        target = parse_target(gateway)
    except BadAddress as error:
        raise NotConnected(str(error)) from None
    if not isinstance(target, InetTarget):
        raise NotConnected("is not HOST:PORT")
    connection = socket.create_connection((target.host, target.port), _TIMEOUT)
    connection.sendall(token.encode("ascii", "replace") + b"\n")
    status = b""
    while len(status) < 3 and (part := connection.recv(3 - len(status))):
        status += part
    if status != b"200":
        connection.close()
        raise NotConnected(f"the gateway answers {status.decode('ascii', 'backslashreplace') or 'nothing'}")
    connection.settimeout(None)
    return connection


def _send(connection: socket.socket) -> None:
    """Pass standard input on, and its end."""
    stdin: Any = sys.stdin.fileno()
    try:
        while data := os.read(stdin, _SIZE):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # whoever reads from the connection sees it too


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
