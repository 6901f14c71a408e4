"""A watch: what happens to the keys under a prefix, from a revision on, over as many connections as it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from proxymux.core.target import InetTarget
from proxymux.discovery.etcd.client import EtcdClient
from proxymux.discovery.etcd.news import Change, News, NewsReader
from proxymux.discovery.etcd.retrying import Retrying
from proxymux.errors import EtcdError
from proxymux.net.wording import explain

#: Seconds without a message after which the stream is opened anew.  That is how a dead one is found, and how etcd is
#: heard where nothing changes: its own messages of progress come every ten minutes only.
SILENCE: Final = 30.0


class WatchListener(Protocol):
    """Is told what a watch finds."""

    def happened(self, changes: tuple[Change, ...]) -> None:
        """These keys have changed, in this order.  A change may be told twice, if the ones after it are, too."""

    def heard(self) -> None:
        """etcd has answered, and nothing has changed."""

    def lost(self) -> None:
        """What happened next cannot be told: etcd has compacted it, or lost it, or it is more than a message may be.

        The watch has ended; range anew, and make another.
        """

    def failed(self, reason: str) -> None:
        """etcd cannot be asked.  The watch goes on trying, and will miss nothing."""


class Watch:
    """Tells all that happens to the keys that begin with ``prefix``.

    :param revision: of the first change that is told; the one after that of a range.
    :param jitter: see :class:`~proxymux.discovery.etcd.retrying.Retrying`.
    """

    def __init__(
        self,
        client: EtcdClient,
        clock: IReactorTime,
        jitter: Callable[[], float],
        prefix: bytes,
        revision: int,
        listener: WatchListener,
    ) -> None:
        self._client = client
        self._clock = clock
        self._prefix = prefix
        self._next_revision = revision
        self._listener = listener
        self._retrying = Retrying(clock, jitter)
        self._stream: _Stream | None = None
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Begin, or begin again with the next change."""
        self._open()

    def stop(self) -> None:
        """Tell nothing more, and leave no connection or delayed call."""
        self._retrying.cancel()
        self._leave_stream()

    def _open(self) -> None:
        self._stream = stream = _Stream(self, self._clock.seconds())
        stream.opening = self._client.watch(self._prefix, self._next_revision, stream)
        stream.opening.addCallback(self._opened, stream).addErrback(self._not_opened, stream)

    def _opened(self, member: InetTarget, stream: _Stream) -> None:
        stream.member = member
        if self._stream is stream and self._timer is None:
            self._timer = self._clock.callLater(SILENCE, self._silence_passed)

    def _not_opened(self, failure: Failure, stream: _Stream) -> None:
        if self._stream is stream:
            if getattr(failure.value, "code", None) is not None:  # it has answered; perhaps the token is not valid
                self._client.forget_token()
            self._fail(explain(failure))

    def received(self, stream: _Stream, data: bytes) -> None:
        """Take a part of the stream."""
        try:
            for news in stream.reader.feed(data):
                self._take(stream, news)
                if self._stream is not stream:
                    return
        except EtcdError:
            self._give_up()

    def ended(self, stream: _Stream, reason: Failure) -> None:
        """Take note that a stream has ended."""
        if self._stream is stream:
            self._fail(f"{self._client.address}: the watch has ended: {explain(reason)}")

    def _take(self, stream: _Stream, news: News) -> None:
        stream.heard_at, stream.has_begun = self._clock.seconds(), True
        if news.compacted is not None:
            self._give_up()
        elif news.refusal is not None:
            self._client.forget_token()  # an old one is "permission denied" here
            self._fail(f"{self._client.address}: {news.refusal}")
        elif news.begins_at is not None and news.begins_at < self._next_revision - 1:
            self._give_up()  # its data is that of before
        else:
            if news.next_revision is not None:
                self._next_revision = max(self._next_revision, news.next_revision)
            if news.changes:
                self._listener.happened(news.changes)
            else:
                self._listener.heard()

    def _silence_passed(self) -> None:
        self._timer = None
        stream = self._stream
        assert stream is not None
        left = stream.heard_at + SILENCE - self._clock.seconds()
        if left > 0:
            self._timer = self._clock.callLater(left, self._silence_passed)
        elif stream.has_begun:
            self._leave_stream()
            self._open()
        else:
            self._fail(f"{self._client.address}: no word of the watch within {SILENCE:g} s")

    def _fail(self, reason: str) -> None:
        stream = self._stream
        if stream is not None and stream.member is not None:
            self._client.avoid(stream.member)
        self._leave_stream()
        self._retrying.later(self._open)
        self._listener.failed(reason)

    def _give_up(self) -> None:
        self.stop()
        self._listener.lost()

    def _leave_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.leave()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Stream(StreamProtocol):
    """One connection of a watch."""

    def __init__(self, watch: Watch, now: float) -> None:
        self._watch: Watch | None = watch
        self.reader = NewsReader()
        self.opening: Deferred[Any] | None = None
        #: Who sends it; None before it has begun.
        self.member: InetTarget | None = None
        self.heard_at = now
        #: A message has come.
        self.has_begun = False

    def dataReceived(self, data: bytes) -> None:
        if self._watch is not None:
            self._watch.received(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._watch is not None:
            self._watch.ended(self, reason)

    def leave(self) -> None:
        """End the connection, and tell nothing more."""
        self._watch = None
        if self.transport is not None:
            self.transport.loseConnection()
        elif self.opening is not None:
            self.opening.cancel()
