"""Every error that proxymux raises on purpose.

Catch :class:`ProxymuxError` for all of them.  The text of each is one line, fit to be shown to an operator as it is.
"""

from __future__ import annotations

from typing import Any


class ProxymuxError(Exception):
    """Base of all errors here; never raised itself."""


class BadAddress(ProxymuxError, ValueError):
    """A text that should name a target or a network does not."""


class BadResult(ProxymuxError, ValueError):
    """A router returned something that is not a decision."""


class BadHeader(ProxymuxError, ValueError):
    """The bytes at the start of a connection are not a PROXY protocol header."""


class BadToken(ProxymuxError, ValueError):
    """A token opens nothing.  The text says why, to the operator and never to the client.

    :param reason: one of a few, to be counted.
    :param details: more for the log.
    """

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(f"{reason}: {details}" if details else reason)
        self.reason = reason
        self.details = details


class BadKeys(ProxymuxError, ValueError):
    """A key file cannot be used.  The text names the line, and nothing of a key."""


class BadCodec(ProxymuxError, ValueError):
    """There is no codec of that name.  The text says which names there are."""


class BadMessage(ProxymuxError, ValueError):
    """What a peer sent is no message of its protocol, is too large for us, or is a reply that nobody asked for.

    The bytes from there on cannot be told apart: the connection that they came from is of no use any more.

    :param problem: what is wrong.
    :param answer: what to send to a client before its connection is closed; may be empty.
    """

    def __init__(self, problem: str, answer: bytes = b"") -> None:
        super().__init__(problem)
        self.problem = problem
        self.answer = answer
        #: What ``feed()`` would have returned, had the data ended before the bad message.
        self.finished: list[Any] = []


class ConfigError(ProxymuxError):
    """An option cannot be used as it was given.

    :param option: the option as the user typed it, for example ``--listen``.
    :param problem: what is wrong and what is accepted.
    """

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}")
        self.option = option
        self.problem = problem


class RouterError(ProxymuxError):
    """A router file cannot be used.  The text begins with ``file:line`` where a line is known."""


class DecisionFailed(ProxymuxError):
    """A decider did wrong.  The text is one line and begins with ``file:line`` where a line is known.

    :param problem: that line.
    :param details: the traceback, or an empty text.
    :param is_cancelled: True if it was given up on, and did no wrong.
    """

    def __init__(self, problem: str, details: str = "", is_cancelled: bool = False) -> None:
        super().__init__(problem)
        self.details = details
        self.is_cancelled = is_cancelled
