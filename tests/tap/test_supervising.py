"""Whether a service runs in this process or under a supervisor."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proxymux.errors import ConfigError
from proxymux.net.reactor.twisted_types import installed_reactor
from proxymux.settings import Settings
from proxymux.supervisor.launch import Launch
from proxymux.supervisor.seat import Seat
from proxymux.tap import supervising, worker


@pytest.fixture(autouse=True)
def nobody_sits_here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(supervising, "_of_file", None)
    monkeypatch.setattr(supervising, "_with_workers", 0)
    yield
    if Seat.current is not None:
        os.close(Seat.current.table.descriptor)
        Seat.current = None


class Made:
    """Stands for a service."""

    checks = 0

    def check(self) -> None:
        self.checks += 1


def test_without_workers_the_service_is_made_here() -> None:
    service = Made()
    make: Any = lambda: service  # noqa: E731
    options: Any = SimpleNamespace(settings=Settings())
    assert supervising.make_of_command("proxymux", options, installed_reactor(), make) is make()
    assert supervising.make_of_file(Settings(), installed_reactor(), make) is make()
    assert service.checks == 1  # twistd has checked the one of the command line


def test_only_a_file_that_twistd_runs_can_have_workers() -> None:
    with pytest.raises(ConfigError, match=r"^workers: only a \.tac file that twistd runs can have workers"):
        supervising.make_of_file(Settings.read({"workers": 2}), installed_reactor(), Made)  # type: ignore[arg-type]


def test_in_a_worker_each_service_of_the_file_with_workers_has_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = "from twisted.application.service import Application\napplication = Application('x')\n"
    (tmp_path / "made.tac").write_text(made)
    launch = Launch.of_file(str(tmp_path / "made.tac"), 1, object())
    Seat.on_trial(launch, 2)
    services: list[Any] = [Made() for _ in range(3)]
    seats = []

    def seated(service: Any) -> Any:
        seats.append(Seat.current)
        return service

    for workers, service in zip((2, None, 2), services, strict=True):
        shared = Settings.read({"workers": workers})
        assert supervising.make_of_file(shared, installed_reactor(), lambda: seated(service)) is service  # noqa: B023
    assert seats == [None, None, Seat.current]  # what it does not run knows nothing of its seat
    assert supervising.service_of_file(launch) is services[2]
    monkeypatch.setattr(supervising, "_of_file", None)
    gone = Launch.of_file(str(tmp_path / "made.tac"), 2, object())
    with pytest.raises(ConfigError, match=r"^--workers: .*made\.tac has no such service with workers any more"):
        supervising.service_of_file(gone)


def test_every_plugin_has_what_a_worker_makes_it_with() -> None:
    for module in map(importlib.import_module, worker.PLUGINS.values()):
        assert callable(module.make)
        assert callable(module.Options)
