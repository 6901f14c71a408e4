"""When things are tried again."""

from __future__ import annotations

from twisted.internet.task import Clock

from proxymux.discovery.etcd.retrying import FIRST_PAUSE, LONGEST_PAUSE, Retrying


def test_pauses_grow_to_the_longest_and_are_short_again_after_a_long_success() -> None:
    clock, tries = Clock(), 0
    retrying = Retrying(clock, lambda: 0.5)

    def count() -> None:
        nonlocal tries
        tries += 1

    pauses = []
    for _ in range(8):
        retrying.later(count)
        [call] = clock.getDelayedCalls()
        pauses.append(2 * (call.getTime() - clock.seconds()))
        clock.advance(call.getTime() - clock.seconds())
    assert tries == 8
    assert [round(pause, 6) for pause in pauses] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE, LONGEST_PAUSE]
    clock.advance(LONGEST_PAUSE + 0.1)
    retrying.later(count)
    retrying.later(count)
    [call] = clock.getDelayedCalls()
    assert round(call.getTime() - clock.seconds(), 6) == FIRST_PAUSE / 2
    retrying.cancel()
    retrying.cancel()
    assert clock.getDelayedCalls() == []
