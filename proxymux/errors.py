"""Every error that proxymux raises itself.  The text of each is one printable line, for the operator."""

from __future__ import annotations

from typing import Any

from proxymux.printable import printable


class ProxymuxError(Exception):
    """The base of all errors here; never raised itself."""

    def __str__(self) -> str:
        return printable(super().__str__())


class BadAddress(ProxymuxError, ValueError):
    """A text is not an address, a target or a network."""


class BadResult(ProxymuxError, ValueError):
    """A router returned something that is not a decision."""


class BadHeader(ProxymuxError, ValueError):
    """The bytes at the start of a connection are not a PROXY protocol header."""


class BadToken(ProxymuxError, ValueError):
    """A token is not valid.  The text says why, for the operator; it is never sent to the client.

    :param reason: one of a few texts, fit to be counted.
    :param details: what the log says in addition.
    """

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(f"{reason}: {details}" if details else reason)
        self.reason = reason
        self.details = details


class BadKeys(ProxymuxError, ValueError):
    """A key file cannot be used.  The text names the line, without any part of a key."""


class BadCodec(ProxymuxError, ValueError):
    """No codec has the given name.  The text lists the names."""


class BadMessage(ProxymuxError, ValueError):
    """A peer has sent a malformed message, too large a one, or a reply to no request.

    Where the next message begins is not known, so the connection has to be closed.

    :param problem: what is wrong.
    :param answer: the protocol's error reply, for a client before its connection is closed; may be empty.
    """

    def __init__(self, problem: str, answer: bytes = b"") -> None:
        super().__init__(problem)
        self.problem = problem
        self.answer = answer
        #: The messages before the bad one, as the scanner's ``feed()`` returns them.
        self.finished: list[Any] = []


class EtcdError(ProxymuxError):
    """etcd cannot be asked, or has refused.  The text has no user, password or token.

    :param code: gRPC's number of what etcd has answered; None if it has not.
    :param is_unsure: what was asked for may have been done all the same.
    """

    def __init__(self, problem: str, code: int | None = None, is_unsure: bool = False) -> None:
        super().__init__(problem)
        self.code = code
        self.is_unsure = is_unsure


class NotHeld(ProxymuxError):
    """A target cannot be held: it is none of the pool's, or too many are."""


class NoMember(ProxymuxError):
    """There is no such cluster, or it has no such member."""


class ConfigError(ProxymuxError):
    """The value of an option cannot be used.

    :param option: the option as the user typed it, for example ``--listen``.
    :param problem: what is wrong and what is accepted.
    """

    def __init__(self, option: str, problem: str) -> None:
        super().__init__(f"{option}: {problem}")
        self.option = option
        self.problem = problem


class BadCertificate(ProxymuxError):
    """A file of certificates, keys or revocations cannot be used.  The text is one line that names the file."""


class RouterError(ProxymuxError):
    """A router file cannot be used.  The text begins with ``file:line`` where a line is known."""


class DecisionFailed(ProxymuxError):
    """A decider has failed.  The text is one line, which begins with ``file:line`` where a line is known.

    :param problem: the text.
    :param details: the traceback, or an empty text.
    :param is_cancelled: True if the decision was cancelled by its caller, which is no fault of the decider.
    :param fault: the same for each failure of that kind at that place, whatever the data; the text if nothing is given.
    """

    def __init__(self, problem: str, details: str = "", is_cancelled: bool = False, fault: str = "") -> None:
        super().__init__(problem)
        self.details = details
        self.is_cancelled = is_cancelled
        self.fault = fault or problem
