"""What is found: an input about which a router does what it should not."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass

from proxymux.cli.fuzz.pieces import Pieces


class FindingKind(enum.Enum):
    """What is wrong, in the word that a file's name has."""

    RAISES = "raises"
    SLOW = "slow"
    LATE = "late"
    UNDECIDED = "undecided"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a router, and a short input that shows it.

    :param told: what happens, in a line.
    :param details: more lines.
    :param filler: what follows ``pieces`` up to the limit, over and over; empty if nothing does.
    """

    kind: FindingKind
    pieces: Pieces
    told: str
    details: tuple[str, ...] = ()
    filler: bytes = b""

    @property
    def name(self) -> str:
        """A name for it: the same for the same input."""
        text = repr((self.pieces.chunks, self.filler)).encode()
        return f"{self.kind.value}_{hashlib.sha256(text).hexdigest()[:8]}"
