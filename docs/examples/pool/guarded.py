"""Redis without the commands that empty, stop or search all of it: they get an error and reach no server.

KEYS goes with every pattern, and a script might call what is refused, so scripts are refused, too. There is one
``--target``, and so nobody has a connection alone: after MULTI, SUBSCRIBE or BLPOP, which need one, no router is asked
about what the client sends. With several targets or ``connections=`` refuse these here, too.

Run it::

    twistd -n proxymux-pool --listen tcp:6380 --codec resp --target 127.0.0.1:6379 --router guarded.py

Try it::

    redis-cli -p 6380 set a 1
    redis-cli -p 6380 flushall
    redis-cli -p 6380 get a
"""

NAMES = (
    "FLUSHALL FLUSHDB SWAPDB KEYS SHUTDOWN DEBUG CONFIG ACL MODULE SAVE BGSAVE BGREWRITEAOF "
    "REPLICAOF SLAVEOF FAILOVER CLUSTER MIGRATE MONITOR SYNC PSYNC "
    "EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO FUNCTION SCRIPT"
)
REFUSED = set(NAMES.split())
CLIENT_REFUSED = (b"KILL", b"PAUSE")  # the other words of CLIENT are needed by client libraries


def route(request):
    """Answer what is refused; None is the --target."""
    words = request.data.upper() if request.command == "CLIENT" else b""
    if request.command in REFUSED or any(word in words for word in CLIENT_REFUSED):
        return {"reply": f"-ERR {request.command} is not allowed here\r\n".encode()}
    return None
