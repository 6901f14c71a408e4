"""Measure TLS termination: the proxy's CPU for handshakes, round trips and bulk, and its memory for an idle client.

    python bench/tls.py

Beside it, in interleaved rounds: HAProxy and nginx with the same certificate, one thread each, TLS 1.3.  The figures
and every raw value are written to ``results/tls.json``, from which ``bench/plot.py`` draws TLS.
"""

from __future__ import annotations

import argparse
import datetime
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402

from bench import report  # noqa: E402
from bench.builds import Build, add_options, chosen  # noqa: E402
from bench.figures import Metric, Sample, both  # noqa: E402
from bench.machine import Machine  # noqa: E402
from bench.options import add_rounds, settings  # noqa: E402
from bench.ports import free_port  # noqa: E402
from bench.processes import (  # noqa: E402
    await_listener,
    children,
    cpu_seconds,
    raise_descriptor_limit,
    resident_bytes,
    running,
)
from bench.rounds import numbers, turned  # noqa: E402

#: How much of each measure a round does.
AMOUNTS: Final = {"full": 150, "resumed": 150, "rtt": 600, "up": 1500, "down": 1500, "idle": 400}
#: The figures.  A rate that is to be 1.2 times HAProxy's is 0.83 of its time for a MiB.
METRICS: Final = (
    Metric("full", "µs", "haproxy", bound=both(1.15)),
    Metric("resumed", "µs", "haproxy", bound=both(1.2)),
    Metric("rtt", "µs", "haproxy", bound=both(1.15)),
    Metric("up", "ms/MiB", "haproxy", bound=both(0.83)),
    Metric("down", "ms/MiB", "haproxy", bound=both(0.83)),
    Metric("idle", "KiB", "haproxy", bound=both(1.3)),
)
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

    def __init__(self, place: Path, builds: Sequence[Build], kind: str) -> None:
        self.place = place
        self._builds = {build.peer: build for build in builds}
        self._pem = certificate(place, kind)
        self._echo = Origin().port

    def peers(self) -> list[str]:
        """The names of all that can be run here."""
        return [*self._builds, *(name for name in ("haproxy", "nginx") if shutil.which(name))]

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
        listen = f"tls:{self._pem}:tcp:{port}:interface=127.0.0.1"
        options = ["--router", router, "--listen", listen, "--tls-min", "1.3"]
        return [str(self._builds[name].twistd), "-n", "--pidfile=", "proxymux", *options]

    def take(self, name: str, measure: str) -> float:
        """One figure of one peer: CPU time, or memory, for one of what the measure counts."""
        port, amount = free_port(), AMOUNTS[measure]
        with running(self._command(name, port), self.place / f"{name}.log") as pid:
            await_listener(port, pid)
            worker = children(pid, 1)[0] if name == "nginx" else pid
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


def rounds(bench: Bench, rounds: Iterator[int], only: list[str]) -> list[Sample]:
    """Take each measure of each peer once a round, in another order each time."""
    samples: list[Sample] = []
    for number in rounds:
        for measure in only:
            for name in turned(bench.peers(), number):
                samples.append(Sample(number, "tls", name, {measure: bench.take(name, measure)}))
        print(f"round {number} is done", file=sys.stderr)
    return samples


def main() -> None:
    """Print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_rounds(parser, rounds=7)
    parser.add_argument("--only", nargs="+", choices=list(AMOUNTS), default=list(AMOUNTS), metavar="NAME")
    parser.add_argument("--key", choices=["p256", "rsa2048"], default="p256", help="[default: p256]")
    add_options(parser)
    options = parser.parse_args()
    builds = chosen(parser, options)
    raise_descriptor_limit()
    machine = Machine(builds)
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as place:
        bench = Bench(Path(place), builds, options.key)
        samples = rounds(bench, numbers(options.rounds, options.minutes), options.only)
    about, how = machine.describe(), settings(options)
    report.publish(options.out / "tls.json", about, how, {"tls": METRICS}, samples)


if __name__ == "__main__":
    main()
