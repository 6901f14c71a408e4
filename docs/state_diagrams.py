"""The state diagrams of the architecture page, made from the code's tables of transitions when the docs are built.

``python docs/state_diagrams.py`` makes them by hand.  Each machine gets a picture and a table in ``docs/_generated``,
which is not under version control.
"""

from __future__ import annotations

from pathlib import Path

from pipeline_machine import PIPELINE
from state_drawing import picture, table
from state_exploring import Machine, explore

from proxymux.core.commands import Cause, ConnectFailure, Input, RelayEnd
from proxymux.core.decision import NEED_DATA, BadHandshake, Forward, Reject, Reply, Share, Terminate
from proxymux.core.outcome import Ending, Outcome
from proxymux.core.session import Session

GENERATED = Path(__file__).parent / "_generated"
_FORWARD = Forward("db:1")


_DECISIONS = (
    NEED_DATA,
    Reply(b"go on", consume=1),
    Reply(b"go on"),
    Reject(),
    Reject(b"no"),
    BadHandshake(b"401", "no token"),
    Share(_FORWARD.targets),
    Terminate("server.pem"),
    Forward("db:1", tls_terminate="server.pem"),
    _FORWARD,
)
_NO_VALUE = (
    Input.ACCEPTED,
    Input.OPENED,
    Input.SECURED,
    Input.MOVED,
    Input.CLIENT_FINISHED,
    Input.CLIENT_RESET,
    Input.OUTPUT_FULL,
    Input.OUTPUT_FREE,
    Input.CONNECTED,
    Input.LET_GO,
    Input.DRAIN,
)
#: All inputs of a session, each with every value that may lead to another state.
_SESSION_SAMPLES = (
    *((what, None) for what in _NO_VALUE),
    *((what, "why") for what in (Input.CLIENT_LOST, Input.TLS_FAILED, Input.FAULTED, Input.DEADLINE)),
    *((Input.DECIDED, decision) for decision in _DECISIONS),
    *((Input.RELAY_ENDED, RelayEnd(cause, finished)) for cause in Cause for finished in (False, True)),
    (Input.BARRED, Ending(Outcome.REFUSED)),
    (Input.RECEIVED, b"a"),
    (Input.CONNECT_FAILED, ConnectFailure("refused")),
    (Input.ANSWERED, b"sorry"),
)

#: The machines that get a picture and a table.
MACHINES = (
    Machine(
        "session",
        "proxymux.core.session",
        (lambda: Session(1), lambda: Session(2, greets=True), lambda: Session(2, undecided_reply=b"400")),
        lambda _session: _SESSION_SAMPLES,
    ),
    PIPELINE,
)


def make(folder: Path = GENERATED) -> None:
    """Write the picture and the table of every machine to ``folder``."""
    folder.mkdir(exist_ok=True)
    for machine in MACHINES:
        found = explore(machine)
        for name, text in ((f"{machine.name}.svg", picture(found)), (f"{machine.name}.rst", table(found))):
            path = folder / name
            # A file that would not change keeps its date, or else sphinx would read it again.
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    make()
