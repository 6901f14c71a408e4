r"""git:// by user name: /alice/... and /bob/... live on different Git daemons.

The first packet of the protocol names the repository: ``0031git-upload-pack /alice/repo\0host=example.com\0``.

Run it::

    git daemon --export-all --base-path=/srv/git1 --listen=127.0.0.1 --port=9419 &
    git daemon --export-all --base-path=/srv/git2 --listen=127.0.0.1 --port=9420 &
    twistd -n proxymux --router git_router.py --port 9418

Try it::

    git clone git://127.0.0.1/alice/repo
    git clone git://127.0.0.1/carol/repo        # fatal: remote error: there is no user carol
    git ls-remote git://127.0.0.1/bob/repo      # what scripts and CI run: routed alike, in one connection
"""

import re

from proxymux import NEED_DATA, Forward, Reject

DAEMONS = {
    "alice": "127.0.0.1:9419",
    "bob": "127.0.0.1:9420",
}


def error(text):
    """The packet that makes the client say "fatal: remote error: ..."."""
    return b"%04xERR %s" % (len(text) + 8, text.encode())


def proxy(data):
    if not re.fullmatch(rb"[0-9a-f]{1,4}", data[:4]):
        return Reject(error("this port speaks git"))
    if len(data) < 4 or len(data) < int(data[:4], 16):
        return NEED_DATA
    packet = data[4 : int(data[:4], 16)]
    asked = re.match(rb"git-[a-z-]+ /([\w.-]+)/", packet)
    user = asked[1].decode() if asked else "of that name"
    if user not in DAEMONS:
        return Reject(error(f"there is no user {user}"))
    return Forward(DAEMONS[user])


def proxy_connect_error(remote):
    return error("this repository is not available just now, try again")
