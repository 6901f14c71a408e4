"""``proxymux top``, live: draws what the samples and the keys make of the view."""

from __future__ import annotations

import queue
import time
from typing import Final

from proxymux.cli.admin_client import AdminClient, NotAnswered
from proxymux.cli.top.drawing import Ink, picture, room
from proxymux.cli.top.polling import Found, Poller, Said
from proxymux.cli.top.samples import Sample, compare
from proxymux.cli.top.terminal import Terminal
from proxymux.cli.top.units import duration
from proxymux.cli.top.view import Action, Quit, View

#: Seconds after which it is drawn anew although nothing has happened: for the time of day.
_TICK: Final = 1.0


def show(client: AdminClient, first: Sample, interval: float, sessions: int) -> int:
    """Show an instance until the user has enough of it.

    :param first: the first sample.
    :returns: the exit status.
    """
    with Terminal() as terminal:
        _Live(client, terminal, first, interval, sessions).run()
    return 0


class _Live:
    """One terminal that shows an instance."""

    def __init__(self, client: AdminClient, terminal: Terminal, first: Sample, interval: float, sessions: int) -> None:
        self._name = client.name
        self._terminal = terminal
        self._sample = first
        self._shown = compare(None, first)
        #: Why the sample is old, in words.
        self._problem = ""
        self._view = View()
        self._ink = Ink()
        self._size = (0, 0)
        self._found: queue.SimpleQueue[Found] = queue.SimpleQueue()
        self._poller = Poller(client, interval, sessions, self._take_note)

    def _take_note(self, what: Found) -> None:
        """Called by the poller's thread."""
        self._found.put(what)
        self._terminal.wake()

    def run(self) -> None:
        """Show it until the user quits, or the terminal is gone."""
        self._poller.start()
        while True:
            self._draw()
            keys = self._terminal.wait(_TICK)
            self._hear()
            if keys is None or not self._press(keys):
                return

    def _press(self, keys: list[str]) -> bool:
        """Do what the keys mean; False if it is to end."""
        for key in keys:
            wanted = self._view.press(key, self._shown)
            if isinstance(wanted, Quit):
                return False
            if wanted is not None:
                self._view.message = f"{wanted.words} …" if isinstance(wanted, Action) else ""
                self._poller.tell(wanted)
        return True

    def _hear(self) -> None:
        """Take in what the poller has found.

        :raises Exception: that has ended the poller.
        """
        while not self._found.empty():
            what = self._found.get()
            if isinstance(what, Sample):
                self._shown, self._sample, self._problem = compare(self._sample, what), what, ""
            elif isinstance(what, NotAnswered):
                self._problem = str(what)
            elif isinstance(what, Said):
                self._view.message = what.words
            elif isinstance(what, Exception):
                raise what
            else:
                self._view.page = what

    def _draw(self) -> None:
        size = self._terminal.size
        if size != self._size:
            self._size = size
            self._terminal.forget()
        self._view.width, self._view.height = size[0], room(size[1])
        problem = self._problem
        if problem:
            problem = f"{problem}; trying again, this is {duration(time.monotonic() - self._sample.at)} old"
        lines = picture(self._view, self._shown, self._name, problem, size)
        self._terminal.draw([self._ink.write(line) for line in lines])
