"""What a client of Redis has said that later commands of its depend on, while it shares upstreams."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from proxymux.core.codecs import Kind
from proxymux.core.codecs.pieces import one_line
from proxymux.core.codecs.resp.commands import CLOSING, OWN, PLAIN, QUOTED, WORDS, Verdict, answered, verdict
from proxymux.core.codecs.resp.setups import HELLO, RESP3, RespSetups, command

_OK: Final = answered(b"+OK")
_NOAUTH: Final = answered(b"-NOAUTH Authentication required.")
_NOAUTH_HELLO: Final = answered(
    b"-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user>"
    b" <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
)
_WRONGPASS: Final = answered(b"-WRONGPASS invalid username-password pair or user is disabled.")
_BAD_NAME: Final = answered(b"-ERR Client names cannot contain spaces, newlines or special characters.")
_IS_NAME: Final = re.compile(rb"[!-~]*")
_IS_NUMBER: Final = re.compile(rb"0|-?[1-9][0-9]{0,17}")
#: The commands that Redis accepts from who has not logged in.
_BEFORE_LOGIN: Final = frozenset((b"AUTH", b"HELLO", b"QUIT", b"RESET"))
#: Subcommands of CLIENT that concern no connection, or not the client's own.
_CLIENT_PLAIN: Final = frozenset((b"HELP", b"KILL", b"LIST", b"PAUSE", b"UNBLOCK", b"UNPAUSE"))
#: Those that concern the client's own, besides those that are answered.
_CLIENT_OWN: Final = frozenset(
    (b"CACHING", b"CAPA", b"GETREDIR", b"ID", b"INFO", b"REPLY", b"TRACKING", b"TRACKINGINFO")
)
#: Those that tell Redis to spare the connection or its keys.  A shared one is always off.
_CLIENT_SWITCHES: Final = frozenset((b"NO-EVICT", b"NO-TOUCH"))
#: Why a command is refused, after its name.
NO_SPARE: Final = "needs an upstream of its own, and there is none to spare"
_NO_LOGIN: Final = "; with --auth-file a login needs none"


def _wrong_number(name: str) -> Verdict:
    return answered(f"-ERR wrong number of arguments for '{name}' command".encode())


class RespClient:
    """One client: what it may do, and what it has begun that was refused.

    :param setups: the pool's credentials and database.
    :param may_have_own: returns True if one client may take an upstream alone now.
    """

    __slots__ = ("_is_locked", "_is_transaction_refused", "_is_watch_refused", "_may_have_own", "_name", "_setups")

    def __init__(self, setups: RespSetups, may_have_own: Callable[[], bool]) -> None:
        self._setups = setups
        self._may_have_own = may_have_own
        #: The client has to log in first.
        self._is_locked = bool(setups.credentials.clients)
        #: A MULTI was refused, and its EXEC or DISCARD has not come.
        self._is_transaction_refused = False
        #: A WATCH was refused, and what would end it has not come: a transaction would be executed without it.
        self._is_watch_refused = False
        #: As of CLIENT SETNAME.
        self._name = b""

    def pack(self) -> dict[str, Any]:
        """What the client has said, for another process that goes on with it."""
        return {
            "is_locked": self._is_locked,
            "is_transaction_refused": self._is_transaction_refused,
            "is_watch_refused": self._is_watch_refused,
            "name": self._name.decode("latin-1"),
        }

    def unpack(self, packed: dict[str, Any]) -> None:
        """Go on with a client of another process.  Who has logged in there need not again."""
        self._is_locked = packed["is_locked"]
        self._is_transaction_refused = packed["is_transaction_refused"]
        self._is_watch_refused = packed["is_watch_refused"]
        self._name = packed["name"].encode("latin-1")

    @property
    def is_watchful(self) -> bool:
        """True while the commands that are else PLAIN have to be judged, too."""
        return self._is_locked or self._is_transaction_refused or self._is_watch_refused

    def judge(self, words: Sequence[bytes]) -> Verdict:
        """Return the verdict on the client's next command.

        :param words: as for :func:`~proxymux.core.codecs.resp.commands.verdict`, but as they came.
        """
        name = words[0].upper()
        if self._is_locked and name not in _BEFORE_LOGIN:
            return _NOAUTH
        if self._is_transaction_refused and name not in (b"QUIT", b"RESET"):
            return self._after_refused_multi(name)
        if self._is_watch_refused:
            if name == b"MULTI":
                self._is_transaction_refused = True
                return _refused("MULTI", "came after a WATCH that was refused")
            self._is_watch_refused = name not in (b"EXEC", b"DISCARD", b"UNWATCH")
        judge = _JUDGES.get(name)
        if judge is not None:
            return judge(self, words)
        found = verdict([word.upper() for word in words])
        if found is not OWN:
            return found
        own = self._own(name.decode())
        if own.problem:
            self._is_transaction_refused |= name == b"MULTI"
            self._is_watch_refused |= name == b"WATCH"
        return own

    def judge_quoted(self) -> Verdict:
        """Return the verdict on an inline command with quotes, which are for Redis to read: it may be any command."""
        if self._is_locked:
            return _NOAUTH
        if self._is_transaction_refused:
            return self._after_refused_multi(b"")
        return self._own(QUOTED)

    def _own(self, name: str, more: str = "") -> Verdict:
        """Return the verdict on a command that wants an upstream of its own.

        :param more: appended to the words of a refusal.
        """
        return Verdict(Kind.OWN, name=name) if self._may_have_own() else _refused(name, NO_SPARE + more)

    # Transactions

    def _after_refused_multi(self, name: bytes) -> Verdict:
        """Refuse what belongs to the transaction, up to its end."""
        if name not in (b"EXEC", b"DISCARD"):
            return answered(b"-ERR the MULTI before it was refused, and so is this command")
        self._is_transaction_refused = self._is_watch_refused = False
        if name == b"DISCARD":
            return answered(b"-ERR DISCARD without MULTI")
        return answered(b"-EXECABORT Transaction discarded because its MULTI was refused")

    def _reset(self, words: Sequence[bytes]) -> Verdict:
        """RESET: all that a sharing client could have set is known here."""
        if len(words) != 1:
            return _wrong_number("reset")
        self._is_transaction_refused = self._is_watch_refused = False
        self._is_locked = bool(self._setups.credentials.clients)
        self._name = b""
        return Verdict(Kind.REFUSED, b"+RESET\r\n", setup=None)

    # Login, version and database

    def _auth(self, words: Sequence[bytes]) -> Verdict:
        """AUTH: checked here if the pool asks for passwords; else the client becomes another one at Redis."""
        credentials = self._setups.credentials
        if not credentials.clients:
            return self._own("AUTH", _NO_LOGIN)
        if len(words) not in (2, 3):
            return answered(b"-ERR syntax error") if len(words) > 3 else _wrong_number("auth")
        user, password = words[1:] if len(words) == 3 else (b"default", words[1])
        if not credentials.admits(user, password):
            return _WRONGPASS
        self._is_locked = False
        return _OK

    def _hello(self, words: Sequence[bytes]) -> Verdict:
        """HELLO [version [AUTH user password] [SETNAME name]]: passed on without login and name."""
        if len(words) == 1:
            return _NOAUTH_HELLO if self._is_locked else PLAIN
        version = words[1]
        if not _IS_NUMBER.fullmatch(version):
            return answered(b"-ERR Protocol version is not an integer or out of range")
        if version not in HELLO:
            return answered(b"-NOPROTO unsupported protocol version")
        if len(words) >= WORDS:
            return answered(b"-ERR Syntax error in HELLO")
        login: Sequence[bytes] = ()
        name: bytes | None = None
        at = 2
        while at < len(words):
            option, left = words[at].upper(), len(words) - at - 1
            if option == b"AUTH" and left >= 2:
                login = words[at + 1 : at + 3]
                at += 3
            elif option == b"SETNAME" and left >= 1:
                name = words[at + 1]
                at += 2
            else:
                text = one_line(option.decode("latin-1"))
                return answered(f"-ERR Syntax error in HELLO option '{text}'".encode())
        if name is not None and not _IS_NAME.fullmatch(name):
            return _BAD_NAME
        credentials = self._setups.credentials
        if login and not credentials.clients:
            return self._own("HELLO", _NO_LOGIN)
        if login and not credentials.admits(*login):
            return _WRONGPASS
        if self._is_locked and not login:
            return _NOAUTH_HELLO
        self._is_locked = False
        if name is not None:
            self._name = name
        return Verdict(Kind.REPLACED, data=HELLO[version], setup=RESP3 if version == b"3" else None)

    def _select(self, words: Sequence[bytes]) -> Verdict:
        """SELECT: of the database that the slots are in it changes nothing."""
        shared = self._setups.database
        if list(words[1:]) == [b"%d" % shared]:
            return PLAIN
        return self._own("SELECT", f"; clients share database {shared} (--database)")

    # CLIENT

    def _client(self, words: Sequence[bytes]) -> Verdict:
        """CLIENT: most subcommands concern the connection itself."""
        which = words[1].upper() if len(words) > 1 else b""
        if which in _CLIENT_PLAIN:
            return PLAIN
        if which == b"SETNAME":
            return self._set_name(words)
        if which == b"GETNAME" and len(words) == 2:
            # Slots have no names.
            return answered(b"$%d\r\n%b" % (len(self._name), self._name)) if self._name else PLAIN
        if which == b"SETINFO":
            # On a shared upstream it would be wrong for the others; whether Redis knows it is for Redis to say.
            return Verdict(Kind.REPLACED, data=command(*words[:3], b"")) if len(words) == 4 else PLAIN
        if which in _CLIENT_SWITCHES:
            is_on = len(words) == 3 and words[2].upper() == b"ON"
            return Verdict(Kind.REPLACED, data=command(b"CLIENT", which, b"OFF")) if is_on else PLAIN
        if which == b"MAINT_NOTIFICATIONS":
            # They are about one connection, and would come between the replies to others.
            return answered(b"-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.")
        if which == b"REPLY" and [word.upper() for word in words[2:]] == [b"ON"]:
            return PLAIN
        return self._own(f"CLIENT {which.decode()}" if which in _CLIENT_OWN else "CLIENT")

    def _set_name(self, words: Sequence[bytes]) -> Verdict:
        if len(words) != 3:
            return _wrong_number("client|setname")
        if not _IS_NAME.fullmatch(words[2]):
            return _BAD_NAME
        self._name = words[2]
        return _OK


def _refused(name: str, why: str) -> Verdict:
    kind = Kind.QUIT if name in CLOSING else Kind.REFUSED
    return Verdict(kind, f"-ERR {name} {why}\r\n".encode(), name, problem=f"{name} {why}")


#: The commands that depend on what the client has said before, or have arguments in which case matters.
_JUDGES: Final[dict[bytes, Callable[[RespClient, Sequence[bytes]], Verdict]]] = {
    b"AUTH": RespClient._auth,
    b"CLIENT": RespClient._client,
    b"HELLO": RespClient._hello,
    b"RESET": RespClient._reset,
    b"SELECT": RespClient._select,
}
