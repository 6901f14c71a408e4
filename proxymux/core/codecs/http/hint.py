"""What the scanner of a client's requests and those of its replies tell each other."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Flags(enum.Flag):
    """What the reply scanner has to know of a request."""

    #: The request is a HEAD: its reply has no body, whatever its head says.
    HEAD = enum.auto()
    #: The request tells the upstream to close the connection after the reply.
    LAST = enum.auto()


@dataclass(slots=True)
class HttpClient:
    """What replies have shown of one client.

    :param is_challenged: the client was asked for credentials of a scheme that authenticates the connection.
    """

    is_challenged: bool = False


@dataclass(frozen=True, slots=True)
class Hint:
    """The hint of a request."""

    flags: Flags
    client: HttpClient = field(repr=False)
