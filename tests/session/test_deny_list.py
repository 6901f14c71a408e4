"""The deny list of a service: its settings, its files, and what comes from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxymux.core.admission import Admission, parse_network
from proxymux.errors import ConfigError
from proxymux.session.deny_list import DenyList
from proxymux.settings import Settings


class Scene:
    """One address of each source."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "denied"
        self.file.write_text("10.0.0.2\n")
        self.admission = Admission()
        settings = Settings(deny=("10.0.0.1",), deny_file=(str(self.file),))
        self.list = DenyList(settings, self.admission)

    def denied(self) -> list[int]:
        return [each for each in range(1, 6) if self.admission.admit(f"10.0.0.{each}") is not None]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_what_comes_from_elsewhere_stands_beside_the_files(scene: Scene) -> None:
    scene.list.load()
    assert scene.denied() == [1, 2]
    scene.list.share([parse_network("10.0.0.3")])
    assert scene.denied() == [1, 2, 3]
    scene.list.share([parse_network("10.0.0.4")])
    assert scene.denied() == [1, 2, 4]
    scene.list.share(())
    assert scene.denied() == [1, 2]


def test_a_reload_keeps_it_and_it_keeps_what_a_reload_has_read(scene: Scene) -> None:
    scene.list.share([parse_network("10.0.0.3")])
    scene.file.write_text("10.0.0.5\n")
    scene.list.load()
    assert scene.denied() == [1, 3, 5]
    scene.file.write_text("nonsense\n")
    with pytest.raises(ConfigError):
        scene.list.load()
    scene.list.share([parse_network("10.0.0.4")])
    assert scene.denied() == [1, 4, 5]
