"""What each outcome means, and what to look at: for people, as ``proxymux why`` says it."""

from __future__ import annotations

from typing import Final, NamedTuple

from proxymux.core.outcome import Outcome


class Meaning(NamedTuple):
    """Two sentences.

    :param what: what has happened.
    :param hint: what to look at if that is not what should happen.
    """

    what: str
    hint: str


MEANINGS: Final = {
    Outcome.COMPLETED: Meaning(
        "Both sides have ended in good order.",
        "Nothing is wrong here; if a reply is missing, look at the bytes and at the log of the target.",
    ),
    Outcome.REFUSED: Meaning(
        "The client was not admitted.",
        "Look at the reason: it names the option (--allow, --deny, --max-connections, --max-per-client, --max-rate …).",
    ),
    Outcome.REJECTED: Meaning(
        "The router decided to close it.",
        "Look at the line of the router that decided; 'proxymux check' runs it on recorded bytes.",
    ),
    Outcome.UNDECIDED: Meaning(
        "The client left, or the time or the buffer ran out, before there was a decision.",
        "Look at the bytes that the router was asked about, at --decide-timeout and at --max-buffer; a port scan and a"
        " health check look like this, too.",
    ),
    Outcome.ROUTER_ERROR: Meaning(
        "The router raised an error, or returned what is no decision.",
        "Look at the reason or the log for file and line; with --log-level debug the log has the traceback, too.",
    ),
    Outcome.BAD_HANDSHAKE: Meaning(
        "The client's handshake failed: that of TLS, or its token.",
        "Look at the reason; 'proxymux token open' says what is in a token.",
    ),
    Outcome.UNREACHABLE: Meaning(
        "No target could be connected to.",
        "Look at the error of each attempt: whether the target runs, listens there and lets this machine in.",
    ),
    Outcome.CONNECT_TIMEOUT: Meaning(
        "No target answered in time.",
        "Look at the way to the target: a firewall that drops, a host that is down, a full listen queue.",
    ),
    Outcome.INACTIVE: Meaning(
        "The upstream's first byte did not come in time.",
        "Look at the target, which accepts and does not answer, and at the router's inactivity_timeout.",
    ),
    Outcome.IDLE: Meaning(
        "No byte passed in either direction for --idle-timeout.",
        "Look at --idle-timeout, and whether the protocol has a keep-alive of its own.",
    ),
    Outcome.QUEUE_FULL: Meaning(
        "Too many wait: for slots of the pool, for a target that is held, or for clients to read their replies.",
        "Look at the targets that are held, at --queue-limit and --max-reply-memory, and how busy the upstreams are.",
    ),
    Outcome.QUEUE_TIMEOUT: Meaning(
        "It waited for a slot of the pool, or for a target that is held, for too long.",
        "Look at the targets that are held, at --queue-timeout, and how busy the upstreams are.",
    ),
    Outcome.REQUEST_TIMEOUT: Meaning(
        "The reply was not whole in time.",
        "Look at the target, and at --request-timeout.",
    ),
    Outcome.PROTOCOL_ERROR: Meaning(
        "What the client sent is no message of the protocol, or no PROXY header where one has to be.",
        "Look at what the client speaks, at --codec, and whether whoever is before this listener sends a header.",
    ),
    Outcome.CLIENT_ABORTED: Meaning(
        "The client was reset, or left while it waited.",
        "Look at the client: it crashed, gave up after a time limit of its own, or closed with bytes unread.",
    ),
    Outcome.UPSTREAM_ABORTED: Meaning(
        "The upstream was reset, or closed without a byte.",
        "Look at the log of the target at this time: it crashed, restarted, or did not like what it was sent.",
    ),
    Outcome.DRAINED: Meaning(
        "It was cut: by an operator, or because the process stopped.",
        "Look at who closed it or stopped the process; --drain-timeout is how long a stop waits.",
    ),
}
