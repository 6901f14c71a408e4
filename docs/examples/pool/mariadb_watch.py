"""Watches what clients ask a MariaDB or MySQL: logs each query with its time, and refuses addresses on a list.

Run it, for a server on port 3306 that may have two clients at once::

    twistd -n proxymux-pool --listen tcp:3307:interface=127.0.0.1 --mode proxy \\
        --target 127.0.0.1:3306 --target 127.0.0.1:3306 --inactivity-timeout 30000 --listeners mariadb_watch.py

Try it, and look at the log::

    mariadb --host 127.0.0.1 --port 3307 --user app -p -e "SHOW TABLES; SELECT SLEEP(1)" shop
"""

import ipaddress
import time

DENIED = [ipaddress.ip_network(each) for each in ("123.123.123.123", "192.0.2.0/24")]


def connected(logger, remote):
    """Raising refuses the client."""
    address = ipaddress.ip_address(remote.rpartition(":")[0].strip("[]"))
    if any(address in network for network in DENIED):
        raise PermissionError(f"{address} is on the deny list")


def request(logger, data, response):
    """A packet is its length in three bytes, a number that is 0 in a command, and here COM_QUERY, which is 3."""
    if data[3:5] != b"\0\3":
        return
    query, began = data[5:].decode(errors="replace"), time.monotonic()

    def answered(reply):
        milliseconds = (time.monotonic() - began) * 1000
        logger.info("{query!r} took {ms:.1f} ms, {size} bytes", query=query, ms=milliseconds, size=len(reply))

    response.addCallbacks(answered, lambda failure: logger.warn("{query!r} was not answered", query=query))
