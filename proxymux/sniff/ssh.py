"""SSH: the identification string (RFC 4253 section 4.2).

The server sends its own at once too, and no common client waits for that one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData
from proxymux.sniff.beginning import beginning_of, letters

#: Bytes of the string with its CR LF.
LIMIT: Final = 255

# The RFC has no minus in the name of the software, but "libssh-0.6.3" and others are about.
_LINE: Final = re.compile(rb"SSH-([0-9]+\.[0-9]+)-([!-~]+)(?: ([ -~]*))?\r?\n")
_BEGIN: Final = beginning_of((*letters(b"SSH-"), b"[0-9]+", rb"\.", b"[0-9]+", b"-", b"[!-~]+(?: [ -~]*)?", rb"\r"))


@dataclass(frozen=True, slots=True)
class Ssh:
    """What an SSH client says first (RFC 4253), as in ``SSH-2.0-OpenSSH_9.2 comments``.

    :param protocol: ``2.0``; a client that can do the old version too may say ``1.99``.
    :param software: its name and version.
    :param comments: what stands behind a space, or an empty text.
    """

    protocol: str
    software: str
    comments: str = ""


def ssh(data: bytes) -> Ssh | NeedData | None:
    """The identification string that ``data`` begins with.

    The LF alone, which old clients send, ends it too.
    """
    found = _LINE.match(data, 0, LIMIT)
    if found is not None:
        protocol, software, comments = (part.decode("ascii") for part in found.groups(b""))
        return Ssh(protocol, software, comments)
    return NEED_DATA if len(data) < LIMIT and _BEGIN.fullmatch(data) else None
