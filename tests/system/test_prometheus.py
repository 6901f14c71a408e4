"""A real Prometheus scrapes the admin endpoint, and its own tool checks what is in docs/deploy."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxymux.admin.metrics import FAMILIES
from tests.conftest import until
from tests.system.conftest import Server, Start, Twistd, free_port, need, read_all

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"
TOKEN = "a-token-of-the-tests"
ROUTER = """
def proxy(data):
    if data.startswith(b"close"):
        return {"close": b"closed"}
    if data.startswith(b"down"):
        return {"remote": "127.0.0.1:1", "retries": 1}
    if data.startswith(b"bad"):
        return {"no such key": 1}
    return {"reply": b"more", "consume": len(data)}
"""


def admin_port(twistd: Twistd) -> int:
    return int(twistd.wait_for_log(r"--admin listens on 127\.0\.0\.1:(\d+)")[1])


def fetch(port: int, path: str, **request: Any) -> str:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", **request)
    with urllib.request.urlopen(asked, timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def load(twistd: Twistd) -> None:
    """30 connections of four kinds."""
    for _ in range(10):
        assert twistd.ask(b"close") == b"closed"
    for _ in range(5):
        twistd.ask(b"down")
        twistd.ask(b"bad")
    for _ in range(10):
        with twistd.connect() as client:
            client.sendall(b"hello")
            assert client.recv(4) == b"more"
            client.shutdown(1)
            read_all(client)


def samples(text: str, name: str, label: str) -> dict[str, float]:
    """The samples of a metric that are not zero, by one label."""
    families = text_string_to_metric_families(text)
    found = [sample for family in families for sample in family.samples if sample.name == name]
    return {sample.labels[label]: sample.value for sample in found if sample.value}


def test_the_metrics_are_the_access_log_added_up(start: Start, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    twistd = start(ROUTER, "--admin", "0", "--admin-token-file", str(token))
    load(twistd)
    records = twistd.records(30)
    port = admin_port(twistd)
    text = fetch(port, "/metrics")
    outcomes = Counter(record["outcome"] for record in records)
    assert samples(text, "proxymux_connections_total", "outcome") == outcomes
    assert set(outcomes) == {"rejected", "unreachable", "router_error", "undecided"}
    assert samples(text, "proxymux_bytes_total", "direction") == {
        "in": sum(record["bytes_in"] for record in records),
        "out": sum(record["bytes_out"] for record in records),
    }
    assert samples(text, "proxymux_connect_failures_total", "reason") == {"refused": 10}
    names = {"decide": "decide_seconds", "connect": "connect_seconds", "connection": "seconds"}
    for metric, field in names.items():
        values = [record[field] for record in records if record[field] is not None]
        count = samples(text, f"proxymux_{metric}_seconds_count", "service").get("router", 0)
        total = samples(text, f"proxymux_{metric}_seconds_sum", "service").get("router", 0)
        assert count == len(values), metric
        assert total == pytest.approx(sum(values), abs=1e-4), metric
    with pytest.raises(urllib.error.HTTPError, match="401"):
        fetch(port, "/reload", method="POST")
    fetch(port, "/reload", method="POST", headers={"Authorization": f"Bearer {TOKEN}"})
    assert samples(fetch(port, "/metrics"), "proxymux_reloads_total", "result") == {"ok": 1}
    session = json.loads(fetch(port, "/sessions/1"))
    assert re.fullmatch(r".*/router\.py:4", session["decided_at"])
    assert TOKEN not in twistd.log() + text + fetch(port, "/debug/stacks") + fetch(port, "/status")
    tool = need("promtool")
    checked = subprocess.run([tool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (checked.returncode, checked.stderr) == (0, "")


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [need("promtool"), *arguments], cwd=DEPLOY, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_the_rules_and_they_alert_when_they_should() -> None:
    assert "SUCCESS: 1 rule files found" in promtool("check", "config", "prometheus.yml")
    assert "SUCCESS" in promtool("test", "rules", "prometheus-rules-test.yml")


@pytest.mark.parametrize("name", ["prometheus-rules.yml", "grafana-dashboard.json"])
def test_what_is_asked_for_is_there(name: str) -> None:
    text = (DEPLOY / name).read_text()
    asked = set(re.findall(r"\bproxymux_\w+", text))
    histograms = [name for name, family in FAMILIES.items() if family.type == "histogram"]
    known = {*FAMILIES, *(name + end for name in histograms for end in ("_bucket", "_sum", "_count"))}
    assert asked <= known
    for family in FAMILIES.values():
        for labels in re.findall(rf"{family.name}\{{([^}}]*)\}}", text):
            named = set(re.findall(r"(\w+)=", labels.replace("\\", "")))
            assert named <= {*family.labels, "instance", "job"}, family.name


def test_the_dashboard_shows_every_metric() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    assert len({panel["title"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    text = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    assert [name for name in FAMILIES if name not in text] == []


@pytest.mark.slow
def test_prometheus_has_what_was_counted(start: Start, server: Server, tmp_path: Path) -> None:
    program = need("prometheus")
    twistd = start(ROUTER, "--admin", "0")
    load(twistd)
    twistd.records(30)
    port = free_port()
    config = tmp_path / "prometheus.yml"
    text = (DEPLOY / "prometheus.yml").read_text()
    text = text.replace("15s", "1s").replace("127.0.0.1:9090", f"127.0.0.1:{admin_port(twistd)}")
    config.write_text(text.replace("prometheus-rules.yml", str(DEPLOY / "prometheus-rules.yml")))
    listen = f"--web.listen-address=127.0.0.1:{port}"
    server(program, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", listen, port=port)

    def query(expression: str) -> dict[str, float]:
        try:
            answer = json.loads(fetch(port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression})))
        except urllib.error.HTTPError:  # it is starting
            return {}
        return {
            next(iter(each["metric"].values()), ""): float(each["value"][1])
            for each in answer["data"]["result"]
            if float(each["value"][1])
        }

    by_outcome = "sum by (outcome) (proxymux_connections_total)"
    assert until(lambda: query(by_outcome), "a scrape") == {
        "rejected": 10,
        "unreachable": 5,
        "router_error": 5,
        "undecided": 10,
    }
    assert query("sum(proxymux_decide_seconds_count)") == {"": 15}
    assert query("sum(proxymux_workers)") == {"": 1}
    rules = json.loads(fetch(port, "/api/v1/rules"))["data"]["groups"][0]["rules"]
    assert {rule["health"] for rule in until(lambda: rules, "the rules")} <= {"ok", "unknown"}
