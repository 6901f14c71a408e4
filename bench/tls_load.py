"""TLS clients for bench/tls.py: python bench/tls_load.py MEASURE PORT AMOUNT, and a line on stdin to begin.

Prints ``ready`` when it could begin, and the number of what it has done at the end.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Final

THREADS: Final = 8
CONNECTIONS: Final = 16
CHUNK: Final = 1 << 16


def context() -> ssl.SSLContext:
    """TLS 1.3, with the cipher suite that OpenSSL prefers, AES-256-GCM, for all peers."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    return made


def connect(port: int, made: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    """A client after its handshake."""
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made.wrap_socket(plain, server_hostname="bench.example", session=session)


def there_and_back(client: ssl.SSLSocket, data: bytes) -> None:
    """Send ``data`` and read the echo."""
    client.sendall(data)
    left = len(data)
    while left:
        left -= len(client.recv(left))


def handshakes(port: int, count: int, resumes: bool) -> int:
    """Connect, say a byte, hear it and leave, ``count`` times."""
    made = context()
    session = None
    for number in range(count + 1):
        client = connect(port, made, session)
        there_and_back(client, b"x")
        if number and resumes and not client.session_reused:
            raise SystemExit("the session was not resumed")
        if resumes:
            session = client.session
        client.close()
    return count


def round_trips(port: int, count: int) -> int:
    """100 bytes there and back, ``count`` times on each of two connections."""
    clients = [connect(port, context()) for _ in range(CONNECTIONS // THREADS)]
    for _ in range(count):
        for client in clients:
            there_and_back(client, bytes(100))
    return count * len(clients)


def upload(port: int, count: int) -> int:
    """Send ``count`` chunks and hear how many bytes arrived."""
    client = connect(port, context())
    client.sendall(b"u" + bytes(CHUNK - 1))
    for _ in range(count - 1):
        client.sendall(bytes(CHUNK))
    client.sendall(b"\xff")
    client.recv(1)
    return count * CHUNK


def download(port: int, count: int) -> int:
    """Ask for ``count`` chunks and read them."""
    client = connect(port, context())
    client.sendall(b"d" + count.to_bytes(4, "big"))
    left = count * CHUNK
    buffer = bytearray(1 << 18)
    while left:
        left -= client.recv_into(buffer)
    return count * CHUNK


MEASURES: Final[dict[str, tuple[int, Callable[[int, int], int]]]] = {
    "full": (THREADS, lambda port, count: handshakes(port, count, False)),
    "resumed": (THREADS, lambda port, count: handshakes(port, count, True)),
    "rtt": (THREADS, round_trips),
    "up": (1, upload),
    "down": (1, download),
}


def idle(port: int, count: int) -> None:
    """Keep ``count`` connections that have said a byte and heard it."""
    made = context()
    kept = []
    for _ in range(count):
        kept.append(connect(port, made))
        there_and_back(kept[-1], b"x")
    print(len(kept), flush=True)
    sys.stdin.readline()


def main() -> None:
    """Do what the arguments say."""
    measure, port, amount = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print("ready", flush=True)
    sys.stdin.readline()
    if measure == "idle":
        idle(port, amount)
        return
    threads, run = MEASURES[measure]
    done: list[int] = []
    workers = [threading.Thread(target=lambda: done.append(run(port, amount))) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print(sum(done) if len(done) == threads else "failed", flush=True)


if __name__ == "__main__":
    main()
