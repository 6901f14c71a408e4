"""Asks the admin endpoint of a running instance, for the commands that show one."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from proxymux.errors import ProxymuxError
from proxymux.printable import printable

#: The environment variable that may hold the token of the actions.
TOKEN_VARIABLE: Final = "PROXYMUX_ADMIN_TOKEN"
#: Seconds for the connection, and for each part of an answer.
_TIMEOUT: Final = 10.0
#: Bytes of the longest answer that is read.
_LONGEST: Final = 64 << 20
#: Characters of an answer's text that are shown.
_EXCERPT: Final = 300
_ACCEPTED: Final = "http://HOST:PORT, https://HOST:PORT, HOST:PORT, a port of this machine, or unix:/path is accepted"


class NotAnswered(ProxymuxError):
    """The endpoint cannot be asked, or does not do what it is asked.  The text is one printable line."""

    def __init__(self, problem: str) -> None:
        super().__init__(printable(problem))


def read_token(path: str | None) -> str | None:
    """The token for actions: of a file, or of :data:`TOKEN_VARIABLE`; None if there is neither.

    It is never taken from the command line, which other users can see.

    :raises NotAnswered: if the file cannot be read, or holds no token.
    """
    source, token = TOKEN_VARIABLE, os.environ.get(TOKEN_VARIABLE, "")
    if path is not None:
        source = f"--token-file: {path}"
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                token = file.read(1 << 16)
        except OSError as error:
            raise NotAnswered(f"{source}: {error.strerror}; name a file with the token in one line") from None
    token = token.strip()
    if not token and path is None:
        return None
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise NotAnswered(f"{source}: is no token, a word of ASCII characters")
    return token


class AdminClient:
    """Asks one endpoint; each question has a connection of its own.

    :param url: of the endpoint, see the error's text for its forms.
    :param token: that is shown for actions.
    :raises NotAnswered: if the URL is none.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._connect = _connector(url)
        self._token = token
        #: How the endpoint is called, printable.
        self.name = printable(url)

    def get(self, path: str) -> Any:
        """The JSON value at ``path``.

        :raises NotAnswered: if there is none, in one line.
        """
        body = self._ask("GET", path)
        try:
            return json.loads(body)
        except ValueError:
            raise NotAnswered(f"{self.name}: what answers there is no admin endpoint of proxymux") from None

    def status(self) -> dict[str, Any]:
        """The object of ``/status``.

        :raises NotAnswered: likewise.
        """
        status = self.get("/status")
        if not isinstance(status, dict) or status.get("name") != "proxymux":
            raise NotAnswered(f"{self.name}: what answers there is no admin endpoint of proxymux")
        return status

    def post(self, path: str) -> str:
        """Have something done.

        :returns: what the endpoint says to it, in one printable line.
        :raises NotAnswered: if it was not done.
        """
        return _first_line(self._ask("POST", path))

    def _ask(self, method: str, path: str) -> bytes:
        fields = {"Content-Length": "0", "Authorization": f"Bearer {self._token}"} if method == "POST" else {}
        if method == "POST" and self._token is None:
            raise NotAnswered(f"no token to show; give --token-file, or {TOKEN_VARIABLE} in the environment")
        connection = self._connect()
        try:
            connection.request(method, path, headers={**fields, "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(_LONGEST)
        except (OSError, http.client.HTTPException) as error:
            raise NotAnswered(f"{self.name}: {_reason(error)}") from None
        finally:
            connection.close()
        if answer.status // 100 == 2:
            return body
        raise NotAnswered(f"{self.name}: {_first_line(body) or answer.reason} ({answer.status})")


def _first_line(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip().partition("\n")[0]
    return printable(text, _EXCERPT)


def _reason(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {_TIMEOUT:g} s"
    if isinstance(error, socket.gaierror):
        return "name does not resolve"
    if isinstance(error, OSError):
        return (error.strerror or str(error) or "connection lost").lower()
    return "what answers there is no HTTP"


class _UnixConnection(http.client.HTTPConnection):
    """A connection to an endpoint on a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(self._path)


def _connector(url: str) -> Callable[[], http.client.HTTPConnection]:
    """Makes connections to the endpoint at ``url``.

    :raises NotAnswered: if that is none.
    """
    if url.startswith("unix:"):
        return lambda: _UnixConnection(url.removeprefix("unix:"))
    full = f"http://127.0.0.1:{url}" if re.fullmatch("[0-9]{1,5}", url) else url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(full)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not host.isprintable() or parts.scheme not in ("http", "https") or parts.path not in ("", "/"):
        raise NotAnswered(f"{url!r} is no URL of an admin endpoint; {_ACCEPTED}")
    if parts.username is not None or parts.query or parts.fragment:
        raise NotAnswered(f"the URL of an admin endpoint has an address alone; {_ACCEPTED}")
    if parts.scheme == "https":
        return lambda: http.client.HTTPSConnection(host, port, timeout=_TIMEOUT)
    return lambda: http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
