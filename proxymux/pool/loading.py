"""Loads what a pool takes from files and user code: a codec, event listeners, the configuration object, users."""

from __future__ import annotations

from typing import Final, TypeGuard

from proxymux.core.codecs import Codec, complete, make_codec
from proxymux.core.codecs.limits import DEFAULT_LIMITS, Limits
from proxymux.core.codecs.resp.credentials import Credentials, parse_credentials
from proxymux.core.events import EVENTS, Events
from proxymux.errors import BadCodec, BadKeys, ConfigError, RouterError
from proxymux.fields import in_words
from proxymux.paths import exposure
from proxymux.pool.settings import PoolSettings
from proxymux.user_code import describe, find

#: What is wanted for ``--listeners``, for the message where it is not there.
_LISTENERS: Final = f"the file that defines {in_words(list(EVENTS))}"


def load_codec(name: str, limits: Limits = DEFAULT_LIMITS, **choices: object) -> Codec:
    """Return a codec by its name.

    :param name: the value of ``--codec``: a built-in codec, or ``package.module:attr`` of the user's.
    :param limits: the limits of a built-in codec.
    :param choices: further arguments, which only the built-in codec of that name takes.
    :raises ConfigError: if there is no such codec, or the user's lacks a member that a codec must have.
    """
    try:
        if ":" not in name or name.startswith("length:"):
            return make_codec(name, limits, **choices)
    except BadCodec as error:
        raise ConfigError("--codec", str(error)) from None
    found = _find("--codec", name, "a built-in codec, or package.module:attribute of your own")[0]
    try:
        codec = found() if isinstance(found, type) else found
    except Exception as error:  # the user's constructor may do anything
        raise ConfigError("--codec", f"{name}: {describe(error)}") from None
    missing = [f"{each}()" for each in ("requests", "replies", "failure") if not callable(getattr(codec, each, None))]
    missing += [each for each in ("name", "gap") if not hasattr(codec, each)]
    if _is_codec(codec, missing):
        return complete(codec)
    raise ConfigError("--codec", f"{name}: it has no {missing[0]}; see docs/pool.rst for what a codec has")


def load_credentials(path: str) -> Credentials:
    """Read an ``--auth-file``.

    :raises ConfigError: if it cannot be read or has a bad line.
    """
    try:
        with open(path, "rb") as file:
            return parse_credentials(file)
    except BadKeys as error:
        raise ConfigError("--auth-file", f"{path}: {error}") from None
    except OSError as error:
        raise ConfigError("--auth-file", f"{path}: {error.strerror}; name a readable file of users") from None


def warnings(settings: PoolSettings) -> list[str]:
    """What is unwise about the settings, in one line each: an auth file that every user can read."""
    danger = None if settings.auth_file is None else exposure(settings.auth_file)
    return [] if danger is None else [f"--auth-file: {danger}"]


def load_listeners(events: Events, name: str) -> None:
    """Subscribe the functions of a user's file or module to the events that they are named after.

    :param name: the value of ``--listeners``: a file or a module.
    :raises ConfigError: if it cannot be loaded, or none of its functions has the name of an event.
    """
    found, filename = _find("--listeners", name, _LISTENERS)
    functions = {event: getattr(found, event, None) for event in EVENTS}
    heard = {event: function for event, function in functions.items() if callable(function)}
    if not heard:
        raise ConfigError("--listeners", f"{filename}: it defines none of {', '.join(EVENTS)}")
    for event, function in heard.items():
        events.on(event, function)


def load_config(name: str) -> object:
    """Load the configuration object that the ancestor would be given.

    :param name: the value of ``--config-object``.
    :raises ConfigError: if there is no such object.
    """
    return _find("--config-object", name, "package.module:attribute of the object")[0]


def _find(option: str, name: str, wanted: str) -> tuple[object, str]:
    try:
        found, _, filename = find(name, wanted)
    except RouterError as error:
        raise ConfigError(option, str(error)) from None
    return found, filename


def _is_codec(found: object, missing: list[str]) -> TypeGuard[Codec]:
    return not missing
