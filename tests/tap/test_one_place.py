"""A setting stands in one place: what is added there is an option, a keyword argument and a row of the docs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from typing_extensions import assert_type

from proxymux import Gateway, Multiplexer, Router
from proxymux.errors import ConfigError
from proxymux.fields import Duration, Flag, Values
from proxymux.gateway.settings import GatewaySettings
from proxymux.pool.settings import PoolSettings
from proxymux.router.settings import RouterSettings
from proxymux.service import ProxyService
from proxymux.settings import Settings, non_empty
from proxymux.supervisor.supervisor import Supervisor
from proxymux.tap.gateway import Options as GatewayOptions
from proxymux.tap.keywords import takes
from proxymux.tap.options import SettingsOptions
from proxymux.tap.pool import Options as PoolOptions
from proxymux.tap.router import Options as RouterOptions
from tests.docs.making import script

LOOPBACK = "tcp:0:interface=127.0.0.1"


@dataclass(kw_only=True)
class MoreSettings(Settings):
    """Those of a service with three more."""

    nap_time: Duration = Duration(7, "to sleep between two clients")
    bell: Values[str] = Values((), non_empty, "who is woken up", "names", metavar="NAME")
    snore: Flag = Flag("make a noise")


class MoreOptions(SettingsOptions[MoreSettings]):
    """Their command line."""

    kind = MoreSettings

    def read(self, given: object) -> MoreSettings:
        assert isinstance(given, dict)
        return MoreSettings.read(given)


@takes(MoreSettings, MoreSettings.read)
def more(settings: MoreSettings) -> MoreSettings:
    """What a .tac file calls."""
    return settings


def parse(*arguments: str) -> MoreSettings:
    options = MoreOptions()
    options.parseOptions(list(arguments))
    return options.settings


# A new setting


def test_it_is_in_the_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        parse("--help")
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for option, words in [
        ("--nap-time S", "seconds (500ms, 5m, 1h) to sleep between two clients [default: 7]"),
        ("--bell NAME", "who is woken up. Repeatable. [default: none]"),
        ("--snore", "make a noise [default: off]"),
    ]:
        assert [option, words] in [re.split("  +", line, maxsplit=1) for line in lines]


def test_it_is_an_option() -> None:
    read = parse("--nap-time", "2.5", "--bell", "a", "--bell", "b", "--snore")
    assert (read.nap_time, read.bell, read.snore) == (2.5, ("a", "b"), True)
    assert parse() == MoreSettings()


def test_it_is_a_keyword_argument() -> None:
    made = more(nap_time="2.5", bell=["a", "b"], snore=True, listen="tcp:1")
    assert made == MoreSettings(nap_time=2.5, bell=("a", "b"), snore=True, listen=["tcp:1"])
    assert more() == MoreSettings()
    with pytest.raises(ConfigError, match=r"^--nap-time: 'soon' is not accepted; a number of seconds greater than 0"):
        more(nap_time="soon")


def test_it_is_in_the_docs() -> None:
    made = script("option_tables").table(MoreSettings)
    assert "   * - ``--nap-time S``\n     - 7\n     - seconds (500ms, 5m, 1h) to sleep between two clients\n" in made
    assert "   * - ``--bell NAME``\n     - none\n     - who is woken up. Repeatable.\n" in made
    assert "   * - ``--snore``\n     - off\n     - make a noise\n" in made
    assert "--decide-timeout" not in made


# Names that there are not


@pytest.mark.parametrize(
    ("options", "given", "meant"),
    [
        (RouterOptions, "--decide-timeuot", "--decide-timeout"),
        (RouterOptions, "--ruoter", "--router"),
        (RouterOptions, "--chekc", "--check"),
        (GatewayOptions, "--deny-targets", "--deny-target"),
        (PoolOptions, "--warm-up", "--warmup"),
    ],
)
def test_a_misspelt_option_names_the_nearest(
    options: type[SettingsOptions[Settings]], given: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        options().parseOptions([given, "1"])
    assert capsys.readouterr().err == f"proxymux: {given}: not recognized; did you mean {meant}?\n"


def test_a_misspelt_keyword_names_the_nearest() -> None:
    # mypy says so too: were these functions untyped, it would find nothing to ignore.
    with pytest.raises(ConfigError, match=r"^lissten: there is no such option; did you mean listen\?$"):
        Router("router.py", lissten="tcp:8000")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"^key_fiel: there is no such option; did you mean key_file\?$"):
        Gateway(key_fiel="keys")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"^async: there is no such option; did you mean async_\?$"):
        Multiplexer(**{"async": True})  # type: ignore[arg-type]


def test_a_keyword_has_a_type(tmp_path: Path) -> None:
    router = tmp_path / "router.py"
    router.write_text("def proxy(data):\n    return None\n")
    service = Router(str(router), listen=LOOPBACK, max_connections=5, tcp_keepalive="off", send_proxy="v2", shadow=None)
    assert_type(service, ProxyService | Supervisor)
    with pytest.raises(ConfigError, match=r"^--listen: 8000 is not accepted; "):
        Router(str(router), listen=8000)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^--relay: 'magic' is not accepted; "):
        Router(str(router), listen=LOOPBACK, relay="magic")  # type: ignore[arg-type]


def test_a_router_for_a_tac_file_says_what_it_needs() -> None:
    with pytest.raises(ConfigError, match=r"^router: missing; "):
        Router()
    with pytest.raises(ConfigError, match=r"^listen: missing; give a Twisted server endpoint"):
        Router("router.py")


def test_what_is_none_is_not_given() -> None:
    assert more(nap_time=3, listen=()).listen == ()
    assert GatewaySettings.read({"tcp_keepalive": None}).tcp_keepalive == 15
    assert GatewaySettings(tcp_keepalive=None).tcp_keepalive is None


@pytest.mark.parametrize("kind", [RouterSettings, GatewaySettings, PoolSettings])
def test_every_setting_says_what_it_is(kind: type[Settings]) -> None:
    for each in kind.fields():
        assert each.meaning
        assert each.default_text
        assert each.unit in each.help_line
        assert each.help_line.endswith(f"[default: {each.default_text}]")
