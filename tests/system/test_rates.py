"""Bytes a second by the real clock, from 1 KB/s to 1 Gbit/s."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.system.conftest import Start

SECONDS = 10.0


@pytest.mark.slow
@pytest.mark.parametrize("relay", ["fd", "transport"])
@pytest.mark.parametrize("rate", [1000, 1_000_000, 125_000_000])
def test_in_10_seconds_there_come_10_times_the_rate_within_5_percent(start: Start, relay: str, rate: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        proxy = start(f"def proxy(data):\n    return {{'remote': {target!r}, 'rate': {rate}}}\n", "--relay", relay)
        client = proxy.connect()
        client.sendall(b"x")
        upstream, _ = listener.accept()

    def send() -> None:
        data = bytes(1 << 18)
        try:
            while True:
                upstream.sendall(data)
        except OSError:
            pass  # the test is over

    sending = threading.Thread(target=send)
    sending.start()
    count, buffer, end = 0, bytearray(1 << 20), time.monotonic() + SECONDS
    while (left := end - time.monotonic()) > 0:
        client.settimeout(left)
        try:
            count += client.recv_into(buffer)
        except TimeoutError:
            break
    client.close()
    sending.join(30)
    upstream.close()
    assert abs(count - rate * SECONDS) <= 0.05 * rate * SECONDS
