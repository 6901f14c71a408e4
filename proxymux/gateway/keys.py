"""What opens tokens: the secret of old ones and the keys of sealed ones, read from where the settings say."""

from __future__ import annotations

import os

from proxymux.core.token.sealed import Keys, parse_keys
from proxymux.core.token.verifier import TokenVerifier
from proxymux.errors import BadKeys, ConfigError
from proxymux.gateway.settings import SECRET_VARIABLE, GatewaySettings


class SecretSource:
    """Where the secret comes from: the command line, a file or the environment.

    :param given: as on the command line, or None.
    :param path: of the file, or None.
    """

    def __init__(self, given: str | None, path: str | None) -> None:
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


def read_keys(path: str) -> Keys:
    """The keys of a key file.

    :raises ConfigError: if it cannot be used.
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
    """What opens the tokens that the settings accept, from the files as they are now.

    :raises ConfigError: if there is no secret and no key, or they cannot be read.
    """
    secret = source.read()
    keys = None if settings.key_file is None else read_keys(settings.key_file)
    if secret is None and keys is None:
        raise ConfigError("Missing secret", f"give --secret-file, {SECRET_VARIABLE}, --secret or --key-file")
    if keys is None and not settings.legacy:
        raise ConfigError("--legacy", "off leaves nothing that opens a token; give --key-file")
    return TokenVerifier(secret if settings.legacy else None, settings.digest, keys, settings.audience)
