"""The client: what it asks for, and what it takes the answers for."""

from __future__ import annotations

import pytest

from proxymux.discovery.etcd import http
from proxymux.discovery.etcd.values import decoded, encoded
from proxymux.errors import EtcdError
from tests.discovery.etcd.stand_in import Answer, Asked, always, client_of, pairs, refused, standing_in
from tests.services.peers import in_reactor


@in_reactor
async def test_pages_are_of_one_revision_and_smaller_where_values_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {f"/p/{number:04}": "x" * 50 for number in range(2500)}
    monkeypatch.setattr(http, "LONGEST_ANSWER", 30_000)

    def answer(asked: Asked) -> Answer:
        found = pairs({key: value for key, value in keys.items() if key.encode() >= decoded(asked.body["key"])})
        limit = int(asked.body["limit"])
        revision = "7" if asked.body["revision"] == "0" else asked.body["revision"]
        return {"header": {"revision": revision}, "kvs": found[:limit], "more": len(found) > limit}

    with standing_in(answer) as etcd:
        client = client_of(etcd.address)
        revision, found = await client.range_prefix(b"/p/")
        assert revision == 7
        assert found == {key.encode(): value.encode() for key, value in keys.items()}
        assert [asked.body["limit"] for asked in etcd.asked][:2] == ["1000", "100"]
        assert {asked.body["revision"] for asked in etcd.asked[2:]} == {"7"}
        client.close()


@in_reactor
async def test_more_keys_than_the_limit_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxymux.discovery.etcd.client.MOST_KEYS", 3)
    with standing_in(always({"kvs": pairs(dict.fromkeys("abcd", "v"))})) as etcd:
        client = client_of(etcd.address)
        await refused(client.range_prefix(b"a"), "more than 3 keys")
        client.close()


@in_reactor
async def test_a_key_is_created_by_a_transaction_that_compares_its_revision() -> None:
    with standing_in(always({"succeeded": True})) as etcd:
        client = client_of(etcd.address)
        assert await client.create(b"k", b"v", 7) is True
        etcd.answer = always({"header": {}})
        assert await client.create(b"k", b"v") is False
        [first, second] = etcd.asked
        assert first.path == "kv/txn"
        assert first.body["compare"] == [
            {"key": encoded(b"k"), "target": "CREATE", "result": "EQUAL", "create_revision": "0"}
        ]
        assert first.body["success"] == [{"request_put": {"key": "aw==", "value": "dg==", "lease": "7"}}]
        assert "lease" not in second.body["success"][0]["request_put"]
        client.close()


@in_reactor
async def test_answers_without_what_was_asked_for() -> None:
    with standing_in(always({"result": {"ID": "7"}})) as etcd:
        client = client_of(etcd.address)
        assert await client.keep_alive(7) == 0
        with pytest.raises(EtcdError, match="no lease in etcd's answer"):
            await client.grant(10)
        assert await client.get(b"k") is None
        assert await client.range_prefix(b"k") == (0, {})
        etcd.answer = always({"kvs": [{"key": "no base64"}]})
        await refused(client.get(b"k"), "is not base64")
        client.close()
