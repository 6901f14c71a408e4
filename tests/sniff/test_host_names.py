from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.sniff import matches_host
from tests.sniff.checks import milliseconds


@pytest.mark.parametrize(
    ("pattern", "meant", "not_meant"),
    [
        (
            "shop.example",
            ["shop.example", "SHOP.example", "shop.example."],
            [
                "www.shop.example",
                "example",
                "shop.example..",
                "shopxexample",
                "xshop.example",
                "shop.example\n",
                "",
                ".",
            ],
        ),
        ("Shop.Example.", ["shop.example", "shop.EXAMPLE."], ["shop", "shop.example.com"]),
        (
            "*.shop.example",
            [
                "www.shop.example",
                "WWW.Shop.Example.",
                "xn--bcher-kva.shop.example",
                "a_b.shop.example",
                "1.shop.example",
            ],
            [
                "shop.example",
                ".shop.example",
                "a.b.shop.example",
                "wwwshop.example",
                "www.shop.example.com",
                "*.shop.example",
            ],
        ),
        ("a.*.example", ["a.b.example", "A.B.EXAMPLE"], ["a.example", "a..example", "a.b.c.example", "b.b.example"]),
        ("*.*.example", ["a.b.example"], ["b.example", "a.b.c.example"]),
        ("*", ["shop.example", "localhost", "192.0.2.1", "::1", ""], []),
        ("localhost", ["localhost", "LOCALHOST."], ["local", "localhost.localdomain"]),
        ("192.0.2.1", ["192.0.2.1"], ["192.0.2.10", "192x0x2x1"]),
        ("::1", ["::1"], ["::2"]),
        ("kelvin", ["Kelvin"], ["\u212aelvin"]),  # the sign of the unit is a k in lower case
        (
            "*.shop.example",
            [],
            ["b\xfccher.shop.example", "a b.shop.example", "\0.shop.example", "\u0130.shop.example"],
        ),
    ],
)
def test_a_pattern_means_these_names_and_not_those(pattern: str, meant: list[str], not_meant: list[str]) -> None:
    for name in meant:
        assert matches_host(pattern, name), name
    for name in not_meant:
        assert not matches_host(pattern, name), name


def test_no_name_is_meant_by_the_pattern_for_everything_alone() -> None:
    assert matches_host("*", None)
    assert matches_host("*.", None)
    for pattern in ("shop.example", "*.shop.example", "*.example"):
        assert not matches_host(pattern, None)


@pytest.mark.parametrize(
    "pattern", ["", ".", "..", "a..b", ".shop.example", "w*.shop.example", "**.example", "*a", "b\xfccher.example"]
)
def test_what_is_no_pattern_is_an_error_of_the_router(pattern: str) -> None:
    for name in ("shop.example", None):
        with pytest.raises(ValueError, match="is no pattern of host names"):
            matches_host(pattern, name)


def test_a_pattern_has_no_meaning_but_its_own() -> None:
    assert matches_host("a+b(c.example", "a+b(c.example")
    assert not matches_host("a+.example", "aa.example")


def test_no_name_takes_long() -> None:
    for name in ("a." * 30000 + "b", "a" * 60000, "." * 60000):
        assert not matches_host("*.*.*.example", name)
        assert milliseconds(lambda data: matches_host("*.*.*.example", data.decode()), name.encode()) < 0.1


LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=20)


@settings(max_examples=300, deadline=None)
@given(st.lists(LABEL, min_size=1, max_size=5), st.data())
def test_a_star_takes_the_place_of_any_label(labels: list[str], data: st.DataObject) -> None:
    starred = [data.draw(st.sampled_from([label, "*"])) for label in labels]
    name = ".".join(labels)
    assert matches_host(".".join(starred), data.draw(st.sampled_from([name, name.upper(), name + "."])))
    if starred != ["*"]:
        assert not matches_host(".".join(starred), f"x.{name}")
        assert not matches_host(".".join(starred), f"{name}.x")
