from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxymux.core.quantity import BYTES, MILLISECONDS, SECONDS, in_plain


@pytest.mark.parametrize(
    ("text", "measure", "plain"),
    [
        ("10s", SECONDS, "10"),
        ("500ms", SECONDS, "0.5"),
        ("5m", SECONDS, "300"),
        ("1h", SECONDS, "3600"),
        ("1d", SECONDS, "86400"),
        ("1.5h", SECONDS, "5400"),
        ("0s", SECONDS, "0"),
        ("0.1s", SECONDS, "0.1"),
        ("1ms", MILLISECONDS, "1"),
        ("2s", MILLISECONDS, "2000"),
        ("1m", MILLISECONDS, "60000"),
        ("64k", BYTES, "65536"),
        ("64K", BYTES, "65536"),
        ("10M", BYTES, "10485760"),
        ("10m", BYTES, "10485760"),
        ("1G", BYTES, "1073741824"),
        ("0.5k", BYTES, "512"),
    ],
)
def test_a_number_with_a_unit_is_rewritten_without(text: str, measure: str, plain: str) -> None:
    assert in_plain(text, measure) == plain


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        *[
            (text, SECONDS)
            for text in ("10", "0.5", "10S", "5M", "1w", "1 s", " 1s", "1s ", "1s\n", "-1s", "+1s", "1h30m")
        ],
        *[(text, SECONDS) for text in ("", "s", "1e3s", "1.s", ".5s", "1k", "\uff11s", "9" * 16 + "s")],
        *[(text, BYTES) for text in ("65536", "64kB", "64KiB", "1s", "1T", "0x1k", "1_0k")],
        *[(text, "") for text in ("5m", "64k")],
    ],
)
def test_any_other_text_is_left_to_the_caller(text: str, measure: str) -> None:
    assert in_plain(text, measure) == text


@given(st.integers(0, 10**6), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400)]))
def test_a_duration_is_the_float_that_is_nearest(number: int, unit: tuple[str, float]) -> None:
    name, scale = unit
    expected = number / 1000 if name == "ms" else number * scale
    assert float(in_plain(f"{number}{name}", SECONDS)) == expected
