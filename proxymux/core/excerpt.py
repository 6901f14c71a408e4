"""Excerpts: a value of user code as a short text for the line of an error message."""

from __future__ import annotations

from proxymux.printable import printable


def excerpt(value: object, limit: int = 60) -> str:
    """The beginning of ``repr(value)``, in one printable line; never raises, whatever the value is."""
    try:
        text = repr(value)
    except BaseException as error:
        text = f"<{type(value).__name__} whose repr raises {type(error).__name__}>"
    text = printable(" ".join(text.split()))
    return text if len(text) <= limit else text[: limit - 3] + "..."
