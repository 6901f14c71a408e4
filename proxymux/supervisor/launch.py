"""Launches: what a worker is to be, so that a fresh process with fresh code can make the same service."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from proxymux.errors import ConfigError


@dataclass(frozen=True, slots=True, repr=False)
class Launch:
    """How a worker makes its service.  It may hold secrets of the command line, so it is shown nowhere.

    :param plugin: the name of the service's twistd plugin; None for a service of a ``.tac`` file.
    :param arguments: the command line of the plugin.
    :param tac: the path of the ``.tac`` file; None for a service of the command line.
    :param ordinal: which of the services with workers in that file it is, from 0.
    :param folder: the working directory in which the paths are to be read.
    :param reactor: the module whose ``install()`` makes the reactor.
    """

    plugin: str | None
    arguments: Sequence[str]
    tac: str | None
    ordinal: int
    folder: str
    reactor: str

    @classmethod
    def of_command(cls, plugin: str, arguments: Sequence[str], reactor: object) -> Launch:
        """The launch of the service of a command line that was given in this working directory."""
        return cls(plugin, tuple(arguments), None, 0, os.getcwd(), type(reactor).__module__)

    @classmethod
    def of_file(cls, tac: str, ordinal: int, reactor: object) -> Launch:
        """The launch of a service of a ``.tac`` file."""
        return cls(None, (), os.path.abspath(tac), ordinal, os.getcwd(), type(reactor).__module__)

    def to_json(self) -> str:
        """The launch as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Launch:
        """The launch that :meth:`to_json` has written."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class User:
    """Whom workers run as.

    :param uid: None for this process's own.
    :param gid: None for that of the user, or this process's own.
    """

    uid: int | None = None
    gid: int | None = None

    @classmethod
    def of(cls, twistd: Mapping[str, object]) -> User:
        """The user that the options of twistd name.

        :raises ConfigError: if they name a root folder, too, where no worker could be started.
        """
        if twistd.get("chroot"):
            raise ConfigError("--workers", "there is no Python in twistd's --chroot to start them with; leave one away")
        uid, gid = twistd.get("uid"), twistd.get("gid")
        return cls(uid if isinstance(uid, int) else None, gid if isinstance(gid, int) else None)

    def as_arguments(self) -> dict[str, Any]:
        """The arguments by which :mod:`subprocess` starts a process of this user's."""
        if self.uid is None:
            return {} if self.gid is None else {"group": self.gid}
        name, group = pwd.getpwuid(self.uid)[0], pwd.getpwuid(self.uid)[3]
        if self.gid is not None:
            group = self.gid
        return {"user": self.uid, "group": group, "extra_groups": os.getgrouplist(name, group)}
