"""Every error that proxymux raises on purpose.

Catch :class:`ProxymuxError` for all of them.  The text of each is one line, fit to be shown to an operator as it is.
"""


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


class BadKeys(ProxymuxError, ValueError):
    """A key file cannot be used.  The text names the line, and nothing of a key."""


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
