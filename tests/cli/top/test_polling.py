from __future__ import annotations

import queue
from typing import Any

import pytest

from proxymux.cli.admin_client import AdminClient, NotAnswered
from proxymux.cli.top import polling
from proxymux.cli.top.polling import Found, Poller, Said
from proxymux.cli.top.samples import Sample
from proxymux.cli.top.view import Action, Explain, Page
from tests.cli.endpoints import endpoint
from tests.cli.test_why import SESSION
from tests.cli.top.instances import sample


class Polled:
    """A poller that only looks when it has been told something."""

    def __init__(self, address: str) -> None:
        self._found: queue.SimpleQueue[Found] = queue.SimpleQueue()
        self._poller = Poller(AdminClient(address, "secret"), 3600, 5, self._found.put)
        self._poller.start()

    def tell(self, what: Action | Explain) -> list[Found]:
        """What comes of it: an answer, and a sample after it."""
        self._poller.tell(what)
        return [self._found.get(timeout=30) for _ in range(2)]


def test_what_is_told_is_done_and_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    now = sample(0.0)
    answers: dict[str, Any] = {"/status": now.status, "/sessions": {"sessions": now.sessions}}
    answers |= {
        "/reload": (200, "reloaded"),
        "/rollover": (409, "no workers"),
        "/sessions/17": SESSION,
        "/sessions/8": 8,
    }
    with endpoint(answers) as played:
        polled, name = Polled(played.address), played.address
        said, taken = polled.tell(Action("/reload", "reload"))
        assert said == Said("reloaded")
        assert isinstance(taken, Sample)
        assert polled.tell(Action("/rollover", ""))[0] == Said(f"{name}: no workers (409)")
        page = polled.tell(Explain(17))[0]
        assert isinstance(page, Page)
        assert page.title == "Session 17"
        assert polled.tell(Explain(8))[0] == Said("what was answered is no session of this version of proxymux")
        del played.answers["/status"]
        assert isinstance(polled.tell(Action("/reload", ""))[1], NotAnswered)

        def broken(*_: object) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(polling, "take", broken)
        assert isinstance(polled.tell(Action("/reload", ""))[1], RuntimeError)
