"""Records of sessions that have ended."""

from __future__ import annotations

from typing import Final

from proxymux.core.outcome import Outcome, Record

RECORD: Final = Record(
    time=1700000000.25,
    service="router",
    session=7,
    client="192.0.2.1:50000",
    local="192.0.2.2:5432",
    target="db.example:5432",
    outcome=Outcome.COMPLETED,
    reason=None,
    bytes_in=10,
    bytes_out=2000,
    decide_seconds=0.001,
    connect_seconds=0.002,
    first_byte_seconds=0.003,
    seconds=1.5,
)
REFUSED: Final = RECORD._replace(
    target=None,
    outcome=Outcome.REFUSED,
    reason="address denied (--deny, --deny-file, --deny-cluster)",
    decide_seconds=None,
    connect_seconds=None,
    first_byte_seconds=None,
)
