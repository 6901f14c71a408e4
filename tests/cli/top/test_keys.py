from __future__ import annotations

import pytest

from proxymux.cli.top.keys import Keys


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        ("q", ["q"]),
        ("é\r\t\x7f", ["é", "enter", "tab", "backspace"]),
        ("\x1b[A\x1bOB\x1b[5~\x1b[6~", ["up", "down", "page up", "page down"]),
        ("\x1b[H\x1b[F\x1b[1~\x1b[4~\x1b[Z", ["home", "end", "home", "end", "back tab"]),
        ("\x1b[1;5Aq\x1b[200~", ["q"]),
        ("\x1b\x1bq", ["escape", "escape", "q"]),
        ("\x1bq", ["escape", "q"]),
        ("\x00\x01\x9b", []),
    ],
)
def test_bytes_make_keys_in_whatever_pieces_they_come(data: str, keys: list[str]) -> None:
    whole = data.encode()
    for cut in range(len(whole) + 1):
        each = Keys()
        assert each.feed(whole[:cut]) + each.feed(whole[cut:]) == keys
        assert not each.is_within


def test_an_escape_without_more_is_a_key_once_nothing_follows() -> None:
    keys = Keys()
    assert keys.feed(b"\x1b") == []
    assert keys.is_within
    assert keys.finish() == ["escape"]
    assert not keys.is_within


def test_a_sequence_without_an_end_takes_no_memory() -> None:
    keys = Keys()
    assert len(keys.feed(b"\x1b[" + b"1" * 1000)) == 1002
    assert not keys.is_within
