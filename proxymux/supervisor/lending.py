"""Lending: others accept on the sockets of a place where nobody serves, so that nobody waits in their queues."""

from __future__ import annotations

from collections.abc import Sequence

from proxymux.supervisor.place import Place
from proxymux.supervisor.sockets import ListeningSockets
from proxymux.supervisor.worker import Worker


class Lending:
    """Who accepts where nobody serves.

    :param places: of the service.
    :param sockets: of these places.
    """

    def __init__(self, places: Sequence[Place], sockets: ListeningSockets) -> None:
        self._places = places
        self._sockets = sockets
        #: The numbers of places where nobody serves any more, and who accepts on the sockets of each.
        self._deserted: set[int] = set()
        self._lent: dict[int, Worker] = {}
        self._is_over = False

    def desert(self, place: Place) -> None:
        """Note that nobody serves at a place any more."""
        self._deserted.add(place.number)
        self.lend()

    def serve(self, place: Place) -> None:
        """Note that a worker serves at a place, and have whoever was lent its sockets give them back."""
        self._deserted.discard(place.number)
        neighbour = self._lent.pop(place.number, None)
        if neighbour is not None:
            neighbour.send({"do": "give_back", "place": place.number})
        self.lend()

    def forget(self, worker: Worker) -> None:
        """Note that a worker does not accept for others any more; :meth:`lend` then finds another one."""
        self._lent = {number: each for number, each in self._lent.items() if each is not worker}

    def lend(self) -> None:
        """Have those who serve accept on the sockets of deserted places, each on as few as possible."""
        serving = [place.worker for place in self._places if place.worker is not None and place.is_serving]
        if self._is_over or not serving:
            return
        for number in sorted(self._deserted - set(self._lent)):
            lent = list(self._lent.values())
            neighbour = self._lent[number] = min(serving, key=lent.count)
            to_lend = self._sockets.to_lend(number)
            neighbour.send(
                {"do": "lend", "place": number, "listeners": [at for at, _ in to_lend]},
                [descriptor for _, descriptor in to_lend],
            )

    def stop(self) -> None:
        """Lend no more."""
        self._is_over = True
