from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from proxymux.core.decision import NEED_DATA, Forward, Reject, Reply
from proxymux.core.identity import Client
from proxymux.errors import DecisionFailed
from proxymux.hooks.calling import SLOW
from proxymux.interfaces import IDecider
from proxymux.router.loading import from_object
from proxymux.router.router_decider import RouterDecider
from tests.router.conftest import Log, Make, Watch, Write

CLIENT = Client(("192.0.2.1", 50000), ("192.0.2.2", 5432))


def settle(ask: Callable[[], Any]) -> Any:
    """What ``ask()`` returns or raises, at once or through its Deferred, which must have fired."""
    try:
        result = ask()
    except Exception:
        raise
    except BaseException as error:
        # Not let through: pytest would end at a SystemExit or KeyboardInterrupt.
        raise AssertionError(f"not a DecisionFailed but {error!r}") from None
    if not isinstance(result, Deferred):
        return result
    results: list[Any] = []
    result.addBoth(results.append)
    assert results, "it waits"
    if isinstance(results[0], Failure):
        results[0].raiseException()
    return results[0]


def decide(decider: RouterDecider, data: bytes = b"data") -> Any:
    return settle(lambda: decider.decide(data, CLIENT))


def failure_of(decider: RouterDecider, data: bytes = b"data") -> DecisionFailed:
    with pytest.raises(DecisionFailed) as failed:
        decide(decider, data)
    text = str(failed.value)
    assert len(text.splitlines()) == 1, text
    return failed.value


def line_of(decider: RouterDecider) -> int:
    """The line that the failure names."""
    text = str(failure_of(decider))
    prefix = f"{decider._router.filename}:"
    assert text.startswith(prefix), text
    return int(text.removeprefix(prefix).partition(":")[0])


# Deciding

RETURNS: dict[str, tuple[str, Any]] = {
    "a dict": ("{'remote': 'db:1'}", Forward("db:1")),
    "a Forward": ("proxymux.Forward('db:1')", Forward("db:1")),
    "a Reject": ("{'close': data}", Reject(b"data")),
    "a Reply": ("{'reply': b'x', 'consume': 2}", Reply(b"x", 2)),
    "None": ("None", NEED_DATA),
    "NEED_DATA": ("proxymux.NEED_DATA", NEED_DATA),
}
#: Ways to return it.
WAYS: dict[str, str] = {
    "plain": "def proxy(data):\n    return {}\n",
    "with the client": "def proxy(data, client):\n    assert client.address[0] == '192.0.2.1'\n    return {}\n",
    "async": "async def proxy(data):\n    return {}\n",
    "async that awaits": "async def proxy(data):\n    await succeed(1)\n    return {}\n",
    "a Deferred": "def proxy(data):\n    return succeed(None).addCallback(lambda _: {})\n",
    "inlineCallbacks": "@inlineCallbacks\ndef proxy(data):\n    yield succeed(1)\n    return {}\n",
    "a lambda": "proxy = lambda data: {}\n",
    "an object": "class P:\n    def __call__(self, data):\n        return {}\n\nproxy = P()\n",
}
IMPORTS = "import proxymux\nfrom twisted.internet.defer import inlineCallbacks, succeed\n"


@pytest.mark.parametrize("what", RETURNS)
@pytest.mark.parametrize("how", WAYS)
def test_whatever_way_a_result_is_returned_it_means_the_same(make: Make, what: str, how: str) -> None:
    expression, decision = RETURNS[what]
    decider = make(IMPORTS + WAYS[how].replace("{}", expression))
    assert decide(decider) == decision


def test_a_plain_function_decides_at_once(make: Make) -> None:
    decider = make("def proxy(data):\n    return {'close': data}\n")
    assert decider.decide(b"x", CLIENT) == Reject(b"x")


def test_an_async_function_may_take_its_time(make: Make) -> None:
    decider = make(
        "from twisted.internet.defer import Deferred\n"
        "later = Deferred()\n"
        "async def proxy(data):\n"
        "    return {'close': data + await later}\n"
    )
    results: list[Any] = []
    waiting = decider.decide(b"x", CLIENT)
    assert isinstance(waiting, Deferred)
    waiting.addBoth(results.append)
    assert results == []
    decider._router.proxy.function.__globals__["later"].callback(b"y")
    assert results == [Reject(b"xy")]


def test_a_router_without_callbacks_has_no_last_words(make: Make) -> None:
    decider = make("def proxy(data):\n    pass\n")
    assert decider.connect_error("db:1", CLIENT) == b""
    assert decider.inactivity_error("db:1", CLIENT) == b""
    assert not decider.greets


def test_a_router_that_greets_is_asked_with_the_client(make: Make) -> None:
    decider = make(
        "def proxy(data):\n    pass\ndef proxy_accepted(client):\n    return {'reply': client.address[0].encode()}\n"
    )
    assert decider.greets
    assert settle(lambda: decider.accepted(CLIENT)) == Reply(b"192.0.2.1")


def test_a_greeting_that_fails_names_its_line(make: Make) -> None:
    decider = make("def proxy(data):\n    pass\ndef proxy_accepted(client):\n    return client.name\n")
    with pytest.raises(DecisionFailed, match=r"router\.py:4: proxy_accepted raised AttributeError: "):
        settle(lambda: decider.accepted(CLIENT))


def test_a_decider_is_what_the_interface_wants(make: Make) -> None:
    decider = make("\ndef proxy(data):\n    pass\n")
    verifyObject(IDecider, decider)
    assert decider.name == "router"
    assert decider.place == f"{decider._router.filename}:2"


# Failing

RAISES: dict[str, tuple[str, str]] = {
    "ValueError": ("raise ValueError('no')", "ValueError: no"),
    "an error of several lines": ("raise ValueError('one\\ntwo')", "ValueError: one two"),
    "an error without words": ("raise ValueError", "ValueError"),
    "KeyError": ("return {}['key']", "KeyError: 'key'"),
    "NameError": ("return nothing", "NameError: name 'nothing' is not defined"),
    "AssertionError": ("assert not data", "AssertionError"),
    "SystemExit": ("raise SystemExit(3)", "SystemExit: 3"),
    "exit()": ("import sys; sys.exit()", "SystemExit"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "BaseException": ("raise BaseException('no')", "BaseException: no"),
    "RecursionError": ("return proxy(data) if False else recurse()", "RecursionError: "),
    "MemoryError": ("raise MemoryError", "MemoryError"),
    "a Forward that is none": ("return proxymux.Forward('db:')", "BadResult: remote: 'db:': the port is not"),
    "an error that cannot be shown": ("raise Odd", "Odd"),
    "a syntax error in what it evaluates": ("return eval('1 +')", "SyntaxError: "),
}
#: What Python itself makes something else of in an async function.
RAISES_PLAINLY = {
    "StopIteration": ("next(iter(()))", "StopIteration"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
}
RAISING = """\
import proxymux
from twisted.internet.defer import inlineCallbacks, succeed
class Odd(Exception):
    def __str__(self):
        raise RuntimeError('this error cannot even be shown')
def recurse(): return recurse()
{define}
    {statement}
"""
DEFINE = {
    "plain": "def proxy(data):",
    "async": "async def proxy(data):",
    "async after an await": "async def proxy(data):\n    await succeed(1)",
}


@pytest.mark.parametrize(
    ("what", "how"),
    [*((what, how) for what in RAISES for how in DEFINE), *((what, "plain") for what in RAISES_PLAINLY)],
)
def test_whatever_is_raised_is_one_line_with_the_place(make: Make, what: str, how: str) -> None:
    statement, words = (RAISES | RAISES_PLAINLY)[what]
    source = RAISING.format(define=DEFINE[how], statement=statement)
    decider = make(source)
    failure = failure_of(decider)
    line = 6 if what == "RecursionError" else len(source.splitlines())
    assert str(failure).startswith(f"{decider._router.filename}:{line}: proxy raised {words}")
    assert failure.details.startswith("Traceback (most recent call last):\n")
    assert f'router.py", line {line}' in failure.details


def test_an_error_in_what_the_router_calls_names_the_line_that_called(make: Make, write: Write) -> None:
    write("def parse(data):\n    return int(data)\n", "acme_helper.py")
    decider = make("import acme_helper\n\ndef proxy(data):\n    x = 1\n    return acme_helper.parse(b'?')\n")
    assert line_of(decider) == 5


def test_an_error_in_the_library_names_the_line_that_called(make: Make) -> None:
    assert line_of(make("import json\ndef proxy(data):\n\n    return json.loads('{')\n")) == 4


def test_an_error_in_a_function_of_the_router_names_its_line(make: Make) -> None:
    assert line_of(make("def look_up(data):\n    return {}[data]\n\ndef proxy(data):\n    return look_up(data)\n")) == 2


def test_an_error_in_a_function_of_the_router_that_something_else_calls_names_its_line(
    make: Make, write: Write
) -> None:
    write("def call(function):\n    return function()\n", "acme_helper.py")
    decider = make("import acme_helper\ndef bad():\n    1 / 0\ndef proxy(data):\n    return acme_helper.call(bad)\n")
    assert line_of(decider) == 3


def test_an_error_in_a_function_that_the_router_has_from_elsewhere_names_its_line(make: Make, write: Write) -> None:
    rules = write("def proxy(data):\n    x = 1\n    raise ValueError('no')\n", "acme_rules.py")
    failure = failure_of(make("from acme_rules import proxy\n"))
    assert str(failure) == f"{rules}:3: proxy raised ValueError: no"


def test_an_error_raised_again_names_the_line_where_it_began(make: Make) -> None:
    source = "def proxy(data):\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        raise\n"
    assert line_of(make(source)) == 3


def test_an_error_with_a_cause_names_its_own_line(make: Make) -> None:
    source = (
        "def proxy(data):\n    try:\n        1 / 0\n"
        "    except ZeroDivisionError as error:\n        raise ValueError from error\n"
    )
    assert line_of(make(source)) == 5


def test_an_async_error_after_an_await_names_its_line(make: Make) -> None:
    decider = make(
        "from twisted.internet.defer import Deferred\n"
        "later = Deferred()\n"
        "async def proxy(data):\n"
        "    value = await later\n"
        "    x = 1\n"
        "    raise ValueError(value)\n"
    )
    waiting = decider.decide(b"x", CLIENT)
    decider._router.proxy.function.__globals__["later"].callback("no")
    with pytest.raises(DecisionFailed) as failed:
        settle(lambda: waiting)
    assert str(failed.value) == f"{decider._router.filename}:6: proxy raised ValueError: no"


@pytest.mark.parametrize("how", ["errback(ValueError('no'))", "addCallback(int); later.callback('x')"])
def test_an_async_error_that_is_awaited_names_the_await(make: Make, how: str) -> None:
    decider = make(
        "from twisted.internet.defer import Deferred\n"
        "async def look_up():\n"
        "    later = Deferred()\n"
        f"    later.{how}\n"
        "    return await later\n"
        "async def proxy(data):\n"
        "    return await look_up()\n"
    )
    assert line_of(decider) == 5


def test_a_deferred_that_failed_names_the_function(make: Make) -> None:
    decider = make("from twisted.internet.defer import fail\n\ndef proxy(data):\n    return fail(ValueError('no'))\n")
    assert str(failure_of(decider)) == f"{decider._router.filename}:3: proxy raised ValueError: no"


def test_a_deferreds_callback_that_raises_names_its_line(make: Make) -> None:
    decider = make(
        "from twisted.internet.defer import succeed\n"
        "def parse(value):\n"
        "    return int(value)\n"
        "def proxy(data):\n"
        "    return succeed('x').addCallback(parse)\n"
    )
    assert line_of(decider) == 3


BAD_RESULTS = [
    "True",
    "'db:1'",
    "5",
    "[]",
    "{}",
    "{'remote': 'db'}",
    "{'remote': 'db:1', 'close': True}",
    "{'remote': 'db:1', 'timeout': 1}",
    "{'close': 'str'}",
    "{'remote': 'db:1', 'data': 'str'}",
    "(x for x in [1])",
    "proxymux",
    "Broken()",
    "{'remote': Broken()}",
    "{'remote': 'db:1', 'connect_timeout': 10**400}",
    "{'remote': 'unix:/' + chr(0xd800)}",
    "10**5000",
]


@pytest.mark.parametrize("expression", BAD_RESULTS)
@pytest.mark.parametrize("how", ["plain", "async", "a Deferred"])
def test_a_bad_result_names_the_function_that_returned_it(make: Make, expression: str, how: str) -> None:
    broken = "class Broken:\n    def __repr__(self):\n        raise RuntimeError\n"
    source = IMPORTS + broken + WAYS[how].replace("{}", expression, 1)
    decider = make(source)
    failure = failure_of(decider)
    assert str(failure).startswith(f"{decider._router.filename}:6: proxy ")
    assert "raised" not in str(failure)


@pytest.mark.parametrize(
    "source",
    [
        "def proxy(data):\n    yield {'remote': 'db:1'}\n",
        "async def proxy(data):\n    yield {'remote': 'db:1'}\n",
        "def proxy(data):\n    return lambda: {'remote': 'db:1'}\n",
        "def proxy(data):\n    return proxy\n",
    ],
)
def test_what_would_have_to_be_run_first_is_no_decision(make: Make, source: str) -> None:
    decider = make(source)
    assert str(failure_of(decider)).startswith(f"{decider._router.filename}:1: proxy returned ")


def test_what_only_asyncio_can_await_is_an_error_of_the_router(make: Make) -> None:
    decider = make("import asyncio\nasync def proxy(data):\n    await asyncio.sleep(1)\n")
    assert line_of(decider) == 3


def test_a_function_that_is_called_wrongly_by_itself_is_an_error_of_the_router(make: Make) -> None:
    decider = make("def look_up(a, b):\n    pass\ndef proxy(data):\n    return look_up(data)\n")
    assert line_of(decider) == 4


def test_one_failure_does_not_spoil_the_next_decision(make: Make) -> None:
    decider = make("def proxy(data):\n    return {'close': {b'good': b'yes'}[data]}\n")
    failure_of(decider, b"bad")
    assert decide(decider, b"good") == Reject(b"yes")


def test_a_failure_is_the_callers_to_report(make: Make, log: Log) -> None:
    failure_of(make("def proxy(data):\n    1 / 0\n"))
    assert log.events == []


# Cancelling


def test_a_decision_that_is_given_up_cancels_what_it_waits_for() -> None:
    cancelled: list[Deferred[Any]] = []
    inner: Deferred[Any] = Deferred(cancelled.append)

    async def proxy(data: bytes) -> Any:
        return await inner

    decider = RouterDecider(from_object(proxy, "acme", __file__), Watch(), Log().logger)
    waiting = decider.decide(b"x", CLIENT)
    waiting.cancel()  # type: ignore[union-attr]
    assert cancelled == [inner]
    with pytest.raises(DecisionFailed, match="CancelledError"):
        settle(lambda: waiting)


def test_a_decision_that_is_given_up_lets_the_function_clean_up() -> None:
    cleaned: list[str] = []

    async def proxy(data: bytes) -> Any:
        try:
            await Deferred()
        finally:
            cleaned.append("up")

    decider = RouterDecider(from_object(proxy, "acme", __file__), Watch(), Log().logger)
    waiting = decider.decide(b"x", CLIENT)
    waiting.addErrback(lambda failure: failure.trap(DecisionFailed))  # type: ignore[union-attr]
    waiting.cancel()  # type: ignore[union-attr]
    assert cleaned == ["up"]


# Blocking


class Slow:
    """A router whose functions take their time."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.takes = 0.0
        self.error: BaseException | None = None

    def proxy(self, data: bytes) -> dict[str, bytes]:
        self.watch.pass_by(self.takes)
        if self.error is not None:
            raise self.error
        return {"close": data}

    def proxy_accepted(self, client: Client) -> None:
        self.watch.pass_by(self.takes)

    def proxy_connect_error(self, remote: str) -> None:
        self.watch.pass_by(self.takes)

    def proxy_inactivity_error(self, remote: str) -> None:
        self.watch.pass_by(self.takes)


@pytest.fixture
def slow(watch: Watch) -> Slow:
    return Slow(watch)


@pytest.fixture
def slow_decider(slow: Slow, watch: Watch, log: Log) -> RouterDecider:
    return RouterDecider(from_object(slow, "acme", __file__), watch, log.logger)


def test_slow_is_over_50_ms() -> None:
    assert SLOW == 0.05


@pytest.mark.parametrize(("takes", "count"), [(0.0, 0), (0.03125, 0), (0.0625, 1), (2.0, 1)])
def test_a_function_that_takes_over_50_ms_is_counted(
    slow: Slow, slow_decider: RouterDecider, takes: float, count: int
) -> None:
    slow.takes = takes
    assert decide(slow_decider) == Reject(b"data")
    assert slow_decider.slow == count


def test_it_is_warned_of_with_its_place_and_how_long_it_took(slow: Slow, slow_decider: RouterDecider, log: Log) -> None:
    slow.takes = 0.25
    decide(slow_decider)
    [line] = log.lines("warn")
    place = f"{__file__}:{inspect.getsourcelines(Slow.proxy)[1]}"
    assert line.startswith(f"{place}: proxy ")
    assert "250 ms" in line
    assert len(log.events) == 1


def test_it_is_warned_of_at_most_once_a_minute_but_always_counted(
    slow: Slow, slow_decider: RouterDecider, watch: Watch, log: Log
) -> None:
    slow.takes = 0.5
    for _ in range(10):
        decide(slow_decider)
    assert (len(log.events), slow_decider.slow) == (1, 10)
    watch.pass_by(54.0)
    decide(slow_decider)  # 59.0 seconds after the warning
    assert (len(log.events), slow_decider.slow) == (1, 11)
    watch.pass_by(1.0)
    decide(slow_decider)
    assert (len(log.events), slow_decider.slow) == (2, 12)
    assert "12 times" in log.lines()[1]
    decide(slow_decider)
    assert len(log.events) == 2


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_a_slow_function_that_raises_is_counted_too(
    slow: Slow, slow_decider: RouterDecider, log: Log, error: BaseException
) -> None:
    slow.takes, slow.error = 1.0, error
    failure_of(slow_decider)
    assert (len(log.events), slow_decider.slow) == (1, 1)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("proxy_accepted", lambda decider: decider.accepted(CLIENT)),
        ("proxy_connect_error", lambda decider: decider.connect_error("db:1", CLIENT)),
        ("proxy_inactivity_error", lambda decider: decider.inactivity_error("db:1", CLIENT)),
    ],
)
def test_the_other_functions_are_measured_too(
    slow: Slow, slow_decider: RouterDecider, log: Log, name: str, call: Callable[[RouterDecider], Any]
) -> None:
    slow.takes = 1.0
    call(slow_decider)
    assert slow_decider.slow == 1
    assert f": {name} blocked " in log.lines("warn")[0]


def test_an_async_function_that_waits_does_not_block(watch: Watch, log: Log) -> None:
    async def proxy(data: bytes) -> Any:
        await later
        return {"close": data}

    later: Deferred[None] = Deferred()
    decider = RouterDecider(from_object(proxy, "acme", __file__), watch, log.logger)
    waiting = decider.decide(b"x", CLIENT)
    watch.pass_by(10)
    later.callback(None)
    assert settle(lambda: waiting) == Reject(b"x")
    assert (decider.slow, log.events) == (0, [])


def test_an_async_function_that_blocks_before_it_waits_is_counted(watch: Watch, log: Log) -> None:
    async def proxy(data: bytes) -> Any:
        watch.pass_by(1.0)
        return {"close": data}

    decider = RouterDecider(from_object(proxy, "acme", __file__), watch, log.logger)
    assert decide(decider) == Reject(b"data")
    assert decider.slow == 1


# Callbacks

CALLBACKS = ["connect_error", "inactivity_error"]


def ask(decider: RouterDecider, name: str) -> Any:
    return settle(lambda: getattr(decider, name)("db:1", CLIENT))


def callback(name: str, body: str, define: str = "def") -> str:
    return f"def proxy(data):\n    pass\n{define} proxy_{name}(remote):\n    {body}\n"


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("define", ["def", "async def"])
@pytest.mark.parametrize(
    ("body", "last_word"),
    [
        ("return b'sorry: ' + remote.encode()", b"sorry: db:1"),
        ("return None", b""),
        ("pass", b""),
        ("return b''", b""),
        ("return bytearray(b'sorry')", b"sorry"),
        ("return memoryview(b'sorry')", b"sorry"),
    ],
)
def test_what_a_callback_returns_is_the_last_word(
    make: Make, log: Log, name: str, define: str, body: str, last_word: bytes
) -> None:
    word = ask(make(callback(name, body, define)), name)
    assert type(word) is bytes
    assert word == last_word
    assert log.events == []


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("define", ["def", "async def"])
@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("raise ValueError('no')", 4, "raised ValueError: no"),
        ("raise SystemExit(3)", 4, "raised SystemExit: 3"),
        ("raise KeyboardInterrupt", 4, "raised KeyboardInterrupt"),
        ("return 'sorry'", 3, "returned 'sorry', which is neither bytes nor None"),
        ("return True", 3, "returned True, which is neither bytes nor None"),
        ("return {'close': b'x'}", 3, "returned {'close': b'x'}, which is neither bytes nor None"),
        ("return 10**5000", 3, ""),
        ("return [proxy, remote.nothing]", 4, "raised AttributeError: "),
    ],
)
def test_a_callback_that_does_wrong_is_logged_once_and_has_no_last_word(
    make: Make, log: Log, name: str, define: str, body: str, line: int, words: str
) -> None:
    decider = make(callback(name, body, define))
    assert ask(decider, name) == b""
    [text] = log.lines("error")
    assert text.startswith(f"{decider._router.filename}:{line}: proxy_{name} ")
    assert words in text
    assert len(text.splitlines()) == 1
    assert len(log.events) == 1


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_may_return_a_deferred(make: Make, name: str) -> None:
    source = "from twisted.internet.defer import succeed\n" + callback(name, "return succeed(b'sorry')")
    assert ask(make(source), name) == b"sorry"


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_callback_whose_deferred_fails_is_logged(make: Make, log: Log, name: str) -> None:
    source = "from twisted.internet.defer import fail\n" + callback(name, "return fail(ValueError('no'))")
    decider = make(source)
    assert ask(decider, name) == b""
    assert log.lines() == [f"{decider._router.filename}:4: proxy_{name} raised ValueError: no"]


def test_a_callback_that_is_given_up_is_cancelled_and_not_said_to_have_raised(watch: Watch, log: Log) -> None:
    class Waits:
        def proxy(self, data: bytes) -> None:
            pass

        async def proxy_connect_error(self, remote: str) -> bytes:
            try:
                await Deferred()
            except CancelledError:
                cancelled.append(remote)
                raise
            return b"never"

    cancelled: list[str] = []
    decider = RouterDecider(from_object(Waits(), "acme", __file__), watch, log.logger)
    waiting = decider.connect_error("db:1", CLIENT)
    waiting.addErrback(lambda failure: None)  # type: ignore[union-attr]
    waiting.cancel()  # type: ignore[union-attr]
    assert cancelled == ["db:1"]
    assert log.lines() == []


@pytest.mark.parametrize("make_result", [lambda: succeed({"remote": "db:1"}), lambda: fail(ValueError("no"))])
def test_no_failure_is_left_for_the_garbage_collector(make_result: Any, watch: Watch, log: Log) -> None:
    decider = RouterDecider(from_object(lambda data: make_result(), "acme", __file__), watch, log.logger)
    try:
        decide(decider)
    except DecisionFailed:
        pass


class Sly(bytes):
    def __bool__(self) -> bool:
        raise SystemExit("bool")

    def __len__(self) -> int:
        raise SystemExit("len")


def exit_when_looked_at(_: object) -> type:
    raise SystemExit("class")


def test_bytes_of_a_class_of_its_own_are_taken_as_bytes() -> None:
    forward = Forward("db:1", data=Sly(b"x"), reply=Sly(b"y"))
    assert [type(forward.data), type(forward.reply)] == [bytes, bytes]
    assert type(Reject(Sly(b"z")).close) is bytes


def test_a_result_that_exits_when_it_is_looked_at_is_a_router_error(watch: Watch, log: Log) -> None:
    posing = type("Posing", (), {"__class__": property(exit_when_looked_at)})
    decider = RouterDecider(from_object(lambda data: posing(), "acme", __file__), watch, log.logger)
    with pytest.raises(DecisionFailed, match="SystemExit: class"):
        decider.decide(b"x", CLIENT)
