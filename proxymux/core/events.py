"""Events: what user code may subscribe to.  An event listener that fails does not affect the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar, overload

#: The user's function; what it returns is ignored, unless it can be awaited.
EventListener = Callable[..., object]
_L = TypeVar("_L", bound=EventListener)

#: The events, with the arguments of their listeners.
EVENTS: Final = {
    "connected": "(logger, remote): a client was admitted; raising refuses it",
    "request": "(logger, data, response): the pool has sent a request; response is a Deferred of its whole reply",
    "decided": "(logger, decision): the decider forwarded or rejected a client",
    "connect_failed": "(logger, target, reason): one attempt to connect failed",
    "ended": "(logger, record): a session is over",
}


class Events:
    """Calls the listeners of each event.

    :param report: called with a listener and the exception that it raised.
    :param spawn: called with a listener and the awaitable that it returned; must await it and report its failure.
    """

    def __init__(
        self,
        report: Callable[[EventListener, BaseException], None],
        spawn: Callable[[EventListener, Awaitable[object]], None],
    ) -> None:
        self._report = report
        self._spawn = spawn
        self._listeners: dict[str, list[EventListener]] = {name: [] for name in EVENTS}

    @overload
    def on(self, event: str, listener: _L) -> _L: ...
    @overload
    def on(self, event: str, listener: None = None) -> Callable[[_L], _L]: ...
    def on(self, event: str, listener: EventListener | None = None) -> EventListener:
        """Call ``listener`` at every ``event``.

        :returns: ``listener``; without one, a decorator that adds the decorated function.
        :raises ValueError: if there is no such event.
        """
        listeners = self._of(event)
        if listener is None:
            return lambda function: self.on(event, function)
        listeners.append(listener)
        return listener

    def off(self, event: str, listener: EventListener) -> None:
        """Undo :meth:`on`.  A listener that was not added changes nothing.

        :raises ValueError: if there is no such event.
        """
        listeners = self._of(event)
        if listener in listeners:
            listeners.remove(listener)

    def heard(self, event: str) -> bool:
        """True if ``event`` has a listener."""
        return bool(self._listeners[event])

    def listeners(self, event: str) -> Collection[EventListener]:
        """The listeners of ``event``, now and later: for callers that look too often to call :meth:`heard`.

        :raises ValueError: if there is no such event.
        """
        return self._of(event)

    def emit(self, event: str, *arguments: object) -> BaseException | None:
        """Call every listener of ``event``, in the order of their :meth:`on`.

        :returns: the first exception that a listener raised, or None; each of them has been reported.
        """
        return self.emit_each(event, lambda: arguments)

    def emit_each(self, event: str, make_arguments: Callable[[], tuple[object, ...]]) -> BaseException | None:
        """As :meth:`emit`; ``make_arguments`` is called for every listener, which gets arguments of its own."""
        first: BaseException | None = None
        for listener in tuple(self._listeners[event]):
            try:
                result = listener(*make_arguments())
            except BaseException as error:  # a listener that calls exit() is one that failed
                self._report(listener, error)
                first = first or error
            else:
                if isinstance(result, Awaitable):
                    self._spawn(listener, result)
        return first

    def _of(self, event: str) -> list[EventListener]:
        try:
            return self._listeners[event]
        except KeyError:
            raise ValueError(f"{event!r} is not an event: {', '.join(EVENTS)} are") from None
