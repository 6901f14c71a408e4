"""What etcd tells of changes: a stream of lines of JSON, read as it comes."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from proxymux.discovery.etcd.http import refusal
from proxymux.discovery.etcd.values import decoded, number
from proxymux.errors import EtcdError
from proxymux.printable import printable

#: The most bytes of a line.  etcd is asked to cut its messages at about 2 MiB, of which base64 makes 3.
LONGEST_LINE: Final = 8 << 20
#: The most characters of etcd's reason that are shown.
_LONGEST_REASON: Final = 200


class Change(NamedTuple):
    """What has become of one key.

    :param value: None if it was deleted.
    """

    key: bytes
    value: bytes | None


class News(NamedTuple):
    """One message of the stream.

    :param changes: in their order.
    :param next_revision: of the first change that has not been told; None if the message does not say.
    :param begins_at: the revision that etcd has come to, in the first message of a stream; else None.
    :param compacted: the first revision that etcd still has, if it is later than the one that was asked for; else None.
    :param refusal: why the stream ends; None if it goes on.
    """

    changes: tuple[Change, ...] = ()
    next_revision: int | None = None
    begins_at: int | None = None
    compacted: int | None = None
    refusal: str | None = None


class NewsReader:
    """Cuts a stream into its messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[News]:
        """Take what has come, and return the messages that are whole.

        :raises EtcdError: if the stream is none of etcd's, or a line is too long; it has to be given up then.
        """
        looked_at = len(self._buffer)
        self._buffer += data
        news, start = [], 0
        while (end := self._buffer.find(b"\n", max(start, looked_at))) >= 0:
            line = bytes(self._buffer[start:end]).strip()
            start = end + 1
            if line:
                news.append(_read(line))
        del self._buffer[:start]
        if len(self._buffer) > LONGEST_LINE:
            raise EtcdError(f"a line of etcd's is longer than {LONGEST_LINE >> 20} MiB")
        return news


def _read(line: bytes) -> News:
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    result = message.get("result") if isinstance(message, dict) else None
    if not isinstance(result, dict):
        text, code = refusal(message)
        if code is None:
            raise EtcdError("what the peer sends is none of etcd's messages")
        return News(refusal=text)
    revision = number(result.get("header"), "revision")
    if result.get("canceled"):
        compacted = number(result, "compact_revision") or None
        reason = result.get("cancel_reason")
        text = printable(" ".join(reason.split()), _LONGEST_REASON) if isinstance(reason, str) else ""
        return News(compacted=compacted, refusal=text or "etcd has ended the watch without a reason")
    if result.get("created"):
        return News(begins_at=revision)
    events = result.get("events")
    if not isinstance(events, list) or not events:
        # A message of progress: everything up to its revision has been told, if it is for this watch.
        return News(next_revision=revision + 1 if revision and not number(result, "watch_id") else None)
    return _told(events, bool(result.get("fragment")))


def _told(events: list[Any], is_part: bool) -> News:
    """The changes of a message.

    :param is_part: others of the same revision may be in the next message.
    """
    changes, latest = [], 0
    for event in events:
        pair = event.get("kv") if isinstance(event, dict) else None
        if not isinstance(pair, dict):
            raise EtcdError("a change in etcd's message has no key")
        latest = max(latest, number(pair, "mod_revision"))
        is_gone = event.get("type") == "DELETE"
        changes.append(Change(decoded(pair.get("key")), None if is_gone else decoded(pair.get("value"))))
    return News(tuple(changes), (latest if is_part else latest + 1) if latest else None)
