"""The gateway service: its options, and how it is put together."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, Final

from proxymux.errors import BadAddress, BadKeys, ConfigError, ProxymuxError
from proxymux.settings import Settings, count, count_or_off, one_of, read_option, some_seconds
from proxymux.tap.options import SharedOptions, address_endpoint, fail

if TYPE_CHECKING:
    from twisted.application.service import IService

    from proxymux.core.token.sealed import Keys
    from proxymux.core.token.verifier import TokenVerifier
    from proxymux.service import ProxyService

#: Names the variable that may hold the secret.
SECRET_VARIABLE: Final = "PROXYMUX_SECRET"
_DIGESTS: Final = ("md5", "sha256", "pbkdf2")
_FAILURES: Final = "600"
#: What the relay may read at once, in bytes.
_BUFFERS: Final = range(1024, (16 << 20) + 1)


class Options(SharedOptions):
    """Command line of ``twistd proxymux-gateway``."""

    synopsis = "[options] --secret-file FILE | --key-file FILE"
    longdesc = (
        "Hides servers: a client begins with one line, a token that holds the encrypted address of its server, gets"
        " a status of three digits and, after 200, is connected. Signals: QUIT waits for every connection to end, TERM"
        " and INT for --drain-timeout, a second one ends them now; HUP reloads the key file, the secret file and the"
        " deny files; USR1 reopens log files."
    )
    optParameters: ClassVar[list[list[Any]]] = [
        ["secret", None, None, "secret of old tokens; seen by who can list processes: better --secret-file"],
        ["secret-file", None, None, f"file with the secret of old tokens [default: the variable {SECRET_VARIABLE}]"],
        ["key-file", None, None, "file of keys of sealed tokens, KID BASE64 a line; the first seals, all open"],
        ["legacy", None, None, "whether old tokens are accepted: on or off [default: on]"],
        ["audience", None, None, "name that a token must name if it names one [default: none]"],
        ["addr", None, None, "HOST:PORT to listen on; the port is logged [default: 0.0.0.0:0]"],
        ["reuse", None, None, "1 to share the port with other processes, else 0 [default: 0]"],
        ["retry", None, None, "attempts in all to connect; only time-outs are tried again [default: 1]"],
        ["timeout", None, None, "seconds for each attempt to connect [default: 3]"],
        ["buffer", None, None, "bytes that the relay reads at once, 1024 to 16777216 [default: 65536]"],
        ["max-failures", None, None, f"bad handshakes a minute until an address waits, or off [default: {_FAILURES}]"],
        ["gateway-pidfile", None, None, "file that gets the process's number, or off [default: gateway.pid]"],
    ]

    def opt_digest(self, value: str) -> None:
        """digest of old tokens: md5, sha256 or pbkdf2. Repeatable. [default: md5]"""
        self["digest"].append(value)

    def opt_allow_target(self, value: str) -> None:
        """CIDR[:PORTS] that clients may be connected to, after resolution. Repeatable. [default: all]"""
        self["allow-target"].append(value)

    def opt_deny_target(self, value: str) -> None:
        """CIDR[:PORTS] that they may not be connected to; wins over --allow-target. Repeatable. [default: none]"""
        self["deny-target"].append(value)

    def __init__(self) -> None:
        super().__init__()
        for name in ("digest", "allow-target", "deny-target"):
            self[name] = []

    def postOptions(self) -> None:
        """Look at what the options say together.

        :raises ConfigError: if that makes no sense.
        """
        # It ends here: what twistd keeps of the command line, and may show, has it no more.
        given, self["secret"] = self["secret"], None
        self.secret_source = SecretSource(given, self["secret-file"])
        if self["decide-timeout"] is None:
            self["decide-timeout"] = "10"
        if self["tcp-keepalive"] is None:
            self["tcp-keepalive"] = "15"
        listen = list(self["listen"])
        if self["addr"] is not None or not listen:
            listen.append(address_endpoint("--addr", "0.0.0.0:0" if self["addr"] is None else self["addr"]))
        self.shared = self.settings(listen)
        self.gateway = GatewaySettings(self)


class SecretSource:
    """Where the secret comes from, the command line, a file or the environment.

    :param given: as on the command line, or None.
    :param path: of the file, or None.
    """

    def __init__(self, given: str | None, path: str | None) -> None:
        if given is not None and path is not None:
            raise ConfigError("--secret-file", "is given beside --secret; give one of them")
        self._path = None if path is None else os.path.abspath(path)
        self._given = given
        if given is None and path is None:
            self._given = os.environ.pop(SECRET_VARIABLE, None)  # what we start shall not have it

    def read(self) -> bytes | None:
        """The secret, or None if there is none.

        :raises ConfigError: if the file cannot be read.
        """
        if self._path is None:
            return self._given.encode("utf-8", "surrogateescape") if self._given else None
        try:
            with open(self._path, "rb") as file:
                secret = file.read().removesuffix(b"\n").removesuffix(b"\r")
        except OSError as error:
            raise ConfigError(
                "--secret-file", f"{self._path}: {error.strerror}; name a file that holds the secret"
            ) from None
        if not secret:
            raise ConfigError("--secret-file", f"{self._path}: is empty; name a file that holds the secret")
        return secret


class GatewaySettings:
    """The gateway's own options, read.

    :raises ConfigError: naming the option that has a bad value.
    """

    def __init__(self, options: Any) -> None:
        def read(name: str, default: str, reader: Any, accepted: str) -> Any:
            given = options[name]
            return read_option(f"--{name}", default if given is None else given, reader, accepted)

        self.digests: tuple[Any, ...] = tuple(
            read_option("--digest", each, one_of(*_DIGESTS), "md5, sha256 or pbkdf2")
            for each in options["digest"] or ["md5"]
        )
        self.legacy = read("legacy", "on", one_of("on", "off"), "on or off") == "on"
        self.reuse = read("reuse", "0", one_of("0", "1"), "0 or 1") == "1"
        self.attempts: int = read("retry", "1", count, "a whole number of at least 1")
        self.timeout: float = read("timeout", "3", some_seconds, "a number of seconds greater than 0")
        self.buffer: int = read("buffer", "65536", _buffer, "a whole number of bytes from 1024 to 16777216")
        self.failures: int | None = read(
            "max-failures", _FAILURES, count_or_off, "a whole number of at least 1, or off"
        )
        self.audience: str | None = options["audience"]
        self.key_file = None if options["key-file"] is None else os.path.abspath(options["key-file"])
        pid_file = "gateway.pid" if options["gateway-pidfile"] is None else options["gateway-pidfile"]
        self.pid_file = None if pid_file == "off" else os.path.abspath(pid_file)
        self.allow_target = _rules("--allow-target", options["allow-target"])
        self.deny_target = _rules("--deny-target", options["deny-target"])


def _buffer(text: str) -> int:
    if count(text) not in _BUFFERS:
        raise ValueError
    return int(text)


def _rules(option: str, texts: list[str]) -> tuple[Any, ...]:
    from proxymux.gateway.target_rules import parse_target_rule

    try:
        return tuple(map(parse_target_rule, texts))
    except BadAddress as error:
        raise ConfigError(option, str(error)) from None


def makeService(options: Options) -> IService:
    """The service that the command line asks for."""
    from twisted.internet import reactor

    try:
        service = make_gateway(reactor, options.secret_source, options.gateway, options.shared)
        service.check()
    except ProxymuxError as error:
        fail(error)
    if options["check"]:
        print("ok")
        raise SystemExit(0)
    return service


def Gateway(secret: str | None = None, **settings: Any) -> ProxyService:
    """A gateway service for a ``.tac`` file.

    :param secret: as ``--secret``; a file of secrets or keys is better there too.
    :param settings: the options with underscores for dashes, for example ``addr="0.0.0.0:8000"``.
    :raises ProxymuxError: if a value is not accepted.
    """
    from twisted.internet import reactor

    options = Options()
    for name, value in {**settings, "secret": secret}.items():
        option = name.replace("_", "-")
        if option not in options:
            raise ConfigError(name, "there is no such option")
        many = isinstance(options[option], list)
        options[option] = ([value] if isinstance(value, str) else list(value)) if many else _as_text(value)
    options.postOptions()
    service = make_gateway(reactor, options.secret_source, options.gateway, options.shared)
    service.check()
    return service


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def make_gateway(reactor: Any, source: SecretSource, own: GatewaySettings, settings: Settings) -> ProxyService:
    """Put a gateway service together.

    :raises ProxymuxError: if there is no secret and no key, or they cannot be read.
    """
    import time

    from proxymux.admin.statistics import Statistics
    from proxymux.core.token.verifier import ReplayCache
    from proxymux.gateway.failure_budget import FailureBudget
    from proxymux.gateway.pid_file import PidFile
    from proxymux.gateway.target_filter import TargetFilter
    from proxymux.gateway.target_rules import TargetRules
    from proxymux.gateway.token_decider import TokenDecider
    from proxymux.tap.wiring import make_driver, make_log, make_service

    log = make_log(settings.log_level)
    driver = make_driver(reactor, settings, log, own.buffer)
    target_filter = TargetFilter(TargetRules(own.allow_target, own.deny_target))
    replay_cache, budget, statistics = ReplayCache(), FailureBudget(own.failures), Statistics()

    def decider() -> TokenDecider:
        return TokenDecider(
            _verifier(source, own), replay_cache, budget, statistics.opened, own.attempts, driver.timers, time.time
        )

    service = make_service(
        driver,
        "gateway",
        decider,
        settings,
        log,
        connect_timeout=own.timeout,
        reuse=own.reuse,
        pid_file=None if own.pid_file is None else PidFile("--gateway-pidfile", own.pid_file),
        statistics=statistics,
        target_check=target_filter,
    )
    target_filter.own = service.bound
    return service


def _verifier(source: SecretSource, own: GatewaySettings) -> TokenVerifier:
    from proxymux.core.token.verifier import TokenVerifier

    secret = source.read()
    keys = None if own.key_file is None else read_keys(own.key_file)
    if secret is None and keys is None:
        raise ConfigError("Missing secret", f"give --secret-file, {SECRET_VARIABLE}, --secret or --key-file")
    if keys is None and not own.legacy:
        raise ConfigError("--legacy", "off leaves nothing that opens a token; give --key-file")
    return TokenVerifier(secret if own.legacy else None, own.digests, keys, own.audience)


def read_keys(path: str) -> Keys:
    """The keys of a key file.

    :raises ConfigError: if it cannot be used.
    """
    from proxymux.core.token.sealed import parse_keys

    try:
        with open(path, encoding="utf-8") as file:
            return parse_keys(file)
    except BadKeys as error:
        raise ConfigError("--key-file", f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ConfigError("--key-file", f"{path}: {reason}; name a readable file of keys") from None
