"""Real neighbours: HAProxy in front, nginx behind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import until
from tests.system.conftest import Start, answers, free_port, need

pytestmark = pytest.mark.slow  # each of them starts processes of its own

Server = Callable[..., subprocess.Popen[bytes]]


def nginx(server: Server, folder: Path, *, takes_header: bool) -> int:
    """An nginx that answers with the client's address, as it sees it."""
    port = free_port()
    real_ip = "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;" if takes_header else ""
    (folder / "nginx.conf").write_text(
        f"""
        daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
        events {{}}
        http {{
            access_log off; client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2;
            fastcgi_temp_path {folder}/t3; uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
            server {{
                listen 127.0.0.1:{port} {"proxy_protocol" if takes_header else ""};
                {real_ip}
                location / {{ return 200 "$remote_addr"; }}
            }}
        }}
        """
    )
    server(need("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), port=port)
    return port


def haproxy(server: Server, folder: Path, *lines: str) -> None:
    """An HAProxy in TCP mode with one ``listen`` section of these lines."""
    times = ["timeout connect 10s", "timeout client 10s", "timeout server 10s"]
    (folder / "haproxy.cfg").write_text("\n".join(["defaults", "mode tcp", *times, "listen here", *lines, ""]))
    server(need("haproxy"), "-db", "-f", str(folder / "haproxy.cfg"))


def curl(*arguments: str) -> str:
    command = [need("curl"), "--silent", "--show-error", "--max-time", "30", "--noproxy", "*", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_behind_sees_the_client_through_the_header_it_is_sent(
    start: Start, server: Server, tmp_path: Path, version: str
) -> None:
    port = nginx(server, tmp_path, takes_header=True)
    proxy = start(f"def proxy(data):\n    return {{'remote': '127.0.0.1:{port}'}}\n", "--send-proxy", version)
    assert curl("--interface", "127.0.0.7", f"http://127.0.0.1:{proxy.port}/") == "127.0.0.7"


@pytest.mark.parametrize("word", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front_tells_us_the_client(start: Start, server: Server, tmp_path: Path, word: str) -> None:
    router = (
        "def proxy(data, client):\n    return {'close': b'HTTP/1.0 200 OK\\r\\n\\r\\n' + client.address[0].encode()}\n"
    )
    proxy = start(router, "--listen", "haproxy:tcp:0:interface=127.0.0.1", listen=False)
    front = free_port()
    haproxy(server, tmp_path, f"bind 127.0.0.1:{front}", f"server proxymux 127.0.0.1:{proxy.port} {word}")
    until(lambda: answers(front), "HAProxy to listen")
    assert curl("--interface", "127.0.0.9", f"http://127.0.0.1:{front}/") == "127.0.0.9"
    [record] = until(lambda: [each for each in proxy.records() if each["bytes_in"]], "the record")
    assert record["client"].rpartition(":")[0] == "127.0.0.9"


def test_haproxy_behind_takes_our_header_and_we_take_its(start: Start, server: Server, tmp_path: Path) -> None:
    """Client, proxymux, HAProxy that accepts a header, nginx that accepts HAProxy's: the address goes all the way."""
    behind = nginx(server, tmp_path, takes_header=True)
    middle = free_port()
    haproxy(server, tmp_path, f"bind 127.0.0.1:{middle} accept-proxy", f"server nginx 127.0.0.1:{behind} send-proxy-v2")
    until(lambda: answers(middle), "HAProxy to listen")
    proxy = start(f"def proxy(data):\n    return {{'remote': '127.0.0.1:{middle}', 'send_proxy': 'v2'}}\n")
    assert curl("--interface", "127.0.0.5", f"http://127.0.0.1:{proxy.port}/") == "127.0.0.5"


def test_a_stranger_may_not_send_a_header(start: Start) -> None:
    proxy = start(
        "def proxy(data):\n    return {'close': b'in'}\n",
        *("--listen", "haproxy:tcp:0:interface=127.0.0.1", "--trust-proxy", "10.0.0.0/8"),
        listen=False,
    )
    with proxy.connect() as client:
        client.sendall(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nx")
        try:
            assert client.recv(10) == b""
        except ConnectionResetError:
            pass
    records: list[dict[str, Any]] = proxy.records(1)
    assert records[0]["outcome"] == "refused"
