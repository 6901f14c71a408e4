"""A shared connection whose codec changes what is sent on it."""

from __future__ import annotations

from mypy_extensions import mypyc_attr

from proxymux.core.codecs import Rewriter
from proxymux.core.slots import Slot
from proxymux.net.connection import Connection
from proxymux.pool.upstream import Upstream, UpstreamListener, UpstreamRules


@mypyc_attr(allow_interpreted_subclasses=True)
class RewritingUpstream(Upstream):
    """The connection of an open slot, for codecs with ``rewrites``.

    It has a class of its own, so that the other codecs pay nothing for it.
    """

    def __init__(self, rules: UpstreamRules, listener: UpstreamListener, slot: Slot, connection: Connection) -> None:
        super().__init__(rules, listener, slot, connection)
        assert isinstance(self._scanner, Rewriter)
        self._rewriter: Rewriter = self._scanner

    def _flush(self) -> None:
        out, self._unflushed = self._unflushed, []
        if not self.is_gone and out:
            self.connection.send(b"".join([self._rewriter.outgoing(batch.data) for batch in out]))

    def received(self, data: bytes) -> None:
        super().received(self._rewriter.incoming(data))
