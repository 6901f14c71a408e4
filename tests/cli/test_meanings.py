from __future__ import annotations

from pathlib import Path

from proxymux.cli.meanings import MEANINGS
from proxymux.core.outcome import Outcome


def test_every_outcome_has_a_meaning_and_a_hint_which_are_sentences() -> None:
    assert set(MEANINGS) == set(Outcome)
    for meaning in MEANINGS.values():
        assert all(text[0].isupper() and text.endswith(".") for text in meaning)


def test_hints_name_options_that_there_are() -> None:
    folder = Path(__file__).parents[2] / "docs"
    pages = "".join(path.read_text() for path in folder.glob("*.rst"))
    words = {word.strip("(),;.'") for meaning in MEANINGS.values() for text in meaning for word in text.split()}
    options = {word for word in words if word.startswith("--")}
    assert len(options) > 8
    assert {each for each in options if each not in pages} - {
        "--queue-limit",
        "--queue-timeout",
        "--max-reply-memory",
    } == set()
