"""The setups of RESP: the version of the protocol; and the login and the database, which are a slot's for good."""

from __future__ import annotations

import re
from typing import Final

from proxymux.core.codecs.resp.credentials import Credentials
from proxymux.core.setup import Preamble, Setup

#: The setup of clients that have asked for RESP3.  That of the others, and of fresh connections, is None.
RESP3: Final = "RESP3"
#: The commands that ask for a version, by the version.
HELLO: Final = {version: b"*2\r\n$5\r\nHELLO\r\n$1\r\n%b\r\n" % version for version in (b"2", b"3")}
#: Redis tells of a command that it does not know with which arguments it was sent, passwords included.
_ARGUMENTS: Final = ", with args"
_UNPRINTABLE: Final = re.compile(rb"[^ -~]")
#: Clients that log in themselves come too late: the connection is not theirs yet.
_REMEDY: Final = "(an upstream line in --auth-file logs in)"


def command(*words: bytes) -> bytes:
    """Return a command as an array of bulk strings."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


class RespSetups:
    """Implements :class:`~proxymux.core.setup.Setups`."""

    def __init__(self) -> None:
        #: The number of the database that all clients share.
        self.database = 0
        #: Replaced when they are read again; connections that are logged in stay so.
        self.credentials = Credentials()

    def opening(self) -> list[Preamble]:
        preambles: list[Preamble] = []
        if self.credentials.upstream is not None:
            user, password = self.credentials.upstream
            # Redis before version 6 knows no users, and AUTH with a password alone means the default one ever since.
            words = (password,) if user == b"default" else (user, password)
            preambles.append(Preamble(command(b"AUTH", *words), "the login of --auth-file"))
        if self.database:
            number = b"%d" % self.database
            preambles.append(Preamble(command(b"SELECT", number), f"SELECT {self.database} (--database)"))
        return preambles

    def switch(self, setup: Setup) -> Preamble:
        version = b"3" if setup is RESP3 else b"2"
        return Preamble(HELLO[version], f"HELLO {version.decode()}")

    def named(self, name: str) -> Setup:
        return RESP3 if name == RESP3 else None

    def problem(self, reply: bytes) -> str | None:
        if not reply.startswith((b"-", b"!")):
            return None
        line = reply[1:].partition(b"\r\n")[0]
        upstream = self.credentials.upstream
        if upstream is not None and upstream[1] in line:
            line = line.partition(b" ")[0][:20]
        text = _UNPRINTABLE.sub(b"?", line).decode("ascii").partition(_ARGUMENTS)[0][:200]
        return f"{text} {_REMEDY}" if upstream is None and text.startswith("NOAUTH") else text
