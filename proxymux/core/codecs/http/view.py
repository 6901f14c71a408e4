"""What a router sees of an HTTP request: its head, which the request scanner has found to be valid."""

from __future__ import annotations

import re
from typing import Final

from proxymux.core.codecs.view import RequestView

_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#]*)")
_PORT: Final = re.compile(r":[0-9]*\Z")
_SPACE: Final = b" \t"


class HttpView(RequestView):
    """One HTTP request.

    :param data: a whole request, as the request scanner found it.
    """

    codec = "http"
    _line: tuple[str, str] | None = None
    _headers: tuple[tuple[bytes, bytes], ...] | None = None

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def command(self) -> str | None:
        return self.method.upper() or None

    @property
    def method(self) -> str:
        """The method as it was sent, which is case-sensitive; empty of a request that is an empty line."""
        return self._request_line()[0]

    @property
    def path(self) -> str:
        """The request target as it was sent: ``/path?query``, a whole URL, ``host:port`` of a CONNECT, or ``*``."""
        return self._request_line()[1]

    @property
    def host(self) -> str | None:
        """The host in lower case and without a port, from the request target if that is a whole URL or of a CONNECT,
        else from the Host field; None if it is not given."""
        whole = _ABSOLUTE.match(self.path)
        if whole is not None:
            authority = whole[1]
        elif self.method == "CONNECT":
            authority = self.path
        else:
            authority = (self.header(b"host") or b"").decode("latin-1")
        return _PORT.sub("", authority).lower().strip("[]") or None

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The fields in the client's order: pairs of the name as sent, and the value without space around it."""
        if self._headers is None:
            lines = self.data[: self.data.find(b"\r\n\r\n")].split(b"\r\n")[1:]
            pairs = (line.partition(b":") for line in lines)
            self._headers = tuple([(name, value.strip(_SPACE)) for name, _, value in pairs])
        return self._headers

    def header(self, name: str | bytes) -> bytes | None:
        """The value of a field; None if there is none of that name.

        Values of several fields of one name are joined by commas, which is what they mean (RFC 9110 section 5.3).

        :param name: in any case.
        """
        wanted = (name.encode("ascii", "replace") if isinstance(name, str) else name).lower()
        values = [value for each, value in self.headers if each.lower() == wanted]
        return b", ".join(values) if values else None

    def _request_line(self) -> tuple[str, str]:
        if self._line is None:
            words = self.data[: self.data.find(b"\r\n")].decode("latin-1").split(" ")
            self._line = (words[0], words[1]) if len(words) == 3 else ("", "")
        return self._line
