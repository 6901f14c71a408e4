"""``proxymux check --replay``: a router decides again about samples that ``--capture`` has left.

It is compared with what each sample's name says that came of it then; or in all that client and upstream could tell
apart, with another router.
"""

from __future__ import annotations

import os
from typing import IO

from twisted.internet.interfaces import IReactorTime

from proxymux.cli.trying import Trial, tell
from proxymux.core.sample import FAILED, recorded_word, word_of
from proxymux.printable import printable
from proxymux.router.router_decider import RouterDecider
from proxymux.testing import Conversation


class Replay:
    """The samples of a folder, replayed to a router.

    :param against: decides about the same samples; None compares with the names of the files.
    :param timeout: the most seconds that a router may keep waiting for each sample.
    :param out: for the samples that are decided otherwise, and how many there are.
    :param err: for what cannot be read or compared.
    """

    def __init__(
        self,
        clock: IReactorTime,
        router: RouterDecider,
        against: RouterDecider | None,
        timeout: float,
        out: IO[str],
        err: IO[str],
    ) -> None:
        self._clock = clock
        self._router = router
        self._against = against
        self._timeout = timeout
        self._out = out
        self._err = err

    async def run(self, folder: str) -> bool:
        """Replay all samples of ``folder``.

        :returns: True if there are any, and the router decides about each as before.
        """
        try:
            names = sorted(name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name)))
        except OSError as error:
            return self._complain(f"{folder}: {error.strerror}; name a folder of samples")
        if not names:
            return self._complain(f"{folder}: there is no sample in it; name the folder that --capture had")
        others = 0
        good = True
        for name in names:
            is_same = await self._replay(folder, name)
            good = good and is_same is not None
            others += is_same is False
        if others:
            print(f"{others} of {len(names)} samples are decided otherwise", file=self._out)
        elif good:
            print(f"all {len(names)} samples are decided alike", file=self._out)
        return good and not others

    async def _replay(self, folder: str, name: str) -> bool | None:
        """Replay a sample; None if it cannot be read or compared."""
        try:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
        except OSError as error:
            self._complain(f"{name}: {error.strerror}")
            return None
        recorded = recorded_word(name)
        if self._against is None and recorded is None:
            self._complain(f"{name}: its name does not say what came of it; give --against ROUTER, or remove it")
            return None
        found = await self._try(self._router, data)
        if self._against is None:
            is_same = recorded == _word(found)
            before = f"recorded: {recorded}"
        else:
            other = await self._try(self._against, data)
            is_same = _effect(other) == _effect(found)
            before = f"{self._against.name}: {tell(other)}"
        if not is_same:
            for line in (f"{name} ({len(data)} bytes)", f"  {before}", f"  {self._router.name}: {tell(found)}"):
                print(printable(line), file=self._out)
        return is_same

    async def _try(self, router: RouterDecider, data: bytes) -> Conversation | str:
        return await Trial(self._clock, self._timeout).converse(router, (data,))

    def _complain(self, problem: str) -> bool:
        print(printable(f"proxymux: --replay: {problem}"), file=self._err)
        return False


def _word(found: Conversation | str) -> str:
    return FAILED if isinstance(found, str) else word_of(found.decision)


def _effect(found: Conversation | str) -> object:
    """What two routers have to have in common: their errors need not be the same."""
    return None if isinstance(found, str) else found.in_effect()
