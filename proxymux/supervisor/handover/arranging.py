"""The supervisor's part in a handover: it gives both workers their end of a socket, and keeps none."""

from __future__ import annotations

import socket

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from proxymux.supervisor.worker import NoAnswer, Worker


def arrange(old: Worker, new: Worker) -> Deferred[int]:
    """Have a worker give its sessions to its successor.  It must have been told to accept no more.

    :returns: fires with the number of sessions that were handed over, as far as that is known, when no more can be
        for the time being.
    :raises OSError: if the system gives no sockets.
    """
    for_old, for_new = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # As long as a third process had one of the ends, neither worker would hear of the other's death.
    new.ask("receive", [for_new.fileno()]).addErrback(_unanswered).addBoth(lambda _: for_new.close())
    done: Deferred[int] = Deferred()

    def finish(count: int) -> None:
        if not done.called:
            done.callback(count)

    begun = old.ask("hand_over", [for_old.fileno()])
    begun.addErrback(lambda failure: finish(_unanswered(failure))).addBoth(lambda _: for_old.close())
    # As long as it takes, unless the old worker does not even answer that it begins.
    old.ask("handed_over", patience=None).addErrback(_unanswered).addCallback(finish)
    return done


def _unanswered(failure: Failure) -> int:
    failure.trap(NoAnswer)
    return 0
