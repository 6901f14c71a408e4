"""Commands: what a session wants done by whoever holds its sockets and its clock.

None of them is ever changed.  They are not frozen, because to make a frozen object takes three times as long, and every
connection makes a dozen.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from proxymux.core.decision import Forward
from proxymux.core.outcome import Ending


class Deadline(enum.Enum):
    """What a session may wait for, each with a limit of its own."""

    DECISION = "decision"
    ANSWER = "answer"
    LINGER = "linger"


class Closing(enum.Enum):
    """How to close the client."""

    #: Flush, send FIN and read on without looking until the client's own FIN, so that no reset overtakes our last word.
    LINGER = "linger"
    #: Flush and close.
    CLOSE = "close"
    #: Reset, once the client has everything that was sent.
    RESET = "reset"
    #: Reset now.
    ABORT = "abort"


@dataclass(slots=True)
class Ask:
    """Have the decider decide on ``data``; None is "the client has come, there are no bytes yet"."""

    data: bytes | None


@dataclass(slots=True)
class Send:
    """Send ``data`` to the client."""

    data: bytes


@dataclass(slots=True)
class Connect:
    """Connect as the decision says."""

    forward: Forward


@dataclass(slots=True)
class Join:
    """Give both connections to the relay, which sends ``data`` upstream first."""

    data: bytes
    forward: Forward
    client_finished: bool


@dataclass(slots=True)
class Consult:
    """Call the user's callback for what went wrong; its bytes will be the client's last."""

    callback: Literal["connect_error", "inactivity_error"]


@dataclass(slots=True)
class Pause:
    """Read no more from the client for now."""


@dataclass(slots=True)
class Resume:
    """Read from the client again."""


@dataclass(slots=True)
class Cancel:
    """Give up the decision, connect, callback or relay that is under way, and close the upstream."""


@dataclass(slots=True)
class Await:
    """Start the deadline, in place of the one that runs; None is to run none."""

    deadline: Deadline | None


@dataclass(slots=True)
class Blame:
    """Log one line about the router: ``problem``, with the place in its file.

    :param fault: True if the router did wrong, False if it only did not come to a decision.
    """

    problem: str
    fault: bool = False


@dataclass(slots=True)
class Close:
    """Close the client."""

    how: Closing


@dataclass(slots=True)
class Finish:
    """The session is over.  Comes once and last."""

    ending: Ending


Command = Ask | Send | Connect | Join | Consult | Pause | Resume | Cancel | Await | Blame | Close | Finish
