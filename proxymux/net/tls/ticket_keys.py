"""The keys of session tickets: the same in all processes of a service, and other ones every few hours.

A ticket is what a client keeps of a session, encrypted by the server alone, to resume it (RFC 5077, RFC 8446 section
4.6.1).  Whoever has the key reads the session; so each key is used for a period only, and cannot be made again once the
period after that is over.
"""

from __future__ import annotations

import functools
import hmac
import os
import struct
from collections.abc import Callable
from typing import Any, Final

from OpenSSL import SSL
from OpenSSL._util import ffi

from proxymux.net.tls.symbols import function_address

#: Seconds for which a key encrypts tickets; it opens them for as long again.  OpenSSL's tickets are good for two hours.
PERIOD: Final = 4 * 3600
#: OpenSSL's ticket keys: 16 bytes that name them in each ticket, 32 for a MAC and 32 to encrypt.
NAME_SIZE: Final = 16
_KEY_SIZE: Final = 80
_GET_KEYS: Final = 58  # SSL_CTRL_GET_TLSEXT_TICKET_KEYS
_SET_KEYS: Final = 59  # SSL_CTRL_SET_TLSEXT_TICKET_KEYS
_SECRET_SIZE: Final = 32
_SHARED: Final = struct.Struct(f"!Q{_SECRET_SIZE}s")


class TicketKeys:
    """The keys of a service's tickets.

    Each period has a secret, of which that of the next is made; that of the period before the present one is the oldest
    that is kept.

    :param seconds: the monotonic time, which is that of all processes of a machine.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        #: The oldest period that is kept, and its secret.
        self._first, self._secret = self._now() - 1, os.urandom(_SECRET_SIZE)

    @property
    def period(self) -> int:
        """The number of the present period.  Looking at it forgets the secrets that are too old."""
        now = self._now()
        while self._first < now - 1:
            self._secret = _derive(self._secret, b"next")
            self._first += 1
        return now

    @property
    def shared(self) -> bytes:
        """What another process needs to have the same keys, for :meth:`share`.  It is a secret."""
        return _SHARED.pack(self.period - 1, self._secret)

    def share(self, shared: bytes) -> None:
        """Have the same keys as the process whose :attr:`shared` this is.  Call it before there are tickets."""
        self._first, self._secret = _SHARED.unpack(shared)

    def key(self, domain: bytes, period: int) -> bytes:
        """The key of a context, as OpenSSL takes it.

        :param domain: a digest of all that sessions must not be resumed across.
        :param period: the present one or the one before.
        """
        secret = self._secret
        for _ in range(period - self._first):
            secret = _derive(secret, b"next")
        secret = _derive(secret, domain)
        return b"".join(_derive(secret, bytes([number])) for number in range(3))[:_KEY_SIZE]

    def _now(self) -> int:
        return int(self._seconds() // PERIOD) + 1  # there is one before the first


def _derive(secret: bytes, label: bytes) -> bytes:
    return hmac.digest(secret, b"proxymux ticket " + label, "sha256")


def use_ticket_key(context: SSL.Context, key: bytes) -> bool:
    """Have ``context``, which is new, encrypt its tickets with ``key``.

    :returns: False if this OpenSSL cannot be told: the context has a random key of its own then.
    """
    control = _control()
    return control is not None and control(context._context, _SET_KEYS, _KEY_SIZE, ffi.from_buffer(key)) == 1


def takes_ticket_keys() -> bool:
    """True if this OpenSSL can be told.

    The first call reads cryptography's file.  Make it before the process may give up its right to.
    """
    return _control() is not None


@functools.cache
def _control() -> Any:
    """OpenSSL's ``SSL_CTX_ctrl``, which neither pyOpenSSL nor cryptography pass on; None if there is no such function.

    It is asked for the size of ticket keys before it is trusted with one.
    """
    address = function_address("SSL_CTX_ctrl")
    if address is None:
        return None
    control = ffi.cast("long (*)(void *, int, long, void *)", address)
    fits = control(SSL.Context(SSL.TLS_SERVER_METHOD)._context, _GET_KEYS, 0, ffi.NULL) == _KEY_SIZE
    return control if fits else None
