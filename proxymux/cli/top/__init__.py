"""``proxymux top``: shows a running instance in the terminal, live or once."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from proxymux.cli.admin_client import AdminClient, NotAnswered, read_token
from proxymux.cli.top.once import as_json, as_text
from proxymux.cli.top.samples import Sample, compare, take


def top(url: str, token_file: str | None, interval: float, sessions: int, once: bool, json: bool) -> int:
    """Show the instance whose admin endpoint is at ``url``.

    :param token_file: has the token that is shown for actions.
    :param interval: seconds between two looks.
    :param sessions: how many sessions are looked at, the oldest.
    :param once: print, instead of showing it live.
    :param json: print JSON.
    :returns: the exit status; problems are written to standard error.
    """
    try:
        client = AdminClient(url, read_token(token_file))
        if once:
            _print(client, interval, sessions, json, sys.stdout)
            return 0
        first = take(client, sessions)
    except NotAnswered as error:
        return _failed(str(error))
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _failed("standard input and output are no terminal; --once prints once")
    try:
        import rich  # noqa: F401
    except ImportError:
        return _failed("the package rich is missing: pip install 'proxymux[top]'; --once does without")
    from proxymux.cli.top.live import show  # here, as it imports rich

    return show(client, first, interval, sessions)


def _failed(problem: str) -> int:
    print(f"proxymux top: {problem}", file=sys.stderr)
    return 1


def _print(client: AdminClient, interval: float, sessions: int, json: bool, output: TextIO) -> None:
    before: Sample = take(client, sessions)
    time.sleep(interval)
    shown = compare(before, take(client, sessions))
    output.write(as_json(shown) if json else as_text(shown, client.name))
