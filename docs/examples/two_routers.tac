"""Two routers in one process, each on a port of its own.

Run it, beside ``socks4.py`` and ``git_router.py``::

    twistd -ny two_routers.tac

Try it::

    curl --socks4 127.0.0.1:1080 http://example.com/
    git ls-remote git://127.0.0.1/alice/repo

Signals are those of ``twistd proxymux`` and reach both: TERM drains both, HUP reloads both.  SOCKS_PORT and GIT_PORT
in the environment change the ports (1080 and 9418).
"""

import os

from twisted.application.service import Application

from proxymux import Router

here = os.path.dirname(os.path.abspath(__file__))
socks_port = os.environ.get("SOCKS_PORT", "1080")
git_port = os.environ.get("GIT_PORT", "9418")

application = Application("two routers")

Router(
    os.path.join(here, "socks4.py"),
    listen=f"tcp:{socks_port}:interface=127.0.0.1",
).setServiceParent(application)

Router(
    os.path.join(here, "git_router.py"),
    listen=f"tcp:{git_port}:interface=127.0.0.1",
    max_per_client=100,
    drain_timeout=60,
).setServiceParent(application)
