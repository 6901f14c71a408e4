"""Whether the gateway's answer to a bad token takes longer for one reason than for another.

``python -m bench.gateway_timing [TRIES]`` starts a gateway on loopback and shows it, in random order, as many tokens
whose padding is bad as tokens whose padding is good but which hold no address.  If who shows tokens could tell these
apart, by however little, he could decrypt the second block of any token.  Printed are, for the whole way over loopback
and for the decision alone, the medians, Welch's t and the z of Mann and Whitney's U: beyond about 3 is hardly chance.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import math
import os
import random
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from proxymux.core.token.legacy import _DERIVE, open_legacy
from proxymux.errors import BadToken

SECRET: Final = b"p0S8rX680*48"
_TRIES: Final = 20_000
_WARM_UP: Final = 500
#: Blocks of the tokens: an address of up to 15 bytes, and of up to 31.
_SIZES: Final = (1, 2)


def main(tries: int) -> None:
    """Measure and print."""
    for blocks in _SIZES:
        with _gateway() as port:
            _print(f"{blocks}-block tokens, over loopback", _measure(tries, blocks, lambda line: _ask(port, line)))
        _print(f"{blocks}-block tokens, the decision alone", _measure(tries, blocks, _decide))


def _token(is_padded: bool, blocks: int) -> bytes:
    """A random token that decrypts to good or to bad padding, and never to an address."""
    salt = secrets.token_bytes(8)
    key, iv = _DERIVE["md5"](SECRET, salt)
    while True:
        sealed = secrets.token_bytes(16 * blocks)
        decryptor = Cipher(algorithms.AES256(key), modes.CBC(iv)).decryptor()
        plain = decryptor.update(sealed) + decryptor.finalize()
        length = plain[-1]
        if (1 <= length <= 16 and plain.endswith(bytes([length]) * length)) is is_padded:
            return base64.b64encode(b"Salted__" + salt + sealed)


def _measure(tries: int, blocks: int, attempt: Callable[[bytes], float]) -> dict[bool, list[float]]:
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(_WARM_UP):
        attempt(_token(False, blocks))
    order = [False, True] * (tries // 2)
    random.shuffle(order)
    gc.disable()
    for start in range(0, tries, 500):
        batch = [(kind, _token(kind, blocks)) for kind in order[start : start + 500]]
        for kind, line in batch:
            times[kind].append(attempt(line))
        gc.collect()
    gc.enable()
    return times


def _decide(line: bytes) -> float:
    begun = time.perf_counter()
    with contextlib.suppress(BadToken):
        open_legacy(line, SECRET, ("md5",))
    return time.perf_counter() - begun


def _ask(port: int, line: bytes) -> float:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begun = time.perf_counter()
        client.sendall(line + b"\n")
        answer = client.recv(3)
        taken = time.perf_counter() - begun
    assert answer == b"401", answer
    return taken


@contextlib.contextmanager
def _gateway() -> Iterator[int]:
    """The port of a running gateway."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "secret").write_bytes(SECRET)
        log = Path(folder) / "log"
        options = ["--secret-file", "secret", "--addr", "127.0.0.1:0", "--max-failures", "off", "--log-level", "warn"]
        command = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile="]
        with open(log, "wb") as output:
            process = subprocess.Popen(
                [*command, "proxymux-gateway", *options, "--gateway-pidfile", "g.pid"],
                cwd=folder,
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            )
        try:
            yield _port_of(process.pid)
        finally:
            process.terminate()
            process.wait()


def _port_of(pid: int) -> int:
    """The port in the title of the process, which is there when it listens."""
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        title = Path(f"/proc/{pid}/cmdline").read_bytes().decode("latin-1")
        found = re.search(r"gateway 127\.0\.0\.1:(\d+)", title)
        if found is not None:
            return int(found[1])
        time.sleep(0.05)
    raise SystemExit("the gateway did not start")


def _print(what: str, times: dict[bool, list[float]]) -> None:
    bad, good = times[False], times[True]
    print(f"{what}: {len(bad)} of bad padding, {len(good)} of good padding")
    print(f"  median {_microseconds(bad)} and {_microseconds(good)} µs")
    print(f"  Welch's t {_welch(bad, good):+.2f}; without the slowest tenth {_welch(_fast(bad), _fast(good)):+.2f}")
    print(f"  Mann-Whitney z {_mann_whitney(bad, good):+.2f}", flush=True)


def _microseconds(times: Sequence[float]) -> str:
    return f"{statistics.median(times) * 1e6:.2f}"


def _fast(times: Sequence[float]) -> list[float]:
    return sorted(times)[: len(times) * 9 // 10]


def _welch(one: Sequence[float], other: Sequence[float]) -> float:
    """Welch's t: the difference of the means in units of its own standard error."""
    error = math.sqrt(statistics.variance(one) / len(one) + statistics.variance(other) / len(other))
    return (statistics.fmean(one) - statistics.fmean(other)) / error


def _mann_whitney(one: Sequence[float], other: Sequence[float]) -> float:
    """How far U is from what chance makes it, in standard deviations."""
    ranked = sorted([(time, True) for time in one] + [(time, False) for time in other])
    ranks = sum(rank for rank, (_, is_of_one) in enumerate(ranked, 1) if is_of_one)
    n, m = len(one), len(other)
    u = ranks - n * (n + 1) / 2
    return (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _TRIES)
