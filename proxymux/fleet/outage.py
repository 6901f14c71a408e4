"""Says in the log that something does not answer, and that it does again: once each, however often it is asked."""

from __future__ import annotations

from twisted.logger import Logger


class Outage:
    """The answers of something, and its failures.

    :param name: of what is asked, in the log.
    :param meanwhile: what happens until it answers again.
    """

    def __init__(self, name: str, meanwhile: str, log: Logger) -> None:
        self._name = name
        #: What happens until it answers again.
        self.meanwhile = meanwhile
        self._log = log
        #: It does not answer.
        self.lasts = False

    def noticed(self, reason: str) -> None:
        """It has failed to answer.

        :param reason: why, in one line without a password.
        """
        if not self.lasts:
            self.lasts = True
            self._log.warn("{name}: {reason}; {then}", name=self._name, reason=reason, then=self.meanwhile)

    def ended(self, _: object = None) -> None:
        """It has answered."""
        if self.lasts:
            self.lasts = False
            self._log.info("{name} answers again", name=self._name)
