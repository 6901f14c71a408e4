"""Takes the picture of the status page that is in the README, of services at work, in a real Chromium.

    python bench/status_page.py --out docs/status-page.png

It needs Debian's ``chromium`` and ``chromium-driver`` and the packages of the extra ``bench``.  A router and a pool run
in one process on loopback.  Clients send to them at a rate that rises and falls, as in the course of a day, only
faster; some targets refuse.  After ``--seconds`` the page is photographed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import math
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from PIL import Image

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from bench.browser import chromium, show_in  # noqa: E402

#: What each of the router's clients names in its first line, and how likely it is.
NAMES: Final = {"shop": 6, "mail": 3, "git": 2, "gone": 0.4, "nobody": 0.3}
TAC: Final = """
from twisted.application.service import Application

from proxymux import Multiplexer, Router

application = Application("screenshot")
local = "tcp:0:interface=127.0.0.1"
Router("router.py", listen=local, admin=local).setServiceParent(application)
Multiplexer(target={targets!r}, listen=local, codec="line", admin=local).setServiceParent(application)
"""
ROUTER: Final = """
from proxymux import NEED_DATA

PORTS = {ports!r}

def proxy(data):
    name, end, _ = data.partition(b"\\n")
    if not end:
        return NEED_DATA
    if name not in PORTS:
        return {{"close": b"who?\\n"}}
    return {{"remote": f"127.0.0.1:{{PORTS[name]}}", "retries": 0, "note": {{"name": name.decode()}}}}
"""


class Upstreams:
    """Servers that send as much as they are asked for, and servers that answer line by line."""

    async def start(self) -> dict[str, int]:
        """Listen; returns the ports by name, that of ``gone`` being one where nobody listens."""
        ports = {}
        for name in ("shop", "mail", "git"):
            server = await asyncio.start_server(self._send, "127.0.0.1", 0)
            ports[name] = server.sockets[0].getsockname()[1]
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        ports["lines"] = server.sockets[0].getsockname()[1]
        gone = await asyncio.start_server(self._send, "127.0.0.1", 0)
        ports["gone"] = gone.sockets[0].getsockname()[1]
        gone.close()
        return ports

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readline()
            while request := await reader.readline():
                writer.write(bytes(int(request)))
                await writer.drain()
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while request := await reader.readline():
                await asyncio.sleep(random.uniform(0.001, 0.02))
                writer.write(request)
        writer.close()


class Load:
    """Clients of both services.

    :param strength: what their number is multiplied by.
    """

    def __init__(self, router: int, pool: int, strength: float) -> None:
        self._router = router
        self._pool = pool
        self._strength = strength
        self._sources = itertools.cycle(range(2, 250))
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Have the clients begin to come."""
        self._begin(self._go_on())

    async def stop(self) -> None:
        """End them all."""
        for client in self._running:
            client.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _go_on(self) -> None:
        for number in range(40):
            self._begin(self._keep(number))
        for _ in range(12):
            self._begin(self._ask())
        for tick in itertools.count():
            swell = 1 + 0.6 * math.sin(tick / 60) + 0.25 * math.sin(tick / 11)
            for _ in range(int(random.expovariate(1 / (6 * swell * self._strength)))):
                self._begin(self._visit())
            await asyncio.sleep(0.25)

    def _begin(self, client: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(client)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        source = f"127.0.0.{next(self._sources)}"
        return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))

    async def _visit(self) -> None:
        """One client that asks for something once or twice, and leaves."""
        [name] = random.choices(list(NAMES), [*NAMES.values()])
        with contextlib.suppress(OSError):
            reader, writer = await self._connect(self._router)
            writer.write(name.encode() + b"\n")
            for _ in range(random.randint(1, 2)):
                writer.write(b"%d\n" % _size(9))
                await writer.drain()
                await asyncio.sleep(random.expovariate(1))
            writer.write_eof()
            while await reader.read(1 << 16):
                pass
            writer.close()

    async def _keep(self, number: int) -> None:
        """One client that stays, and asks for something now and then."""
        with contextlib.suppress(OSError, EOFError):
            await asyncio.sleep(number * random.uniform(0, 1))
            reader, writer = await self._connect(self._router)
            writer.write(random.choice([b"shop\n", b"mail\n", b"git\n"]))
            while True:
                size = _size(10.5)
                writer.write(b"%d\n" % size)
                await reader.readexactly(size)
                await asyncio.sleep(random.expovariate(1 / 3))

    async def _ask(self) -> None:
        """One client of the pool."""
        reader, writer = await self._connect(self._pool)
        while True:
            for number in range(random.randint(5, 200)):
                writer.write(b"question %d\n" % number)
                if not await reader.readline():
                    return
            await asyncio.sleep(random.expovariate(1 / 2))


def _size(mean: float) -> int:
    """Bytes of an answer: many are small, few are large."""
    return min(int(random.lognormvariate(mean, 1.3)), 1_000_000)


@contextlib.contextmanager
def services(strength: float) -> Iterator[str]:
    """A router and a pool under load; yields the address of their admin endpoint."""
    with tempfile.TemporaryDirectory(prefix="screenshot-") as folder, _upstreams() as (loop, ports):
        target = f"127.0.0.1:{ports.pop('lines')}"
        names = {name.encode(): port for name, port in ports.items()}
        Path(folder, "router.py").write_text(ROUTER.format(ports=names))
        Path(folder, "made.tac").write_text(TAC.format(targets=[target] * 4))
        command = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "-y", "made.tac"]
        with open(Path(folder, "log"), "wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            found: list[str] = []
            limit = time.monotonic() + 20
            while len(found) < 3:
                if process.poll() is not None or time.monotonic() > limit:
                    raise SystemExit(f"it does not start:\n{Path(folder, 'log').read_text()}")
                time.sleep(0.1)
                found = re.findall(r"listens on (127\.0\.0\.1:\d+)", Path(folder, "log").read_text())
            admin, router, pool = _told_apart(Path(folder, "log").read_text())
            load = Load(router, pool, strength)
            asyncio.run_coroutine_threadsafe(load.start(), loop).result(10)
            yield admin
            asyncio.run_coroutine_threadsafe(load.stop(), loop).result(10)
        finally:
            process.terminate()
            process.wait(20)


def _told_apart(log: str) -> tuple[str, int, int]:
    """The addresses of the admin endpoint, the router and the pool, from what they have logged."""
    found: dict[str, int] = {}
    for line in log.splitlines():
        match = re.search(r"(--admin|router|pool)[^\n]* listens on 127\.0\.0\.1:(\d+)", line)
        if match:
            found.setdefault(match[1], int(match[2]))
    return f"127.0.0.1:{found['--admin']}", found["router"], found["pool"]


@contextlib.contextmanager
def _upstreams() -> Iterator[tuple[asyncio.AbstractEventLoop, dict[str, int]]]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop, asyncio.run_coroutine_threadsafe(Upstreams().start(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def main() -> None:
    """Take the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("status-page.png"))
    parser.add_argument("--seconds", type=float, default=330, help="how long the page watches before the picture")
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--scheme", choices=["light", "dark"], default="light")
    parser.add_argument("--strength", type=float, default=1.0, help="of the load")
    options = parser.parse_args()
    with services(options.strength) as admin, chromium(options.width, options.height) as browser:
        show_in(browser, options.width, options.height, options.scheme)
        browser.get(f"http://{admin}/")
        time.sleep(options.seconds)
        picture = Image.open(BytesIO(browser.get_screenshot_as_png()))
        # Few colours are used: a palette takes a third of the space.
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(options.out, optimize=True)
        if browser.find_element("id", "state").text != "serving":
            raise SystemExit("the page does not say that it serves")


if __name__ == "__main__":
    main()
