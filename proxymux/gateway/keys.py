"""The secret of old tokens and the keys of sealed ones, read from the places that the settings name."""

from __future__ import annotations

import os

from proxymux.core.token.sealed import Keys, parse_keys
from proxymux.core.token.verifier import TokenVerifier
from proxymux.errors import BadKeys, ConfigError
from proxymux.gateway.settings import SECRET_VARIABLE, GatewaySettings
from proxymux.paths import exposure


class SecretSource:
    """The place of the secret: the settings, a file or the environment variable ``PROXYMUX_SECRET``.

    The variable is read, and removed from the environment, only if the settings name neither a secret nor a file.

    :param given: the secret of the settings, or None.
    :param path: the path of the secret file, or None.
    """

    def __init__(self, given: str | None, path: str | None) -> None:
        self._path = None if path is None else os.path.abspath(path)
        self._given = given
        if given is None and path is None:
            self._given = os.environ.pop(SECRET_VARIABLE, None)  # removed, so that no child process inherits it

    def read(self) -> bytes | None:
        """Return the secret, from a file as it is now; None if there is no secret.

        :raises ConfigError: if the file cannot be read or is empty.
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


def read_keys(path: str) -> Keys:
    """Read a key file.

    :raises ConfigError: naming ``--key-file``, if it cannot be read or has a bad line.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return parse_keys(file)
    except BadKeys as error:
        raise ConfigError("--key-file", f"{path}: {error}") from None
    except OSError as error:
        raise ConfigError("--key-file", f"{path}: {error.strerror}; name a readable file of keys") from None
    except UnicodeDecodeError:
        raise ConfigError("--key-file", f"{path}: not a text file; name a readable file of keys") from None


def make_verifier(source: SecretSource, settings: GatewaySettings) -> TokenVerifier:
    """Make the verifier of the tokens that the settings accept, from the files as they are now.

    :raises ConfigError: if there is neither a secret nor a key, or they cannot be read.
    """
    secret = source.read()
    keys = None if settings.key_file is None else read_keys(settings.key_file)
    if secret is None and keys is None:
        raise ConfigError("Missing secret", f"give --secret-file, {SECRET_VARIABLE}, --secret or --key-file")
    if keys is None and not settings.legacy:
        raise ConfigError("--legacy", "off leaves nothing that opens a token; give --key-file")
    return TokenVerifier(secret if settings.legacy else None, settings.digest, keys, settings.audience)


def warnings(settings: GatewaySettings) -> list[str]:
    """What is unwise about the files of the secret and the keys, in one line each: that every user can read one."""
    files = {"--secret-file": settings.secret_file, "--key-file": settings.key_file}
    dangers = {option: exposure(path) for option, path in files.items() if path is not None}
    return [f"{option}: {danger}" for option, danger in dangers.items() if danger is not None]
