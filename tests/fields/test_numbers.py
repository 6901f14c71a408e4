"""The settings that are numbers, where they are not in seconds."""

from __future__ import annotations

import pytest

from proxymux.errors import ConfigError
from proxymux.gateway.settings import GatewaySettings
from proxymux.pool.settings import PoolSettings


@pytest.mark.parametrize(("given", "value"), [("5", 5.0), (5, 5.0), ("5ms", 5.0), ("1s", 1000.0), ("2m", 120_000.0)])
def test_milliseconds_stay_so_and_may_have_another_unit(given: object, value: float) -> None:
    read = PoolSettings.read({"listen": "tcp:0", "target": "a:1", "raw_gap": given, "inactivity_timeout": given})
    assert (read.raw_gap, read.inactivity_timeout) == (value, value)


def test_bounds_hold_for_a_size_with_a_unit() -> None:
    assert GatewaySettings.read({"buffer": "16M"}).buffer == 16 << 20
    with pytest.raises(ConfigError) as refusal:
        GatewaySettings.read({"buffer": "17M"})
    assert str(refusal.value) == (
        "--buffer: '17M' is not accepted; a whole number of bytes from 1024 to 16777216,"
        " or with a unit such as 64k, 10M or 1G is"
    )
