"""Which source a text asks for, and what is imported for it."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from typing import Any, cast

import pytest
from twisted.internet.task import Clock

from proxymux.discovery.file import FileSource
from proxymux.discovery.sources import KINDS, make_source
from proxymux.discovery.srv import SrvSource
from proxymux.discovery.static import StaticSource
from proxymux.errors import BadAddress


def made(text: str) -> object:
    return make_source(text, cast("Any", None), Clock(), lambda: 1.0)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("10.0.0.1:80,10.0.0.2:80 weight=3", StaticSource),
        ("unix:/run/x", StaticSource),
        ("etcd:2379", StaticSource),  # a host of that name, as containers have them
        ("file:/etc/users", FileSource),
        ("file:users", FileSource),
        ("srv://_users._tcp.example.com", SrvSource),
    ],
)
def test_the_scheme_chooses_the_source(text: str, kind: type) -> None:
    assert type(made(text)) is kind


@pytest.mark.parametrize("text", ["http://a:b@c/", "SRV://_users._tcp.example.com", "etcd:/a:b@c/"])
def test_another_scheme_is_refused_and_what_follows_it_is_not_shown(text: str) -> None:
    with pytest.raises(BadAddress) as raised:
        made(text)
    scheme = text[: text.rindex("/", 0, 7) + 1]
    assert str(raised.value) == (
        f"'{scheme}' begins no source; targets with commas between them, or file:, srv://, etcd://, etcds://, "
        "consul://, consuls://, rediscluster://, redisclusters:// do"
    )


@pytest.mark.parametrize(
    "text",
    ["etcd:root:secret@h:2379/p/", "root:s,ecret@h:2379/p/", "h:8500/web?token=secret", "etcd//root:secret@h:1/"],
)
def test_a_url_without_its_scheme_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(BadAddress, match=r"^targets have no @ and no \?") as raised:
        made(text)
    assert "ecret" not in str(raised.value)


def test_the_path_of_a_target_may_have_any_character() -> None:
    assert type(made("unix:/run/web@1,unix:/run/why?")) is StaticSource


def test_the_source_itself_refuses_what_follows_its_scheme() -> None:
    with pytest.raises(BadAddress, match=r"srv://example\.com' is not srv://_name"):
        made("srv://example.com")
    with pytest.raises(BadAddress, match="is given twice"):
        made("a:1,a:1")


@pytest.mark.parametrize("scheme", KINDS)
def test_each_kind_is_made_in_the_same_way(scheme: str) -> None:
    kind = KINDS[scheme]
    if importlib.util.find_spec(f"proxymux.discovery.{kind.module}") is None:
        pytest.skip(f"there is no module {kind.module} yet")
    parameters = [name.lstrip("_") for name in inspect.signature(cast("type", kind.load())).parameters]
    assert parameters[:4] == ["text", "reactor", "clock", "jitter"]


def loaded(text: str, *modules: str) -> list[str]:
    """Which of ``modules`` a process has imported that makes a source."""
    script = (
        "import sys; from twisted.internet.task import Clock; from proxymux.discovery.sources import make_source; "
        f"make_source({text!r}, None, Clock(), lambda: 1.0).check(); "
        f"print(*[name for name in {modules!r} if name in sys.modules])"
    )
    return subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()


def test_what_a_source_needs_is_imported_for_it_alone_and_no_reactor_is_installed() -> None:
    modules = ("twisted.names.dns", "twisted.web.client", "treq", "twisted.internet.reactor")
    assert loaded("10.0.0.1:80", *modules) == []
    assert loaded("srv://_users._tcp.example.com", *modules) == ["twisted.names.dns"]
