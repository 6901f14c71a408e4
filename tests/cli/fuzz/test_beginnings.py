from __future__ import annotations

import pytest

from proxymux import NEED_DATA, sniff
from proxymux.cli.fuzz.beginnings import BEGINNINGS
from tests.sniff.test_properties import LIMITS


def test_every_protocol_of_a_client_has_one() -> None:
    assert set(BEGINNINGS) == set(LIMITS) - {"mysql_greeting"}


@pytest.mark.parametrize("name", BEGINNINGS)
def test_its_sniffer_recognizes_it(name: str) -> None:
    for data in BEGINNINGS[name]:
        found = getattr(sniff, name)(data)
        assert found is not None
        assert found is not NEED_DATA
