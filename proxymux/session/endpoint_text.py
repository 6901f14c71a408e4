"""The descriptions of server endpoints: their parts, and what is wrong with one that Twisted does not take."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from proxymux.net.wording import explain

#: The arguments of ``ssl:`` that name PEM files.
_PEM_ARGUMENTS: Final = ("privateKey", "certKey", "extraCertChain", "dhParameters")
#: What may stand before an endpoint: first this, then that.
_HEADER: Final = "haproxy:"
_TLS: Final = re.compile(r"tls:((?:\\.|[^:\\])*)(?::|$)", re.DOTALL)
#: What must not stand behind ``tls:PATH:``.
_MISPLACED: Final = {
    "haproxy:": "haproxy: has to stand before tls:, as the PROXY header comes before TLS",
    "tls:": "tls: stands there twice",
    "ssl:": "behind tls:PATH: there is tcp:, as ssl: is TLS itself",
}
_DEFAULT_PRIVATE_KEY: Final = "server.pem"
#: A colon within a value that has no backslash before it, as an IPv6 address has them.
_BARE_COLON: Final = re.compile(r"(?<!\\)::|:interface=[0-9A-Fa-f]*:[0-9A-Fa-f]*(?:$|:)")
_EXAMPLE: Final = "a Twisted server endpoint such as tcp:8000 or tcp:8000:interface=127.0.0.1 is accepted"
#: Python's words for what an endpoint's parser does not take, and ours.
_WORDS: Final = {
    r"got an unexpected keyword argument '(\w+)'": r"it takes no argument \1",
    r"missing \d+ required positional arguments?: ('\w+').*": r"the argument \1 is missing",
    r"got multiple values for argument '(\w+)'": r"the argument \1 is there twice",
    r"takes .*positional arguments? but .*": r"there are too many parts between colons",
    r"invalid literal for int\(\) with base 10: (.*)": r"\1 is no number",
    r"invalid literal for int\(\) with base 8: (.*)": r"\1 is no octal number",
}


@dataclass(frozen=True)
class EndpointText:
    """A description such as ``tcp:8000:interface=127.0.0.1``, in its parts.

    :param kind: the word before the first colon.
    :param positional: the values without a name behind it, in their order.
    :param named: the values with a name.
    """

    kind: str
    positional: tuple[str, ...]
    named: dict[str, str]

    @classmethod
    def read(cls, text: str) -> EndpointText:
        """Read a description as Twisted does: colons divide it, and after a backslash every character is plain."""
        positional: list[str] = []
        named: dict[str, str] = {}
        for part in re.findall(r"(?:^|:)((?:\\.|[^:\\])*)", text, re.DOTALL):
            name, equals, value = re.findall(r"^((?:\\.|[^=\\])*)(=?)(.*)$", part, re.DOTALL)[0]
            if equals:
                named[_plain(name)] = _plain(value)
            else:
                positional.append(_plain(name))
        return cls(positional[0] if positional else "", tuple(positional[1:]), named)

    @property
    def private_key(self) -> str | None:
        """The path of the private key that ``ssl:`` names; None for another kind of endpoint."""
        return self.named.get("privateKey", _DEFAULT_PRIVATE_KEY) if self.kind == "ssl" else None

    @property
    def _pem_files(self) -> list[str]:
        named = {"privateKey": self.private_key, **self.named}
        return [path for each in _PEM_ARGUMENTS if (path := named.get(each)) is not None]


def split(description: str) -> tuple[bool, str | None, str]:
    """Divide a description into what stands before the endpoint, and the endpoint.

    :returns: whether ``haproxy:`` stands there, the path of ``tls:PATH:`` or None, and the rest.
    """
    endpoint = description.removeprefix(_HEADER)
    takes_header = endpoint != description
    found = _TLS.match(endpoint)
    if found is None:
        return takes_header, None, endpoint
    path = _plain(found[1])
    return takes_header, os.path.abspath(path) if path else "", endpoint[found.end() :]


def tls_mistake(path: str, endpoint: str) -> str | None:
    """What is wrong with ``tls:PATH:`` and the endpoint behind it; None if nothing is known to be.

    :param path: as :func:`split` has found it.
    :param endpoint: what it has left.
    """
    for prefix, words in _MISPLACED.items():
        if endpoint.startswith(prefix):
            return words
    example = "tls:PATH:ENDPOINT such as tls:/etc/proxymux/server.pem:tcp:443 is accepted"
    return None if path and endpoint else f"it has no path or no endpoint; {example}"


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def mistake(text: str, error: BaseException | None) -> str:
    """What is wrong with a description, and what is accepted.

    :param text: the description.
    :param error: what Twisted has raised on it, or as it tried to listen.
    """
    parts = EndpointText.read(text)
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; name a file that can be read"
    if parts.kind == "ssl" and (type(error).__module__.startswith("OpenSSL") or "private key" in str(error)):
        files = ", ".join(map(os.path.abspath, dict.fromkeys(parts._pem_files)))
        return f"{files}: no private key with its certificate in PEM form ({_openssl_words(error)}); name such files"
    if isinstance(error, TypeError) and _BARE_COLON.search(text):
        return r"a colon within a value is written with a backslash before it, as in tcp:8000:interface=\:\:1"
    return f"{_reworded(explain(error))}; {_EXAMPLE}"


def _reworded(reason: str) -> str:
    """What is wrong with the parts of a description, without the names of Twisted's functions."""
    for theirs, ours in _WORDS.items():
        if found := re.search(theirs, reason):
            return found.expand(ours)
    return reason


def _openssl_words(error: BaseException | None) -> str:
    """The reasons in an error of pyOpenSSL's, whose text is a list of tuples."""
    entries = error.args[0] if error is not None and error.args and isinstance(error.args[0], list) else []
    reasons = [entry[2] for entry in entries if isinstance(entry, tuple) and len(entry) == 3 and entry[2]]
    return ", ".join(dict.fromkeys(reasons)) or explain(error)
