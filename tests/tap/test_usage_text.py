"""``--help`` of the services: in groups, and readable in 80 columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from proxymux.fields import Choice, Count, Duration, Flag, OptionalText
from proxymux.setting_groups import GROUPS, grouped
from proxymux.settings import Settings
from proxymux.tap import gateway, pool, router
from proxymux.tap.usage_text import entries, usage_text

SERVICES: list[Any] = [router, pool, gateway]


@dataclass(kw_only=True)
class Few(Settings):
    """Those of a service with a few more."""

    nap_time: Duration = Duration(7, "to sleep between two clients, if there is nothing else that has to be done")
    sheep: Count = Count(3, "to be counted", short="s")
    colour: Choice[str] = Choice("red", ("red", "green", "blue"), "of the blanket")
    many: Choice[str] = Choice("one", ("one", "two", "three", "four", "five"), "which")
    bed: OptionalText = OptionalText(None, "file of the bed", metavar="FILE", short="b", old_name="couch")
    snore: Flag = Flag("make a noise")


def shown(width: int) -> str:
    groups = {"This": entries(Few, "This", [["demo", None, "go to sleep"]])["This"]}
    return usage_text(groups, "What a service is for, in more words than there are columns.", width)


def test_a_group_is_a_table_with_a_hanging_indent() -> None:
    assert (
        shown(50)
        == """\
What a service is for, in more words than there
are columns.

This:
  --nap-time S      seconds (500ms, 5m, 1h) to
                    sleep between two clients, if
                    there is nothing else that has
                    to be done [default: 7]
  -s, --sheep N     to be counted [default: 3]
  --colour red|green|blue
                    of the blanket: red, green or
                    blue [default: red]
  --many WORD       which: one, two, three, four
                    or five [default: one]
  --bed FILE        file of the bed [default:
                    none]
  -b, --couch FILE  old name of --bed
  --snore           make a noise [default: off]
"""
    )


def test_an_option_that_has_room_is_one_line() -> None:
    assert "  --colour red|green|blue  of the blanket: red, green or blue [default: red]\n" in shown(120)


def test_an_entry_knows_what_may_stand_behind_it() -> None:
    found = {each.name: each for each in entries(Few, "This", [])["This"]}
    assert list(found["--colour"].words) == ["red", "green", "blue"]
    assert [name for name, each in found.items() if each.is_path] == ["--bed", "--couch"]


@pytest.mark.parametrize("service", SERVICES)
def test_the_help_of_a_service_has_its_own_options_first_and_fits_80_columns(service: Any) -> None:
    text = usage_text(service.Options.groups, service.Options.longdesc, 80)
    assert max(map(len, text.splitlines())) <= 80
    titles = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert titles == [service.Options.title, *GROUPS, "Trying it"]


@pytest.mark.parametrize("service", SERVICES)
def test_no_option_is_left_out_or_there_twice(service: Any) -> None:
    names = [each.name.removeprefix("--") for group in service.Options.groups.values() for each in group]
    assert sorted(names) == sorted(each.removesuffix("=") for each in service.Options().longOpt)


def test_every_shared_setting_is_in_a_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(
        each.name for each in Settings.fields()
    )
    assert "More" not in grouped(Few, "This")
