"""Why the codec ``http`` refuses a message that h11 takes: what a pool must not tolerate, said without a pattern."""

from __future__ import annotations

from typing import Final

_CONTROLS: Final = frozenset((*range(9), 11, 12, *range(14, 32), 127))
_SIMPLE: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz=")
_MOST: Final = 512 << 20


def why_refused(data: bytes) -> str | None:
    """Name the first reason that the message at the beginning of ``data`` gives; None if it gives none."""
    head, separator, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    if reason := _of_lines(lines):
        return reason
    if not separator:
        return None
    version = lines[0].split(b" ")[0 if lines[0].startswith(b"HTTP/") else -1]
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        return "another version"
    if len(lines[0].partition(b" ")[0]) > 32:
        return "a long method"
    fields = [(name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines[1:])]
    lengths = [value for name, value in fields if name == b"content-length"]
    is_chunked = any(name == b"transfer-encoding" for name, _ in fields)
    if reason := _of_length(lines[0], lengths, is_chunked):
        return reason
    has_body = lines[0][8:10] != b" 1" and lines[0][8:12] not in (b" 204", b" 304")
    return _of_chunks(body) if is_chunked and has_body else None


def _of_length(start: bytes, lengths: list[bytes], is_chunked: bool) -> str | None:
    if len(lengths) > 1 or any(b"," in each for each in lengths):
        return "several lengths"
    if any(len(each) > 18 or int(each) > _MOST for each in lengths):
        return "a long length"
    if lengths and is_chunked:
        return "a length and chunks"
    if is_chunked and (start.startswith(b"HTTP/1.0") or start.endswith(b"HTTP/1.0")):
        return "chunks in HTTP/1.0"
    if start.startswith(b"CONNECT ") and (is_chunked or any(map(int, lengths))):
        return "CONNECT with a body"
    return "101 on a shared connection" if start[8:13] == b" 101 " else None


def _of_lines(lines: list[bytes]) -> str | None:
    """Name what is wrong with lines that were cut at CRLF."""
    if any(_CONTROLS.intersection(line) for line in lines):
        return "a control character"
    if any(b"\r" in line or b"\n" in line for line in lines):
        return "CR or LF alone"
    return "a folded line" if any(line[:1] in (b" ", b"\t") for line in lines[1:]) else None


def _of_chunks(body: bytes) -> str | None:
    while True:
        line, separator, body = body.partition(b"\r\n")
        if reason := _of_lines([line]):
            return f"{reason} before a chunk"
        digits, *extensions = (part.strip(b" \t") for part in line.split(b";"))
        if not separator:
            return None
        size = int(digits, 16)
        if len(digits) > 16 or size > _MOST:
            return "a long chunk"
        if not all(_SIMPLE.issuperset(each) and each.partition(b"=")[0] for each in extensions):
            return "an extension of a chunk that may be none"
        if not size:
            trailer = body.partition(b"\r\n\r\n")[0].split(b"\r\n")
            names = {line.partition(b":")[0].lower() for line in trailer}
            framing = "a field of a head" if names & {b"content-length", b"transfer-encoding", b"host"} else None
            reason = _of_lines(trailer) or framing
            return reason and f"{reason} in a trailer"
        if len(body) < size + 2:
            return None
        body = body[size + 2 :]
