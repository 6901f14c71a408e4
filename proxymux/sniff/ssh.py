"""SSH: the identification string (RFC 4253 section 4.2).

Both ends may send theirs first; no common client waits for the server's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxymux.core.decision import NEED_DATA, NeedData
from proxymux.sniff.beginning import beginning_of, letters

#: The most bytes of the string, with its CR LF.
LIMIT: Final = 255

# The RFC allows no minus sign in the software version, but "libssh-0.6.3" and others have one.
_LINE: Final = re.compile(rb"SSH-([0-9]+\.[0-9]+)-([!-~]+)(?: ([ -~]*))?\r?\n")
_BEGIN: Final = beginning_of((*letters(b"SSH-"), b"[0-9]+", rb"\.", b"[0-9]+", b"-", b"[!-~]+(?: [ -~]*)?", rb"\r"))


@dataclass(frozen=True, slots=True)
class Ssh:
    """What an SSH client says first (RFC 4253), as in ``SSH-2.0-OpenSSH_9.2 comments``.

    :param protocol: the protocol version: ``2.0``, or ``1.99`` if version 1 is supported too.
    :param software: name and version of the client's software.
    :param comments: the text after a space, or an empty text.
    """

    protocol: str
    software: str
    comments: str = ""


def ssh(data: bytes) -> Ssh | NeedData | None:
    """The identification string that ``data`` begins with.

    An LF alone, as old clients send, is accepted as its end.
    """
    found = _LINE.match(data, 0, LIMIT)
    if found is not None:
        protocol, software, comments = (part.decode("ascii") for part in found.groups(b""))
        return Ssh(protocol, software, comments)
    return NEED_DATA if len(data) < LIMIT and _BEGIN.fullmatch(data) else None
