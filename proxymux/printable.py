"""Texts of others (clients, upstreams, users' code, the environment), made fit for one line of ours."""

from __future__ import annotations


def printable(text: str, limit: int | None = None) -> str:
    """Return ``text`` with every character that is not printable written as an escape: ``\\n``, ``\\x1b``, ``\\u202e``.

    That is control characters, line ends, the marks that change the direction of writing, what no encoding takes
    (surrogates), and spaces other than the common one.  A printable text is returned as it is, so that doing it twice
    does no harm.

    :param limit: the most characters of ``text`` that are kept; the number of those that are not is said.
    """
    if limit is not None and len(text) > limit:
        text = f"{text[:limit]}... ({len(text) - limit} characters more)"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)
