"""Sealed tokens: ``pm1.<kid>.<base64url of salt16 ‖ AES-256-GCM ciphertext ‖ tag16>``, without padding.

key ‖ nonce = HKDF-SHA256(key of kid, salt16, info ``proxymux token v1``, 44 bytes); the associated data is
``pm1.<kid>.``; the plaintext is a JSON object:

=====  =====================================================================================
``t``  target: ``host:port`` or the name of a cluster; or a list of them, to be tried in order
``e``  expiry, in seconds since the epoch
``n``  not before, likewise; optional, as are all that follow
``c``  CIDR that the client's address must be in
``a``  audience: the name that the gateway must have
``j``  id of a one-time token
=====  =====================================================================================
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from proxymux.core.admission import Network, parse_network
from proxymux.core.target import ClusterName, InetTarget, parse_remote
from proxymux.core.token import MAX_TOKEN, Claims, strict_base64
from proxymux.errors import BadAddress, BadKeys, BadToken

PREFIX: Final = b"pm1."
#: The most targets in one token.
MAX_TARGETS: Final = 32
#: The most characters of an audience, or of the id of a one-time token.
MAX_NAME: Final = 64
_SALT: Final = 16
_TAG: Final = 16
KEY_SIZE: Final = 32
_NONCE: Final = 12
_INFO: Final = b"proxymux token v1"
_KID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}\Z", re.ASCII)
_CLAIMS: Final = frozenset("tencaj")
#: The latest time in seconds since the epoch; a larger number is refused as milliseconds.
_LATEST: Final = 2**40


class Keys:
    """The keys of a key file: the first one seals tokens, each one opens them.

    :param keys: 32 bytes each, by key id, in the order of the file.
    """

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys

    def __repr__(self) -> str:
        return f"<Keys {', '.join(self._keys)}>"

    def open(self, line: bytes) -> Claims:
        """Decrypt and authenticate a sealed token, and return its claims.  Whether they hold now is not checked.

        :param line: the token.
        :raises BadToken: if it was not sealed with one of the keys, or its claims are malformed.
        """
        kid, dot, text = line[len(PREFIX) :].partition(b".")
        key = self._keys.get(kid.decode("latin-1"))
        if not line.startswith(PREFIX) or not dot or key is None:
            raise BadToken("no key of that id" if dot else "not a token")
        data = strict_base64(text + b"=" * (-len(text) % 4), b"-_")
        if b"=" in text or len(data) < _SALT + _TAG:
            raise BadToken("damaged")
        salt, sealed = data[:_SALT], data[_SALT:]
        cipher, nonce = _cipher(key, salt)
        try:
            plain = cipher.decrypt(nonce, sealed, PREFIX + kid + b".")
        except InvalidTag:
            raise BadToken("damaged, or sealed with another key of that id") from None
        return _read(plain, kid.decode())

    def seal(self, claims: Mapping[str, object], salt: bytes) -> str:
        """A token with ``claims``, sealed with the first key.

        :param claims: the JSON object, as the table above has it.
        :param salt: 16 random bytes.
        :raises BadToken: if the claims are malformed, or the token would be longer than a gateway accepts.
        """
        kid, key = next(iter(self._keys.items()))
        plain = json.dumps(claims, sort_keys=True, separators=(",", ":")).encode()
        _read(plain, kid)
        cipher, nonce = _cipher(key, salt)
        prefix = f"pm1.{kid}."
        sealed = cipher.encrypt(nonce, plain, prefix.encode())
        token = prefix + base64.urlsafe_b64encode(salt + sealed).rstrip(b"=").decode()
        if len(token) > MAX_TOKEN:
            raise BadToken(
                "too long", f"{len(token)} bytes, of which a gateway takes {MAX_TOKEN}; give it fewer targets"
            )
        return token


def parse_keys(lines: Iterable[str]) -> Keys:
    """Read a key file: one ``kid base64(32 bytes)`` a line; ``#`` begins a comment.

    :raises BadKeys: with the number of the line, and without any part of a key.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2:
            raise BadKeys(f"line {number}: has {len(words)} words; an id and a key, KID BASE64, are wanted")
        kid, text = words
        if not _KID.match(kid):
            raise BadKeys(f"line {number}: the id is not 1 to 32 letters, digits, - or _")
        if kid in keys:
            raise BadKeys(f"line {number}: the id {kid} is there already")
        try:
            key = strict_base64(text.encode())
        except BadToken:
            key = b""
        if len(key) != KEY_SIZE:
            raise BadKeys(f"line {number}: the key of {kid} is not base64 of {KEY_SIZE} bytes; openssl rand -base64 32")
        keys[kid] = key
    if not keys:
        raise BadKeys("holds no key; one KID BASE64 a line is wanted")
    return Keys(keys)


def _cipher(key: bytes, salt: bytes) -> tuple[AESGCM, bytes]:
    derived = HKDF(SHA256(), KEY_SIZE + _NONCE, salt, _INFO).derive(key)
    return AESGCM(derived[:KEY_SIZE]), derived[KEY_SIZE:]


def _read(plain: bytes, kid: str) -> Claims:
    try:
        claims = json.loads(plain)
    except (ValueError, RecursionError):
        claims = None
    if not isinstance(claims, dict):
        raise BadToken("what it holds is not a JSON object")
    unknown = sorted(set(claims) - _CLAIMS)
    if unknown:
        raise BadToken("a claim that this gateway does not know", repr(unknown[0][:20]))
    expires = _time(claims, "e")
    if expires is None:
        raise BadToken("it has no expiry")
    return Claims(
        _targets(claims.get("t")),
        expires,
        _time(claims, "n"),
        _network(claims.get("c")),
        _text(claims, "a"),
        _text(claims, "j"),
        kid,
    )


def _targets(value: object) -> tuple[InetTarget | ClusterName, ...]:
    listed = value if isinstance(value, list) else [value]
    if not 1 <= len(listed) <= MAX_TARGETS:
        raise BadToken(f"its targets are not 1 to {MAX_TARGETS}")
    return tuple(map(_target, listed))


def _target(text: object) -> InetTarget | ClusterName:
    try:
        target = parse_remote(text)
    except BadAddress:
        target = None
    if not isinstance(target, (InetTarget, ClusterName)):
        raise BadToken("what it holds is neither host:port nor the name of a cluster")
    return target


def _time(claims: Mapping[str, object], name: str) -> int | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LATEST:
        raise BadToken(f"{name} is not a time in seconds since 1970")
    return value


def _text(claims: Mapping[str, object], name: str) -> str | None:
    value = claims.get(name)
    if value is not None and (not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME):
        raise BadToken(f"{name} is not a text of 1 to {MAX_NAME} characters")
    return value


def _network(value: object) -> Network | None:
    if value is None:
        return None
    try:
        return parse_network(value if isinstance(value, str) else "")
    except BadAddress:
        raise BadToken("c is not a CIDR") from None
