"""The deny list: networks whose clients are refused, as the settings and the deny files name them."""

from __future__ import annotations

from proxymux.core.admission import Admission, Network, parse_networks
from proxymux.errors import BadAddress, ConfigError
from proxymux.settings import Settings


class DenyList:
    """Reads the deny files.

    :param settings: name networks and files.
    :param admission: is given the networks of both.
    """

    def __init__(self, settings: Settings, admission: Admission) -> None:
        self._settings = settings
        self._admission = admission

    def load(self) -> None:
        """Read the files, and have the admission deny what they name.

        :raises ConfigError: if one cannot be read; nothing has changed then.
        """
        self._admission.deny(self._settings.deny + self.read())

    def read(self) -> tuple[Network, ...]:
        """The networks that the files name.

        :raises ConfigError: if one cannot be read.
        """
        networks: tuple[Network, ...] = ()
        for name in self._settings.deny_file:
            try:
                with open(name, encoding="utf-8") as file:
                    networks += parse_networks(file)
            except BadAddress as error:
                raise ConfigError("--deny-file", f"{name}, {error}") from None
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not a text file"
                raise ConfigError("--deny-file", f"{name}: {reason}; name a readable file of CIDRs") from None
        return networks
