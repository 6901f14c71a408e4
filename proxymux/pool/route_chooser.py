"""Has a router choose where the requests of one client go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from proxymux.core.choice import Apart, Choice, Replaced, of_places, unserved
from proxymux.core.codecs.view import RequestView
from proxymux.core.decision import Forward, Reply
from proxymux.core.identity import Client
from proxymux.core.lanes import Place
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.request_cutter import Answer
from proxymux.core.route_result import Route
from proxymux.core.wheel import Timer
from proxymux.errors import DecisionFailed
from proxymux.pool.named_pools import NoPlace
from proxymux.pool.places import Places

#: What a client is told of an error of the router; the operator's log has more.
FAILED = "the proxy's router has failed"


class RouteChooser:
    """Asks the router about one request after the other, or about one for each key of a request that can be split.

    :param client: as the router sees it.
    """

    def __init__(self, places: Places, client: Client) -> None:
        self._places = places
        self._client = client
        self._codec = places.codec
        #: Told of what was chosen later than at once; set once there is somebody to be told.
        self.decided: Callable[[Choice], None]
        self._pending: Deferred[Route] | None = None
        self._timer: Timer | None = None
        self._is_late = False

    def choose(self, data: bytes, key: bytes | None) -> Choice | None:
        view = self._codec.view(data)
        if key is not None:
            view.note_key(key)
        elif view.can_split:
            return self._choose_parts(view, [])
        return self._ask(view, self._told)

    def places_of(self, keys: Sequence[bytes]) -> Sequence[Place] | None:
        return None  # the router is asked about requests, one by one

    def claim(self, data: bytes) -> Choice | None:
        return self._ask(self._codec.view(data), self._told)

    def first(self, data: bytes) -> Choice:
        return self._choice_of(self._codec.view(data), None)

    def cancel(self) -> None:
        """Ask no more: nobody waits for what is being decided."""
        pending, self._pending = self._pending, None
        self._stop_timer()
        if pending is not None:
            pending.cancel()

    def _told(self, choice: Choice) -> None:
        self.decided(choice)

    def _ask(self, view: RequestView, later: Callable[[Choice], None]) -> Choice | None:
        """Ask about one request.

        :param later: called with the choice if it is not returned.
        """
        try:
            found = self._places.router.decide(view, self._client)
        except DecisionFailed as problem:
            return self._failed(view, problem)
        if isinstance(found, Deferred):
            return self._wait(found, view, later)
        return self._choice_of(view, found)

    def _wait(self, waiting: Deferred[Route], view: RequestView, later: Callable[[Choice], None]) -> Choice | None:
        self._is_late = False
        self._pending = waiting
        at_once: list[Choice] = []
        is_waiting = False

        def settle(result: Route | Failure) -> None:
            if self._pending is not waiting:
                return
            self._pending = None
            self._stop_timer()
            if isinstance(result, Failure):
                assert isinstance(result.value, DecisionFailed)
                choice: Choice = self._failed(view, result.value)
            else:
                choice = self._choice_of(view, result)
            if is_waiting:
                later(choice)
            else:
                at_once.append(choice)

        waiting.addBoth(settle)
        if at_once:
            return at_once[0]
        is_waiting = True
        self._timer = self._places.rules.timers.after(self._places.decide_timeout, self._expired)
        return None

    def _expired(self) -> None:
        self._timer = None
        self._is_late = True
        if self._pending is not None:
            self._pending.cancel()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _choose_parts(self, view: RequestView, chosen: list[Place | Apart]) -> Choice | None:
        """Ask about the keys of a request one after the other.

        :param chosen: for its first keys.
        """
        for position in range(len(chosen), len(view.keys)):
            choice = self._ask(view.of_key(position), partial(self._chosen_part, view, chosen))
            if choice is None:
                return None
            if isinstance(choice, Answer) and choice.is_last:
                return choice
            chosen.append(_as_place(choice))
        return of_places(view, chosen)

    def _chosen_part(self, view: RequestView, chosen: list[Place | Apart], choice: Choice) -> None:
        if isinstance(choice, Answer) and choice.is_last:
            self.decided(choice)
            return
        chosen.append(_as_place(choice))
        whole = self._choose_parts(view, chosen)
        if whole is not None:
            self.decided(whole)

    def _choice_of(self, view: RequestView, route: Route) -> Choice:
        if isinstance(route, Reply):
            return Answer(route.reply)
        if route is not None and not isinstance(route, Forward):
            return Answer(route.last_word, True, Ending(Outcome.REJECTED))
        try:
            place = self._places.place_of(route, view)
        except NoPlace as problem:
            return unserved(self._codec, view.data, str(problem))
        if route is not None and route.data is not None:
            return Replaced(place, route.data)
        return place

    def _failed(self, view: RequestView, problem: DecisionFailed) -> Answer:
        """The end of the client, as its router has failed or needs too long."""
        if problem.is_cancelled and self._is_late:
            outcome = Outcome.UNDECIDED
            text = f"no decision within {self._places.decide_timeout:g} s (--decide-timeout)"
            told = text
        else:
            outcome, text, told = Outcome.ROUTER_ERROR, str(problem), FAILED
        self._places.report(text, self._client, problem.details)
        return Answer(self._codec.failure_for(view.data, told), True, Ending(outcome, text))


def _as_place(choice: Choice) -> Place | Apart:
    """What stands for one key when its request is split."""
    return Apart(choice) if isinstance(choice, (Answer, Replaced)) else choice  # type: ignore[return-value]
