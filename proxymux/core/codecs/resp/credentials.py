"""Credentials: whom a pool's slots log in as at Redis, and whom clients may log in as at the pool."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field

from proxymux.core.codecs.resp.commands import WORD_LIMIT
from proxymux.errors import BadKeys

_FORMAT = "a line is: upstream USER PASSWORD, or: client USER PASSWORD"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The users and passwords of a pool; they are shown to nobody.

    :param upstream: user and password that slots log in with; None if they do not log in.
    :param clients: the passwords of each user whom clients may log in as; empty if clients are asked for none.
    """

    upstream: tuple[bytes, bytes] | None = field(default=None, repr=False)
    clients: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict, repr=False)

    def admits(self, user: bytes, password: bytes) -> bool:
        """True if a client may log in so.  It takes as long whether the beginning of a password is right or not."""
        admitted = False
        for right in self.clients.get(user, (b"",)):
            # An empty password is never right; it stands for that of an unknown user.
            admitted |= hmac.compare_digest(right, password) and bool(right)
        return admitted


def parse_credentials(lines: Iterable[bytes]) -> Credentials:
    """Read the lines of an ``--auth-file``: ``upstream USER PASSWORD``, at most one, and ``client USER PASSWORD``.

    A password reaches to the end of its line.  Empty lines, and those that begin with ``#``, are skipped.

    :raises BadKeys: naming the line, without any part of it.
    """
    upstream: tuple[bytes, bytes] | None = None
    clients: dict[bytes, tuple[bytes, ...]] = {}
    for number, line in enumerate(lines, 1):
        line = line.rstrip(b"\r\n")
        if not line.strip() or line.startswith(b"#"):
            continue
        who, _, rest = line.partition(b" ")
        user, _, password = rest.partition(b" ")
        if not user or not password or who not in (b"upstream", b"client"):
            raise BadKeys(f"line {number}: {_FORMAT}")
        if max(len(user), len(password)) > WORD_LIMIT or b"\0" in line:
            raise BadKeys(f"line {number}: user and password have at most {WORD_LIMIT} bytes each, none of them NUL")
        if who == b"client":
            clients[user] = (*clients.get(user, ()), password)
        elif upstream is None:
            upstream = user, password
        else:
            raise BadKeys(f"line {number}: a second upstream; all slots log in as the same user")
    if upstream is None and not clients:
        raise BadKeys(f"it names nobody; {_FORMAT}")
    return Credentials(upstream, clients)
