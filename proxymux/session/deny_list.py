"""The deny list: the networks whose clients are refused, from the settings, the deny files and the fleet."""

from __future__ import annotations

from collections.abc import Iterable

from proxymux.core.admission import Admission, Network, parse_networks
from proxymux.errors import BadAddress, ConfigError
from proxymux.settings import Settings


class DenyList:
    """Reads the deny files for the admission of a service, and adds what all of a fleet deny.

    :param settings: name the networks (``deny``) and the files (``deny_file``).
    :param admission: refuses the clients of these networks.
    """

    def __init__(self, settings: Settings, admission: Admission) -> None:
        self._settings = settings
        self._admission = admission
        self._own: tuple[Network, ...] = settings.deny
        self._shared: tuple[Network, ...] = ()

    def load(self) -> None:
        """Read the files and replace the networks that the admission denies.

        :raises ConfigError: if a file cannot be read; the denied networks have not changed then.
        """
        self._own = self._settings.deny + self.read()
        self._admission.deny(self._own + self._shared)

    def share(self, networks: Iterable[Network]) -> None:
        """Replace the networks that come from elsewhere (``--deny-cluster``); those of the files stay as they are."""
        self._shared = tuple(networks)
        self._admission.deny(self._own + self._shared)

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
