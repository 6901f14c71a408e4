"""The deny list of a fleet: networks that are the values of keys, as they are now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from twisted.logger import Logger

from proxymux.core.admission import Network, parse_network
from proxymux.errors import BadAddress
from proxymux.printable import printable

#: The most networks that are denied; those of further keys are left out.
MAX_NETWORKS: Final = 50_000
#: The most values that are complained of one by one, as they come.
MAX_COMPLAINTS: Final = 10
#: The most characters of a key that are shown.
_EXCERPT: Final = 200


class DeniedNetworks:
    """The networks that values name.  What is no network is left out, and said once.

    :param name: of where they come from, for the log.
    """

    def __init__(self, name: str, log: Logger) -> None:
        self._name = name
        self._log = log
        self._networks: dict[bytes, Network] = {}
        self._has_too_many = False

    def __len__(self) -> int:
        return len(self._networks)

    @property
    def networks(self) -> tuple[Network, ...]:
        """All of them, at most :data:`MAX_NETWORKS`."""
        return tuple(self._networks.values())[:MAX_NETWORKS]

    def update(self, values: Mapping[bytes, bytes], keys: Iterable[bytes]) -> None:
        """Take the values of keys that have changed.

        :param keys: those; one that is not in ``values`` is gone.
        """
        complaints = []
        for key in sorted(keys):
            self._networks.pop(key, None)
            if key in values:
                try:
                    self._networks[key] = parse_network(values[key].decode("utf-8", "replace").strip())
                except BadAddress as error:
                    complaints.append((key, str(error)))
        self._complain(complaints)
        excess = len(self._networks) - MAX_NETWORKS
        if excess > 0 and not self._has_too_many:
            text = "{name}: there are more than {most} networks; the last {count} are not denied"
            self._log.error(text, name=self._name, most=MAX_NETWORKS, count=excess)
        self._has_too_many = excess > 0

    def _complain(self, complaints: list[tuple[bytes, str]]) -> None:
        for key, problem in complaints[:MAX_COMPLAINTS]:
            shown = printable(key.decode("utf-8", "backslashreplace"), _EXCERPT)
            self._log.error("{name}: {key} is left out: {problem}", name=self._name, key=shown, problem=problem)
        more = len(complaints) - MAX_COMPLAINTS
        if more > 0:
            self._log.error("{name}: {more} other values are left out, too", name=self._name, more=more)
