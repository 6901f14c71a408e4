"""Connect through a proxymux gateway; the standard library is all that it needs.  Copy it into your own program.

python client.py GATEWAY_HOST GATEWAY_PORT TOKEN < request
"""

import socket
import sys

MEANING = {b"400": "the line was not whole", b"401": "bad token", b"502": "no connection", b"504": "timed out"}


def connect(host: str, port: int, token: str, timeout: float = 30) -> socket.socket:
    """A socket that is connected to the target of the token.  Raises ConnectionError with the gateway's status."""
    connection = socket.create_connection((host, port), timeout)
    connection.sendall(token.encode() + b"\n")
    status = b""
    while len(status) < 3:
        part = connection.recv(3 - len(status))  # not one byte more: what follows is the target's
        if not part:
            break
        status += part
    if status != b"200":
        connection.close()
        raise ConnectionError(f"{status.decode()} {MEANING.get(status, 'no status')}")
    return connection


if __name__ == "__main__":
    with connect(sys.argv[1], int(sys.argv[2]), sys.argv[3]) as tunnel:
        tunnel.sendall(sys.stdin.buffer.read())
        tunnel.shutdown(socket.SHUT_WR)
        while data := tunnel.recv(65536):
            sys.stdout.buffer.write(data)
