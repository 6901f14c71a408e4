"""nginx as a web server and as two of the peers."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bench.ports import Ports
from bench.processes import Unavailable

#: More than any measure has, in each direction.
CONNECTIONS: Final = 24_000

HEAD: Final = """\
daemon off;
pid nginx.pid;
error_log log error;
worker_processes {workers};
worker_rlimit_nofile {descriptors};
events {{ worker_connections {connections}; }}
"""

ORIGIN: Final = """\
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    tcp_nodelay on;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 "{body}"; }}
    }}
}}
"""

STREAM: Final = """\
stream {{
    proxy_timeout 1h;
    tcp_nodelay on;
    server {{ listen 127.0.0.1:{ports.web} backlog=4096; proxy_pass 127.0.0.1:{ports.origin}; }}
    server {{ listen 127.0.0.1:{ports.bulk} backlog=4096; proxy_pass 127.0.0.1:{ports.sink}; }}
}}
"""

NJS: Final = """\
stream {{
    js_import route.js;
    js_set $upstream route.upstream;
    proxy_timeout 1h;
    tcp_nodelay on;
    upstream origin {{ server 127.0.0.1:{ports.origin}; }}
    upstream sink {{ server 127.0.0.1:{ports.sink}; }}
    server {{
        listen 127.0.0.1:{ports.web} backlog=4096;
        js_preread route.preread;
        proxy_pass $upstream;
    }}
}}
"""

NJS_ROUTE: Final = """\
var name = "";

function preread(s) {
    s.on("upload", function (data, flags) {
        if (data.length) {
            name = data.startsWith("GET ") ? "origin" : "sink";
            s.done();
        }
    });
}

function upstream(s) {
    return name;
}

export default {preread, upstream};
"""


@cache
def _built_with() -> str:
    if not shutil.which("nginx"):
        raise Unavailable("nginx is not installed")
    return subprocess.run(["nginx", "-V"], capture_output=True, text=True, check=True).stderr


def _load(module: str) -> str:
    """Return the directive that loads a module, or nothing if it is built in."""
    option = {"ngx_stream_module.so": "--with-stream"}.get(module)
    if option and re.search(rf"{option}(?!\S)", _built_with()):
        return ""
    told = re.search(r"--modules-path=(\S+)", _built_with())
    path = Path(told[1]) / module if told else None
    if path is None or not path.exists():
        raise Unavailable(f"nginx has no {module}")
    return f"load_module {path};\n"


def _command(directory: Path, configuration: str) -> list[str]:
    file = directory / "nginx.conf"
    file.write_text(configuration)
    return ["nginx", "-p", f"{directory}/", "-c", file.name, "-e", "log"]


def _head(workers: int = 1) -> str:
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return HEAD.format(workers=workers, connections=CONNECTIONS, descriptors=descriptors)


def origin(directory: Path, port: int, body: str) -> list[str]:
    """Write the configuration of the web server, and return the command that runs it."""
    _built_with()
    return _command(directory, _head() + ORIGIN.format(port=port, body=body))


@dataclass(frozen=True)
class Nginx:
    """The stream module, with or without a router in JavaScript."""

    name: str
    routes: bool
    workers: int = 1

    @property
    def kind(self) -> str:
        return self.name

    def check(self) -> None:
        _load("ngx_stream_module.so")
        if self.routes:
            _load("ngx_stream_js_module.so")

    def prepare(self, directory: Path, ports: Ports) -> list[str]:
        stream = _load("ngx_stream_module.so") + _head(self.workers)
        if not self.routes:
            return _command(directory, stream + STREAM.format(ports=ports))
        (directory / "route.js").write_text(NJS_ROUTE)
        javascript = _load("ngx_stream_js_module.so")
        return _command(directory, stream.replace("daemon", f"{javascript}daemon", 1) + NJS.format(ports=ports))
