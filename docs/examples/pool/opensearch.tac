"""OpenSearch, or any HTTP service, through four connections, configured by the ancestor's object.

Run it::

    twistd -ny opensearch.tac

Try it::

    curl http://127.0.0.1:9201/_cat/indices
    curl -H 'Content-Type: application/x-ndjson' --data-binary @bulk.ndjson http://127.0.0.1:9201/_bulk
"""

import time

from twisted.application.service import Application

from proxymux import Multiplexer

config = {
    "logLevel": 2,
    "localServerHost": "127.0.0.1",
    "localServerPort": 9201,
    "localServerMaxConnections": 500,
    "proxyConnectionsCount": 4,
    "targetServers": [{"host": "127.0.0.1", "port": 9200}] * 4,
    "proxyInactivityTimeout": 30000,
}

application = Application("search")
search = Multiplexer(config, warmup=True, codec="http", request_timeout=30)
search.setServiceParent(application)


@search.events.on("request")
def slow(logger, data, response):
    """Tell of requests that take more than a tenth of a second."""
    line, began = data.partition(b"\r\n")[0].decode("ascii", "replace"), time.monotonic()

    def answered(reply):
        seconds = time.monotonic() - began
        if seconds > 0.1:
            logger.warn("{line} took {seconds:.1f} s", line=line, seconds=seconds)

    response.addCallbacks(answered, lambda failure: logger.warn("{line}: {why}", line=line, why=failure.value))
