"""``proxymux check --codec``: tries a router of requests on recorded bytes, in every way of splitting them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import IO

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime

from proxymux.cli.trying import Trial, excerpt_of
from proxymux.core.codecs import Codec
from proxymux.core.decision import in_words
from proxymux.core.identity import Notes
from proxymux.errors import ConfigError, RouterError
from proxymux.pool.loading import load_codec
from proxymux.pool.request_router import RequestRouter
from proxymux.pool.route_trial import Decided, as_request_router, decide_all
from proxymux.printable import printable
from proxymux.testing import CLIENT, every_split

#: What a router has decided about all requests, or why it failed.
_Found = list[list[Decided]] | str


def check_requests(
    clock: IReactorTime, router: str, codec: str, samples: Sequence[str], timeout: float, out: IO[str], err: IO[str]
) -> Deferred[bool]:
    """Load a router of requests and try it on samples.

    :param codec: as ``--codec`` of a pool has it.
    :param samples: names of files of recorded requests.
    :param timeout: the most seconds that the router may keep waiting, for all splits of a sample together.
    :param out: for the decisions.
    :param err: for what cannot be read or loaded.
    :returns: True if the router loads and decides alike for every split of each sample.
    """
    return ensureDeferred(_check(clock, router, codec, samples, timeout, out, err))


async def _check(
    clock: IReactorTime, router: str, codec: str, samples: Sequence[str], timeout: float, out: IO[str], err: IO[str]
) -> bool:
    try:
        found = load_codec(codec)
        decider = as_request_router(router, found)
    except (ConfigError, RouterError) as error:
        print(printable(f"proxymux: {error}"), file=err)
        return False
    print(printable(f"{router}: ok"), file=out)
    good = True
    for name in samples:
        try:
            with open(name, "rb") as file:
                data = file.read()
        except OSError as error:
            print(printable(f"proxymux: --sample: {name}: {error.strerror}; name a file of recorded bytes"), file=err)
            good = False
            continue
        good = await _RequestSample(clock, decider, found, timeout).check(name, data, out) and good
    return good


class _RequestSample:
    """One sample, and what a router decides over its splits."""

    def __init__(self, clock: IReactorTime, router: RequestRouter, codec: Codec, timeout: float) -> None:
        self._router = router
        self._codec = codec
        self._trial = Trial(clock, timeout)

    async def check(self, name: str, data: bytes, out: IO[str]) -> bool:
        """Try it, and say what was decided."""
        whole = await self._decide((data,))
        if isinstance(whole, str):
            print(printable(f"{name} ({len(data)} bytes): fails: {whole}"), file=out)
            return False
        print(printable(f"{name} ({len(data)} bytes): {len(whole)} requests"), file=out)
        for decided in (each for one in whole for each in one):
            print(printable(f"  {excerpt_of(decided.request)}: {_tell(decided)}"), file=out)
        count = 0
        for chunks in every_split(data):
            count += 1
            found = await self._decide(chunks)
            if found != whole:
                how = f"fails: {found}" if isinstance(found, str) else f"{len(found)} requests"
                line = f"  NOT split-invariant: in {len(chunks)} pieces it decides otherwise: {how}"
                print(printable(line), file=out)
                return False
        print(f"  split-invariant: all {count} splits tried are decided alike", file=out)
        return True

    async def _decide(self, chunks: Sequence[bytes]) -> _Found:
        client = replace(CLIENT, state=Notes())
        return await self._trial.run(lambda: ensureDeferred(decide_all(self._router, self._codec, chunks, client)))


def _tell(decided: Decided) -> str:
    return "goes to the first --target" if decided.route is None else in_words(decided.route)
