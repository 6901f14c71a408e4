"""The send buffer, and the pipe that may be behind it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from proxymux.net.epoll.pipes import Pipes
from proxymux.net.epoll.send_buffer import SendBuffer


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    pair = socket.socketpair()
    yield pair
    for end in pair:
        end.close()


def test_all_that_was_to_be_sent_can_be_taken_out(ends: tuple[socket.socket, socket.socket]) -> None:
    pipes = Pipes()
    pipe = pipes.lend()
    assert pipe is not None
    ends[0].send(b"in the pipe")
    assert pipe.fill(ends[1].fileno()) == 11
    send_buffer = SendBuffer(ends[0], pipe, b"first, ")
    pipe.release()
    assert send_buffer.unsent == 18
    assert send_buffer.take() == b"first, in the pipe"
    assert (send_buffer.unsent, len(send_buffer), send_buffer.take()) == (0, 0, b"")
    assert pipes.lend() is pipe  # it is empty, and back in the stock
    pipe.release()
    pipes.close()


def test_a_full_pipe_is_emptied(ends: tuple[socket.socket, socket.socket]) -> None:
    pipes = Pipes()
    pipe = pipes.lend()
    assert pipe is not None
    data = os.urandom(pipe.size)
    sent = os.write(pipe.writer, data)
    pipe.held = sent
    assert pipe.empty() == data[:sent]
    assert pipe.held == 0
    pipe.release()
    pipes.close()


def test_it_begins_with_what_it_is_given(ends: tuple[socket.socket, socket.socket]) -> None:
    send_buffer = SendBuffer(ends[0], None, b"one ")
    send_buffer.add(b"two")
    send_buffer.send()
    assert ends[1].recv(99) == b"one two"
    assert SendBuffer(ends[0]).take() == b""
