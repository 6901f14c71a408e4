"""The targets that all workers hold: remembered here, so that a worker that is started later holds them, too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from proxymux.admin.reports import merge_holds
from proxymux.core.holding import Holds
from proxymux.core.target import parse_target


class SharedHolds:
    """The targets that the operator has had held.

    :param seconds: the clock.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        # Who waits is known by the workers alone.
        self._holds: Holds[None] = Holds(0, 0.0)

    @property
    def targets(self) -> list[str]:
        """What is held, the first that was held first."""
        return [str(target) for target in self._holds.targets]

    def hold(self, target: str) -> bool:
        """Remember that a target is held.

        :returns: False if it is already.
        :raises BadAddress: if it is no target.
        :raises NotHeld: if too many are held.
        """
        return self._holds.hold(parse_target(target), self._seconds())

    def release(self, target: str) -> bool:
        """Forget it.

        :returns: False if it was not held.
        :raises BadAddress: if it is no target.
        """
        parsed = parse_target(target)
        is_held = parsed in self._holds.targets
        self._holds.release(parsed)
        return is_held

    def show(self, of_workers: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What is held, since when it has been whichever workers there were, and who waits at those of now.

        :param of_workers: what these say of it together.
        """
        ours = [{**hold._asdict(), "seconds": round(hold.seconds, 3)} for hold in self._holds.show(self._seconds())]
        return merge_holds([ours, of_workers])
