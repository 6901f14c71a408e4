"""A finding as a test for pytest, which fails until the router is mended."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proxymux.cli.fuzz.finding import Finding, FindingKind
from proxymux.printable import printable

#: As many equal bytes are written as a product.
_RUN: Final = re.compile(rb"(.)\1{31,}", re.DOTALL)
#: Bytes in a line: each may take four characters.
_IN_LINE: Final = 24
_MOST_TOLD: Final = 200
_JOINED: Final = 'b"".join(CHUNKS)'


def pytest_source(finding: Finding, router: str, options: str, codec: str | None, timeout: float) -> str:
    """The text of the test.

    :param router: an expression whose value is the router's name, which may use ``Path(__file__)``.
    :param options: those that find it again.
    :param codec: the router is one of requests; None is one of connections.
    :param timeout: the most seconds that the router may wait.
    """
    names, lines = _body(finding, codec, timeout)
    told = [printable(each, _MOST_TOLD) for each in (finding.told, *finding.details)]
    head = [
        f"# Written by proxymux check {printable(options)}",
        "# It fails until the router is mended:",
        *(f"#   {each}" for each in told),
        "",
        *(["from pathlib import Path", ""] if "Path(" in router else []),
        *names,
        "",
        f"ROUTER = {router}",
        *([f"CODEC = {codec!r}"] if codec is not None else []),
        *_chunks(finding),
    ]
    return "\n".join([*head, "", "", f"def test_{finding.name}() -> None:", *(f"    {line}" for line in lines), ""])


def _body(finding: Finding, codec: str | None, timeout: float) -> tuple[list[str], list[str]]:
    """The imports, and the lines of the function."""
    asks = "converse" if codec is None else "decide_each"
    also = "" if codec is None else ", codec=CODEC"
    effect = ".in_effect()" if codec is None else ""
    if finding.kind is FindingKind.RAISES:
        return [_from_testing(asks)], [f"{asks}(ROUTER, *CHUNKS{also})  # raises DecisionFailed"]
    if finding.kind is FindingKind.LATE:
        return [_from_testing(asks)], [f"{asks}(ROUTER, *CHUNKS{also}, timeout={timeout:g})  # raises StillDeciding"]
    if finding.kind is FindingKind.SLOW:
        return [_from_testing("slow_calls")], [f"assert slow_calls(ROUTER, *CHUNKS{also}) == 0"]
    if finding.kind is FindingKind.SPLIT:
        whole = f"{asks}(ROUTER, {_JOINED}{also}){effect}"
        return [_from_testing(asks)], [f"assert {asks}(ROUTER, *CHUNKS{also}){effect} == {whole}"]
    return (
        ["from proxymux import NEED_DATA", "from proxymux.settings import Settings", _from_testing("decide")],
        [
            "limit = Settings().max_buffer",
            f"data = {_JOINED} + {finding.filler!r} * limit",
            "assert decide(ROUTER, data[:limit]) is not NEED_DATA",
        ],
    )


def _from_testing(name: str) -> str:
    return f"from proxymux.testing import {name}"


def _chunks(finding: Finding) -> Iterator[str]:
    if not finding.pieces.data:
        yield "CHUNKS = ()"
        return
    yield "CHUNKS = ("
    for chunk in finding.pieces.chunks:
        first, *others = _terms(chunk)
        if others:
            yield f"    {first}"
            yield from (f"    + {term}" for term in others[:-1])
            yield f"    + {others[-1]},"
        else:
            yield f"    {first},"
    yield ")"


def _terms(chunk: bytes) -> Iterator[str]:
    """The expressions whose sum is ``chunk``, each short enough for a line."""
    start = 0
    for match in _RUN.finditer(chunk):
        yield from _plain(chunk[start : match.start()])
        yield f"{match[1]!r} * {len(match[0])}"
        start = match.end()
    yield from _plain(chunk[start:])


def _plain(data: bytes) -> Iterator[str]:
    for start in range(0, len(data), _IN_LINE):
        yield repr(data[start : start + _IN_LINE])
