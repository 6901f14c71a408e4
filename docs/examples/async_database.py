"""HTTP by Host, looked up in a database by way of Twisted's adbapi: in threads, so that no other client waits.

sqlite3 here; any DB-API module goes the same way, ``ConnectionPool("psycopg2", ...)`` for one.

Run it::

    sqlite3 upstreams.db "CREATE TABLE upstreams (host PRIMARY KEY, remote);
                          INSERT INTO upstreams VALUES ('shop.example', '127.0.0.1:8081')"
    python3 -m http.server 8081 --bind 127.0.0.1 &
    twistd -n proxymux --router async_database.py --port 8080

Try it::

    curl -H 'Host: shop.example' http://127.0.0.1:8080/
    curl -i -H 'Host: nobody.example' http://127.0.0.1:8080/    # 404
    sqlite3 upstreams.db "DROP TABLE upstreams" && curl -i -H 'Host: shop.example' http://127.0.0.1:8080/    # 503
"""

from twisted.enterprise.adbapi import ConnectionPool
from twisted.logger import Logger

from proxymux import NEED_DATA, Forward, Reject
from proxymux.sniff import http_request

DATABASE = "file:upstreams.db?mode=ro"

log = Logger("lookup")
# Made anew when HUP reloads this file; the threads of the one before stay idle until the process ends.
pool = ConnectionPool("sqlite3", DATABASE, uri=True, check_same_thread=False, cp_min=1, cp_max=4)


def sorry(status):
    return Reject(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


async def proxy(data):
    request = http_request(data)
    if request is NEED_DATA:
        return NEED_DATA
    if request is None or not request.host:
        return sorry("400 Bad Request")
    try:
        rows = await pool.runQuery("SELECT remote FROM upstreams WHERE host = ?", (request.host,))
        return Forward(rows[0][0]) if rows else sorry("404 Not Found")
    except Exception as error:  # no database, no such table, not an address: its client gets a proper answer
        log.error("{host}: {error!r}", host=request.host, error=error)
        return sorry("503 Service Unavailable")
