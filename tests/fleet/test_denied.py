"""The networks that the values of keys name."""

from __future__ import annotations

import pytest

from proxymux.core.admission import parse_network
from proxymux.fleet import denied
from proxymux.fleet.denied import MAX_COMPLAINTS, DeniedNetworks
from tests.fleet.stores import Lines


class Scene:
    """A list, and what etcd has."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.denied = DeniedNetworks("the list", self.lines.log)
        self.values: dict[bytes, bytes] = {}

    def set(self, **values: bytes | None) -> list[str]:
        """Change some values, delete those that are None; the networks then."""
        keys = {name.encode(): value for name, value in values.items()}
        self.values.update({key: value for key, value in keys.items() if value is not None})
        for key in [key for key, value in keys.items() if value is None]:
            self.values.pop(key, None)
        self.denied.update(self.values, keys)
        return sorted(map(str, self.denied.networks))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_addresses_and_networks_come_change_and_go(scene: Scene) -> None:
    assert scene.set(a=b"10.0.0.1", b=b" 2001:db8::/32\n") == ["10.0.0.1/32", "2001:db8::/32"]
    assert scene.set(a=b"10.0.0.0/8") == ["10.0.0.0/8", "2001:db8::/32"]
    assert scene.set(b=None) == ["10.0.0.0/8"]
    assert scene.set(b=None) == ["10.0.0.0/8"]
    assert scene.lines.lines == []


def test_a_network_that_two_keys_name_stays_until_both_are_gone(scene: Scene) -> None:
    scene.set(a=b"10.0.0.1", b=b"10.0.0.1")
    assert scene.set(a=None) == ["10.0.0.1/32"]
    assert scene.set(b=None) == []


@pytest.mark.parametrize("value", [b"", b"nonsense", b"10.0.0.1/8", b"10.0.0.1 10.0.0.2", b"\xff\xfe", b"10.0.0.1\x00"])
def test_what_is_no_network_is_left_out_and_said_with_its_key(scene: Scene, value: bytes) -> None:
    assert scene.set(a=b"10.0.0.1", bad=value) == ["10.0.0.1/32"]
    [line] = scene.lines.lines
    assert line.startswith("the list: bad is left out: ")
    assert line.isprintable()
    assert scene.set(a=None) == []
    assert len(scene.lines.lines) == 1


def test_a_value_that_is_bad_now_denies_no_more_what_it_denied(scene: Scene) -> None:
    scene.set(a=b"10.0.0.1")
    assert scene.set(a=b"nonsense") == []


def test_many_bad_values_are_a_few_lines(scene: Scene) -> None:
    scene.set(**{f"k{number:03}": b"nonsense" for number in range(100)})
    assert len(scene.lines.lines) == MAX_COMPLAINTS + 1
    assert scene.lines.lines[-1] == f"the list: {100 - MAX_COMPLAINTS} other values are left out, too"


def test_a_key_is_shown_printable_and_short(scene: Scene) -> None:
    key = b"\x1b[2J\xff" + b"x" * 1000
    scene.denied.update({key: b"nonsense"}, [key])
    [line] = scene.lines.lines
    assert line.isprintable()
    assert len(line) < 500


def test_too_many_are_left_out_and_said_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denied, "MAX_NETWORKS", 2)
    assert scene.set(a=b"10.0.0.1", b=b"10.0.0.2", c=b"10.0.0.3") == ["10.0.0.1/32", "10.0.0.2/32"]
    scene.set(d=b"10.0.0.4")
    assert scene.lines.lines == ["the list: there are more than 2 networks; the last 1 are not denied"]
    assert scene.set(a=None, b=None) == ["10.0.0.3/32", "10.0.0.4/32"]
    assert parse_network("10.0.0.3") in scene.denied.networks
