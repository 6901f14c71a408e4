"""The stream of a watch, in pieces of any size."""

from __future__ import annotations

import json

import pytest

from proxymux.discovery.etcd.news import LONGEST_LINE, Change, News, NewsReader
from proxymux.discovery.etcd.values import encoded
from proxymux.errors import EtcdError


def line(**result: object) -> bytes:
    return json.dumps({"result": result}).encode() + b"\n"


def event(key: bytes, value: bytes | None, revision: int) -> dict[str, object]:
    kv = {"key": encoded(key), "mod_revision": str(revision)}
    return {"type": "DELETE", "kv": kv} if value is None else {"kv": {**kv, "value": encoded(value)}}


STREAM = (
    line(header={"revision": "7"}, created=True)
    + line(header={"revision": "9"}, events=[event(b"a", b"1", 8), event(b"b", None, 9)])
    + b"\n\r\n"
    + line(header={"revision": "20"}, watch_id="0", canceled=False, created=False, compact_revision="0", events=[])
    + line(header={"revision": "21"}, watch_id="-1")
    + line(header={"revision": "22"}, fragment=True, events=[event(b"a", b"", 22)])
    + line(header={"revision": "23"}, canceled=True, compact_revision="30")
)
NEWS = [
    News(begins_at=7),
    News((Change(b"a", b"1"), Change(b"b", None)), 10),
    News(next_revision=21),
    News(),
    News((Change(b"a", b""),), 22),
    News(compacted=30, refusal="etcd has ended the watch without a reason"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10_000])
def test_messages_are_read_whatever_the_pieces(size: int) -> None:
    reader = NewsReader()
    news = [each for start in range(0, len(STREAM), size) for each in reader.feed(STREAM[start : start + size])]
    assert news == NEWS


def test_messages_are_read_whatever_the_split() -> None:
    for at in range(len(STREAM)):
        reader = NewsReader()
        assert reader.feed(STREAM[:at]) + reader.feed(STREAM[at:]) == NEWS, at


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"error": {"grpc_code": 14, "http_code": 503, "message": "etcdserver: no\nleader"}}, "etcdserver: no leader"),
        ({"error": {"code": 16, "message": "etcdserver: invalid auth token"}}, "etcdserver: invalid auth token"),
        ({"result": {"canceled": True, "created": True, "cancel_reason": "permission\x1b denied"}}, "permission\\x1b"),
    ],
)
def test_a_refusal_is_one_printable_line(message: dict[str, object], text: str) -> None:
    [news] = NewsReader().feed(json.dumps(message).encode() + b"\n")
    assert news.refusal is not None
    assert news.refusal.startswith(text)
    assert news.refusal.isprintable()


@pytest.mark.parametrize(
    "data", [b"<html>\n", b"[]\n", b"{}\n", b'{"result": 1}\n', b'{"result": {"events": [1]}}\n', b"\xff\n"]
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(EtcdError):
        NewsReader().feed(data)


def test_a_line_without_end_is_not_kept() -> None:
    reader = NewsReader()
    reader.feed(b"x" * LONGEST_LINE)
    with pytest.raises(EtcdError, match="longer than 8 MiB"):
        reader.feed(b"x")
