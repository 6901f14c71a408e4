"""``proxymux fleet``: lists the instances of a fleet."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

import setproctitle
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from proxymux.errors import BadAddress, EtcdError
from proxymux.fleet.instance_record import InstanceRecord
from proxymux.fleet.known_instances import read_instances
from proxymux.fleet.store import Store, open_store
from proxymux.net.clock import monotonic
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.printable import printable


def fleet(url: str, as_json: bool) -> None:
    """List the instances of the fleet under an etcd's prefix, and exit.

    :param url: of the etcd, with the prefix; may hold a password, which is shown nowhere.
    :param as_json: print JSON, for scripts.
    :raises SystemExit: with the exit status; problems are written to standard error.
    """
    setproctitle.setproctitle("proxymux fleet")

    def run(reactor: Reactor) -> Deferred[None]:
        try:
            store = open_store(url, reactor, monotonic(reactor))
        except BadAddress as error:
            _fail(error)
        return list_instances(store, as_json, sys.stdout)

    react(run)


def list_instances(store: Store, as_json: bool, output: TextIO) -> Deferred[None]:
    """Write the instances of a fleet, one a line, and close the store.

    :returns: fails with SystemExit if they cannot be read, after one line on standard error.
    """

    def failed(failure: Failure) -> None:
        failure.trap(EtcdError)
        _fail(failure.value)

    def closed(result: Any) -> Any:
        store.close()
        return result

    listed = read_instances(store).addBoth(closed)
    return listed.addCallbacks(lambda found: print(_text(found, as_json), end="", file=output), failed)


def _fail(error: object) -> None:
    print(f"proxymux fleet: {printable(str(error))}", file=sys.stderr)
    raise SystemExit(1)


def _text(members: list[InstanceRecord], as_json: bool) -> str:
    if as_json:
        return json.dumps({"fleet": [each.as_json() for each in members]}, indent=2) + "\n"
    return "".join(f"{each.line}\n" for each in members)
