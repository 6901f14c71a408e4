"""``twistd proxymux-gateway --demo``: a gateway, a server behind it, and a token that leads there."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from proxymux.core.token.sealed import KEY_SIZE
from proxymux.gateway.keys import read_keys
from proxymux.gateway.settings import GatewaySettings
from proxymux.net.reactor.twisted_types import Reactor
from proxymux.service import ProxyService
from proxymux.tap.demo import Demo, Stage
from proxymux.tap.demo.upstreams import hidden
from proxymux.tap.gateway import make_gateway
from proxymux.tap.wiring import make_log

#: Seconds that the token of the demo is good for.
_GOOD_FOR: Final = 3600
_SALT_SIZE: Final = 16
_GREETING: Final = """\

proxymux demo: a gateway, and behind it a server whose address is in the token, encrypted.
In a second terminal, with this token, which is good for an hour, and with one that is none:

    token={token}
    {proxymux} connect {address} $token
    {proxymux} connect {address} nonsense

Or by hand, as any client can: the token is the first line.

    echo $token | nc {host} {port}

Another token, for whatever this machine can reach, and only once:

    {proxymux} token seal --key-file {keys} --target {target} --expires-in 60 --once

Stop it with Ctrl-C; the key goes with it.
"""


def make_demo(reactor: Reactor, settings: GatewaySettings) -> Demo:
    """Put the gateway's demo together.

    :param settings: their key file is replaced by one of the demo's, with a fresh key.
    """

    def make(stage: Stage) -> ProxyService:
        keys = _key_file(stage)
        keys.touch(0o600)
        keys.write_text(f"demo {base64.b64encode(os.urandom(KEY_SIZE)).decode()}\n")
        return make_gateway(reactor, replace(settings, key_file=str(keys)))

    return Demo(reactor, settings, make_log(settings), [hidden()], make, _greeting)


def _key_file(stage: Stage) -> Path:
    return Path(stage.folder, "keys")


def _greeting(address: str, stage: Stage) -> str:
    target, keys = f"127.0.0.1:{stage.ports[0]}", str(_key_file(stage))
    token = read_keys(keys).seal({"t": target, "e": int(time.time()) + _GOOD_FOR}, os.urandom(_SALT_SIZE))
    host, _, port = address.rpartition(":")
    return _GREETING.format(
        proxymux=_command(),
        address=address,
        host=host,
        port=port,
        token=token,
        keys=shlex.quote(keys),
        target=target,
    )


def _command() -> str:
    """The command ``proxymux`` as a shell finds it: by its path, if it is not in a folder of the variable PATH."""
    beside = Path(sys.executable).with_name("proxymux")
    return "proxymux" if shutil.which("proxymux") or not beside.exists() else shlex.quote(str(beside))
