"""Throw lines at the parsers of handshakes and tokens: nothing but their own errors may come out, and no token opens.

    python bench/gateway_fuzz.py --lines 1000000
    python bench/gateway_fuzz.py --seconds 60

Half of the lines are good tokens that were changed somewhere, half are made at random.
"""

from __future__ import annotations

import argparse
import base64
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent.parent))

from proxymux.core.handshake import Locks, TooLong, read_line
from proxymux.core.token.legacy import seal_legacy
from proxymux.core.token.sealed import parse_keys
from proxymux.errors import BadToken

SECRET: Final = b"fuzz"
NOW: Final = 1_000_000.0
ADDRESS: Final = "backend-01.internal.lan:65535"
ALPHABET: Final = base64.b64encode(bytes(range(256))) + b"=\r\n .-_"


class Fuzz:
    """Makes lines and looks at what becomes of them.

    :param seed: the same lines come of the same.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        keys = parse_keys(["k1 " + base64.b64encode(self._random.randbytes(32)).decode()])
        self._locks = Locks(SECRET, ("md5", "sha256"), keys, None)
        claims = {"t": ADDRESS, "e": int(NOW) + 60}
        self._good = [
            *(seal_legacy(ADDRESS, SECRET, "md5", self._random.randbytes(8)).encode() for _ in range(20)),
            *(keys.seal(claims, self._random.randbytes(16)).encode() for _ in range(20)),
        ]
        #: What became of the lines, by the reason.
        self.seen: Counter[str] = Counter()

    def step(self) -> None:
        """One line, in pieces."""
        line = self._changed() if self._random.random() < 0.5 else self._made()
        try:
            for end in sorted(self._random.randrange(len(line) + 1) for _ in range(3)):
                read_line(line[:end])
            found = read_line(line)
            if found is None:
                self.seen["not whole"] += 1
                return
            ticket = self._locks.open(found.token, "192.0.2.1", NOW)
        except (BadToken, TooLong) as problem:
            self.seen[(str(problem) or "too long").partition(": ")[0]] += 1
            return
        if found.token in self._good:
            self.seen["unchanged"] += 1
        elif ticket.key is not None:
            raise SystemExit(f"a sealed token that was changed opens: {line!r}")
        else:
            self.seen["an old token that was changed leads elsewhere"] += 1  # they have nothing against it

    def _changed(self) -> bytes:
        token = bytearray(self._random.choice(self._good))
        for _ in range(self._random.randrange(1, 4)):
            place = self._random.randrange(len(token))
            how = self._random.randrange(4)
            if how == 0:
                token[place] ^= 1 << self._random.randrange(8)
            elif how == 1:
                token[place] = self._random.choice(ALPHABET)
            elif how == 2:
                del token[place : place + self._random.randrange(1, 5)]
                token = token or bytearray(b"x")
            else:
                token[place:place] = self._random.randbytes(self._random.randrange(1, 5))
        return bytes(token) + self._random.choice((b"\n", b"\r\n", b"\nmore", b""))

    def _made(self) -> bytes:
        size = self._random.choice((0, 1, 43, 44, 45, 64, 88, 1023, 1024, 1025, 1026, 2000))
        kind = self._random.randrange(3)
        if kind == 0:
            data = self._random.randbytes(size)
        elif kind == 1:
            data = bytes(self._random.choices(ALPHABET, k=size))
        else:
            blocks = self._random.randrange(1, 5) * 16
            data = base64.b64encode(b"Salted__" + self._random.randbytes(8 + blocks))
        return self._random.choice((b"", b"pm1.", b"pm1.k1.")) + data + b"\n" if kind != 2 else data + b"\n"


def main() -> None:
    """Say what became of how many lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000, help="[default: 1000000]")
    parser.add_argument("--seconds", type=float, help="this long, however many lines it is")
    parser.add_argument("--seed", type=int, help="[default: another each time]")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    fuzz, began, lines = Fuzz(seed), time.monotonic(), 0
    while lines < options.lines if options.seconds is None else time.monotonic() - began < options.seconds:
        fuzz.step()
        lines += 1
    print(f"{lines:,} lines in {time.monotonic() - began:.0f} s, and nothing that should not be:")
    for what, count in fuzz.seen.most_common():
        print(f"{count:>10,}  {what}")


if __name__ == "__main__":
    main()
