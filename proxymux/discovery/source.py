"""Sources of members: the one interface of all kinds, a stream of whole sets."""

from __future__ import annotations

from typing import Protocol

from proxymux.core.member import Entry


class SourceListener(Protocol):
    """Is told what a source knows."""

    def changed(self, entries: tuple[Entry, ...]) -> None:
        """The members are these from now on.  Called with the first set, and with each one that differs."""

    def heard(self) -> None:
        """The source has answered, and nothing has changed."""

    def failed(self, reason: str) -> None:
        """The source cannot be asked, or its answer cannot be used; the members stay.  It goes on trying.

        :param reason: why, in one line without a password.
        """


class Source(Protocol):
    """Where the members of a cluster come from.

    Its constructor raises BadAddress for a text that it cannot use, and does no I/O.
    """

    def check(self) -> None:
        """Look whether the source can be used, as far as that can be said without a network.

        :raises BadAddress: if it cannot.
        """

    def start(self, listener: SourceListener) -> None:
        """Begin to tell ``listener``; what is known at once is told before this returns."""

    def look(self) -> None:
        """Look for changes now, as the operator has asked for a reload."""

    def stop(self) -> None:
        """Tell nothing more, and leave no connection, reader or delayed call."""
