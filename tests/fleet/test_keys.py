"""The keys of a fleet."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.fleet.keys import INSTANCES, instance_key, instance_name, once_key


def test_plain_ids_stay_as_they_are() -> None:
    assert instance_key("9f0c") == "instances/9f0c"
    assert once_key("k1", "a-b_c.d~e") == "once/k1/a-b_c.d~e"


@settings(database=None, deadline=None)
@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_no_two_tokens_have_the_same_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (once_key(*one) == once_key(*other)) == (one == other)
    assert once_key(*one).count("/") == 2


@settings(database=None, deadline=None)
@given(st.text())
def test_the_id_of_an_instance_is_found_in_its_key(name: str) -> None:
    assert instance_name(instance_key(name).removeprefix(INSTANCES)) == name


def test_a_surrogate_is_no_fault() -> None:
    assert once_key("k1", "\udcff") == "once/k1/%ED%B3%BF"
