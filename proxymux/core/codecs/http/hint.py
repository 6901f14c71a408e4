"""What the scanner of a client's requests and those of its replies tell each other."""

from __future__ import annotations


class HttpClient:
    """What replies have shown of one client."""

    __slots__ = ("is_challenged",)

    def __init__(self) -> None:
        #: The client was asked for credentials of a scheme that authenticates the connection.
        self.is_challenged = False


class Hint:
    """The hint of a request: what the reply scanner has to know of it.

    :param client: whose request it is.
    :param is_head: the request is a HEAD: its reply has no body, whatever its head says.
    :param is_last: the request tells the upstream to close the connection after the reply.
    """

    __slots__ = ("client", "is_head", "is_last")

    def __init__(self, client: HttpClient, *, is_head: bool = False, is_last: bool = False) -> None:
        self.client = client
        self.is_head = is_head
        self.is_last = is_last

    def __repr__(self) -> str:
        return f"<Hint is_head={self.is_head} is_last={self.is_last}>"
