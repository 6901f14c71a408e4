"""What a pool's router returns for one request, read as a decision."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import fields
from typing import Final

from proxymux.core.choice import single
from proxymux.core.codecs import Codec, Kind
from proxymux.core.decision import Forward, Reject, Reply, from_result
from proxymux.core.excerpt import excerpt
from proxymux.errors import BadMessage, BadResult

#: What becomes of a request; None is the first target.
Route = Forward | Reject | Reply | None

#: What a Forward may say of a request.
_MEANT: Final = ("remote", "data", "tls", "hash_key")
_DEFAULTS: Final = {each.name: each.default for each in fields(Forward) if each.init and each.name not in _MEANT}


def route_of(result: object, request: bytes, codec: Codec, clusters: Container[str]) -> Route:
    """The decision about a request that a router has returned.

    :param result: None, a text, a dict, or one of the classes of decisions.
    :param request: whole.
    :param clusters: the names of the clusters that there are.
    :raises BadResult: if it is anything else; the text says what is wrong.
    """
    if result is None:
        return None
    if type(result) is str:
        forward = _forward_to(result)
        if forward.clusters:
            from_result(forward, clusters)
        return forward
    decision = from_result(result, clusters)
    if isinstance(decision, Forward):
        _check_forward(decision)
        if decision.data is not None:
            _check_request(decision.data, request, codec)
        return decision
    if isinstance(decision, Reject):
        return decision
    if isinstance(decision, Reply):
        _check_reply(decision, request, codec)
        return decision
    raise BadResult(f"returned {excerpt(result, 80)}, which is no decision about a request, which is whole")


def _forward_to(remote: str) -> Forward:
    return Forward(remote)


def _check_forward(forward: Forward) -> None:
    if len(forward.targets) != 1:
        raise BadResult("remote: a request goes to one target, not to a list of them")
    for name, default in _DEFAULTS.items():
        if getattr(forward, name) != default:
            raise BadResult(f"{name}: means nothing for a request; {', '.join(_MEANT)} do")


def _check_request(data: bytes, request: bytes, codec: Codec) -> None:
    instead, before = single(codec, data), single(codec, request)
    if instead is None:
        raise BadResult(f"data: {excerpt(data, 80)} is not one whole request of {codec.name}")
    if before is not None and (instead.kind is Kind.SILENT) is not (before.kind is Kind.SILENT):
        raise BadResult("data: either both requests have a reply, the client's and the one in its place, or none has")


def _check_reply(reply: Reply, request: bytes, codec: Codec) -> None:
    if reply.consume:
        raise BadResult("consume: means nothing for a request, which is whole")
    if reply.note is not None:
        raise BadResult("note: means nothing for a request")
    found = single(codec, request)
    if found is not None and found.kind is Kind.SILENT:
        return  # which the client does not get
    scanner = codec.replies()
    scanner.expect(None if found is None else found.hint)
    try:
        is_one = scanner.feed(reply.reply) == [len(reply.reply)]
    except BadMessage:
        is_one = False
    if not is_one:
        raise BadResult(f"reply: {excerpt(reply.reply, 80)} is not one whole reply of {codec.name}")
