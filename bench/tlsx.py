"""Measure TLS termination: the proxy's CPU for handshakes, round trips and bulk, and its memory for an idle client.

    python bench/tls.py

Beside it, in interleaved rounds: HAProxy and nginx with the same certificate, one thread each, TLS 1.3.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

from bench.ports import free_port  # noqa: E402
from bench.processes import (  # noqa: E402
    await_listener,
    cpu_seconds,
    only_child,
    raise_descriptor_limit,
    resident_bytes,
    running,
)

#: The measures: how much of each a round does, and the unit of the figure.
AMOUNTS: Final = {"full": 150, "resumed": 150, "rtt": 600, "up": 1500, "down": 1500, "idle": 400}
UNITS: Final = {"full": "µs", "resumed": "µs", "rtt": "µs", "up": "ms/MiB", "down": "ms/MiB", "idle": "KiB"}
HAPROXY: Final = """\
global
    nbthread 1
    maxconn 4000
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen echo
    bind 127.0.0.1:{port} backlog 4096 ssl crt {pem}
    server echo 127.0.0.1:{echo}
"""
NGINX: Final = """\
daemon off; pid nginx.pid; error_log log error; worker_processes 1;
{load}events {{ worker_connections 8000; }}
stream {{
    proxy_timeout 1h; tcp_nodelay on;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096; proxy_pass 127.0.0.1:{echo};
        ssl_certificate {pem}; ssl_certificate_key {pem}; ssl_protocols TLSv1.3;
        ssl_session_cache shared:s:10m; ssl_session_tickets on;
    }}
}}
"""
ROUTER: Final = """\
def proxy(data):
    return {{"remote": "127.0.0.1:{echo}"}}
"""


def certificate(place: Path, kind: str) -> Path:
    """Write a key and a self-signed certificate, and return the file."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bench.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("bench.example")]), False)
        .sign(key, hashes.SHA256())
    )
    file = place / f"{kind}.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


class Origin:
    """What the proxies forward to: echoes, or sends and takes bulk if the first byte says so."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        threading.stack_size(1 << 18)
        while True:
            client, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client:
            try:
                self._answer(client)
            except OSError:
                pass

    def _answer(self, client: socket.socket) -> None:
        data = client.recv(1 << 16)
        if data[:1] == b"u":
            while data and data[-1] != 0xFF:
                data = client.recv(1 << 18)
            client.sendall(b".")
        elif data[:1] == b"d":
            for _ in range(int.from_bytes(data[1:5], "big")):
                client.sendall(bytes(1 << 16))
        else:
            while data:
                client.sendall(data)
                data = client.recv(1 << 16)


class Bench:
    """What all rounds share.

    :param place: a directory of its own.
    """

    def __init__(self, place: Path, twistd: Path, kind: str) -> None:
        self.place = place
        self._twistd = twistd
        self._pem = certificate(place, kind)
        self._echo = Origin().port

    def peers(self) -> list[str]:
        """The names of all that can be run here."""
        return ["proxymux", *(name for name in ("haproxy", "nginx") if shutil.which(name))]

    def _command(self, name: str, port: int) -> list[str]:
        values = {"port": port, "echo": self._echo, "pem": self._pem}
        if name == "haproxy":
            return ["haproxy", "-q", "-db", "-f", self._written("haproxy.cfg", HAPROXY.format(**values))]
        if name == "nginx":
            module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
            load = f"load_module {module};\n" if module.exists() else ""
            file = self._written("nginx.conf", NGINX.format(load=load, **values))
            return ["nginx", "-p", f"{self.place}/", "-c", file, "-e", "log"]
        router = self._written("router.py", ROUTER.format(**values))
        listen = f"ssl:{port}:privateKey={self._pem}:interface=127.0.0.1"
        options = ["--router", router, "--listen", listen]
        return [str(self._twistd), "-n", "--pidfile=", "proxymux", *options]

    def take(self, name: str, measure: str) -> float:
        """One figure of one peer: CPU time, or memory, for one of what the measure counts."""
        port, amount = free_port(), AMOUNTS[measure]
        with running(self._command(name, port), self.place / f"{name}.log") as pid:
            await_listener(port, pid)
            worker = only_child(pid) if name == "nginx" else pid
            load = [sys.executable, str(HERE / "tls_load.py"), measure, str(port), str(amount)]
            with subprocess.Popen(load, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdout.readline()
                memory, cpu = resident_bytes(worker)[1], cpu_seconds(worker)
                process.stdin.write("\n")
                process.stdin.flush()
                done = int(process.stdout.readline())
                cpu, memory = cpu_seconds(worker) - cpu, resident_bytes(worker)[1] - memory
        if measure == "idle":
            return memory / 1024 / done
        return cpu / done * (1e3 * (1 << 20) if measure in ("up", "down") else 1e6)

    def _written(self, name: str, text: str) -> str:
        path = self.place / name
        path.write_text(text)
        return str(path)


def main() -> None:
    """Print the medians and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="[default: 7]")
    parser.add_argument("--only", nargs="+", choices=list(AMOUNTS), default=list(AMOUNTS), metavar="NAME")
    parser.add_argument("--key", choices=["p256", "rsa2048"], default="p256", help="[default: p256]")
    parser.add_argument("--twistd", type=Path, default=Path(sys.executable).with_name("twistd"))
    options = parser.parse_args()
    raise_descriptor_limit()
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-tls-")))
        bench = Bench(place, options.twistd, options.key)
        peers = bench.peers()
        print(f"{'measure':<10}{'unit':<8}" + "".join(f"{name:>20}" for name in peers))
        for measure in options.only:
            taken: dict[str, list[float]] = {name: [] for name in peers}
            for number in range(options.rounds):
                for name in peers[number % len(peers) :] + peers[: number % len(peers)]:
                    taken[name].append(bench.take(name, measure))
            cells = []
            for name in peers:
                ratio = statistics.median(
                    ours / theirs for ours, theirs in zip(taken["proxymux"], taken[name], strict=True)
                )
                cells.append(f"{statistics.median(taken[name]):>12.2f} ({ratio:.2f})")
            print(f"{measure:<10}{UNITS[measure]:<8}" + "".join(f"{cell:>20}" for cell in cells), flush=True)
    print("in brackets: proxymux to that peer, the median of the rounds' ratios; less is better for proxymux")


if __name__ == "__main__":
    main()
