"""Functions of the OpenSSL inside ``cryptography`` that its bindings leave out.

Distributions link ``cryptography`` to the system's OpenSSL, where the loader finds every function.  Its wheels have an
OpenSSL of their own inside the extension module, and do not export its functions; but the symbol table of the file
still tells where each is.  Tried with the wheels of 42.0, 43.0, 46.0 and 50.0 for Linux.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from typing import Any, Final, NamedTuple

from cryptography.hazmat.bindings import _rust

#: An ELF file of 64 bits, with the lowest byte first.
_ELF: Final = b"\x7fELF\2\1"
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL_TABLE: Final = 2
_FUNCTION: Final = 2
#: A function that every extension module exports, whose address the loader tells.
_EXPORTED: Final = "PyInit__rust"


def function_address(name: str) -> int | None:
    """Where the function ``name`` of OpenSSL is in this process, or None if that cannot be found out."""
    try:
        library = ctypes.CDLL(_rust.__file__)
        if hasattr(library, name):
            return _address(getattr(library, name))
        offset, known = (offset_in(_rust.__file__, each) for each in (name, _EXPORTED))
        if offset is None or known is None:
            return None
        return _address(getattr(library, _EXPORTED)) - known + offset
    except (OSError, ValueError, AttributeError, struct.error):  # another kind of file, or one that is cut
        return None


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def offset_in(path: str, name: str) -> int | None:
    """How far behind the beginning of the loaded file the function ``name`` is, by the file's symbol table.

    :returns: None if the file has no such table, or it no such function.
    :raises OSError: if the file cannot be read.
    :raises ValueError: if it is empty.
    :raises struct.error: if it is cut.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[: len(_ELF)] != _ELF:
            return None
        (start,) = struct.unpack_from("<Q", data, 40)
        size, count = struct.unpack_from("<HH", data, 58)
        sections = [_Section(*_SECTION.unpack_from(data, start + number * size)) for number in range(count)]
        table = next((each for each in sections if each.kind == _SYMBOL_TABLE), None)
        if table is None:
            return None
        texts = sections[table.link]
        place = data.find(b"\0" + name.encode("ascii") + b"\0", texts.offset, texts.offset + texts.size)
        wanted = struct.pack("<I", place + 1 - texts.offset)
        at, end = table.offset - 1, table.offset + table.size
        while place >= 0 and (at := data.find(wanted, at + 1, end)) >= 0:
            _, info, _, _, value, _ = _SYMBOL.unpack_from(data, at)
            if (at - table.offset) % _SYMBOL.size == 0 and info & 0xF == _FUNCTION:
                return int(value)
    return None
