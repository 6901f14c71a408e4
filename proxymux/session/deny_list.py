"""The deny list: the networks whose clients are refused, from the settings and from the deny files."""

from __future__ import annotations

from proxymux.core.admission import Admission, Network, parse_networks
from proxymux.errors import BadAddress, ConfigError
from proxymux.settings import Settings


class DenyList:
    """Reads the deny files for the admission of a service.

    :param settings: name the networks (``deny``) and the files (``deny_file``).
    :param admission: refuses the clients of these networks.
    """

    def __init__(self, settings: Settings, admission: Admission) -> None:
        self._settings = settings
        self._admission = admission

    def load(self) -> None:
        """Read the files and replace the networks that the admission denies.

        :raises ConfigError: if a file cannot be read; the denied networks have not changed then.
        """
        self._admission.deny(self._settings.deny + self.read())

    def read(self) -> tuple[Network, ...]:
        """Return the networks that the files name, without denying them.

        :raises ConfigError: if a file cannot be read.
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
