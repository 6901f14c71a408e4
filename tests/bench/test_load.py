from __future__ import annotations

import math
from typing import Any

import pytest

from bench.load import bucket_us, read_report, slower
from bench.processes import BrokenRun

REPORT: dict[str, Any] = {
    "done": 4, "errors": 0, "seconds": 2.0, "p50_us": 10.0, "p99_us": 20.0, "p999_us": 30.0,
    "buckets": [[90, 3], [120, 1]],
}  # fmt: skip


def test_a_report_is_read() -> None:
    load = read_report(REPORT, cpu=0.001)
    assert (load.rate, load.cpu_us, load.p999_us, load.buckets) == (2.0, 250.0, 30.0, {90: 3, 120: 1})


@pytest.mark.parametrize("wrong", [{"errors": 1}, {"done": 0}])
def test_a_run_with_errors_is_no_figure(wrong: dict[str, int]) -> None:
    with pytest.raises(BrokenRun, match="requests failed"):
        read_report(REPORT | wrong, cpu=1.0)


@pytest.mark.parametrize("tenths", [0, 1, 2, 10, 575, 99_999])
def test_a_latency_is_below_the_end_of_its_bucket_and_not_below_the_one_before(tenths: int) -> None:
    bucket = int(16 * math.log2(tenths + 1.0))  # as load.c does
    assert bucket_us(bucket - 1) <= tenths / 10 + 1e-9
    assert tenths / 10 < bucket_us(bucket)
    assert bucket_us(bucket) + 0.1 <= (bucket_us(bucket - 1) + 0.1) * 1.045


def test_a_distribution_is_the_part_that_took_longer() -> None:
    assert slower({96: 3, 80: 1}) == [(0.75, bucket_us(80))]
    assert slower({16: 2, 32: 6, 48: 2}) == [(0.8, bucket_us(16)), (0.2, bucket_us(32))]
    assert slower({16: 2}) == [(1.0, bucket_us(16))]
