"""Give mutated HTTP/1 messages to the codec ``http``, to h11 and to llhttp, and compare what they read.

    python bench/http_fuzz.py --inputs 1000000

Each input is read whole and a byte at a time.  What must not happen: that h11 refuses what the codec takes, or reads it
in another way; that the codec refuses what h11 takes for a reason that bench/http_strictness.py does not know; that
pieces make a difference.  llhttp is asked if httptools is installed; what it refuses is counted, what it reads in
another way is a failure.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.http_mutants import Mutants
from bench.http_readings import Reading, h11_replies, h11_requests, llhttp_says, our_replies, our_requests
from bench.http_strictness import why_refused

_INPUTS: Final = 1_000_000
_INTERIM: Final = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9][0-9][^\r\n]*(?:\r\n[!-~][^\r\n]*)*\r\n\r\n")
_HAS_LLHTTP: Final = importlib.util.find_spec("httptools") is not None


class Differs(Exception):
    """The readings differ, and nothing explains it."""


def compare(data: bytes, ours: Reading, theirs: Reading) -> str:
    """Say in a few words how the codec's reading and h11's are related.

    :raises Differs: if they contradict each other.
    """
    count = len(ours.messages)
    if ours.messages != theirs.messages[:count]:
        raise Differs("other messages")
    if ours.messages and ours.messages[-1].is_last:
        return "same, with a last message"
    if not ours.is_refused:
        if theirs.is_refused or len(theirs.messages) > count:
            raise Differs("h11 refuses, or knows more messages")
        return "same"
    if theirs.is_refused and len(theirs.messages) == count:
        return "both refuse"
    reason = _why(data, ours.messages[-1].end if ours.messages else 0)
    if reason is None and len(theirs.messages) > count:
        raise Differs("the codec refuses, and nothing says why")
    return f"refused here: {reason or 'what cannot become a message'}"


def _why(data: bytes, at: int) -> str | None:
    """Why the message at ``at`` is refused, or an interim reply before it; None if there is no reason."""
    while data.startswith(b"\r\n", at):
        at += 2
    while True:
        reason = why_refused(data[at:])
        interim = _INTERIM.match(data, at)
        if reason is not None or interim is None:
            return reason
        at = interim.end()


def check(data: bytes, methods: list[bytes] | None) -> list[str]:
    """Read one input in all ways; the words for what came of it.

    :param methods: None for requests; for replies, of the requests that they answer.
    :raises Differs: if readings contradict each other.
    """
    pieces = [data[at : at + 1] for at in range(len(data))]
    if methods is None:
        ours, cut, theirs = our_requests([data]), our_requests(pieces), h11_requests(data)
    else:
        ours, cut = our_replies([data], methods), our_replies(pieces, methods)
        theirs = h11_replies(data, methods)
    if cut != ours:
        raise Differs(f"a byte at a time: {cut}")
    found = [compare(data, ours, theirs)]
    if _HAS_LLHTTP and ours.messages and (methods is None or b"HEAD" not in methods):
        said = llhttp_says(data[: ours.messages[-1].end], len(ours.messages), replies=methods is not None)
        if said == "OTHER":
            raise Differs("llhttp reads other messages")
        found.append(said)
    return found


def main(inputs: int, seconds: float, seed: int) -> int:
    """Try so many inputs, or for so long, and print; the exit status."""
    print(f"seed {seed}", flush=True)
    dice = random.Random(seed)
    mutants = Mutants(dice)
    results: Counter[str] = Counter()
    examples: dict[str, bytes] = {}
    failures = tried = 0
    begun = time.perf_counter()
    while tried < inputs and time.perf_counter() - begun < seconds:
        tried += 1
        methods = None if dice.random() < 0.6 else dice.choices((b"GET", b"GET", b"GET", b"HEAD"), k=3)
        data = mutants.requests() if methods is None else mutants.replies()
        what = "requests" if methods is None else "replies"
        try:
            for each in check(data, methods):
                results[f"{what}: {each}"] += 1
                examples.setdefault(f"{what}: {each}", data)
        except Exception as problem:
            failures += 1
            print(f"{what} {methods or ''} {data!r}: {type(problem).__name__} {problem}", file=sys.stderr, flush=True)
    taken = time.perf_counter() - begun
    for result, count in sorted(results.items()):
        print(f"{count:9,} {result}" + (f", such as {examples[result]!r}" if "by llhttp" in result else ""))
    third = "" if _HAS_LLHTTP else "; llhttp was not asked, as httptools is not installed"
    print(f"{tried:,} inputs in {taken:.1f} s, {tried / taken:,.0f} a second; {failures} unexplained{third}")
    return 1 if failures else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=_INPUTS, help=f"[default: {_INPUTS}]")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after these")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="[default: another each time]")
    options = parser.parse_args()
    sys.exit(main(options.inputs, options.seconds, options.seed))
