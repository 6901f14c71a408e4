"""Events: what user code may listen to, with every listener kept apart from the others."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

Listener = Callable[..., Any]
_L = TypeVar("_L", bound=Listener)

#: The events there are, with the arguments that their listeners get.
EVENTS: Final = {
    "connected": "(logger, remote): a client was admitted; raising refuses it",
    "request": "(logger, data, response): the pool has sent a request; response is a Deferred of its whole reply",
    "decided": "(logger, decision): the decider forwarded or rejected a client",
    "connect_failed": "(logger, target, reason): one attempt to connect failed",
    "ended": "(logger, record): a session is over",
}


class Events:
    """A publisher.  A listener that raises, or whose awaitable fails, harms nobody else.

    :param report: called with a listener and its exception.
    :param spawn: called with a listener and the awaitable that it returned; it must see it through.
    """

    def __init__(
        self,
        report: Callable[[Listener, BaseException], None],
        spawn: Callable[[Listener, Any], None],
    ) -> None:
        self._report = report
        self._spawn = spawn
        self._listeners: dict[str, list[Listener]] = {name: [] for name in EVENTS}

    def on(self, event: str, listener: Listener | None = None) -> Any:
        """Have ``listener`` called at ``event``; without a listener, a decorator.

        :raises ValueError: if there is no such event.
        """
        listeners = self._of(event)
        if listener is None:
            return lambda function: self.on(event, function)
        listeners.append(listener)
        return listener

    def off(self, event: str, listener: Listener) -> None:
        """Undo :meth:`on`.  Taking off a listener that is not on changes nothing.

        :raises ValueError: if there is no such event.
        """
        listeners = self._of(event)
        if listener in listeners:
            listeners.remove(listener)

    def heard(self, event: str) -> bool:
        """True if anybody listens to ``event``."""
        return bool(self._listeners[event])

    def listeners(self, event: str) -> Collection[Listener]:
        """Whoever listens to ``event``, now and later: for those who look too often to call :meth:`heard`.

        :raises ValueError: if there is no such event.
        """
        return self._of(event)

    def emit(self, event: str, *arguments: Any) -> BaseException | None:
        """Call every listener of ``event``, in the order in which they came.

        :returns: the first exception that a listener raised, or None; all of them were reported.
        """
        return self.emit_each(event, lambda: arguments)

    def emit_each(self, event: str, make_arguments: Callable[[], tuple[Any, ...]]) -> BaseException | None:
        """As :meth:`emit`, with arguments that are made afresh for every listener."""
        first: BaseException | None = None
        for listener in tuple(self._listeners[event]):
            try:
                result = listener(*make_arguments())
            except BaseException as error:  # a listener that calls exit() is one that failed
                self._report(listener, error)
                first = first or error
            else:
                if hasattr(result, "__await__"):
                    self._spawn(listener, result)
        return first

    def _of(self, event: str) -> list[Listener]:
        try:
            return self._listeners[event]
        except KeyError:
            raise ValueError(f"{event!r} is not an event: {', '.join(EVENTS)} are") from None
