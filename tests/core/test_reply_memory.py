"""What is kept for clients that do not read, and who goes if it becomes too much."""

from __future__ import annotations

from proxymux.core.reply_memory import ReplyMemory


class Client:
    def __init__(self, held: int) -> None:
        self.held = held
        self.reasons: list[str] = []

    def dismiss(self, reason: str) -> None:
        self.reasons.append(reason)


def test_up_to_the_limit_nobody_goes() -> None:
    memory = ReplyMemory(100)
    clients = [Client(50), Client(50)]
    for client in clients:
        memory.begin(client)
    assert not any(client.reasons for client in clients)


def test_over_the_limit_the_one_who_has_most_goes() -> None:
    memory = ReplyMemory(100)
    small, large = Client(10), Client(80)
    for client in (small, large):
        memory.begin(client)
    small.held = 21
    memory.add(small, 11)
    assert (small.reasons, len(large.reasons)) == ([], 1)
    assert "--max-reply-memory" in large.reasons[0]
    small.held = 100
    memory.add(small, 79)
    assert not small.reasons


def test_what_has_been_read_meanwhile_does_not_count() -> None:
    memory = ReplyMemory(100)
    client = Client(50)
    memory.begin(client)
    for _ in range(10):
        memory.add(client, 40)
    assert client.reasons == []


def test_who_has_read_all_does_not_count_any_more() -> None:
    memory = ReplyMemory(100)
    clients = [Client(60) for _ in range(5)]
    for client in clients:
        memory.begin(client)
        memory.begin(client)
        memory.end(client)
        memory.end(client)
    assert not any(client.reasons for client in clients)


def test_as_many_go_as_have_to() -> None:
    memory = ReplyMemory(100)
    clients = [Client(size) for size in (30, 40, 20)]
    for client in clients:
        memory.begin(client)
    for client in clients:
        client.held += 40
    memory.add(clients[0], 40)
    assert [len(client.reasons) for client in clients] == [0, 1, 0] or sum(
        client.held for client in clients if not client.reasons
    ) <= 100


def test_the_share_of_each_is_smaller_with_many_but_never_less_than_the_least() -> None:
    memory = ReplyMemory(1000)
    assert [memory.share(clients, 50) for clients in (0, 1, 10, 100)] == [1000, 1000, 100, 50]
