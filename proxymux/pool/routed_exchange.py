"""Detached exchanges of clients whose requests are routed."""

from __future__ import annotations

from typing import Final

from proxymux.core import pipeline_orders as orders
from proxymux.core.batch import Batch
from proxymux.core.choice import Choice
from proxymux.core.pipeline_orders import Input
from proxymux.core.routed_pipeline import RoutedPipeline
from proxymux.net.connection import PLENTY, Connection
from proxymux.net.exchange import JoinOptions
from proxymux.pool.exchange import DetachedExchange, SharedUpstreams, orders_of
from proxymux.pool.route_chooser import RouteChooser
from proxymux.session.context import Join

_DONE: Final = Input.DONE  # looking up a member of an Enum costs as much as a call


class RoutedExchange(DetachedExchange):
    """One client, each of whose requests goes to a place of its own.

    Replies that wait for those before them count in the memory of replies, from when they are more than
    :data:`~proxymux.net.connection.PLENTY`.

    :param chooser: asks a router about this client's requests; None if there is no router.
    """

    def __init__(
        self,
        pool: SharedUpstreams,
        connection: Connection,
        options: JoinOptions,
        join: Join,
        pipeline: RoutedPipeline,
        chooser: RouteChooser | None,
    ) -> None:
        super().__init__(pool, connection, options, join, pipeline)
        self._replies = pipeline.replies
        self._chooser = chooser
        #: The kept replies of this client are counted.
        self._keeps_much = False
        if chooser is not None:
            chooser.decided = self._decided

    @property
    def held(self) -> int:
        return super().held + self._replies.kept_size

    def reply(self, batch: Batch, data: bytes) -> None:
        self._take(Input.REPLY, (batch, data))
        self._count_kept(len(data))

    def done(self, batch: Batch, data: bytes) -> None:
        self._take(_DONE, (batch, data))
        if self._replies.kept_size or self._keeps_much:
            self._count_kept(len(data))

    def resumeProducing(self) -> None:
        super().resumeProducing()
        if self._keeps_much:
            self._pool.reply_memory.begin(self)

    def _submit(self, batch: Batch) -> None:
        batch.lane.place.submit(batch, self)
        if self._pipeline.waiting:
            self._take(Input.GO_ON)

    def _decided(self, choice: Choice) -> None:
        self._take(Input.DECIDED, choice)

    def _count_kept(self, size: int) -> None:
        if self._pipeline.is_over:
            return
        if self._replies.kept_size > PLENTY:
            memory = self._pool.reply_memory
            if not self._keeps_much:
                self._keeps_much = True
                memory.begin(self)
            memory.add(self, size)
        elif self._keeps_much:
            self._keeps_much = False
            if not self._is_behind:
                self._pool.reply_memory.end(self)

    def _hand_over(self, order: orders.HandOver) -> None:
        self._forget_chooser()
        super()._hand_over(order)

    def _leave(self, _: orders.Leave | None = None) -> None:
        self._forget_chooser()
        super()._leave(_)

    def _forget_chooser(self) -> None:
        if self._chooser is not None:
            self._chooser.cancel()


RoutedExchange._do = orders_of(RoutedExchange)
