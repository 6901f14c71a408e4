"""Configurations of nutcracker for tests."""

from __future__ import annotations

from typing import Final

#: Says everything that a pool can say, and has counterparts for all of it.
WHOLE: Final = """\
cache:
  listen: 127.0.0.1:22121
  hash: md5
  hash_tag: "{}"
  distribution: ketama
  timeout: 400
  backlog: 1024
  client_connections: 100
  tcpkeepalive: true
  redis: true
  redis_auth: hunter2
  redis_db: 3
  preconnect: true
  auto_eject_hosts: true
  server_connections: 2
  server_retry_timeout: 2500
  server_failure_limit: 4
  servers:
   - 127.0.0.1:6379:2 one
   - 127.0.0.1:6380:4
"""
#: The same password nowhere else.
PASSWORD: Final = "hunter2"
#: A pool of which a directive may be put behind; nutcracker's defaults are its own.
LEAST: Final = """\
alpha:
  listen: 127.0.0.1:22121
  servers:
   - 127.0.0.1:11211:1
   - 127.0.0.1:11212:1
"""
