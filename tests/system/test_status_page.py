"""The status page in a real Chromium."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd, need, read_all

pytest.importorskip("selenium")
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from bench.browser import chromium, show_in
from bench.processes import raise_descriptor_limit

pytestmark = pytest.mark.slow

TOKEN = "a-token-of-the-tests"
#: Ends a client that says so, sends all others to the upstream.
ROUTER = """
def proxy(data):
    if data == b"leave":
        return {{"close": True}}
    return {{"remote": {remote!r}, "note": {note!r}}}
"""
#: Waits for ever.
SILENT = "def proxy(data): return None"
#: Runs before the page's own scripts: notes how long its tasks take and its streams, lets a minute pass quickly, and
#: can have the page take itself for hidden.
OBSERVER = """
window.sources = [];
window.EventSource = class extends EventSource {
    constructor(...from) {
        super(...from);
        sources.push(this);
    }
};
const later = window.setTimeout;
window.setTimeout = (what, time) => later(what, time === 60000 ? 500 : time);
window.hide = (hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
};
window.longTasks = [];
new PerformanceObserver((list) => longTasks.push(...list.getEntries().map((each) => each.duration)))
    .observe({type: "longtask", buffered: true});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """One Chromium for all tests; it takes seconds to start."""
    for program in ("chromium", "chromedriver"):
        need(program)
    with chromium(1440, 900) as browser:
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": OBSERVER})
        yield browser


class Page:
    """The status page of a running service."""

    def __init__(self, browser: Chrome, address: str) -> None:
        self.browser = browser
        self.address = address

    def open(self) -> None:
        self.browser.get(f"http://{self.address}/")
        self.wait_for("state", "serving")

    def find(self, name: str) -> WebElement:
        return self.browser.find_element(By.ID, name)

    def text(self, name: str) -> str:
        return self.find(name).text

    def wait_for(self, name: str, words: str) -> None:
        """Wait until the element of that id has these words in its text."""
        until(lambda: words in self.text(name), f"{words!r} in {name}")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(f"return {script}", *arguments)

    def values(self, chart: str) -> list[str]:
        """The present values of a chart, one for each line."""
        found: list[str] = self.run(
            "[...document.querySelectorAll(arguments[0])].map((each) => each.lastChild.textContent)",
            f"#chart-{chart} .value",
        )
        return found

    @property
    def rows(self) -> list[list[str]]:
        """The texts of the sessions that are in the page."""
        found: list[list[str]] = self.run(
            "[...document.querySelectorAll('#sessions tbody [role=row]')].map((row) =>"
            " [...row.cells].map((cell) => cell.textContent))"
        )
        return found

    def wait_for_rows(self, count: int) -> list[list[str]]:
        until(lambda: len(self.rows) == count, f"{count} sessions")
        return self.rows

    def button(self, number: int, action: str) -> WebElement:
        """The button of a session: Explain or Close."""
        return self.browser.find_element(By.CSS_SELECTOR, f"[aria-label='{action} session {number}']")

    def confirm(self, token: str | None = None) -> None:
        """Do what the dialog asks."""
        until(self.find("ask").is_displayed, "the question")
        if token is not None:
            field = self.browser.find_element(By.CSS_SELECTOR, "#ask input")
            field.clear()
            field.send_keys(token)
        self.find("ask-yes").click()

    def press(self, *keys: str) -> None:
        for key in keys:
            ActionChains(self.browser).send_keys(key).perform()

    @property
    def focus(self) -> str:
        """What has the focus: its label, or its id."""
        said: str = self.run("document.activeElement.ariaLabel || document.activeElement.id")
        return said

    def updates(self, count: int) -> None:
        """Wait until it has updated itself so often."""
        for _ in range(count):
            shown = self.text("updated")
            until(lambda: self.text("updated") != shown, "an update")  # noqa: B023

    def problems(self) -> list[str]:
        """What the console has that is an error or a warning."""
        return [each["message"] for each in self.browser.get_log("browser") if each["level"] in ("SEVERE", "WARNING")]

    def hosts(self) -> set[str]:
        """Whom the page has asked."""
        hosts = set()
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                url = message["params"].get("request", message["params"])["url"]
                hosts.add(urlsplit(url).netloc or url)
        return hosts


Open = Callable[[Twistd], Page]


@pytest.fixture
def opened(browser: Chrome) -> Iterator[Open]:
    """Open the page of a service; in the end it must have asked nobody else, and have printed nothing."""
    pages: list[Page] = []

    def opened(running: Twistd) -> Page:
        show_in(browser, 1440, 900)
        page = Page(browser, running.wait_for_log(r"--admin listens on (\S+:\d+)")[1])
        page.problems()
        page.hosts()
        page.open()
        pages.append(page)
        return page

    yield opened
    [page] = pages
    assert page.hosts() <= {page.address}
    assert page.problems() == []
    browser.get("about:blank")


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Options of an endpoint with a token."""
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    return ["--admin", "tcp:0:interface=127.0.0.1", "--admin-token-file", str(path)]


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    """A server that need not accept for clients to be joined to it."""
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as server:
        yield server


@pytest.fixture
def clients() -> Iterator[contextlib.ExitStack]:
    """What is closed when the test is over."""
    with contextlib.ExitStack() as stack:
        yield stack


def router(upstream: socket.socket, note: dict[str, str] | None = None) -> str:
    return ROUTER.format(remote=f"127.0.0.1:{upstream.getsockname()[1]}", note=note or {"tenant": "blue"})


def join(running: Twistd, clients: contextlib.ExitStack, count: int, data: bytes = b"hello") -> list[socket.socket]:
    """Clients that are joined to the upstream."""
    made = [clients.enter_context(running.connect()) for _ in range(count)]
    for client in made:
        client.sendall(data)
    return made


def reset(client: socket.socket) -> None:
    """End a client at once: whoever sends FIN only may still be sent something."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def test_numbers_change_under_load(
    start: Start, opened: Open, arguments: list[str], upstream: socket.socket, clients: contextlib.ExitStack
) -> None:
    running = start(router(upstream), *arguments)
    page = opened(running)
    assert page.text("shown") == "0"
    [client] = join(running, clients, 1)
    server = clients.enter_context(upstream.accept()[0])
    join(running, clients, 2)
    assert [row[7] for row in page.wait_for_rows(3)] == ["0 B"] * 3
    until(lambda: page.values("live") == ["3"], "three live sessions")
    end = time.monotonic() + 30
    most = [0.0, 0.0, 0.0]
    while not all(most) and time.monotonic() < end:
        assert running.ask(b"leave") == b""
        client.sendall(bytes(10_000))
        server.sendall(bytes(5_000))
        assert server.recv(1 << 20)
        assert client.recv(1 << 20)
        values = [*page.values("connections"), *page.values("bytes")]
        most = [max(before, float(re.split("[ /]", value)[0])) for before, value in zip(most, values, strict=True)]
    assert all(most), most
    until(lambda: any(row[6] not in ("0 B", "5 B") and row[7] != "0 B" for row in page.rows), "bytes of a session")
    page.wait_for("outcomes", "rejected")
    drawn = page.run("document.querySelector('#chart-bytes path.line2').getAttribute('d')")
    assert "L" in drawn


def test_a_session_is_closed_by_its_button_with_the_token_only(
    start: Start, opened: Open, arguments: list[str], upstream: socket.socket, clients: contextlib.ExitStack
) -> None:
    running = start(router(upstream), *arguments)
    page = opened(running)
    first, second, third = join(running, clients, 3)
    page.wait_for_rows(3)
    page.button(2, "Close").click()
    page.confirm()
    page.wait_for("ask-problem", "A token is wanted")
    page.confirm("wrong")
    page.wait_for("ask-problem", "The token is wrong")
    page.find("ask-no").click()
    assert [problem for problem in page.problems() if " 401 " not in problem] == []
    second.sendall(b"still there")
    assert running.records() == []

    page.button(2, "Close").click()
    page.confirm(TOKEN)
    assert read_all(second) == b""
    assert [row[0] for row in page.wait_for_rows(2)] == ["1", "3"]
    page.wait_for("said", "Close session 2: closing.")
    page.button(3, "Close").click()
    page.confirm()
    assert read_all(third) == b""
    page.wait_for_rows(1)
    assert [(each["session"], each["outcome"]) for each in running.records(2)] == [(2, "drained"), (3, "drained")]
    first.sendall(b"still there")

    assert page.browser.current_url == f"http://{page.address}/"
    assert page.run("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    assert TOKEN not in page.browser.page_source
    page.find("forget").click()
    page.button(1, "Close").click()
    page.confirm()
    page.wait_for("ask-problem", "A token is wanted")


def test_reload_and_drain_ask_first_and_the_state_is_said(
    start: Start, opened: Open, arguments: list[str], upstream: socket.socket, clients: contextlib.ExitStack
) -> None:
    running = start(router(upstream), *arguments)
    join(running, clients, 1)
    page = opened(running)
    assert not page.find("rollover").is_displayed()
    page.find("reload").click()
    page.confirm(TOKEN)
    page.wait_for("said", "Reload: reloaded.")
    page.find("drain").click()
    page.press(Keys.ESCAPE)
    page.updates(2)
    assert page.text("state") == "serving"
    page.find("drain").click()
    page.confirm()
    page.wait_for("state", "draining")
    assert len(page.rows) == 1


def test_a_held_target_is_shown(start: Start, opened: Open, arguments: list[str], upstream: socket.socket) -> None:
    page = opened(start(router(upstream), *arguments))
    assert not page.find("holds").is_displayed()
    target = f"127.0.0.1:{upstream.getsockname()[1]}"
    page.run(
        "fetch(arguments[0], {method: 'POST', headers: {Authorization: arguments[1]}}).then(() => 0)",
        f"/clusters/-/{target}/hold",
        f"Bearer {TOKEN}",
    )
    page.wait_for("holds", target)


def test_a_target_of_a_cluster_is_drained_and_used_again_by_its_button(
    start: Start, opened: Open, arguments: list[str], upstream: socket.socket
) -> None:
    target = f"127.0.0.1:{upstream.getsockname()[1]}"
    page = opened(start(router(upstream), *arguments, "--cluster", f"users={target};health=tcp"))
    page.wait_for("clusters", target)
    for button, says, state in (
        ("Drain", f"Drain {target}: {target} is drained.", "drained"),
        ("Enable", f"Enable {target}: {target} is used again.", "up"),
    ):
        page.browser.find_element(By.CSS_SELECTOR, f"[aria-label='{button} {target} of users']").click()
        page.confirm(TOKEN if button == "Drain" else None)
        page.wait_for("said", says)
        page.wait_for("clusters", f"{target} {state}")


def test_hostile_texts_are_inert(
    start: Start, opened: Open, arguments: list[str], tmp_path: Path, clients: contextlib.ExitStack
) -> None:
    evil = "<img src=x onerror=window.hurt=1>"
    with socket.socket(socket.AF_UNIX) as upstream:
        upstream.bind(str(tmp_path / evil))
        upstream.listen()
        running = start(ROUTER.format(remote=f"unix:{tmp_path / evil}", note={evil: f"</dd>{evil}"}), *arguments)
        page = opened(running)
        join(running, clients, 1)
        assert evil in page.wait_for_rows(1)[0][3]
        page.button(1, "Explain").click()
        page.wait_for("explained", f"Note: {evil}")
        assert f"</dd>{evil}" in page.text("explained")
        page.find("explanation-close").click()
        until(page.find("ask").is_displayed, "the question")
        assert evil in page.text("ask-text")
        page.updates(1)
        assert page.run("[window.hurt || 0, document.images.length, document.scripts.length]") == [0, 0, 1]


def test_all_is_done_by_keyboard_and_the_focus_stays(
    start: Start, opened: Open, arguments: list[str], upstream: socket.socket, clients: contextlib.ExitStack
) -> None:
    running = start(router(upstream), *arguments)
    page = opened(running)
    made = join(running, clients, 6)
    page.wait_for_rows(6)
    page.press(Keys.TAB, Keys.ENTER)
    until(lambda: page.focus == "window", "the focus on the sessions")
    while "session" not in page.focus:
        page.press(Keys.TAB)
    assert page.focus == "Explain session 1"
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    assert page.focus == "Explain session 3"
    page.press(Keys.TAB)
    assert page.focus == "Close session 3"
    reset(made[0])
    reset(made[3])
    page.wait_for_rows(4)
    join(running, clients, 1)
    page.wait_for_rows(5)
    assert page.focus == "Close session 3"
    page.press(Keys.END)
    assert page.focus == "Close session 7"
    page.press(Keys.HOME)
    assert page.focus == "Close session 2"
    page.press(Keys.ENTER)
    until(page.find("ask").is_displayed, "the question")
    page.press(TOKEN, Keys.ENTER)
    assert read_all(made[1]) == b""
    page.wait_for_rows(4)
    assert page.focus == "Close session 3", "what has taken its place"
    ActionChains(page.browser).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    assert page.focus == "Explain session 3"
    page.press(Keys.ENTER)
    page.wait_for("explained", "joined")
    page.press(Keys.ESCAPE)
    until(lambda: page.focus == "Explain session 3", "the focus where it was")


def test_sessions_are_sorted_and_filtered(
    start: Start, opened: Open, arguments: list[str], upstream: socket.socket, clients: contextlib.ExitStack
) -> None:
    running = start(router(upstream), *arguments)
    page = opened(running)
    made = join(running, clients, 5)
    made[3].sendall(bytes(5000))
    until(lambda: any(row[6] == "5.00 kB" or row[6] == "5.01 kB" for row in page.wait_for_rows(5)), "the bytes")
    heading = page.browser.find_element(By.CSS_SELECTOR, "#sessions th.in")
    heading.find_element(By.TAG_NAME, "button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert page.rows[0][0] == "4"
    heading.find_element(By.TAG_NAME, "button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert page.rows[-1][0] == "4"
    assert len(page.browser.find_elements(By.CSS_SELECTOR, "#sessions [aria-sort]")) == 1
    port = made[1].getsockname()[1]
    page.find("filter").send_keys(f"JOINED {port}")
    assert [row[0] for row in page.wait_for_rows(1)] == ["2"]
    assert page.text("shown") == "1 match, of 5"
    page.find("filter").send_keys("nonsense")
    page.wait_for("window", "No session matches the filter.")


def test_a_service_that_does_not_answer_is_said_to_be_old_and_come_back_to(
    start: Start, opened: Open, arguments: list[str]
) -> None:
    running = start(SILENT, *arguments)
    page = opened(running)
    running.signal(signal.SIGSTOP)
    page.wait_for("stale", "Not updated since ")
    assert page.find("stale").get_attribute("role") == "status"
    running.signal(signal.SIGCONT)
    until(lambda: page.text("stale") == "", "an update")
    page.updates(2)


def test_a_page_that_nobody_sees_asks_for_nothing_after_a_minute(
    start: Start, opened: Open, arguments: list[str]
) -> None:
    page = opened(start(SILENT, *arguments))
    page.run("hide(true)")
    until(lambda: page.run("sources.map((each) => each.readyState)") == [2], "the end of the stream")
    page.run("hide(false)")
    page.updates(2)
    assert page.run("sources.map((each) => each.readyState)") == [2, 1]


def test_workers_are_shown_and_rolled_over(start: Start, opened: Open, arguments: list[str]) -> None:
    running = start(SILENT, *arguments, "--workers", "2")
    page = opened(running)

    def workers() -> list[str]:
        return page.text("workers").splitlines()[1:]

    until(lambda: [line.split()[::3] for line in workers()] == [["1", "serving"], ["2", "serving"]], "two workers")
    before = {line.split()[1] for line in workers()}
    page.find("rollover").click()
    page.confirm(TOKEN)
    page.wait_for("said", "Roll over: rolling over.")
    until(lambda: len(workers()) == 2 and not {line.split()[1] for line in workers()} & before, "two other workers")
    page.wait_for("state", "serving")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(
    start: Start,
    opened: Open,
    arguments: list[str],
    upstream: socket.socket,
    clients: contextlib.ExitStack,
    scheme: str,
) -> None:
    running = start(router(upstream), *arguments)
    page = opened(running)
    show_in(page.browser, 320, 640, scheme)
    join(running, clients, 30)
    page.wait_for("shown", "30")
    assert page.run("[document.documentElement.scrollWidth, document.querySelector('#window').scrollWidth <= 320]") == [
        320,
        True,
    ]
    light = page.run("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).every((each) => each > 128)")
    assert light == (scheme == "light")
    assert page.run("getComputedStyle(document.querySelector('main')).transitionDuration") == "0s"
    overlaps = page.run("""(() => {
        const boxes = [...document.querySelectorAll('#sessions tbody tr:nth-child(3) td')]
            .map((each) => each.getBoundingClientRect()).filter((each) => each.width);
        return boxes.filter((a, at) => boxes.slice(at + 1).some((b) => a.left < b.right - 1 && b.left < a.right - 1
            && a.top < b.bottom - 1 && b.top < a.bottom - 1)).length;
    })()""")
    assert overlaps == 0


def test_five_thousand_sessions_do_not_freeze_it(
    start: Start, opened: Open, arguments: list[str], upstream: socket.socket, clients: contextlib.ExitStack
) -> None:
    count = 5000
    raise_descriptor_limit()
    running = start(SILENT, *arguments, "--decide-timeout", "3600", "--max-buffer", "1000000")
    page = opened(running)
    made = []
    for _ in range(count // 250):
        made += join(running, clients, 250)
    page.wait_for("shown", "oldest 200 of 5,000")
    Select(page.find("limit")).select_by_value("5000")
    until(lambda: page.text("shown") == "5,000", "all sessions")
    page.browser.find_element(By.CSS_SELECTOR, "#sessions th.client button").click()

    def use_it() -> list[float]:
        """Let sessions change, filter, and go to the end; the milliseconds of what kept the page meanwhile."""
        page.run("longTasks.length = 0")
        for _ in range(4):
            for client in made[::50]:
                client.sendall(b"more")
            page.updates(1)
        page.find("filter").send_keys("127.0.0.1:4")
        page.find("filter").send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.DELETE)
        until(lambda: page.text("shown") == "5,000", "all sessions")
        page.run("(() => { const box = document.getElementById('window'); box.scrollTop = box.scrollHeight; })()")
        last = "Number(document.querySelector('#sessions tbody').rows[20].ariaRowIndex) > 4900"
        until(lambda: page.run(last), "the last")
        assert page.run("document.querySelectorAll('#sessions tbody tr').length") < 100
        page.run("document.getElementById('window').scrollTop = 0")
        return list(page.run("longTasks.splice(0)"))

    # What keeps the page does so each time; a machine that is busy with something else does not.
    slowest: list[float] = []
    for _ in range(6):
        slowest.append(max(use_it(), default=0))
        if slowest[-1] < 200:
            break
    assert min(slowest) < 200, slowest
    page.run("setTimeout(() => { for (const end = performance.now() + 300; performance.now() < end;); }, 0)")
    until(lambda: page.run("longTasks.some((each) => each > 200)"), "a long task to be noticed")
