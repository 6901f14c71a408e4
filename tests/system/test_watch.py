"""``--watch``: what is saved in an editor is what clients meet, by no signal of anybody's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import until
from tests.system.conftest import Start, Twistd

pytestmark = pytest.mark.slow

ROUTER = "import words\n\ndef proxy(data):\n    return {'close': words.LAST}\n"


def save(path: Path, text: str) -> None:
    """As editors do: another file takes the place of the old one."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.rename(path)


def comes_to_say(proxy: Twistd, word: bytes, workers: int) -> None:
    """Wait until all that come are told a word: each worker reads the files for itself."""
    until(lambda: all(proxy.ask(b"x") == word for _ in range(5 * workers)), f"{word!r}")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_saved_is_loaded_and_what_cannot_be_is_one_line(start: Start, tmp_path: Path, workers: int) -> None:
    router, words = tmp_path / "router.py", tmp_path / "words.py"
    router.write_text(ROUTER)
    words.write_text("LAST = b'one'\n")
    proxy = start(router, "--watch", *(["--workers", str(workers)] if workers > 1 else []))
    comes_to_say(proxy, b"one", workers)
    save(words, "LAST = b'two'\n")
    comes_to_say(proxy, b"two", workers)
    save(words, "LAST = (\n")
    proxy.wait_for_log("not reloaded, the old one stays: .*words.py")
    assert proxy.ask(b"x") == b"two"
    save(words, "LAST = b'three'\n")
    comes_to_say(proxy, b"three", workers)
    save(router, ROUTER.replace("words.LAST", "b'four'"))
    comes_to_say(proxy, b"four", workers)
    log = proxy.log()
    assert "Traceback" not in log
    changes = re.findall(r"--watch: .*?(\w+\.py) changed", log)
    assert changes == ["words.py", "words.py", "words.py", "router.py"]
    assert len(re.findall("not reloaded", log)) == workers
