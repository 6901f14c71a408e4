"""What an instance says of itself."""

from __future__ import annotations

from typing import Any

from proxymux.cli.top.samples import Sample, Shown, compare


def session(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "service": "router",
        "client": f"192.0.2.{number}:50000",
        "target": "a.example:1",
        "state": "joined",
        "seconds": float(number),
        "bytes_in": 100 * number,
        "bytes_out": 1000 * number,
        "worker": None,
        **more,
    }


def service(name: str = "router", **more: Any) -> dict[str, Any]:
    return {
        "service": name,
        "addresses": ["127.0.0.1:5432"],
        "connections": 3,
        "most": 4,
        "total": 10,
        "outcomes": {"completed": 6, "refused": 1},
        "bytes_in": 1000,
        "bytes_out": 2000,
        "draining": False,
        "pool": None,
        "clusters": {},
        "holds": [],
        **more,
    }


def sample(at: float, *services: dict[str, Any], sessions: list[dict[str, Any]] | None = None, **more: Any) -> Sample:
    status = {
        "name": "proxymux",
        "version": "1.0",
        "uptime_seconds": 100 + at,
        "workers": [{"pid": 4711, "connections": 3}],
        "services": list(services or [service()]),
        **more,
    }
    return Sample(at, status, [session(1), session(2), session(3)] if sessions is None else sessions)


def shown(*services: dict[str, Any], **more: Any) -> Shown:
    return compare(None, sample(0.0, *services, **more))
