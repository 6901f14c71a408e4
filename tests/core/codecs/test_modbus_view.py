from __future__ import annotations

from proxymux.core.codecs import make_codec


def test_unit_and_function() -> None:
    data = bytes.fromhex("00ff00000006fe0300000001")
    codec = make_codec("modbus")
    assert codec.requests().feed(data)[0].end == len(data)
    view = codec.view(data)
    assert (view.codec, view.data, view.command, view.key, view.keys) == ("modbus", data, None, None, ())
    assert (view.unit, view.function) == (254, 3)  # type: ignore[attr-defined]
    assert codec.key_of(data) is None
