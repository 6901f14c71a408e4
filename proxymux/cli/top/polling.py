"""Asks the endpoint in a thread of its own, so that keys are heard while it does not answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from proxymux.cli.admin_client import AdminClient, NotAnswered
from proxymux.cli.top.samples import Sample, take
from proxymux.cli.top.view import Action, Explain, Page
from proxymux.cli.why import explain_lines


@dataclass(frozen=True, slots=True)
class Said:
    """What came of an action, in one line."""

    words: str


Found = Sample | Exception | Said | Page


class Poller:
    """Takes samples, and does what it is told between two of them.

    :param interval: seconds between two samples.
    :param sessions: the most sessions in one.
    :param found: called by the thread with each sample, or the error in its place, and with what came of actions.  An
        error that is no :class:`NotAnswered` is the last.
    """

    def __init__(
        self,
        client: AdminClient,
        interval: float,
        sessions: int,
        found: Callable[[Found], None],
    ) -> None:
        self._client = client
        self._interval = interval
        self._sessions = sessions
        self._found = found
        self._told: queue.SimpleQueue[Action | Explain] = queue.SimpleQueue()

    def start(self) -> None:
        """Begin; it goes on until the program ends."""
        threading.Thread(target=self._run, daemon=True).start()

    def tell(self, what: Action | Explain) -> None:
        """Have something done, and a sample taken after it."""
        self._told.put(what)

    def _run(self) -> None:
        try:
            while True:
                self._wait()
                self._look()
        except Exception as error:  # of ours; whoever shows it ends
            self._found(error)

    def _wait(self) -> None:
        """Wait until the next sample is due, or for something to do, and do that."""
        try:
            what = self._told.get(timeout=self._interval)
        except queue.Empty:
            return
        self._do(what)

    def _look(self) -> None:
        try:
            self._found(take(self._client, self._sessions))
        except NotAnswered as error:
            self._found(error)

    def _do(self, what: Action | Explain) -> None:
        try:
            if isinstance(what, Action):
                self._found(Said(self._client.post(what.path)))
            else:
                session = self._client.get(f"/sessions/{what.number}")
                self._found(Page(f"Session {what.number}", tuple(explain_lines(session))))
        except NotAnswered as error:
            self._found(Said(str(error)))
