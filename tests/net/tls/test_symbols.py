"""Functions of OpenSSL that the bindings leave out are found in the file that has them, or not at all."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from cryptography.hazmat.bindings import _rust
from OpenSSL._util import ffi, lib

from proxymux.net.tls.symbols import function_address, offset_in


def test_a_function_is_where_openssl_itself_has_it() -> None:
    address = function_address("SSL_CTX_get_options")  # one that the bindings have, too
    if address is None:
        pytest.skip("this build of cryptography does not tell")
    context = lib.SSL_CTX_new(lib.TLS_server_method())
    lib.SSL_CTX_set_options(context, lib.SSL_OP_NO_TICKET)
    found = ffi.cast("uint64_t (*)(void *)", address)(context)
    assert found == lib.SSL_CTX_get_options(context)
    lib.SSL_CTX_free(context)


def test_what_is_not_there_is_not_found() -> None:
    assert function_address("SSL_CTX_get_option") is None


def test_a_file_that_is_stripped_or_something_else_tells_nothing(tmp_path: Path) -> None:
    begin = Path(_rust.__file__).read_bytes()[:64]
    file = tmp_path / "library"
    for data in (begin[:60] + bytes(2) + begin[62:], b"MZ" + begin[2:]):  # the first has no sections
        file.write_bytes(data)
        assert offset_in(str(file), "SSL_CTX_ctrl") is None
    file.write_bytes(begin)  # cut
    with pytest.raises(struct.error):
        offset_in(str(file), "SSL_CTX_ctrl")
