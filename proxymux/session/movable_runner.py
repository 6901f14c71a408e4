"""The runner of a session that can go on in another process."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from proxymux.core.commands import Input
from proxymux.core.member import Member
from proxymux.core.target import ClusterName
from proxymux.net.exchange import JoinOptions
from proxymux.net.moving import Mover, Packed
from proxymux.session.identity import pack_client, unpack_client
from proxymux.session.runner import SessionRunner


class MovableRunner(SessionRunner):
    """A :class:`~proxymux.session.runner.SessionRunner` whose session another process can take, or has given."""

    __slots__ = ()

    @property
    def last_at(self) -> float:
        """When a byte came last, as far as that is known, else when the client was accepted, in the clock's seconds."""
        exchange = self._exchange
        last = exchange.last_at if exchange is not None else None
        return self._timings.accepted_at if last is None else last

    def pack(self) -> tuple[Packed, object] | None:
        """What another process needs to go on with the session, and the connections that are to be frozen.

        :returns: None if the session cannot be moved now.
        """
        session = self._session.pack()
        # What a router has noted of the client may be anything.
        if session is None or self._client.tls is not None or self._client.state:
            return None
        if self._pending is not None or self._request is not None:
            return None
        exchange: tuple[Packed, object] | None = ({}, self._connection)
        if self._exchange is not None:
            exchange = self._exchange.pack()
        if exchange is None:
            return None
        packed = {
            "number": self.number,
            "exchange": exchange[0],
            "session": session,
            "timings": self._timings.pack(),
            "client": pack_client(self._client),
            "is_counted": self._is_counted,
            "admitted_host": self._admitted_host,
            "cluster": None if self._member is None else self._member.cluster,
        }
        return packed, exchange[1]

    @property
    def is_held(self) -> bool:
        """True from :meth:`hold` to :meth:`go_on`."""
        return self._is_busy

    def hold(self) -> None:
        """Keep what happens to the session, as its connections are frozen: a limit that has passed, say."""
        self._is_busy = True
        if self._exchange is not None:
            self._exchange.freeze()

    def go_on(self) -> None:
        """Give the session what was kept."""
        if self._exchange is not None:
            self._exchange.thaw()
        self._take_kept()

    def _take_kept(self) -> None:
        self._is_busy = False
        if self._inbox:
            self._take(*self._inbox.pop(0))

    def depart(self) -> None:
        """End without a record: another process has the session, with what was kept for it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._leave()
        if self._exchange is not None:
            self._exchange.depart()
        self._ended(self)

    def unpack(self, packed: Packed, mover: Mover, socks: Sequence[socket.SocketType], backlog: bytes) -> None:
        """Go on with a session that another process has packed.

        :param socks: the sockets of its connections.
        :param backlog: what was still to be sent on them.
        :raises OSError: if the system does not let us.
        """
        self._session.unpack(packed["session"])
        self._timings.unpack(packed["timings"])
        self._client = unpack_client(packed["client"])
        self.hold()  # what happens meanwhile is for the session once all is in its place
        if len(socks) > 1:
            self._unpack_exchange(packed["net"], mover, socks, backlog)
        elif packed["exchange"]:
            self._unpack_shared(packed, mover, socks[0], backlog)
        else:
            self._unpack_reading(packed["net"], mover, socks[0], backlog)
        self._member = self._member_of(packed.get("cluster"))
        self._is_counted, self._admitted_host = packed["is_counted"], packed["admitted_host"]
        if self._is_counted:
            self._context.admission.resume(self._admitted_host)
        self._take_kept()

    def _member_of(self, cluster: str | None) -> Member | None:
        """The member of a cluster that counts the session from now on; None if it is known no more."""
        found = None if cluster is None else self._context.clusters.get(cluster)
        target = self._timings.target
        if found is None or target is None or isinstance(target, ClusterName):
            return None
        member = found.expect(target)
        if member is not None:
            member.connections += 1
        return member

    def _unpack_exchange(self, state: Packed, mover: Mover, socks: Sequence[socket.SocketType], backlog: bytes) -> None:
        is_finished = state["sides"][0]["is_finished"]
        options = JoinOptions(
            b"",
            is_finished,
            state["first_byte_timeout"],
            state["idle_timeout"],
            self._relay_ended,
            state["must_answer"],
            state["ends_with_upstream"],
        )
        exchange = mover.take_exchange(socks, state, backlog, options)
        self._exchange = exchange
        self._connection, self._upstream = (flow.connection for flow in exchange.flows)

    def _unpack_shared(self, packed: Packed, mover: Mover, sock: socket.SocketType, backlog: bytes) -> None:
        assert self._context.join_pool is not None
        connection = mover.take_connection(sock, packed["net"], backlog)
        self._take_connection(connection)
        self._exchange = self._context.join_pool(connection, self._join_options(b"", False), self._client)
        self._exchange.unpack(packed["exchange"])

    def _unpack_reading(self, state: Packed, mover: Mover, sock: socket.SocketType, backlog: bytes) -> None:
        connection = mover.take_connection(sock, state, backlog)
        self._take_connection(connection)
        connection.register_producer(self)
        seconds = self._context.settings.decide_timeout
        left = max(0.0, seconds - self._timings.age)
        self._timer = self._context.timers.after(left, self._expired, seconds)
        self._take(Input.MOVED)
        connection.resume()
