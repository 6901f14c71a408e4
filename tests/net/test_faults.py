"""Faults: what breaks off at every moment of a connection's life."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import pytest
from twisted.internet.defer import Deferred

from proxymux import Forward
from tests.net.scenes import (
    Moment,
    Scene,
    Voice,
    before_any_byte,
    before_it_is_accepted,
    before_it_is_accepted_with_bytes,
    between_two_attempts,
    both_are_sending,
    both_finish_in_that_turn,
    both_have_finished,
    client_does_not_read,
    client_does_not_read_and_upstream_has_finished,
    client_does_not_read_while_draining,
    client_finishes_in_that_turn,
    client_has_finished,
    client_has_finished_and_upstream_is_sending,
    client_has_finished_before_any_answer,
    client_is_sending,
    connected_and_half_read,
    connected_and_read,
    connected_and_unread,
    cut_by_the_drain_and_not_reading,
    deciding,
    digest,
    in_the_turn_of_an_attempt,
    in_the_turn_of_the_decision,
    joined,
    joined_for_long,
    joined_while_draining,
    nobody_reads,
    rejected,
    undecided,
    undecided_while_draining,
    upstream_does_not_read,
    upstream_does_not_read_and_client_has_finished,
    upstream_finishes_in_that_turn,
    upstream_has_finished,
    upstream_has_finished_and_client_is_sending,
    upstream_is_sending,
)
from tests.services.fixtures import RELAYS, Asked, Start
from tests.services.peers import MEGABYTE, Net, Peer, as_time_passes, in_reactor, noise, settle, together, turns, until


@pytest.fixture(params=RELAYS)
def relay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# A reset at every moment


async def hears_a_reset(scene: Scene, resetter: str) -> None:
    assert scene.unheard[resetter].startswith(await scene.other_than(resetter).read_until_reset())


async def finds_it_gone(scene: Scene, resetter: str) -> None:
    """To one that has had a FIN, the system tells of a reset only when it sends."""
    await scene.other_than(resetter).send_until_broken()


async def hears_sorry(scene: Scene, resetter: str) -> None:
    assert await scene.other_than(resetter).read_all() == b"sorry"


async def hears_an_end(scene: Scene, resetter: str) -> None:
    """One or the other, it is a matter of opinion; but no end in good order that cuts off what was said."""
    try:
        assert await scene.other_than(resetter).read_all() == scene.unheard[resetter]
    except ConnectionResetError:
        pass


async def was_never_connected(scene: Scene, _: str) -> None:
    scene.refusing.listen()
    scene.proxy.clock.advance(1)
    for target in (scene.target, scene.refusing):
        assert await target.is_left_alone()


async def hears_a_reset_if_it_was_connected(scene: Scene, resetter: str) -> None:
    connection = scene.target._accept_now()
    if connection is not None:
        scene.upstream = Peer(connection)
        await hears_a_reset(scene, resetter)


@dataclass(frozen=True)
class Reset:
    """Who resets when, how that may end, and what the other side notices."""

    who: str
    when: Moment
    outcomes: str
    notices: Callable[[Scene, str], Coroutine[Any, Any, None]]

    def __str__(self) -> str:
        return f"{self.who}-{self.when.__name__}"


RESETS: Final = [
    Reset("client", before_it_is_accepted, "undecided", was_never_connected),
    Reset("client", before_it_is_accepted_with_bytes, "undecided", was_never_connected),
    Reset("client", before_any_byte, "undecided", was_never_connected),
    Reset("client", undecided, "undecided", was_never_connected),
    Reset("client", undecided_while_draining, "undecided", was_never_connected),
    Reset("client", deciding, "undecided", was_never_connected),
    Reset("client", in_the_turn_of_the_decision, "client_aborted", hears_a_reset_if_it_was_connected),
    Reset("client", between_two_attempts, "client_aborted", was_never_connected),
    Reset("client", in_the_turn_of_an_attempt, "client_aborted", was_never_connected),
    Reset("client", rejected, "rejected", was_never_connected),
    Reset("client", connected_and_unread, "client_aborted", hears_a_reset),
    Reset("client", connected_and_half_read, "client_aborted", hears_a_reset),
    Reset("client", joined_for_long, "client_aborted", hears_a_reset),
    Reset("client", joined_while_draining, "client_aborted", hears_a_reset),
    Reset("client", client_is_sending, "client_aborted", hears_a_reset),
    Reset("client", upstream_is_sending, "client_aborted", hears_a_reset),
    Reset("client", both_are_sending, "client_aborted", hears_a_reset),
    Reset("client", upstream_does_not_read, "client_aborted", hears_a_reset),
    Reset("client", upstream_does_not_read_and_client_has_finished, "client_aborted", hears_a_reset),
    Reset("client", client_does_not_read, "client_aborted", hears_a_reset),
    Reset("client", client_does_not_read_and_upstream_has_finished, "client_aborted", hears_a_reset),
    Reset("client", client_does_not_read_while_draining, "client_aborted", hears_a_reset),
    Reset("client", cut_by_the_drain_and_not_reading, "drained", hears_an_end),
    Reset("client", nobody_reads, "client_aborted", hears_a_reset),
    Reset("client", client_has_finished, "client_aborted", finds_it_gone),
    Reset("client", client_has_finished_before_any_answer, "client_aborted", finds_it_gone),
    Reset("client", client_has_finished_and_upstream_is_sending, "client_aborted", finds_it_gone),
    Reset("client", upstream_has_finished, "client_aborted completed", hears_a_reset),
    Reset("client", upstream_has_finished_and_client_is_sending, "client_aborted completed", hears_a_reset),
    Reset("client", client_finishes_in_that_turn, "client_aborted", finds_it_gone),
    Reset("client", upstream_finishes_in_that_turn, "client_aborted completed", hears_a_reset),
    Reset("client", both_finish_in_that_turn, "client_aborted completed", hears_an_end),
    Reset("client", both_have_finished, "completed", hears_an_end),
    Reset("upstream", connected_and_unread, "upstream_aborted", hears_sorry),
    Reset("upstream", connected_and_half_read, "upstream_aborted", hears_sorry),
    Reset("upstream", connected_and_read, "upstream_aborted", hears_sorry),
    Reset("upstream", joined, "upstream_aborted", hears_a_reset),
    Reset("upstream", joined_for_long, "upstream_aborted", hears_a_reset),
    Reset("upstream", joined_while_draining, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_is_sending, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_is_sending, "upstream_aborted", hears_a_reset),
    Reset("upstream", both_are_sending, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_does_not_read, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_does_not_read_and_client_has_finished, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_does_not_read, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_does_not_read_while_draining, "upstream_aborted", hears_a_reset),
    Reset("upstream", nobody_reads, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_has_finished, "upstream_aborted", hears_a_reset),
    Reset("upstream", client_has_finished_and_upstream_is_sending, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_has_finished, "upstream_aborted completed", finds_it_gone),
    Reset("upstream", upstream_has_finished_and_client_is_sending, "upstream_aborted completed", finds_it_gone),
    Reset("upstream", client_does_not_read_and_upstream_has_finished, "upstream_aborted completed", hears_an_end),
    Reset("upstream", client_finishes_in_that_turn, "upstream_aborted", hears_a_reset),
    Reset("upstream", upstream_finishes_in_that_turn, "upstream_aborted completed", finds_it_gone),
    Reset("upstream", both_finish_in_that_turn, "upstream_aborted completed", hears_an_end),
    Reset("upstream", both_have_finished, "completed", hears_an_end),
]


@pytest.mark.parametrize("case", RESETS, ids=str)
@in_reactor
async def test_a_reset_ends_it_at_every_moment_and_the_other_notices(start: Start, net: Net, case: Reset) -> None:
    scene = Scene(start, net)
    await case.when(scene)
    scene.peer(case.who).reset()
    if case.who == "client":
        await as_time_passes(scene.proxy.clock, scene.proxy.record())  # whether or not the upstream does anything
    await as_time_passes(scene.proxy.clock, case.notices(scene, case.who))
    record = await scene.end()
    assert record.outcome.value in case.outcomes.split()
    asked = [scene.target.remote] if case.notices is hears_sorry else []
    assert scene.failed.remotes == asked
    assert bool(scene.drained) == scene.is_draining


@in_reactor
async def test_an_upstream_that_resets_before_the_proxy_can_know_that_it_has_connected(start: Start, net: Net) -> None:
    """No byte was sent: it may be tried again, or be the end of it, but the client is told one or the other."""
    scene = Scene(start, net)
    scene.target = scene.refusing
    await between_two_attempts(scene)
    scene.target.listen()
    scene.proxy.clock.advance(0.1)
    (await scene.target.accept()).reset()
    await settle()
    scene.proxy.clock.advance(0.1)
    if scene.failed.remotes:
        assert await scene.client.read_all() == b"sorry"
        assert (await scene.end()).outcome == "upstream_aborted"
    else:
        scene.upstream = await scene.target.accept()
        assert await scene.upstream.receive(5) == b"hello"
        await scene.upstream.send(b"welcome")
        scene.upstream.finish()
        assert await scene.client.read_all() == b"welcome"
        scene.client.finish()
        assert (await scene.end()).outcome == "completed"


# Both at once

FIN, RST = Peer.finish, Peer.reset


@dataclass(frozen=True)
class Both:
    """What both do before the proxy has its turn, and how that may end.

    :param silent: likewise, where the upstream has not said anything: then its end is a failed connect.
    """

    client: Callable[[Peer], None]
    upstream: Callable[[Peer], None]
    outcomes: str
    silent: str

    def __str__(self) -> str:
        return f"{self.client.__name__}-{self.upstream.__name__}"


BOTH: Final = [
    Both(FIN, FIN, "completed", "completed upstream_aborted"),
    Both(FIN, RST, "upstream_aborted", "upstream_aborted"),
    Both(RST, FIN, "client_aborted completed", "client_aborted upstream_aborted completed"),
    Both(RST, RST, "client_aborted upstream_aborted", "client_aborted upstream_aborted"),
]


@pytest.mark.parametrize("first", ["client", "upstream"])
@pytest.mark.parametrize("last_words", [b"", b"last words", noise(100_000)], ids=len)
@pytest.mark.parametrize("talked", [True, False], ids=["talked", "silent"])
@pytest.mark.parametrize("case", BOTH, ids=str)
@in_reactor
async def test_both_may_end_before_the_proxy_has_its_turn(
    start: Start, net: Net, case: Both, talked: bool, last_words: bytes, first: str
) -> None:
    scene = Scene(start, net)
    await (scene.talk if talked else scene.join)()
    for who in ("client", "upstream") if first == "client" else ("upstream", "client"):
        if last_words:
            scene.say(who, last_words)
        act = case.client if who == "client" else case.upstream
        act(scene.peer(who))
    is_silent = not talked and not last_words
    clock = scene.proxy.clock
    if case.client is FIN:
        if case.upstream is FIN and not is_silent:
            assert await scene.client.read_all() == last_words
        elif case.upstream is RST and not is_silent:
            assert last_words.startswith(await as_time_passes(clock, scene.client.read_until_reset()))
        else:
            assert await scene.client.read_all() in (b"", b"sorry")
    if case.upstream is FIN:
        if case.client is FIN:
            assert await scene.upstream.read_all() == last_words
        elif not is_silent:
            assert last_words.startswith(await as_time_passes(clock, scene.upstream.read_until_reset()))
    record = await scene.end()
    assert record.outcome.value in (case.silent if is_silent else case.outcomes).split()
    if case.client is FIN and case.upstream is FIN and not is_silent:
        assert (record.bytes_in, record.bytes_out) == (5 + len(last_words), 7 * talked + len(last_words))


# Bytes at every moment of the handover

#: The client says a piece at each; at the first there is no decision without more.
MOMENTS: Final = ["undecided", "deciding", "between two attempts", "as it connects", "connected", "joined"]


@pytest.mark.parametrize("first", ["client", "upstream"])
@pytest.mark.parametrize("last", MOMENTS[1:])
@pytest.mark.parametrize("size", [1, 65535, 65536, 65537, MEGABYTE])
@in_reactor
async def test_no_byte_is_lost_or_moved_while_the_relay_takes_over(
    start: Start, net: Net, size: int, last: str, first: str
) -> None:
    """The client says a piece at every moment up to ``last``, and FIN; the upstream speaks ``first`` or answers."""
    target = net.upstream(listens=False)
    decision: Deferred[Forward] = Deferred()
    asked = Asked(lambda data: decision if len(data) > size else None)
    proxy = start(asked, max_buffer=2 * MEGABYTE)
    client = await proxy.connect()
    asks = Voice(client)

    def say_and_end(moment: str) -> None:
        if MOMENTS.index(moment) <= MOMENTS.index(last):
            asks.say(noise(size, f"client {moment}"))
        if moment == last:
            asks.finish()

    say_and_end("undecided")
    await until(lambda: asked.about and len(asked.about[-1]) == size, "all of the first piece")
    say_and_end("deciding")
    await until(lambda: len(asked.about[-1]) > size, "the question that is decided")
    decision.callback(Forward(target.remote))
    await proxy.has_failed(1)
    say_and_end("between two attempts")
    await settle()
    target.listen()
    proxy.clock.advance(0.1)
    say_and_end("as it connects")
    upstream = await target.accept()  # the system has connected it, the proxy has still to notice
    answers = Voice(upstream)
    if first == "upstream":
        answers.say(noise(size, "welcome"))
    say_and_end("connected")
    await turns(1)
    say_and_end("joined")
    if first == "upstream":
        answers.say(noise(size, "more"))
        answers.finish()
        question, answer = await together(upstream.read_all(), client.read_all())
    else:
        question = await upstream.read_all()
        for piece in ("welcome", "more"):
            answers.say(noise(size, piece))
        answers.finish()
        answer = await client.read_all()
    assert digest(question) == digest(asks.said)
    assert digest(answer) == digest(answers.said)
    record = await proxy.record()
    assert (record.outcome, record.bytes_in, record.bytes_out) == ("completed", len(asks.said), len(answers.said))
