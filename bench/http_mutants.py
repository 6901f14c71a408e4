"""Makes HTTP/1 messages that are nearly right: fields of which parsers disagree, then some bytes changed."""

from __future__ import annotations

import random
from typing import Final

_METHODS: Final = (b"GET", b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"X-ODD", b"get", b"X" * 33, b"")
_TARGETS: Final = (b"/", b"/a?b=c", b"*", b"a:1", b"http://a/b", b"/\x80", b"/ a", b"", b"/\t", b"/#f")
_VERSIONS: Final = (*[b"HTTP/1.1"] * 6, b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b"HTTP/01.1")
_STATUSES: Final = (
    *(
        b"200 OK",
        b"200",
        b"204 No Content",
        b"304 Not Modified",
        b"100 Continue",
        b"401 No",
        b"101 Switching Protocols",
    ),
    *(b"103 Early Hints", b"404 Not Found", b"200 OK"),
    *(b"404 ", b"999 x", b"099 x", b"20 OK", b"2000 OK", b"401 \x80", b"200\tOK", b"+20 OK"),
)
#: Fields that nobody objects to.
_GOOD: Final = (
    *(
        b"Accept: */*",
        b"Connection: close",
        b"Connection: keep-alive",
        b"X:",
        b"Cookie: a=\x80; b",
        b"X-Y_z~1:\ta\tb  ",
    ),
    *(
        b"Connection: a,\tClose ,b",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Upgrade: h2c",
        b"Expect: 100-continue",
    ),
    *(b"Authorization: NTLM x", b"WWW-Authenticate: a, Negotiate", b"Authorization: Basic x", b"connection:Keep-Alive"),
)
#: Fields that end a body or a connection, right and wrong.
_FIELDS: Final = (
    *(b"Content-Length: 4", b"Content-Length:4", b"content-length: \t4 ", b"CONTENT-LENGTH: 0", b"Content-Length: 04"),
    *(b"Content-Length: +4", b"Content-Length: -1", b"Content-Length: 0x4", b"Content-Length: 4, 4"),
    *(b"Content-Length: 4 4", b"Content-Length: 4,", b"Content-Length:", b"Content-Length: \xb2"),
    *(b"Content-Length: 4\x0b", b"Content-Length : 4", b" Content-Length: 4", b"Content-Length\t: 4"),
    *(b"Content_Length: 4", b"Content-Length: 99999999999999999999", b"Content-Length: 000000000000000000004"),
    *(b"Transfer-Encoding: chunked", b"transfer-encoding:CHUNKED ", b"Transfer-Encoding: \tchunked"),
    *(b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: chunked,"),
    *(b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked", b'Transfer-Encoding: "chunked"'),
    *(b"Transfer-Encoding : chunked", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked\x00"),
    *(b"Transfer-Encoding:\r\n chunked", b"X: a\r\n b", b"X:\r\n\tTransfer-Encoding: chunked"),
    *(b"X: a\nTransfer-Encoding: chunked", b"X: a\rTransfer-Encoding: chunked", b"X: a\r\r\nY: b", b"\xff: a"),
    *(b"Connection: close", b"connection:Keep-Alive", b"Connection: a,\tClose ,b", b"Connection: closed", b"X: \x7f"),
    *(b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c", b"Expect: 100-continue", b"Expect: x"),
    *(b"Authorization: NTLM x", b"Authorization: Basic x", b"WWW-Authenticate: a, Negotiate", b"Cookie: \x80\xff"),
    *(b"Host: b", b"Host:", b"Host : c", b": a", b"X", b"X;: a", b"X:a:b", b"X: \x01", b"X: a\0b", b"", b"T\xe9: x"),
)
_BODIES: Final = (
    *(b"", b"abcd", b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n"),
    *(b"4\r\nabcd\r\n0\r\n\r\n", b"4;a=b\r\nabcd\r\n00\r\n\r\n", b"4 \r\nabcd\r\n0\r\nX: y\r\n\r\n", b"0\r\n\r\n"),
    *(b"4\nabcd\n0\n\n", b"4\r\nabcde\r\n0\r\n\r\n", b"+4\r\nabcd\r\n0\r\n\r\n", b"0x4\r\nabcd\r\n0\r\n\r\n"),
    *(b"4;\x01\r\nabcd\r\n0\r\n\r\n", b"4;a\nb\r\nabcd\r\n0\r\n\r\n", b"4;a\rb\r\nabcd\r\n0\r\n\r\n"),
    *(
        b"4_0\r\nabcd\r\n0\r\n\r\n",
        b"00000000000000004\r\nabcd\r\n0\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\n x\r\n\r\n",
    ),
    *(b"0\r\nContent-Length: 4\r\n\r\nabcd", b"4\r\nabcd0\r\n\r\n", b"ffffffffffffffffff\r\n", b"4\r\nab\r\n0\r\n\r\n"),
)
_SPECIAL: Final = b"\r\n \t:;,\0\x0b\x0c\x1f\x7f\x80\xff0159aPT+-_/.\"'"
_SPLICES: Final = (
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\n\n",
    b"\r\n ",
    b"\0",
    b" HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
)


class Mutants:
    """Makes them.

    :param dice: what is drawn from.
    """

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def requests(self) -> bytes:
        """Up to three requests."""
        return self._damaged(b"".join(self._request() for _ in range(self._dice.randint(1, 3))))

    def replies(self) -> bytes:
        """Up to three replies."""
        return self._damaged(b"".join(self._reply() for _ in range(self._dice.randint(1, 3))))

    def _request(self) -> bytes:
        draw = self._dice.choice
        likely = self._dice.random() < 0.8
        line = (
            b"%b %b HTTP/1.1" % (draw(_METHODS[:6]), draw(_TARGETS[:2]))
            if likely
            else b" ".join((draw(_METHODS), draw(_TARGETS), draw(_VERSIONS)))
        )
        fields = [b"Host: a"] if self._dice.random() < 0.95 else []
        return self._message(line, fields)

    def _reply(self) -> bytes:
        most = None if self._dice.random() < 0.2 else 6
        return self._message(b"%b %b" % (self._dice.choice(_VERSIONS[:most]), self._dice.choice(_STATUSES[:most])), [])

    def _message(self, line: bytes, fields: list[bytes]) -> bytes:
        dice = self._dice
        fields += dice.choices(_GOOD, k=dice.choice((0, 1, 2)))
        fields += dice.choices(_FIELDS, k=dice.choice((0, 0, 1, 2)))
        # One in two has a body that fits, so that what follows it is looked at as well.
        fit = dice.choice((None, None, (b"Content-Length: 4", _BODIES[1]), (b"Transfer-Encoding: chunked", _BODIES[4])))
        body = dice.choice(_BODIES) if dice.random() < 0.5 else b""
        if fit is not None:
            fields.append(fit[0])
            body = fit[1]
        dice.shuffle(fields)
        return b"\r\n".join((line, *fields, b"", b"")) + body

    def _damaged(self, data: bytes) -> bytes:
        dice = self._dice
        out = bytearray(data)
        for _ in range(dice.choice((0, 0, 0, 1, 1, 3))):
            at = dice.randrange(len(out) + 1)
            kind = dice.randrange(5)
            if kind == 0:
                out[at : at + 1] = bytes((dice.randrange(256),))
            elif kind == 1:
                out[at : at + dice.randint(0, 1)] = bytes((dice.choice(_SPECIAL),))
            elif kind == 2:
                del out[at : at + dice.choice((1, 1, 2, 20))]
            elif kind == 3:
                out[at:at] = out[at : at + dice.randint(1, 30)]
            else:
                out[at:at] = dice.choice(_SPLICES)
        return bytes(out)
