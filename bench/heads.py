"""Requests whose heads differ, each with a number in its path and in a field: for wrk, and to time who reads them.

    python bench/heads.py

It prints the CPU time for one head: of the codec ``http``, of h11, and of llhttp with a call for each field, if
httptools is installed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import h11

from proxymux.core.codecs.http.head import read_request

#: What programs send, and what a browser does.
HEADS: Final = {
    "curl": (
        "GET /items/{number} HTTP/1.1",
        "Host: shop.example",
        "User-Agent: curl/8.5.0",
        "Accept: */*",
        "X-Request-Id: {number}",
    ),
    "browser": (
        "GET /items/{number}?from=list HTTP/1.1",
        "Host: shop.example",
        "Connection: keep-alive",
        "Cache-Control: max-age=0",
        'sec-ch-ua: "Chromium";v="118", "Not=A?Brand";v="99"',
        "Upgrade-Insecure-Requests: 1",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/118.0.0.0"
        " Safari/537.36",
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "Sec-Fetch-Site: same-origin",
        "Referer: https://shop.example/list?page={number}",
        "Accept-Encoding: gzip, deflate, br",
        "Accept-Language: en-GB,en;q=0.9",
        "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; seen={number}",
    ),
}


def script(name: str) -> str:
    """A script for wrk that sends them."""
    text = "\r\n".join([*HEADS[name], "", ""]).replace("\\", "\\\\").replace("'", "\\'").replace("\r\n", "\\r\\n")
    joined = "' .. number .. '".join(text.split("{number}"))
    return f"local number = 0\nfunction request()\n    number = number + 1\n    return '{joined}'\nend\n"


def read_by_h11(raw: bytes) -> Any:
    """The head as h11 reads it."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    return connection.next_event()


class _Fields(list[tuple[bytes, bytes]]):
    """Takes llhttp's callbacks."""

    def on_url(self, url: bytes) -> None: ...

    def on_header(self, name: bytes, value: bytes) -> None:
        self.append((name.lower(), value))


def read_by_llhttp(raw: bytes) -> Any:
    """The head as llhttp reads it."""
    fields = _Fields()
    import_module("httptools").HttpRequestParser(fields).feed_data(raw)
    return fields


def microseconds(read: Callable[[bytes], Any], heads: list[bytes], rounds: int) -> float:
    """CPU time for one head, in the best of so many rounds."""
    best = float("inf")
    for _ in range(rounds):
        begun = time.process_time()
        for raw in heads:
            read(raw)
        best = min(best, time.process_time() - begun)
    return best / len(heads) * 1e6


def main(rounds: int) -> None:
    """Print the table."""
    readers: dict[str, Callable[[bytes], Any]] = {"codec": read_request, "h11": read_by_h11}
    if find_spec("httptools"):
        readers["llhttp"] = read_by_llhttp
    print("CPU µs for a head  " + "".join(f"{name:>8}" for name in readers))
    for name, lines in HEADS.items():
        heads = [("\r\n".join(lines).format(number=n) + "\r\n\r\n").encode() for n in range(1000)]
        took = [microseconds(read, heads, rounds) for read in readers.values()]
        print(f"{name:>10}, {len(heads[-1]):>3} bytes" + "".join(f"{each:8.2f}" for each in took))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="of 1000 heads each [default: 20]")
    main(parser.parse_args().rounds)
