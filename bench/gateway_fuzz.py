"""Shows the gateway's handshake very many random lines: each is a token that opens, or a bad one, and nothing else.

``python bench/gateway_fuzz.py`` prints how many there were of each kind, how many a second, and every other exception
with the line that made it; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent.parent))

from proxymux.core.target import parse_remote
from proxymux.core.token import sealed
from proxymux.core.token.legacy import seal_legacy
from proxymux.core.token.sealed import Keys
from proxymux.core.token.verifier import TokenVerifier
from proxymux.errors import BadToken
from proxymux.gateway.handshake import TooLong, read_line

_LINES: Final = 1_000_000
_SECRET: Final = b"p0S8rX680*48"
_KEYS: Final = Keys({"k1": bytes(range(32)), "k2": bytes(32)})
_VERIFIER: Final = TokenVerifier(_SECRET, ("md5", "sha256"), _KEYS, "eu")
_GOOD: Final = (
    seal_legacy("127.0.0.1:62863", _SECRET, "md5", bytes(8)).encode(),
    seal_legacy("backend-01.internal.lan:65535", _SECRET, "sha256", bytes(8)).encode(),
    _KEYS.seal({"t": ["a:1", "[::1]:2"], "e": 2**40 - 1, "c": "0.0.0.0/0", "a": "eu"}, bytes(16)).encode(),
)


def main(lines: int, seconds: float, seed: int) -> int:
    """Try so many lines, or for so long, and print; the exit status."""
    print(f"seed {seed}", flush=True)
    maker = _Maker(random.Random(seed))
    results: Counter[str] = Counter()
    unexpected = 0
    begun = time.perf_counter()
    tried = 0
    while tried < lines and time.perf_counter() - begun < seconds:
        tried += 1
        kind, data = maker.make()
        try:
            result = _try(data)
        except Exception:
            unexpected += 1
            result = "UNEXPECTED"
            print(f"{kind}: {data!r}", file=sys.stderr)
            traceback.print_exc()
        results[f"{kind}: {result}"] += 1
    taken = time.perf_counter() - begun
    for what, count in sorted(results.items()):
        print(f"{count:9,} {what}")
    print(f"{tried:,} lines in {taken:.1f} s, {tried / taken:,.0f} a second; {unexpected} unexpected exceptions")
    return 1 if unexpected else 0


def _try(data: bytes) -> str:
    try:
        line = read_line(data)
        if line is None:
            return "not whole"
        claims = _VERIFIER.open(line.token, "192.0.2.7", 1e9)
    except TooLong:
        return "too long"
    except BadToken as problem:
        text = str(problem)
        assert text
        assert len(text) < 200
        assert "\n" not in text
        return "bad"
    assert [parse_remote(str(each)) for each in claims.targets] == list(claims.targets)
    return "opens"


class _Maker:
    """Makes lines of every kind, each from what it draws."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._kinds: list[tuple[str, Callable[[], bytes]]] = [
            ("noise", self._noise),
            ("printable", self._printable),
            ("old, random ciphertext", self._old),
            ("old, random plaintext", self._old_text),
            ("sealed, random ciphertext", self._sealed),
            ("sealed, random claims", self._claims),
            ("damaged", self._damaged),
            ("without an end", self._endless),
        ]

    def make(self) -> tuple[str, bytes]:
        """A kind, and a line of it with what may follow."""
        kind, make = self._draw.choice(self._kinds)
        end = b"" if kind == "without an end" else self._draw.choice((b"\n", b"\r\n", b"\n\n", b"\nrest"))
        return kind, make() + end

    def _bytes(self, most: int) -> bytes:
        return self._draw.randbytes(self._draw.randint(0, most))

    def _noise(self) -> bytes:
        return self._bytes(self._draw.choice((10, 100, 1100)))

    def _printable(self) -> bytes:
        return bytes(self._draw.choices(b"ABCXYZabcxyz0189+/=-_. pm1", k=self._draw.randint(0, 90)))

    def _old(self) -> bytes:
        size = self._draw.choice((0, 1, 15, 16, 16, 16, 17, 32, 32, 48, 700, 720))
        return base64.b64encode(b"Salted__" + self._draw.randbytes(8 + size))

    def _old_text(self) -> bytes:
        text = "".join(self._draw.choices("ab.:[]%019-_ \xe4\u0661\0", k=self._draw.randint(0, 40)))
        host = self._draw.choice((text, "127.0.0.1", "[::1]", "a.example"))
        port = self._draw.choice(("", "0", "1", "65535", "65536", text))
        return seal_legacy(
            f"{host}:{port}", _SECRET, self._draw.choice(("md5", "sha256")), self._draw.randbytes(8)
        ).encode()

    def _sealed(self) -> bytes:
        kid = self._draw.choice((b"k1", b"k2", b"k3", b"", self._bytes(5)))
        return b"pm1." + kid + b"." + base64.urlsafe_b64encode(self._bytes(100)).rstrip(b"=")

    def _claims(self) -> bytes:
        values: tuple[Any, ...] = (
            None,
            True,
            -1,
            0,
            1e9,
            2 * 10**9,
            2**41,
            "",
            "a:1",
            "eu",
            "0.0.0.0/0",
            [],
            ["a:1"],
            {},
            "\ud800",
            "x" * 70,
        )
        names = self._draw.sample("tencajxy", self._draw.randint(0, 6))
        claims = {"t": "a:1", "e": 2 * 10**9, **{name: self._draw.choice(values) for name in names}}
        plain = json.dumps(claims).encode()
        return _by_hand(plain[: self._draw.choice((None, None, None, self._draw.randint(0, len(plain))))])

    def _damaged(self) -> bytes:
        line = bytearray(self._draw.choice(_GOOD))
        for _ in range(self._draw.randint(1, 3)):
            place = self._draw.randrange(len(line))
            how = self._draw.randrange(3)
            if how == 0:
                line[place] ^= 1 << self._draw.randrange(8)
            elif how == 1:
                del line[place]
            else:
                line[place:place] = self._draw.randbytes(1)
        return bytes(line) if line not in _GOOD else self._damaged()

    def _endless(self) -> bytes:
        size = self._draw.choice((0, 1, 44, 1023, 1024, 1025, 1026, 2000))
        return self._draw.choice((b"x", b"\r", b"A")) * size


def _by_hand(plain: bytes) -> bytes:
    """A sealed token with any plaintext."""
    cipher, nonce = sealed._cipher(bytes(range(32)), bytes(16))
    return b"pm1.k1." + base64.urlsafe_b64encode(bytes(16) + cipher.encrypt(nonce, plain, b"pm1.k1.")).rstrip(b"=")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=_LINES, help=f"[default: {_LINES}]")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="[default: another each time]")
    options = parser.parse_args()
    sys.exit(main(options.lines, options.seconds, options.seed))
