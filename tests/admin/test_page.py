"""The files of the status page: nothing in them asks another site, or makes markup of what comes from outside."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from proxymux.admin import page

TEXTS = {name: page.read(name).decode() for name in (page.PAGE, *page.FILES)}
SCRIPTS = {name: text for name, text in TEXTS.items() if name.endswith(".js")}


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_file_loads_is_one_of_ours(name: str) -> None:
    loaded = re.findall(r"""(?:from|src=|href=|url\() ?["']?([^"'\s>)]+)""", TEXTS[name])
    ours = {f"/page/{each}" for each in page.FILES} | {"/paths", "#window"}
    assert [each for each in loaded if each.startswith(("/", "#", "http")) and each not in ours] == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)\S+", TEXTS[name]) == []


def test_every_file_is_loaded_and_named() -> None:
    everything = "".join(TEXTS.values())
    assert [name for name in page.FILES if f'"/page/{name}"' not in everything] == []
    there = {each.name for each in files("proxymux.admin").joinpath("templates").iterdir()}
    assert there - {page.PAGE, "index.html"} == set(page.FILES)


def test_nothing_is_inline_that_the_policy_forbids() -> None:
    assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]* src=)", TEXTS[page.PAGE])


def test_a_screen_reader_is_told_of_states_and_not_of_every_number() -> None:
    live = re.findall(r'<\w+ id="([\w-]+)"[^>]*(?:role="(?:status|alert)"|aria-live)', TEXTS[page.PAGE])
    assert live == ["state", "stale", "said", "ask-problem"]
    assert not re.search(r"<output|role=.(log|timer|marquee)", "".join(TEXTS.values()))


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_of_a_text_or_keeps_anything(name: str) -> None:
    forbidden = "innerHTML|outerHTML|insertAdjacentHTML|document.write|eval|Function|localStorage|sessionStorage|cookie"
    assert not re.search(rf"\b({forbidden})\b", SCRIPTS[name])


def luminance(colour: str) -> float:
    """The relative luminance of WCAG of a colour such as ``#1d5c9f``."""
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1])
def test_every_text_has_contrast(scheme: int) -> None:
    colours = dict(
        re.findall(r"--(\w+): (#\w+);", re.findall(r":root \{(.*?)\}", TEXTS["status.css"], re.DOTALL)[scheme])
    )
    for ground in ("ground", "panel", "faint"):
        for name in ("text", "dim", "accent", "good", "warn", "bad"):
            low, high = sorted(luminance(colours[each]) for each in (ground, name))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (name, ground)
