"""Connect through a proxymux gateway; the standard library is all that it needs.  Copy it into your own program.

python client.py GATEWAY_HOST GATEWAY_PORT TOKEN < request
"""

import contextlib
import os
import socket
import sys
import threading

MEANING = {b"400": "the line was not whole", b"401": "bad token", b"502": "no connection", b"504": "timed out"}


def connect(host: str, port: int, token: str, timeout: float = 30) -> socket.socket:
    """A socket that is connected to the target of the token.  Raises ConnectionError with the gateway's status."""
    connection = socket.create_connection((host, port), timeout)
    try:
        connection.sendall(token.encode() + b"\n")
        status = b""
        while len(status) < 3 and (part := connection.recv(3 - len(status))):
            status += part  # and not one byte more: what follows is the target's
        if status != b"200":
            said = status.decode("ascii", "backslashreplace") or "nothing"
            raise ConnectionError(f"the gateway answers {said}: {MEANING.get(status, 'no status')}")
    except BaseException:
        connection.close()
        raise
    connection.settimeout(None)  # it was for the gateway, not for the target
    return connection


def send(tunnel: socket.socket) -> None:
    """Pass standard input on, and its end: half-close goes through the gateway."""
    with contextlib.suppress(OSError):  # whoever reads sees it too
        while data := os.read(0, 65536):
            tunnel.sendall(data)
        tunnel.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    try:
        tunnel = connect(sys.argv[1], int(sys.argv[2]), sys.argv[3])
        threading.Thread(target=send, args=(tunnel,), daemon=True).start()
        while data := tunnel.recv(65536):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    except OSError as error:
        sys.exit(str(error))
