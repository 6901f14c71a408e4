from __future__ import annotations

from proxymux.cli.fuzz.literals import literals


def test_bytes_and_short_texts_are_tokens_once() -> None:
    source = (
        b'"""'
        + b"x" * 65
        + b'"""\nA = b"SSH-"\ndef proxy(data):\n    return data.startswith((b"SSH-", "\xc3\xa9".encode()))\n'
    )
    assert literals(source) == (b"SSH-", b"\xc3\xa9")


def test_what_is_no_python_has_none() -> None:
    assert literals(b"def") == literals(b"\0") == literals(b"\xff") == ()
