"""``proxymux connect``: joins standard input and output to the target of a token, through a gateway."""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Final

from proxymux.core.target import InetTarget, parse_address
from proxymux.core.token import explain_status
from proxymux.errors import BadAddress, ProxymuxError
from proxymux.printable import printable

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
        connection = _open(_address(gateway), _read_token(token))
    except NotConnected as error:
        return _failed(error)
    threading.Thread(target=_send, args=(connection,), daemon=True).start()
    try:
        while data := connection.recv(_SIZE):
            _write(data)
    except OSError as error:
        return _failed(f"{gateway}: {_reason(error)}")
    return 0


def _failed(problem: object) -> int:
    print(f"proxymux connect: {printable(str(problem))}", file=sys.stderr)
    return 1


def _address(gateway: str) -> InetTarget:
    try:
        return parse_address(gateway)
    except BadAddress as error:
        raise NotConnected(f"{error}, as the address of a gateway is") from None


def _read_token(token: str) -> str:
    if token.startswith("@"):
        path = token[1:]
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                token = file.readline().strip()
        except OSError as error:
            raise NotConnected(f"{path}: {error.strerror}; name the file that holds the token") from None
        if not token:
            raise NotConnected(f"{path}: its first line is empty; name the file that holds the token")
    return token


def _open(gateway: InetTarget, token: str) -> socket.socket:
    try:
        connection = socket.create_connection((gateway.host, gateway.port), _TIMEOUT)
    except OSError as error:
        raise NotConnected(f"{gateway}: {_reason(error)}") from None
    try:
        connection.sendall(token.encode("ascii", "replace") + b"\n")
        status = b""
        while len(status) < 3 and (part := connection.recv(3 - len(status))):
            status += part
    except OSError as error:
        connection.close()
        raise NotConnected(f"{gateway}: {_reason(error)}") from None
    if status != b"200":
        connection.close()
        raise NotConnected(f"{gateway}: {explain_status(status)}")
    connection.settimeout(None)
    return connection


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError) and error.errno is None:  # ours; the system's has a number
        return f"no answer within {_TIMEOUT:g} s"
    if isinstance(error, socket.gaierror):
        return "name does not resolve"
    return (error.strerror or "connection lost").lower()


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
