from __future__ import annotations

import pytest

from proxymux.core.check_spec import PLAIN, CheckSpec, parse_check
from proxymux.core.check_talk import make_talk
from proxymux.core.check_talk.http import HttpTalk
from proxymux.core.check_talk.lines import MemcacheTalk, RespTalk
from proxymux.core.check_talk.mysql import MysqlTalk
from proxymux.core.check_talk.postgres import PostgresTalk
from proxymux.core.check_talk.talk import Step
from proxymux.core.check_talk.text import ExpectTalk, SilentTalk
from proxymux.core.decision import NEED_DATA
from proxymux.core.target import parse_target
from proxymux.core.upstream_tls import UpstreamTls

TARGET = parse_target("10.0.0.1:443")


def spec(**options: str) -> CheckSpec:
    found = parse_check(options)
    assert found is not None
    return found


def test_each_kind_has_its_talk() -> None:
    kinds = {
        "tcp": SilentTalk,
        "tls": SilentTalk,
        "resp": RespTalk,
        "memcache": MemcacheTalk,
        "mysql": MysqlTalk,
        "postgres": PostgresTalk,
    }
    assert list(kinds) == list(PLAIN)
    for kind, talk in kinds.items():
        assert type(make_talk(spec(health=kind), TARGET)) is talk


def test_send_and_expect() -> None:
    assert make_talk(spec(health="send", send="a"), TARGET).begin() == Step(None, b"a")
    expecting = make_talk(spec(health="send", send="a", expect="b"), TARGET)
    assert type(expecting) is ExpectTalk
    assert expecting.begin() == Step(NEED_DATA, b"a")
    assert make_talk(spec(health="send", expect="b"), TARGET).begin() == Step(NEED_DATA)


@pytest.mark.parametrize(("tls", "host"), [(None, b"10.0.0.1:443"), (UpstreamTls("a.example"), b"a.example")])
def test_http_names_the_path_and_the_host(tls: UpstreamTls | None, host: bytes) -> None:
    talk = make_talk(spec(health="http:/up", status="204", expect="x"), TARGET, tls)
    assert type(talk) is HttpTalk
    assert talk.begin().send.startswith(b"GET /up HTTP/1.1\r\nHost: " + host + b"\r\n")
    assert talk.received(b"HTTP/1.1 200 OK\r\n\r\n") == Step("answered with the status 200")
