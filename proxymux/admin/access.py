"""Who may do what on the admin endpoint: by the name that it is asked for, by the page that asks, by a token."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final

from proxymux.errors import ConfigError
from proxymux.paths import exposure

#: The most bytes of a token file.
_MAX_TOKEN: Final = 4096
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::[0-9]{1,5})?")
_OPTION: Final = "--admin-token-file"
_REMEDY: Final = "name a file with the token in one line"


class HostNames:
    """The names by which the endpoint may be asked for: addresses, localhost, the machine's own, and those given.

    Another name in ``Host`` is that of a stranger's site, which has had its name resolve to our address so that a
    browser takes its scripts for ours (DNS rebinding).

    :param given: further names.
    """

    def __init__(self, given: Iterable[str]) -> None:
        own = socket.gethostname().lower()
        self._names = {"localhost", own, own.partition(".")[0], *(name.lower().rstrip(".") for name in given)}

    def has(self, host: str) -> bool:
        """True if ``host``, the value of the header field, is one of ours."""
        found = _HOST.fullmatch(host.strip())
        if found is None:
            return False
        name = found[1].strip("[]").lower().rstrip(".")
        return name in self._names or name.endswith(".localhost") or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_same_origin(origin: str, host: str) -> bool:
    """True if a page of ``origin`` is one of ours, which was asked for by ``host``."""
    scheme, separator, place = origin.strip().lower().partition("://")
    return scheme in ("http", "https") and bool(separator) and place == host.strip().lower()


class TokenFile:
    """The token that whoever changes something has to show, from a file.

    :param path: of the file; None where there is none, and nobody may change anything.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._digest: bytes | None = None

    @property
    def is_there(self) -> bool:
        """True if there is a token, so that somebody may change something."""
        return self._path is not None

    def warnings(self) -> list[str]:
        """What is unwise about the file, in one line each: that every user can read it."""
        danger = None if self._path is None else exposure(self._path)
        return [] if danger is None else [f"{_OPTION}: {danger}"]

    def load(self) -> None:
        """Read the file.  After an error the token stays as it was.

        :raises ConfigError: if it cannot be read, or holds no token.
        """
        if self._path is None:
            return
        try:
            with open(self._path, "rb") as file:
                token = file.read(_MAX_TOKEN + 1).strip()
        except OSError as error:
            raise ConfigError(_OPTION, f"{self._path}: {error.strerror}; {_REMEDY}") from None
        if not token:
            raise ConfigError(_OPTION, f"{self._path}: is empty; {_REMEDY}")
        if len(token) > _MAX_TOKEN or not re.fullmatch(rb"[\x21-\x7e]+", token):
            raise ConfigError(_OPTION, f"{self._path}: is no token, a word of ASCII characters; {_REMEDY}")
        self._digest = _digest(token)

    def accepts(self, authorization: str | None) -> bool:
        """True if the header field ``Authorization`` shows the token; takes the same time whatever it shows."""
        scheme, _, given = (authorization or "").strip().partition(" ")
        # Digests, as the time of a comparison must not tell the length either.
        is_right = hmac.compare_digest(_digest(given.strip().encode("latin-1", "replace")), self._digest or b"")
        return is_right and scheme.lower() == "bearer"


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
