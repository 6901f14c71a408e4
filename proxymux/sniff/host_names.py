"""Host names by pattern, as they stand in the tables of a router."""

from __future__ import annotations

import functools
import re
from typing import Final

#: Printable ASCII without the dot and ``*``.
_LABEL: Final = r"[!-)+-\-/-~]+"
#: Characters of the longest name in text form, with a dot at its end (RFC 1035 section 2.3.4).
_LIMIT: Final = 254


def matches_host(pattern: str, name: str | None) -> bool:
    """True if a host name, such as a server name of TLS or a Host of HTTP, is one that ``pattern`` means.

    * ``shop.example`` means that name alone.
    * ``*.shop.example`` means the names with exactly one label more: ``www.shop.example``, but neither
      ``a.www.shop.example`` nor ``shop.example``.  A ``*`` stands for one whole label wherever it stands, as in Caddy.
    * ``*`` alone means every name, and no name at all, as ``HostSNI(`*`)`` does in Traefik.

    Case does not matter, nor does one dot at the end of either.  Names are ASCII: write others as ``xn--…``.

    :param name: None, of a client that has not given any, is meant by ``*`` alone.
    :raises ValueError: if ``pattern`` is not a name with or without such labels.
    """
    expression = _compiled(pattern)
    if expression is None:
        return True
    return name is not None and len(name) <= _LIMIT and expression.fullmatch(name) is not None


@functools.lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """The expression of a pattern; None for the one that means everything."""
    labels = pattern.removesuffix(".").split(".")
    if labels == ["*"]:
        return None
    for label in labels:
        if not label or not label.isascii() or ("*" in label and label != "*"):
            raise ValueError(
                f"{pattern!r:.80} is no pattern of host names: a label is * or ASCII without *, and not empty"
            )
    words = [_LABEL if label == "*" else re.escape(label) for label in labels]
    return re.compile(r"\.".join(words) + r"\.?", re.ASCII | re.IGNORECASE)
