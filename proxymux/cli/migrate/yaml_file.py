"""Reads nutcracker's kind of YAML: pools, their directives, and the line of each.

Every value is a text, as it is for nutcracker: ``yes`` is no boolean, and ``010`` is no 8.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from proxymux.core.excerpt import excerpt
from proxymux.errors import ConfigError

#: The most bytes of a file: some 30,000 servers.
MAX_FILE: Final = 1 << 20
_REMEDY: Final = "nutcracker -t -c FILE says whether it is a configuration of nutcracker"
#: What may be a part of a password in a parser's message.
_QUOTED: Final = re.compile("'[^']*'|\"[^\"]*\"")


class Directive(NamedTuple):
    """One value of a pool.

    :param place: the file and the line, ``nutcracker.yml:12``.
    """

    place: str
    text: str


class Section(NamedTuple):
    """One pool, as it stands in the file.

    :param directives: the values by their names; those of ``servers`` are many, of the others it is one.
    """

    name: str
    path: str
    number: int
    directives: dict[str, tuple[Directive, ...]]

    @property
    def place(self) -> str:
        """The file and the line where it begins."""
        return f"{self.path}:{self.number}"


def read_sections(path: str) -> list[Section]:
    """Read a file.

    :raises ConfigError: naming the file and the line, if it is no such file; no value is shown.
    """
    root = _compose(path, _content(path))
    if root is None or not root.value:
        raise ConfigError(path, f"has no pools; {_REMEDY}")
    return [_section(path, name, value) for name, value in _pairs(path, root, "the file")]


def _content(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise ConfigError(path, f"is larger than {MAX_FILE} bytes; {_REMEDY}")
        return content.decode("utf-8")
    except OSError as error:
        raise ConfigError(path, f"{error.strerror}; name a configuration of nutcracker") from None
    except UnicodeDecodeError:
        raise ConfigError(path, f"is not UTF-8; {_REMEDY}") from None


def _compose(path: str, content: str) -> Any:
    """The tree of YAML's nodes, of which each knows its line."""
    try:
        import yaml  # here, as nothing else needs it
    except ImportError:
        raise ConfigError(path, "reading it needs PyYAML; pip install 'proxymux[migrate]'") from None
    try:
        return yaml.compose(content, Loader=yaml.SafeLoader)
    except RecursionError:
        raise ConfigError(path, f"is nested too deeply; {_REMEDY}") from None
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = path if mark is None else f"{path}:{mark.line + 1}"
        raise ConfigError(place, f"is no YAML: {_QUOTED.sub('...', problem or 'a character')}; {_REMEDY}") from None


def _section(path: str, name: Any, value: Any) -> Section:
    directives: dict[str, tuple[Directive, ...]] = {}
    for key, values in _pairs(path, value, f"pool {excerpt(name.value)}"):
        place = _place(path, key)
        if key.value in directives:
            raise ConfigError(place, f"{excerpt(key.value)} is given twice")
        items = values.value if _kind(values) == "sequence" else [values]
        directives[key.value] = tuple(_directive(path, key.value, item) for item in items)
        if (key.value == "servers") is not (_kind(values) == "sequence"):
            accepted = "a list such as - 127.0.0.1:6379:1 is" if key.value == "servers" else "one value is"
            raise ConfigError(place, f"{excerpt(key.value)}: {accepted} accepted")
    return Section(name.value, path, name.start_mark.line + 1, directives)


def _directive(path: str, name: str, node: Any) -> Directive:
    if _kind(node) != "scalar":
        raise ConfigError(_place(path, node), f"{excerpt(name)}: a single value is accepted")
    if not node.value.isprintable():  # a line of a script is made of it
        raise ConfigError(_place(path, node), f"{excerpt(name)}: a character is not printable")
    return Directive(_place(path, node), node.value)


def _pairs(path: str, node: Any, what: str) -> list[tuple[Any, Any]]:
    """The keys and values of a mapping."""
    if _kind(node) != "mapping":
        raise ConfigError(_place(path, node), f"{what} is no list of names with values; {_REMEDY}")
    for key, _ in node.value:
        if _kind(key) != "scalar":
            raise ConfigError(_place(path, key), f"{what}: a name is no text; {_REMEDY}")
    return list(node.value)


def _kind(node: Any) -> str:
    return str(node.id)


def _place(path: str, node: Any) -> str:
    return f"{path}:{node.start_mark.line + 1}"
