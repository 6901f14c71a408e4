"""The file of certificate authorities that the environment names, for TLS to upstreams."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Mapping
from typing import Final

from proxymux.errors import ConfigError

_VARIABLE: Final = "SSL_CERT_FILE"
_REMEDY: Final = "name a PEM file of the authorities to trust, or unset it"


def check_trust_store(environment: Mapping[str, str]) -> None:
    """Check that the file which ``SSL_CERT_FILE`` names has certificates, if that variable is set.

    OpenSSL passes over a file that it cannot use, and trusts nobody then: every TLS upstream would be refused, each
    time for a reason that does not tell of the file.

    :param environment: the variables of the process.
    :raises ConfigError: if the file is missing, cannot be read, or holds no certificate, or a bad one, for
        which OpenSSL leaves the others in the file unread.
    """
    path = environment.get(_VARIABLE)
    if path is None:
        return
    if not path:
        raise ConfigError(_VARIABLE, f"is set to nothing; {_REMEDY}")
    try:
        if stat.S_ISFIFO(os.stat(path).st_mode):
            return  # what is read from it once is gone
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise ConfigError(_VARIABLE, f"{path}: {error.strerror}; {_REMEDY}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        problem = "no certificate" if "NO_CERTIFICATE" in str(error) else "what is no certificate, beside any that are"
        raise ConfigError(_VARIABLE, f"{path}: it holds {problem}; {_REMEDY}") from None
    if not context.cert_store_stats()["x509"]:
        raise ConfigError(_VARIABLE, f"{path}: it holds no certificate; {_REMEDY}")
