from __future__ import annotations

import subprocess

import pytest

from proxymux.cli import main
from proxymux.cli.shell.inventory import CommandLine
from proxymux.cli.shell.manual import PAGES, page
from proxymux.cli.shell.manual import _command as command
from proxymux.tap.usage_text import OptionEntry
from tests.system.conftest import need


def test_the_page_of_a_service_has_its_options_in_groups() -> None:
    text = page("proxymux-pool")
    assert text.startswith('.TH PROXYMUX-POOL 8 "" "proxymux ')
    assert "\nproxymux\\-pool \\- have many clients share few connections\n" in text
    assert "\n\\fBtwistd\\fR [twistd options] proxymux\\-pool [options]\n" in text
    assert '\n.SH "THE POOL"\n.TP\n\\fB\\-\\-warmup\\fR\nconnect to all targets' in text
    assert '\n.SH "WHO MAY CONNECT"\n.TP\n\\fB\\-\\-allow\\fR \\fICIDR\\fR\n' in text
    assert text.endswith("\n.SH SEE ALSO\nproxymux(1), proxymux\\-router(8), proxymux\\-gateway(8), twistd(1)\n")


def test_the_page_of_the_tools_has_a_section_for_each_command() -> None:
    text = page("proxymux")
    assert (
        '\n.SH "PROXYMUX TOKEN SEAL"\n\\fBproxymux\\fR token seal [options]\n.PP\nPrint a token for a target.\n' in text
    )
    assert '\n.SH "PROXYMUX WHY"\n\\fBproxymux\\fR why [options] URL SESSION\n' in text
    assert '.SH "PROXYMUX TOKEN"\n' not in text  # it is no command by itself
    assert "twistd proxymux" not in text


def test_text_is_no_command_of_the_formatter() -> None:
    line = CommandLine(("x", "y"), ".SH text\\fB …", {"Options": [OptionEntry("--a-b", "", "", "'quoted'")]})
    found = list(command(line))
    assert "\\&.SH text\\efB \\[u2026]" in found
    assert found[-2:] == ["\\fB\\-\\-a\\-b\\fR", "\\&'quoted'"]


def test_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["man", "proxymux-router"])
    assert capsys.readouterr().out == page("proxymux-router")


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_man_has_nothing_to_complain_of(name: str) -> None:
    command = [need("groff"), "-man", "-ww", "-Tutf8", "-P-cbou"]
    done = subprocess.run(command, input=page(name), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "SYNOPSIS" in done.stdout
