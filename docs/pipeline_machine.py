"""The pipeline as a machine to be explored: the ways to set it up, and everything that can happen to it."""

from __future__ import annotations

import enum
from typing import Any

from state_exploring import Machine

from proxymux.core.batch import Batch
from proxymux.core.codecs import make_codec
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.pipeline import LARGE, Pipeline
from proxymux.core.pipeline_orders import Failure, Input, PipelineRules

_NO_VALUE = (
    Input.CLIENT_FINISHED,
    Input.CLIENT_LOST,
    Input.OUTPUT_FULL,
    Input.OUTPUT_FREE,
    Input.SILENCE,
    Input.GO_ON,
    Input.FLUSHED,
    Input.ABORTED,
)
_LARGE = b"x" * LARGE
_ENDING = Ending(Outcome.UPSTREAM_ABORTED, "it is gone")
#: The last are a request that takes an upstream alone, the last one of a client, and none at all.
_REQUESTS = (b"PING\r\n", b"PI", _LARGE, b"MULTI\r\n", b"QUIT\r\n", b"*x\r\n")


def _samples(pipeline: Pipeline) -> list[tuple[enum.Enum, Any]]:
    """What may happen to a pipeline now."""
    found: list[tuple[enum.Enum, Any]] = [(what, None) for what in _NO_VALUE]
    found += [(what, "why") for what in (Input.CLIENT_LOST, Input.IDLE, Input.DISMISSED)]
    found += [(Input.RECEIVED, data) for data in _REQUESTS]
    outstanding = pipeline._turns.outstanding
    if outstanding:
        batch = outstanding[0]
        found.append((Input.FAILED, Failure(batch, _ENDING)))
        if batch.alone:
            found.append((Input.GIVEN, batch))
        else:
            found += [(what, batch) for what in (Input.UNSENT, Input.HELD_UP)]
            found += [(Input.REPLY, b"+PO"), (Input.DONE, (batch, b"+PONG\r\n")), (Input.DONE, lambda: _closing(batch))]
    return found


def _closing(batch: Batch) -> tuple[Batch, bytes]:
    """A batch and the last of its replies, after which the upstream closes."""
    batch.is_last = True
    return batch, b""


def _pipeline(codec: str, is_spare: bool = True) -> Pipeline:
    return Pipeline(PipelineRules(make_codec(codec), True, True, False, lambda: is_spare))


PIPELINE = Machine(
    "pipeline",
    "proxymux.core.pipeline",
    (lambda: _pipeline("resp"), lambda: _pipeline("resp", is_spare=False), lambda: _pipeline("raw")),
    _samples,
)
