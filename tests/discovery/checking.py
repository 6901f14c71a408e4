"""Checks that are run in a test."""

from __future__ import annotations

from proxymux.core.cluster_spec import parse_cluster
from proxymux.core.target import parse_target
from proxymux.discovery.check import Check, Checks
from proxymux.net.driver import Driver
from proxymux.net.happy_eyeballs import Dialler, TargetCheck
from tests.services.peers import settle, until


class Checking:
    """One check, and what it says.

    :param options: of its cluster, with ``;`` between them.
    :param denied: says which addresses are.
    """

    def __init__(
        self, driver: Driver, remote: str, options: str, header: bytes = b"", denied: TargetCheck | None = None
    ) -> None:
        #: What was told: None for a check that has passed.
        self.verdicts: list[str | None] = []
        dialler = Dialler(driver.reactor, driver.timers, driver.dial, denied)
        checks = Checks(driver, dialler, parse_cluster(f"users={remote};{options}"), header)
        self.check: Check = checks.make(parse_target(remote), self)

    def start(self) -> Checking:
        self.check.start()
        return self

    async def verdict(self) -> str | None:
        """What it says, once and no more."""
        await until(lambda: self.verdicts, "a verdict")
        await settle()
        assert len(self.verdicts) == 1
        return self.verdicts[0]

    async def is_undecided(self) -> bool:
        """True if it says nothing."""
        await settle()
        return not self.verdicts

    # Called by the check

    def passed(self) -> None:
        self.verdicts.append(None)

    def failed(self, reason: str) -> None:
        self.verdicts.append(reason)
