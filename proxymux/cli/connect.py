"""``proxymux connect``: joins standard input and output to the target of a token, through a gateway."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Final

from proxymux.core.target import InetTarget, parse_target
from proxymux.errors import BadAddress, ProxymuxError

_SIZE: Final = 1 << 16
#: Seconds for the connection to the gateway, and for each part of its status.
_TIMEOUT: Final = 30.0


class NotConnected(ProxymuxError):
    """The gateway could not be used, or has not connected to the target."""


def connect(gateway: str, token: str) -> int:
    """Join standard input and output to the target of ``token``, until the target has sent FIN.

    :param gateway: ``HOST:PORT``.
    :param token: the token, or ``@`` and the name of a file that holds it: other users can see a command line.
    :returns: the exit status; problems are written to standard error.
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
    """Send standard input to the gateway, and a FIN at its end."""
    stdin = sys.stdin.fileno()
    try:
        while data := os.read(stdin, _SIZE):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # connect(), which reads from the same connection, reports it


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
