from __future__ import annotations

from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from proxymux.admin.counters import HISTOGRAMS, Counters
from proxymux.admin.metrics import FAMILIES, exposition
from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.version import __version__, compiled
from tests.admin.records import RECORD, REFUSED

#: As the contract's A7 lists them, and no others.
CONTRACT = {
    "proxymux_connections_total": ("counter", ("service", "outcome")),
    "proxymux_connections_active": ("gauge", ("service",)),
    "proxymux_bytes_total": ("counter", ("service", "direction")),
    "proxymux_decide_seconds": ("histogram", ("service",)),
    "proxymux_connect_seconds": ("histogram", ("service",)),
    "proxymux_first_byte_seconds": ("histogram", ("service",)),
    "proxymux_connection_seconds": ("histogram", ("service",)),
    "proxymux_connect_failures_total": ("counter", ("service", "reason")),
    "proxymux_pool_requests_total": ("counter", ("service", "result")),
    "proxymux_pool_clients": ("gauge", ("service", "state")),
    "proxymux_pool_upstreams": ("gauge", ("service", "state")),
    "proxymux_pool_max_wait_seconds": ("gauge", ("service",)),
    "proxymux_target_up": ("gauge", ("cluster", "target")),
    "proxymux_target_connections": ("gauge", ("cluster", "target")),
    "proxymux_cluster_age_seconds": ("gauge", ("cluster",)),
    "proxymux_reloads_total": ("counter", ("service", "result")),
    "proxymux_workers": ("gauge", ()),
    "proxymux_worker_restarts_total": ("counter", ()),
    "proxymux_handed_over_total": ("counter", ()),
    "proxymux_build_info": ("gauge", ("version", "python", "twisted", "compiled")),
}


def service(name: str = "router", **more: Any) -> dict[str, Any]:
    return {"service": name, "connections": 3, "pool": None, "clusters": {}, **more}


def status(*services: dict[str, Any], workers: int = 1, **more: Any) -> dict[str, Any]:
    return {"version": __version__, "workers": [{"pid": 1}] * workers, "services": list(services), **more}


def scraped(status: dict[str, Any], **counters: Counters) -> dict[str, Metric]:
    """What a scraper reads, by the families' names; a counter's is without its ``_total``."""
    cells = {name: list(each.cells) for name, each in counters.items()}  # type: ignore[call-overload]
    text = exposition(status, cells).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(families: dict[str, Metric], name: str) -> dict[tuple[str, ...], float]:
    """The samples of a metric that are not zero, by the values of their labels."""
    samples = [each for each in families[name.removesuffix("_total")].samples if each.value]
    return {tuple(each.labels[label] for label in FAMILIES[name].labels): each.value for each in samples}


def counted() -> Counters:
    counters = Counters()
    counters.note(RECORD)
    counters.note(REFUSED)
    return counters


def test_there_are_the_metrics_of_the_contract_with_their_types_and_labels() -> None:
    assert {name: (family.type, family.labels) for name, family in FAMILIES.items()} == CONTRACT
    families = scraped(status(service()), router=counted())
    assert {name.removesuffix("_total") for name in CONTRACT} == set(families)
    for name, (kind, _) in CONTRACT.items():
        assert families[name.removesuffix("_total")].type == kind


def test_samples_have_the_labels_of_their_metric() -> None:
    families = scraped(status(service("pool", pool=POOL, clusters=CLUSTERS), cluster_ages={}), pool=counted())
    for name, (kind, labels) in CONTRACT.items():
        for sample in families[name.removesuffix("_total")].samples:
            assert set(sample.labels) - ({"le"} if kind == "histogram" else set()) == set(labels)


def test_every_value_of_a_label_has_a_sample_from_the_start() -> None:
    families = scraped(status(service()), router=Counters())
    outcomes = families["proxymux_connections"].samples
    assert [each.labels["outcome"] for each in outcomes] == [outcome.value for outcome in Outcome]
    reasons = families["proxymux_connect_failures"].samples
    assert [each.labels["reason"] for each in reasons] == [fault.value for fault in ConnectFault]
    assert {each.value for each in (*outcomes, *reasons)} == {0}


def test_counters_say_what_was_counted() -> None:
    counters = counted()
    counters.connect_failed(ConnectFault.NAME)
    counters.reloaded(False)
    counters.adopt(1, (0, 0))
    families = scraped(status(service()), router=counters)
    assert values(families, "proxymux_connections_total") == {("router", "completed"): 1, ("router", "refused"): 1}
    assert values(families, "proxymux_bytes_total") == {("router", "in"): 20, ("router", "out"): 4000}
    assert values(families, "proxymux_connect_failures_total") == {("router", "name"): 1}
    assert values(families, "proxymux_reloads_total") == {("router", "failed"): 1}
    assert values(families, "proxymux_handed_over_total") == {(): 1}


def test_a_histogram_has_cumulative_buckets_a_count_and_a_sum() -> None:
    families = scraped(status(service()), router=counted())
    samples = families["proxymux_decide_seconds"].samples
    buckets = {each.labels["le"]: each.value for each in samples if each.name.endswith("_bucket")}
    assert list(buckets) == [*map(str, HISTOGRAMS[0].bounds), "+Inf"]
    assert (buckets["0.0005"], buckets["0.001"], buckets["30.0"], buckets["+Inf"]) == (0, 1, 1, 1)
    rest = {each.name: each.value for each in samples if not each.name.endswith("_bucket")}
    assert rest == {"proxymux_decide_seconds_count": 1, "proxymux_decide_seconds_sum": RECORD.decide_seconds}
    total = {each.name: each.value for each in families["proxymux_connection_seconds"].samples}
    assert (total["proxymux_connection_seconds_count"], total["proxymux_connection_seconds_sum"]) == (2, 3.0)


# Gauges

POOL = {"cl_active": 4, "cl_waiting": 2, "sv_active": 1, "sv_idle": 3, "sv_login": 5, "maxwait": 0.5}
CLUSTERS = {
    "users": [
        {"target": "10.0.0.1:80", "up": True, "connections": 2, "weight": 1},
        {"target": "10.0.0.2:80", "up": False, "connections": 0, "weight": 1},
    ]
}


def test_a_pool_has_gauges_and_requests_and_another_service_has_none() -> None:
    counters = counted()
    counters.requests("ok", 7)
    families = scraped(status(service("pool", pool=POOL), service()), pool=counters, router=counted())
    assert values(families, "proxymux_pool_clients") == {("pool", "active"): 4, ("pool", "waiting"): 2}
    upstreams = {("pool", "active"): 1, ("pool", "idle"): 3, ("pool", "opening"): 5}
    assert values(families, "proxymux_pool_upstreams") == upstreams
    assert values(families, "proxymux_pool_max_wait_seconds") == {("pool",): 0.5}
    assert values(families, "proxymux_pool_requests_total") == {("pool", "ok"): 7}
    assert {each.labels["service"] for each in families["proxymux_pool_requests"].samples} == {"pool"}


def test_clusters_have_gauges_once_they_are_there() -> None:
    first = service("pool", clusters=CLUSTERS, cluster_ages={"users": 1.5})
    families = scraped(status(first, service(clusters=CLUSTERS)))
    assert values(families, "proxymux_target_up") == {("users", "10.0.0.1:80"): 1}
    assert len(families["proxymux_target_up"].samples) == 2
    assert values(families, "proxymux_target_connections") == {("users", "10.0.0.1:80"): 4}
    assert values(families, "proxymux_cluster_age_seconds") == {("users",): 1.5}
    assert not scraped(status(service()))["proxymux_target_up"].samples


def test_services_of_the_same_name_are_one() -> None:
    families = scraped(status(service(), service(), service("gateway")))
    assert values(families, "proxymux_connections_active") == {("router",): 6, ("gateway",): 3}


def test_the_instance_says_what_runs() -> None:
    families = scraped(status(service(), workers=4, worker_restarts=2))
    assert values(families, "proxymux_workers") == {(): 4}
    assert values(families, "proxymux_worker_restarts_total") == {(): 2}
    [sample] = families["proxymux_build_info"].samples
    assert (sample.labels["version"], sample.labels["compiled"], sample.value) == (__version__, compiled(), 1)
    assert values(scraped(status(service())), "proxymux_worker_restarts_total") == {}
