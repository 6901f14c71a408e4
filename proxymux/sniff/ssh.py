"""SSH: the identification string (RFC 4253 section 4.2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData

#: Bytes of the string with its CR LF.
LIMIT: Final = 255

_LINE: Final = re.compile(rb"SSH-([!-,.-~]+)-([!-~]+)(?: ([ -~]*))?\Z")


@dataclass(frozen=True, slots=True)
class Ssh:
    """What an SSH client says first, as in ``SSH-2.0-OpenSSH_9.2 comments``."""

    protocol: str
    software: str
    comments: str = ""


def ssh(data: bytes) -> Ssh | NeedData | None:
    """The identification string that ``data`` begins with."""
    if data[:4] != b"SSH-"[: len(data)]:
        return None
    end = data.find(b"\n", 0, LIMIT)
    if end < 0:
        # A byte that has no place in the line is found at once, not at its end.
        good = all(0x20 <= byte <= 0x7E for byte in data[: LIMIT - 1].removesuffix(b"\r"))
        return NEED_DATA if good and len(data) < LIMIT else None
    found = _LINE.match(data[:end].removesuffix(b"\r"))
    if found is None:
        return None
    protocol, software, comments = (part.decode("ascii") for part in (found[1], found[2], found[3] or b""))
    return Ssh(protocol, software, comments)
