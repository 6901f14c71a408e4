"""Which requests may be sent a second time: those whose methods are idempotent (RFC 9110 section 9.2.2)."""

from __future__ import annotations

from typing import Final

from proxymux.core.codecs.http.requests import HttpRequests

#: Methods that change nothing (section 9.2.1).
SAFE: Final = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE"))
#: Methods whose effect is the same however often a request is carried out.
IDEMPOTENT: Final = SAFE | {b"PUT", b"DELETE"}


def is_repeatable(data: bytes, scanner: HttpRequests) -> bool:
    """True if the requests in ``data`` may be carried out twice.

    Of several, all must be safe: the first would otherwise see what a later one has changed.

    :param data: complete requests.
    :param scanner: a new one.
    """
    start = 0
    methods: list[bytes] = []
    for request in scanner.feed(data):
        methods.append(data[start : request.end].partition(b" ")[0])
        start = request.end
    return IDEMPOTENT.issuperset(methods) if len(methods) == 1 else SAFE.issuperset(methods)
