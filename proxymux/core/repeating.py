"""Which batches are sent a second time, after their upstream has closed without a byte of a reply to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from proxymux.core.batch import Batch, Sender
from proxymux.core.codecs import Codec


def choose_repeated(outstanding: Sequence[Batch], unsent: Collection[Batch], codec: Codec) -> set[Batch]:
    """Return the batches that may be carried out twice, and mark them: none is repeated a second time.

    Of a client's batches none is repeated that stands before one that is not: it would see what that one has changed.

    :param outstanding: the batches on the upstream, in their order.
    :param unsent: those of them of which no byte was sent.
    """
    chosen: set[Batch] = set()
    refused: set[Sender] = set()
    for batch in reversed(outstanding):
        sender = batch.sender
        if sender is None or batch in unsent:
            continue
        if sender not in refused and _may_be_repeated(batch, codec):
            batch.is_repeated = True
            chosen.add(batch)
        else:
            refused.add(sender)
    return chosen


def _may_be_repeated(batch: Batch, codec: Codec) -> bool:
    if batch.is_begun or batch.is_repeated:
        return False
    try:
        return codec.repeatable(batch.data)
    except Exception:  # a user's codec may raise anything, and this batch fails in any case
        return False
