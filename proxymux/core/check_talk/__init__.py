"""What is said in a health check: the bytes that are sent, and what is made of the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from proxymux.core.check_spec import CheckSpec
from proxymux.core.check_talk.http import HttpTalk, host_field
from proxymux.core.check_talk.lines import MemcacheTalk, RespTalk
from proxymux.core.check_talk.mysql import MysqlTalk
from proxymux.core.check_talk.postgres import PostgresTalk
from proxymux.core.check_talk.talk import MOST, Step, Talk, Verdict
from proxymux.core.check_talk.text import ExpectTalk, SilentTalk
from proxymux.core.target import Address
from proxymux.core.upstream_tls import UpstreamTls

__all__ = ["MOST", "Step", "Talk", "Verdict", "make_talk"]

#: The talks of a protocol's own question.
_QUESTIONS: Final[Mapping[str, Callable[[], Talk]]] = {
    "resp": RespTalk,
    "memcache": MemcacheTalk,
    "mysql": MysqlTalk,
    "postgres": PostgresTalk,
}


def make_talk(spec: CheckSpec, target: Address, tls: UpstreamTls | None = None) -> Talk:
    """Prepare the talk of one check.

    :param target: the member that is checked.
    :param tls: TLS to the member, which may say by what name it is known; None is none.
    """
    if spec.kind in _QUESTIONS:
        return _QUESTIONS[spec.kind]()
    if spec.kind == "http":
        return HttpTalk(spec.path, host_field(target, tls), spec.statuses, spec.expect)
    return ExpectTalk(spec.send, spec.expect) if spec.expect else SilentTalk(spec.send)
