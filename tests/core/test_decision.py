from __future__ import annotations

import collections
import copy
import decimal
import math
import pickle
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxymux.core.decision import (
    NEED_DATA,
    RETRIES,
    BadHandshake,
    Decision,
    Forward,
    Reject,
    Reply,
    from_result,
    in_words,
)
from proxymux.core.outcome import Outcome
from proxymux.core.target import ClusterName, InetTarget, parse_target
from proxymux.errors import BadResult

# Every form of the contract's table, as a dictionary and as an object.

FORMS: list[tuple[object, Decision]] = [
    ({"remote": "db:5432"}, Forward("db:5432")),
    ({"remote": "[::1]:80"}, Forward("[::1]:80")),
    ({"remote": "unix:/run/a.sock"}, Forward("unix:/run/a.sock")),
    ({"remote": "db:1", "data": b"x"}, Forward("db:1", data=b"x")),
    ({"remote": "db:1", "data": b""}, Forward("db:1", data=b"")),
    ({"remote": "db:1", "data": None}, Forward("db:1")),
    ({"remote": "db:1", "reply": b"x"}, Forward("db:1", reply=b"x")),
    ({"remote": "db:1", "connect_timeout": 2}, Forward("db:1", connect_timeout=2.0)),
    ({"remote": "db:1", "connect_timeout": None}, Forward("db:1")),
    ({"remote": "db:1", "connect_timeout": 0}, Forward("db:1")),
    ({"remote": "db:1", "inactivity_timeout": 0.5}, Forward("db:1", inactivity_timeout=0.5)),
    ({"remote": "db:1", "inactivity_timeout": 0.0}, Forward("db:1")),
    ({"remote": "db:1", "reply_on_connect": b"x"}, Forward("db:1", reply_on_connect=b"x")),
    ({"remote": "db:1", "reply_on_failure": b"x"}, Forward("db:1", reply_on_failure=b"x")),
    ({"remote": "db:1", "reply_on_timeout": b"x"}, Forward("db:1", reply_on_timeout=b"x")),
    ({"remote": "db:1", "reply_on_timeout": None}, Forward("db:1")),
    ({"remote": "db:1", "reply_on_denial": b""}, Forward("db:1", reply_on_denial=b"")),
    ({"remote": "db:1", "reply_on_denial": None}, Forward("db:1")),
    ({"remote": "db:1", "retry_on": "timeout"}, Forward("db:1", retry_on="timeout")),
    ({"remote": "db:1", "retry_on": "failure"}, Forward("db:1")),
    ({"remote": "db:1", "retries": 0}, Forward("db:1", retries=0)),
    ({"remote": "db:1", "send_proxy": "v1"}, Forward("db:1", send_proxy="v1")),
    ({"remote": "db:1", "send_proxy": "v2"}, Forward("db:1", send_proxy="v2")),
    ({"remote": "db:1", "send_proxy": False}, Forward("db:1", send_proxy=False)),
    ({"remote": "db:1", "send_proxy": None}, Forward("db:1")),
    ({"remote": "db:1", "tls": True}, Forward("db:1", tls=True)),
    ({"remote": "db:1", "tls": False}, Forward("db:1")),
    ({"remote": "db:1", "tls": "db.example"}, Forward("db:1", tls="db.example")),
    ({"remote": "db:1", "bind": "192.0.2.1"}, Forward("db:1", bind="192.0.2.1")),
    ({"remote": "db:1", "bind": "2001:DB8::1"}, Forward("db:1", bind="2001:db8::1")),
    ({"remote": "db:1", "rate": 1000}, Forward("db:1", rate=1000)),
    ({"remote": "db:1", "rate": 0}, Forward("db:1", rate=0)),
    ({"remote": "db:1", "rate": None}, Forward("db:1")),
    ({"remote": "db:1", "note": {"tenant": "blue"}}, Forward("db:1", note={"tenant": "blue"})),
    ({"remote": "db:1", "note": {}}, Forward("db:1", note={})),
    ({"remote": "db:1", "note": None}, Forward("db:1")),
    ({"close": b"no", "note": {"why": ""}}, Reject(b"no", note={"why": ""})),
    ({"close": True, "note": {"why": "late"}}, Reject(note={"why": "late"})),
    ({"reply": b"go on", "consume": 1, "note": {"user": "me"}}, Reply(b"go on", 1, note={"user": "me"})),
    ({"remote": ["a:1", "b:2"]}, Forward(["a:1", "b:2"])),
    ({"remote": ("a:1", "b:2")}, Forward(["a:1", "b:2"])),
    ({"reply": b"x", "consume": 3}, Reply(b"x", consume=3)),
    ({"reply": b"x"}, Reply(b"x")),
    ({"consume": 3}, Reply(consume=3)),
    ({"reply": b"", "consume": 0}, Reply()),
    ({"noop": True}, NEED_DATA),
    (None, NEED_DATA),
    ({"close": True}, Reject()),
    ({"close": True}, Reject(True)),
    ({"close": b""}, Reject()),
    ({"close": b"bye"}, Reject(b"bye")),
]


@pytest.mark.parametrize(("result", "decision"), FORMS, ids=repr)
def test_a_dictionary_means_the_object_of_the_same_keys(result: object, decision: Decision) -> None:
    assert from_result(result) == decision


@pytest.mark.parametrize("decision", [decision for _, decision in FORMS], ids=repr)
def test_an_object_means_itself(decision: Decision) -> None:
    assert from_result(decision) is decision


@pytest.mark.parametrize("result", [result for result, _ in FORMS if isinstance(result, dict)], ids=repr)
def test_a_subclass_of_dict_means_what_a_dict_means(result: dict[str, object]) -> None:
    assert from_result(collections.OrderedDict(result)) == from_result(result)


@pytest.mark.parametrize("result", [result for result, _ in FORMS if isinstance(result, dict)], ids=repr)
def test_the_keys_of_the_table_are_the_objects_keyword_arguments(result: dict[str, Any]) -> None:
    if "noop" in result:
        return
    kind = Forward if "remote" in result else Reject if "close" in result else Reply
    assert kind(**result) == from_result(result)


@pytest.mark.parametrize("given", [["a:1", "b:2"], ("a:1", "b:2")], ids=repr)
def test_a_list_of_targets_equals_the_list_and_the_tuple(given: Any) -> None:
    remote: Any = Forward(given).remote
    assert remote == ["a:1", "b:2"] == remote
    assert remote == ("a:1", "b:2") == remote
    assert remote == Forward(list(given)).remote
    assert (remote != ["a:1", "b:2"]) is False
    for other in (["a:1"], ["b:2", "a:1"], ("a:1",), "a:1", None, {"a:1", "b:2"}):
        assert (remote == other, remote != other) == (False, True)


def test_a_decision_with_a_list_is_hashable_and_no_list_of_the_routers() -> None:
    targets = ["a:1", "b:2"]
    decision = Forward(targets)
    targets.append("c:3")
    assert decision == Forward(("a:1", "b:2"))
    assert hash(decision) == hash(Forward(["a:1", "b:2"]))
    assert replace(decision, retries=0).remote == ["a:1", "b:2"]
    assert copy.deepcopy(decision) == pickle.loads(pickle.dumps(decision)) == decision


def test_a_target_alone_is_as_it_was_written() -> None:
    target = parse_target("a:1")
    assert Forward(target).remote is target
    assert Forward("a:1").remote == "a:1"


# What is none.


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError("this object cannot even be shown")


class Remote(NamedTuple):
    remote: str


BAD: dict[str, object] = {
    # Not a decision at all.
    "False": False,
    "True": True,
    "a number": 1,
    "a str": "db:1",
    "bytes": b"db:1",
    "a list": ["db:1"],
    "a pair": ("remote", "db:1"),
    "a named tuple": Remote("db:1"),
    "a set": {"remote"},
    "a class": Forward,
    "a function": lambda: {"remote": "db:1"},
    "an exception": ValueError("x"),
    "a mapping that is no dict": collections.UserDict({"remote": "db:1"}),
    "NaN": math.nan,
    "what cannot be shown": Broken(),
    "a number too long to be shown": 10**5000,
    # Dictionaries of no kind, of two kinds, with keys that do not belong.
    "an empty dict": {},
    "only an unknown key": {"backend": "db:1"},
    "only data": {"data": b"x"},
    "only a timeout": {"connect_timeout": 1},
    "bytes for a key": {b"remote": "db:1"},
    "a number for a key": {1: "db:1"},
    "remote and an unknown key": {"remote": "db:1", "timeout": 1},
    "remote and a key that is no text": {"remote": "db:1", 1: 1},
    "remote and a key that cannot be shown": {"remote": "db:1", Broken(): 1},
    "remote and targets": {"remote": "db:1", "targets": ()},
    "remote and close": {"remote": "db:1", "close": True},
    "remote and close that is False": {"remote": "db:1", "close": False},
    "remote and noop": {"remote": "db:1", "noop": True},
    "remote and consume": {"remote": "db:1", "consume": 1},
    "close and noop": {"close": True, "noop": True},
    "close and data": {"close": True, "data": b"x"},
    "close and reply": {"close": True, "reply": b"x"},
    "noop and reply": {"noop": True, "reply": b"x"},
    "noop and an unknown key": {"noop": True, "wait": 1},
    "reply and data": {"reply": b"x", "data": b"x"},
    "consume and an unknown key": {"consume": 1, "drop": 1},
    # noop and close
    "noop False": {"noop": False},
    "noop 1": {"noop": 1},
    "noop None": {"noop": None},
    "close False": {"close": False},
    "close None": {"close": None},
    "close 1": {"close": 1},
    "close as str": {"close": "bye"},
    "close as list": {"close": [98, 121, 101]},
    # remote
    "remote None": {"remote": None},
    "remote False": {"remote": False},
    "remote a number": {"remote": 80},
    "remote bytes": {"remote": b"db:1"},
    "remote empty": {"remote": ""},
    "remote a pair of host and port": {"remote": ("db", 1)},
    "remote an empty list": {"remote": []},
    "remote an empty tuple": {"remote": ()},
    "remote a set": {"remote": {"a:1"}},
    "remote a generator": {"remote": (each for each in ["a:1"])},
    "remote a list with a bad address": {"remote": ["a:1", "b:"]},
    "remote a list with a list": {"remote": ["a:1", ["b:1"]]},
    "remote with port 0": {"remote": "db:0"},
    "remote with a hexadecimal port": {"remote": "db:0x1F90"},
    "remote bare IPv6": {"remote": "::1:80"},
    "remote a path that no file can have": {"remote": "unix:/\ud800"},
    "remote what cannot be shown": {"remote": Broken()},
    # bytes
    "data as str": {"remote": "db:1", "data": "x"},
    "data a number": {"remote": "db:1", "data": 5},
    "data False": {"remote": "db:1", "data": False},
    "data a list": {"remote": "db:1", "data": [1]},
    "reply as str": {"remote": "db:1", "reply": "x"},
    "reply an empty str": {"remote": "db:1", "reply": ""},
    "reply None": {"remote": "db:1", "reply": None},
    "reply a number": {"remote": "db:1", "reply": 5},
    "reply_on_connect as str": {"remote": "db:1", "reply_on_connect": "x"},
    "reply_on_connect None": {"remote": "db:1", "reply_on_connect": None},
    "reply_on_failure as str": {"remote": "db:1", "reply_on_failure": "x"},
    "reply_on_failure 0": {"remote": "db:1", "reply_on_failure": 0},
    "reply_on_timeout as str": {"remote": "db:1", "reply_on_timeout": "x"},
    "reply_on_timeout False": {"remote": "db:1", "reply_on_timeout": False},
    "reply_on_denial as str": {"remote": "db:1", "reply_on_denial": "x"},
    "reply_on_denial 0": {"remote": "db:1", "reply_on_denial": 0},
    "reply alone as str": {"reply": "x"},
    "reply alone None": {"reply": None},
    # seconds
    **{
        f"{name} {label}": {"remote": "db:1", name: value}
        for name in ("connect_timeout", "inactivity_timeout")
        for label, value in {
            "as str": "1",
            "as bytes": b"1",
            "True": True,
            "False": False,
            "NaN": math.nan,
            "infinite": math.inf,
            "negative": -1,
            "slightly negative": -1e-9,
            "minus infinity": -math.inf,
            "complex": 1j,
            "a Decimal": decimal.Decimal(1),
            "a list": [1],
            "too large for a float": 10**400,
            "too long to be shown": -(10**5000),
        }.items()
    },
    # counts
    "retries True": {"remote": "db:1", "retries": True},
    "retries False": {"remote": "db:1", "retries": False},
    "retries None": {"remote": "db:1", "retries": None},
    "retries as str": {"remote": "db:1", "retries": "1"},
    "retries a fraction": {"remote": "db:1", "retries": 1.5},
    "retries a whole float": {"remote": "db:1", "retries": 1.0},
    "retries negative": {"remote": "db:1", "retries": -1},
    "retries NaN": {"remote": "db:1", "retries": math.nan},
    "retries too long to be shown": {"remote": "db:1", "retries": -(10**5000)},
    "rate True": {"remote": "db:1", "rate": True},
    "rate as str": {"remote": "db:1", "rate": "1000"},
    "rate a float": {"remote": "db:1", "rate": 1e6},
    "rate negative": {"remote": "db:1", "rate": -1},
    "rate too large": {"remote": "db:1", "rate": 2**63},
    "rate with close": {"close": True, "rate": 1},
    "consume True": {"reply": b"", "consume": True},
    "consume negative": {"reply": b"", "consume": -1},
    "consume a fraction": {"reply": b"", "consume": 1.0},
    "consume None": {"reply": b"", "consume": None},
    "consume as str": {"consume": "1"},
    # retry_on
    "retry_on None": {"remote": "db:1", "retry_on": None},
    "retry_on unknown": {"remote": "db:1", "retry_on": "timeouts"},
    "retry_on empty": {"remote": "db:1", "retry_on": ""},
    "retry_on bytes": {"remote": "db:1", "retry_on": b"timeout"},
    "retry_on True": {"remote": "db:1", "retry_on": True},
    "retry_on a list": {"remote": "db:1", "retry_on": ["timeout"]},
    # send_proxy
    "send_proxy True": {"remote": "db:1", "send_proxy": True},
    "send_proxy v3": {"remote": "db:1", "send_proxy": "v3"},
    "send_proxy V1": {"remote": "db:1", "send_proxy": "V1"},
    "send_proxy 1": {"remote": "db:1", "send_proxy": 1},
    "send_proxy 0": {"remote": "db:1", "send_proxy": 0},
    "send_proxy empty": {"remote": "db:1", "send_proxy": ""},
    "send_proxy a list": {"remote": "db:1", "send_proxy": ["v1"]},
    # tls
    "tls None": {"remote": "db:1", "tls": None},
    "tls 1": {"remote": "db:1", "tls": 1},
    "tls 0": {"remote": "db:1", "tls": 0},
    "tls bytes": {"remote": "db:1", "tls": b"db.example"},
    "tls empty": {"remote": "db:1", "tls": ""},
    "tls with a port": {"remote": "db:1", "tls": "db.example:443"},
    "tls with a space": {"remote": "db:1", "tls": "db example"},
    "tls not in ASCII": {"remote": "db:1", "tls": "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"},
    "tls a list": {"remote": "db:1", "tls": ["db.example"]},
    "tls a Unix path": {"remote": "db:1", "tls": "unix:/run/a.sock"},
    # bind
    "bind a name": {"remote": "db:1", "bind": "localhost"},
    "bind with a port": {"remote": "db:1", "bind": "127.0.0.1:80"},
    "bind a network": {"remote": "db:1", "bind": "127.0.0.0/8"},
    "bind empty": {"remote": "db:1", "bind": ""},
    "bind bytes": {"remote": "db:1", "bind": b"\x7f\0\0\1"},
    "bind a number": {"remote": "db:1", "bind": 2130706433},
    "bind False": {"remote": "db:1", "bind": False},
    # what only a handshake of ours comes to
    "a bad handshake": BadHandshake(b"401", "401 not base64"),
}


@pytest.mark.parametrize("name", BAD)
def test_anything_else_is_a_bad_result_in_one_short_line(name: str) -> None:
    with pytest.raises(BadResult) as refusal:
        from_result(BAD[name])
    text = str(refusal.value)
    assert text
    assert len(text.splitlines()) == 1
    assert len(text) < 400


@pytest.mark.parametrize(
    "name",
    [name for name, result in BAD.items() if isinstance(result, dict) and "remote" in result],
)
def test_an_object_refuses_what_a_dictionary_refuses(name: str) -> None:
    result: Any = BAD[name]
    if not all(isinstance(key, str) for key in result):
        return
    with pytest.raises((BadResult, TypeError)):
        Forward(**result)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"remote": "db:1", "data": "x"}, ["data", "str", ".encode()"]),
        ({"close": "bye"}, ["close", "'bye'", ".encode()"]),
        ({"remote": "db"}, ["remote", "'db'", "host:port", "--cluster"]),
        ({"remote": "db:1", "close": True}, ["'remote'", "'close'"]),
        ({"remote": "db:1", "timeout": 1}, ["'timeout'"]),
        ({"remote": "db:1", "retries": -1}, ["retries", "-1"]),
        ({"remote": "db:1", "connect_timeout": "1"}, ["connect_timeout", "'1'", "seconds"]),
        ({"remote": "db:1", "send_proxy": "v3"}, ["send_proxy", "'v3'", "'v2'"]),
        ({"remote": "db:1", "tls": ""}, ["tls", "server name"]),
        ({"remote": "db:1", "bind": "x"}, ["bind", "'x'", "IP address"]),
        ({"noop": False}, ["noop", "False"]),
        ({}, ["remote", "close", "noop", "reply"]),
        ("db:1", ["'db:1'", "not a decision"]),
    ],
    ids=repr,
)
def test_the_message_names_what_is_wrong(result: object, words: list[str]) -> None:
    with pytest.raises(BadResult) as refusal:
        from_result(result, clusters=["users"])
    for word in words:
        assert word in str(refusal.value)


# The objects.


def test_a_forward_has_the_defaults_of_the_contract() -> None:
    forward = Forward("db:1")
    assert forward == Forward(
        "db:1",
        data=None,
        reply=b"",
        connect_timeout=None,
        inactivity_timeout=None,
        reply_on_connect=b"",
        reply_on_failure=b"",
        reply_on_timeout=None,
        reply_on_denial=None,
        retries=10,
        retry_on="failure",
        send_proxy=None,
        tls=False,
        bind=None,
    )
    assert RETRIES == 10


def test_a_forward_has_its_targets_parsed() -> None:
    assert Forward("db:1").targets == (parse_target("db:1"),)
    assert Forward(["a:1", "unix:/b"]).targets == (parse_target("a:1"), parse_target("unix:/b"))


def test_a_forward_keeps_a_list_of_its_own() -> None:
    remotes = ["a:1", "b:1"]
    forward = Forward(remotes)
    remotes.append("c:1")
    assert forward.remote == ("a:1", "b:1")
    assert len(forward.targets) == 2


_REPLIES = ["reply", "reply_on_connect", "reply_on_failure", "reply_on_timeout", "reply_on_denial"]


@pytest.mark.parametrize("name", ["data", *_REPLIES])
@pytest.mark.parametrize("content", [b"abc", b""])
@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_a_forward_keeps_bytes_of_its_own(name: str, content: bytes, kind: type) -> None:
    keywords: dict[str, Any] = {name: kind(content)}
    value = getattr(Forward("db:1", **keywords), name)
    assert type(value) is bytes
    assert value == content


@pytest.mark.parametrize("make", [lambda content: Reject(content).close, lambda content: Reply(content).reply])
@pytest.mark.parametrize("content", [b"abc", b""])
@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_the_others_keep_bytes_of_their_own(make: Any, content: bytes, kind: type) -> None:
    value = make(kind(content))
    assert type(value) is bytes
    assert value == content


@pytest.mark.parametrize(
    ("failed", "replies", "sent"),
    [
        (Outcome.UNREACHABLE, {}, b"no"),
        (Outcome.CONNECT_TIMEOUT, {}, b"no"),
        (Outcome.BAD_HANDSHAKE, {}, b"no"),
        (Outcome.UNREACHABLE, {"reply_on_timeout": b"late", "reply_on_denial": b"denied"}, b"no"),
        (Outcome.CONNECT_TIMEOUT, {"reply_on_timeout": b"late", "reply_on_denial": b"denied"}, b"late"),
        (Outcome.BAD_HANDSHAKE, {"reply_on_timeout": b"late", "reply_on_denial": b"denied"}, b"denied"),
        (Outcome.CONNECT_TIMEOUT, {"reply_on_timeout": b""}, b""),
        (Outcome.BAD_HANDSHAKE, {"reply_on_denial": b""}, b""),
    ],
)
def test_the_reply_to_a_failure_is_that_of_its_kind_where_there_is_one(
    failed: Outcome, replies: dict[str, Any], sent: bytes
) -> None:
    assert Forward("db:1", reply_on_failure=b"no", **replies).reply_to(failed) == sent


@pytest.mark.parametrize("close", [True, b""])
def test_a_reject_without_a_last_word_sends_nothing(close: Any) -> None:
    assert Reject(close).last_word == b""


def test_a_reject_sends_its_last_word() -> None:
    assert Reject(b"bye").last_word == b"bye"


@pytest.mark.parametrize("make", [Reject, lambda value: Reply(value), lambda value: Reply(b"", value)])
@pytest.mark.parametrize("value", ["x", None, 1.0, [b"x"]])
def test_the_other_objects_refuse_wrong_types_as_well(make: Any, value: object) -> None:
    with pytest.raises(BadResult):
        make(value)


@pytest.mark.parametrize("decision", [Forward("a:1"), Reject(), Reply()], ids=repr)
def test_a_decision_does_not_change_and_can_be_a_key(decision: Any) -> None:
    assert {decision: 1}[decision] == 1
    with pytest.raises((AttributeError, TypeError)):
        decision.reply = b"x"


def test_need_data_is_shown_by_its_name() -> None:
    assert repr(NEED_DATA) == "NEED_DATA"


def test_forwards_that_differ_are_not_equal() -> None:
    assert Forward("a:1") != Forward("b:1")
    assert Forward("a:1") != Forward("a:1", data=b"")
    assert Forward("a:1") != Forward("a:1", retries=0)


# In words.


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Forward("db:1"), "forwards to db:1"),
        (Forward(["a:1", "[::1]:2", "unix:/c"]), "forwards to a:1, [::1]:2, unix:/c"),
        (Forward("db:1", data=b"secret", reply=b"secret"), "forwards to db:1"),
        (Reject(), "rejects"),
        (Reject(b"secret"), "rejects with 6 bytes"),
        (Reply(b"secret", 3), "replies with 6 bytes and consumes 3"),
        (NEED_DATA, "waits for more"),
        (ValueError("router.py:1: no"), "fails (router.py:1: no)"),
    ],
)
def test_in_words_says_what_it_does_but_never_the_bytes(decision: object, words: str) -> None:
    assert in_words(decision) == words


# The ancestor's table (behaviour-router.md 1.3), by what becomes of each entry here.

FROM_THE_ANCESTOR: dict[str, tuple[object, Decision | None]] = {
    "remote": ({"remote": "h:1"}, Forward("h:1")),
    "data replaces the buffer": ({"remote": "h:1", "data": b"s"}, Forward("h:1", data=b"s")),
    "empty data sends nothing": ({"remote": "h:1", "data": b""}, Forward("h:1", data=b"")),
    "data nil is absent": ({"remote": "h:1", "data": None}, Forward("h:1")),
    "data false was absent, is refused": ({"remote": "h:1", "data": False}, None),
    "data 5 was '5', is refused": ({"remote": "h:1", "data": 5}, None),
    "reply": ({"remote": "h:1", "reply": b"s"}, Forward("h:1", reply=b"s")),
    "reply 5 was '5', is refused": ({"remote": "h:1", "reply": 5}, None),
    "timeouts": (
        {"remote": "h:1", "connect_timeout": 1, "inactivity_timeout": 2.5},
        Forward("h:1", connect_timeout=1, inactivity_timeout=2.5),
    ),
    "timeouts as text were read, are refused": ({"remote": "h:1", "connect_timeout": "0.5"}, None),
    "timeouts nil and 0 are not set": (
        {"remote": "h:1", "connect_timeout": None, "inactivity_timeout": 0},
        Forward("h:1"),
    ),
    "negative timeouts were not set, are refused": ({"remote": "h:1", "connect_timeout": -1}, None),
    "close true": ({"close": True}, Reject()),
    "close with a last word": ({"close": b"bye"}, Reject(b"bye")),
    "close with an empty last word": ({"close": b""}, Reject()),
    "close with a number was sent, is refused": ({"close": 5}, None),
    "noop true": ({"noop": True}, NEED_DATA),
    "noop with any truth waited, is refused": ({"noop": 1}, None),
    "noop false closed, is refused": ({"noop": False}, None),
    "close false closed, is refused": ({"close": False}, None),
    "remote false closed, is refused": ({"remote": False}, None),
    "an empty hash closed, is refused": ({}, None),
    "reply alone closed, is a step of a negotiation": ({"reply": b"s"}, Reply(b"s")),
    "data alone closed, is refused": ({"data": b"s"}, None),
    "reply with noop waited, is refused": ({"reply": b"s", "noop": True}, None),
    "reply with close sent only the close, is refused": ({"reply": b"s", "close": b"x"}, None),
    "remote won over close, is refused": ({"remote": "h:1", "close": True}, None),
    "remote won over noop, is refused": ({"remote": "h:1", "noop": True}, None),
    "close won over noop, is refused": ({"close": True, "noop": True}, None),
    "nil closed by accident, waits": (None, NEED_DATA),
    "true closed by accident, is refused": (True, None),
    "a string closed by accident, is refused": ("h:1", None),
    "a number closed by accident, is refused": (5, None),
    "an array closed by accident, is refused": (["h:1"], None),
    "no colon": ({"remote": "h"}, None),
    "no host": ({"remote": ":1"}, None),
    "no port": ({"remote": "h:"}, None),
    "bare IPv6 worked, is refused": ({"remote": "::1:8080"}, None),
    "IPv6 in brackets failed, works": ({"remote": "[::1]:8080"}, Forward("[::1]:8080")),
    "a hexadecimal port worked, is refused": ({"remote": "h:0x1F90"}, None),
    "an octal port worked, is refused": ({"remote": "h:017620"}, None),
    "a space before the port worked, is refused": ({"remote": "h: 8080"}, None),
    "a newline after the port worked, is refused": ({"remote": "h:8080\n"}, None),
    "a port modulo 65536 worked, is refused": ({"remote": "h:99999"}, None),
}


@pytest.mark.parametrize("name", FROM_THE_ANCESTOR)
def test_every_result_of_the_ancestor_has_its_meaning_or_is_refused(name: str) -> None:
    result, decision = FROM_THE_ANCESTOR[name]
    if decision is not None:
        assert from_result(result) == decision
    else:
        with pytest.raises(BadResult):
            from_result(result, clusters=())


# Clusters.


def test_the_name_of_a_cluster_is_a_target_too() -> None:
    forward = from_result({"remote": ["users", "db:1"], "hash_key": bytearray(b"k")}, clusters=["users"])
    assert isinstance(forward, Forward)
    assert forward == Forward(["users", "db:1"], hash_key=b"k")
    assert forward.targets == (ClusterName("users"), InetTarget("db", 1, False))
    assert forward.clusters == (ClusterName("users"),)
    assert in_words(forward) == "forwards to users, db:1"


def test_which_clusters_there_are_need_not_be_known() -> None:
    assert from_result({"remote": "users"}) == Forward("users")
    assert Forward("users").targets == Forward(ClusterName("users")).targets


@pytest.mark.parametrize("result", [{"remote": "others"}, {"remote": ["users", "others"]}, Forward("others")])
def test_a_cluster_that_there_is_not_is_a_bad_result(result: object) -> None:
    with pytest.raises(BadResult, match=r"'others'.*--cluster"):
        from_result(result, clusters=["users"])


# Properties.

_scraps: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.sampled_from(["db:1", "v1"])
)
_keys = st.sampled_from([*Forward.__dataclass_fields__, "close", "noop", "consume", "nonsense", 1])
_results = st.recursive(
    _scraps,
    lambda children: st.one_of(st.lists(children), st.dictionaries(_keys, children), st.tuples(children)),
    max_leaves=8,
)


@settings(database=None, deadline=None, max_examples=250)
@given(st.one_of(_results, st.dictionaries(_keys, _results)))
def test_any_result_is_a_decision_or_a_bad_result(result: object) -> None:
    try:
        decision = from_result(result)
    except BadResult as error:
        refusal = str(error)
    else:
        assert from_result(decision) is decision
        return
    assert len(refusal.splitlines()) == 1


class Odd(str):
    """A text that is not what it says."""

    def __len__(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("note", "problem"),
    [
        ("blue", "note: 'blue' is not a dict of up to 16 texts"),
        ([("tenant", "blue")], "note: [('tenant', 'blue')] is not a dict of up to 16 texts"),
        ({str(number): "" for number in range(17)}, "is not a dict of up to 16 texts"),
        ({1: "blue"}, "note: the key 1 is int, not str"),
        ({"tenant": b"blue"}, "note: the value b'blue' is bytes, not str"),
        ({"tenant": None}, "note: the value None is NoneType, not str"),
        ({"k" * 65: ""}, "is longer than 64 characters"),
        ({"tenant": "v" * 257}, "is longer than 256 characters"),
        ({"tenant": Odd("v" * 257)}, "is longer than 256 characters"),
    ],
)
@pytest.mark.parametrize("result", [{"remote": "db:1"}, {"close": b"no"}, {"reply": b"x", "consume": 1}])
def test_a_note_is_a_few_short_texts(result: dict[str, Any], note: object, problem: str) -> None:
    with pytest.raises(BadResult) as caught:
        from_result({**result, "note": note})
    assert problem in str(caught.value)


def test_a_note_may_be_as_long_as_that_and_is_kept_as_it_was() -> None:
    note = {f"{number:064}": "v" * 256 for number in range(16)}
    decision = from_result({"remote": "db:1", "note": note})
    expected = dict(note)
    note.clear()
    assert isinstance(decision, Forward)
    assert decision.note == expected
    assert hash(decision) == hash(Forward("db:1"))
    assert decision != Forward("db:1")


def test_waiting_has_no_note() -> None:
    with pytest.raises(BadResult, match="'note' has no place"):
        from_result({"noop": True, "note": {"tenant": "blue"}})
