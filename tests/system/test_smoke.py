from tests.system.conftest import Start


def test_a_router_that_rejects_sends_its_last_word(start: Start) -> None:
    proxy = start("def proxy(data):\n    return {'close': b'no: ' + data}\n")
    assert proxy.ask(b"abc") == b"no: abc"
    [record] = proxy.records(1)
    assert (record["outcome"], record["bytes_in"], record["bytes_out"]) == ("rejected", 3, 7)
