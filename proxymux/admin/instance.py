"""The instance that the admin endpoint shows and steers: all services of a process, or those of all workers."""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred

from proxymux.admin.fleets import Fleets


class Instance(Protocol):
    """What the admin endpoint asks.  Every answer is fit for JSON."""

    def status(self) -> Deferred[dict[str, Any]]:
        """The object of ``/status``: the workers, and the services with their pools and clusters."""

    @property
    def fleets(self) -> Fleets:
        """The fleets that the process is one of, which ``/status`` lists, too."""

    def counters(self) -> Deferred[dict[str, list[float]]]:
        """The cells of :mod:`proxymux.admin.counters` of each service by its name, with the bytes of live sessions."""

    def sessions(self, limit: int) -> Deferred[list[dict[str, Any]]]:
        """The live sessions, those that have lasted longest first.

        :param limit: the most of them.
        """

    def session(self, number: int) -> Deferred[dict[str, Any] | None]:
        """What is known of a session that is live, or one of the last that have ended; None of another."""

    def close_session(self, number: int) -> Deferred[bool]:
        """End a live session with the outcome ``drained``; False if there is none of that number."""

    def is_ready(self) -> Deferred[bool]:
        """True if every service of every worker serves new clients."""

    def reload(self) -> Deferred[str | None]:
        """Read routers, keys, deny files, certificates and the like again, as HUP does.

        :returns: None if all was read; otherwise what was not, in one line.
        """

    def drain(self) -> Deferred[None]:
        """Accept no more clients, and let those that are there end.  Fires at once, and the process goes on."""

    def rollover(self) -> Deferred[str | None]:
        """Replace the workers by new processes, as USR2 does.

        :returns: None if that has begun; otherwise why it cannot, in one line.
        """

    def hold(self, target: str, cluster: str | None = None) -> Deferred[bool]:
        """Have what is new for a target wait, in every service that can hold it.

        :param cluster: the name of one that it must belong to; None for any target.
        :returns: fires with False if it is held already.  Fails with :class:`~proxymux.errors.BadAddress` if it is no
            target, with :class:`~proxymux.errors.NotHeld` if no service can hold it, and with
            :class:`~proxymux.errors.NoMember` if it is none of that cluster's.
        """

    def release(self, target: str, cluster: str | None = None) -> Deferred[bool]:
        """Let what waits for a target go on; see :meth:`hold`.

        :returns: fires with False if it was not held.
        """

    def drain_target(self, target: str, cluster: str) -> Deferred[bool]:
        """Have a target of a cluster get nothing new.

        :returns: fires with False if it is so already.  Fails as :meth:`hold` does.
        """

    def enable_target(self, target: str, cluster: str) -> Deferred[bool]:
        """Have it be used again.

        :returns: fires with False if it was not drained.  Fails as :meth:`hold` does.
        """

    def stacks(self) -> Deferred[str]:
        """Where every thread of every process is now."""

    def profile(self, seconds: float) -> Deferred[str]:
        """Which functions the processes spend their time in, measured for ``seconds``."""
