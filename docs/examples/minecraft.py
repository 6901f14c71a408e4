"""Minecraft servers by the host name that the player has typed, on one port.

A name that nobody serves is told so, in the words of Minecraft: who logs in sees why, who looks at the server list sees
a line in its place. The table is read from top to bottom; ``*.play.example`` means every name with one label more.

Run it, in front of servers on other ports::

    twistd -n proxymux --router minecraft.py --port 25565

Try it, with a name that leads here and one that is not in the table::

    printf '\\x13\\x00\\x04\\x0dlobby.example\\x63\\xdd\\x01\\x01\\x00' | nc -q1 127.0.0.1 25565
    printf '\\x13\\x00\\x04\\x0dother.example\\x63\\xdd\\x02' | nc -q1 127.0.0.1 25565
"""

import json

from proxymux import NEED_DATA, Forward, Reject
from proxymux.sniff import matches_host, minecraft

SERVERS = [
    ("lobby.example", "127.0.0.1:25570"),
    ("*.play.example", "127.0.0.1:25571"),
]
STATUS = 1


def proxy(data):
    found = minecraft(data)
    if found is NEED_DATA:
        return NEED_DATA
    if found is None or found.is_old:
        return Reject()
    for pattern, server in SERVERS:
        if matches_host(pattern, found.host):
            return Forward(server)
    return Reject(refusal(found.next_state, f"There is no server {found.host[:60]} here."))


def refusal(next_state, text):
    """The packet that answers a client: with its status or, at a login, why it is disconnected. Both have the id 0."""
    if next_state == STATUS:
        answer = {"version": {"name": "-", "protocol": 0}, "players": {"max": 0, "online": 0}, "description": text}
    else:
        answer = text
    content = json.dumps(answer).encode()
    body = b"\0" + varint(len(content)) + content
    return varint(len(body)) + body


def varint(value):
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
