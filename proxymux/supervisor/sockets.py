"""The listening sockets of a service with workers, which the supervisor keeps for as long as it runs.

So a worker that dies loses its own connections only: who waits in the queue of its socket is served by its successor.
"""

from __future__ import annotations

from collections.abc import Sequence

from proxymux.net.reactor.twisted_types import Reactor
from proxymux.net.socket_address import address_of
from proxymux.session.binding import BindingReactor
from proxymux.session.listening import Listener


class ListeningSockets:
    """The sockets of all listeners.

    :param listeners: of the service.
    :param count: the number of workers.
    """

    def __init__(self, listeners: Sequence[Listener], count: int) -> None:
        self._listeners = listeners
        self._count = count
        self._bound: list[BindingReactor] = []

    def open(self, reactor: Reactor) -> None:
        """Open them.

        :raises ConfigError: if one cannot be opened; none is open then.
        """
        try:
            for listener in self._listeners:
                self._bound.append(listener.bind(reactor, self._count))
        except Exception:
            self.close()
            raise

    @property
    def addresses(self) -> list[str]:
        """Their addresses, each as ``ip:port`` or ``unix:/path``."""
        return [_show(bound) for bound in self._bound]

    def of_place(self, number: int) -> list[int]:
        """The descriptors of a place, one for each listener."""
        return [bound.sockets[(number - 1) % len(bound.sockets)].fileno() for bound in self._bound]

    def to_lend(self, number: int) -> list[tuple[int, int]]:
        """The place's sockets that no other place has: for each the listener's index and the descriptor."""
        descriptors = self.of_place(number)
        return [(at, descriptors[at]) for at, bound in enumerate(self._bound) if len(bound.sockets) > 1]

    def close(self) -> float:
        """Close them, and have nobody new come to those that workers still have.

        :returns: seconds until the last who had begun to connect is in a listen queue.
        """
        bound, self._bound = self._bound, []
        return max([each.close() for each in bound], default=0.0)


def _show(bound: BindingReactor) -> str:
    host, port = address_of(bound.sockets[0].getsockname())
    if host.startswith("unix:"):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
