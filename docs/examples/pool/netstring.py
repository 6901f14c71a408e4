"""A codec of one's own: netstrings, ``5:hello,``, both ways.

Run it::

    twistd -n proxymux-pool --listen tcp:7001:interface=127.0.0.1 --target 127.0.0.1:7000 --codec netstring:NetString

Try it, with a server of netstrings on port 7000::

    printf 5:hello, | nc -N 127.0.0.1 7001
"""

from proxymux.core.codecs import Request
from proxymux.core.codecs.pieces import Due, unsolicited
from proxymux.errors import BadMessage

LIMIT = 1_000_000


class Messages:
    """Where messages end.  Of one that is not whole, the digits of its length are kept, or how much is to come."""

    def __init__(self):
        self.digits = b""
        self.left = 0  # bytes to come, the comma included

    @property
    def is_between(self):
        return not self.digits and not self.left

    def ends(self, data, most=None):
        """The offsets in ``data`` where messages end; ``most`` of them, if what follows is not to be looked at."""
        ends, at = [], 0
        while at < len(data) and len(ends) != most:
            if self.left:
                taken = min(self.left, len(data) - at)
                at, self.left = at + taken, self.left - taken
                if self.left:
                    break
                if data[at - 1] != ord(","):
                    raise self.bad("no comma after a text", ends)
                ends.append(at)
            elif data[at] == ord(":") and self.digits:
                at, self.left, self.digits = at + 1, int(self.digits) + 1, b""
            elif chr(data[at]).isascii() and chr(data[at]).isdigit() and int(self.digits + data[at : at + 1]) <= LIMIT:
                self.digits += data[at : at + 1]
                at += 1
            else:
                raise self.bad("no length, or one that is too large", ends)
        return ends

    def bad(self, problem, ends):
        error = BadMessage(f"netstring: {problem}")
        error.finished = ends  # what was found before is of use
        return error


class Requests:
    interim = b""

    def __init__(self):
        self.messages = Messages()

    @property
    def is_between(self):
        return self.messages.is_between

    def feed(self, data):
        try:
            return [Request(end) for end in self.messages.ends(data)]
        except BadMessage as error:
            error.finished = [Request(end) for end in error.finished]
            raise


class Replies(Due):
    def __init__(self):
        super().__init__()
        self.messages = Messages()

    @property
    def is_between(self):
        return self.messages.is_between

    def feed(self, data):
        ends = self.messages.ends(data, self._due)
        self._due -= len(ends)
        if not self._due and len(data) > (ends[-1] if ends else 0):
            raise unsolicited(ends)
        return ends


class NetString:
    name = "netstring"
    gap = False  # the length says where a message ends, and no silence
    # What may be left out; these are the values that are taken then.
    pipelines = False  # whether servers read on while they work is not known: one request at a time
    silent_first = False  # a greeting would not be a netstring
    ends_at_own = False  # there are no commands that change the connection

    def requests(self):
        return Requests()

    def replies(self):
        return Replies()

    def failure(self, problem):
        text = f"error: {problem}".encode()
        return b"%d:%b," % (len(text), text)
