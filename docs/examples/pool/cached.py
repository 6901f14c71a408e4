"""Some keys of Redis answered here: those of a file, for GET and MGET, without asking a server.

Edit the file and send HUP, and it is read again; one that cannot be read is reported, and the old keys stay.
Other commands about these keys are refused, as they would tell of keys of the server's, which are others. What no
router is asked about knows none of these keys: scripts, SCAN, and what follows MULTI in its transaction.

Run it::

    echo '{"config:color": "blue", "config:limit": "10"}' > settings.json
    twistd -n proxymux-pool --listen tcp:6380 --codec resp --target 127.0.0.1:6379 --router cached.py

Try it::

    redis-cli -p 6380 set user:1 ann
    redis-cli -p 6380 mget config:color user:1 config:limit
    redis-cli -p 6380 set config:color red
"""

import json
from pathlib import Path

FILE = Path(__file__).with_name("settings.json")
VALUES = {key.encode(): str(value).encode() for key, value in json.loads(FILE.read_text()).items()}


def route(request):
    """Answer about keys of the file; None is the --target."""
    if VALUES.keys().isdisjoint(request.keys):
        return None
    # A MGET comes key by key, unless it has very many.
    if request.command not in ("GET", "MGET") or len(request.keys) > 1:
        return {"reply": b"-ERR this key is in a file, which only GET and MGET read\r\n"}
    value = VALUES[request.key]
    bulk = b"$%d\r\n%b\r\n" % (len(value), value)
    return {"reply": bulk if request.command == "GET" else b"*1\r\n" + bulk}
