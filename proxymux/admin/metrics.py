"""The metrics for Prometheus, made of the counters and of the status at each scrape.

Nothing here runs in the path of a connection.
"""

from __future__ import annotations

import itertools
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from proxymux.admin.counters import (
    BYTE_CELLS,
    DIRECTIONS,
    FAULT_CELLS,
    HANDED_OVER_CELL,
    HISTOGRAMS,
    OUTCOME_CELLS,
    RELOAD_CELLS,
    RELOADS,
    RESULT_CELLS,
    RESULTS,
    Histogram,
)
from proxymux.core.outcome import ConnectFault, Outcome
from proxymux.version import compiled
from twisted import __version__ as twisted_version

#: The type of the answer to a scrape.
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_Kind = type[CounterMetricFamily] | type[GaugeMetricFamily] | type[HistogramMetricFamily]
_COUNTER, _GAUGE, _HISTOGRAM = CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily


@dataclass(frozen=True, slots=True)
class Family:
    """A metric, with its labels.

    :param text: what it says, for the scrape and the docs.
    """

    name: str
    kind: _Kind
    labels: tuple[str, ...]
    text: str

    @property
    def type(self) -> str:
        """The type in Prometheus's words."""
        return {_COUNTER: "counter", _GAUGE: "gauge", _HISTOGRAM: "histogram"}[self.kind]

    def new(self) -> Any:
        """A family of prometheus-client's without samples."""
        return self.kind(self.name, self.text, labels=self.labels)


_LIST: Final = (
    Family("proxymux_connections_total", _COUNTER, ("service", "outcome"), "Connections that have ended, by outcome"),
    Family("proxymux_connections_active", _GAUGE, ("service",), "Connections now"),
    Family("proxymux_bytes_total", _COUNTER, ("service", "direction"), "Bytes delivered: in from clients, out to them"),
    Family("proxymux_decide_seconds", _HISTOGRAM, ("service",), "From the accept to the decision"),
    Family("proxymux_connect_seconds", _HISTOGRAM, ("service",), "From the decision to the connected upstream"),
    Family("proxymux_first_byte_seconds", _HISTOGRAM, ("service",), "From there to the upstream's first byte"),
    Family("proxymux_connection_seconds", _HISTOGRAM, ("service",), "From the accept to the end"),
    Family(
        "proxymux_connect_failures_total", _COUNTER, ("service", "reason"), "Attempts to connect that failed, by reason"
    ),
    Family(
        "proxymux_pool_requests_total",
        _COUNTER,
        ("service", "result"),
        "Requests that shared an upstream: ok, or the outcome",
    ),
    Family("proxymux_pool_clients", _GAUGE, ("service", "state"), "Clients of the pool: active, or waiting for a slot"),
    Family("proxymux_pool_upstreams", _GAUGE, ("service", "state"), "Upstreams of the pool: active, idle or opening"),
    Family("proxymux_pool_max_wait_seconds", _GAUGE, ("service",), "What has waited longest for a slot, waits so long"),
    Family("proxymux_target_up", _GAUGE, ("cluster", "target"), "1 if the target is up"),
    Family("proxymux_target_connections", _GAUGE, ("cluster", "target"), "Connections to the target now"),
    Family("proxymux_cluster_age_seconds", _GAUGE, ("cluster",), "Since the source of the cluster was last heard"),
    Family("proxymux_reloads_total", _COUNTER, ("service", "result"), "Reloads; failed if something could not be read"),
    Family("proxymux_workers", _GAUGE, (), "Processes that serve"),
    Family("proxymux_worker_restarts_total", _COUNTER, (), "Workers that were replaced because they had died"),
    Family("proxymux_handed_over_total", _COUNTER, (), "Connections that went from a worker to its successor"),
    Family("proxymux_build_info", _GAUGE, ("version", "python", "twisted", "compiled"), "1; the labels say what runs"),
)
#: All metrics by their names, in the order of a scrape.
FAMILIES: Final = {family.name: family for family in _LIST}

#: The states of clients and upstreams, by their names in a pool's status.
_POOL_STATES: Final = {
    "proxymux_pool_clients": {"active": "cl_active", "waiting": "cl_waiting"},
    "proxymux_pool_upstreams": {"active": "sv_active", "idle": "sv_idle", "opening": "sv_login"},
}
#: The histogram of each field of a record.
_NAMES: Final = {
    "decide_seconds": "proxymux_decide_seconds",
    "connect_seconds": "proxymux_connect_seconds",
    "first_byte_seconds": "proxymux_first_byte_seconds",
    "seconds": "proxymux_connection_seconds",
}


def exposition(status: Mapping[str, Any], counters: Mapping[str, Sequence[float]]) -> bytes:
    """The answer to a scrape, in Prometheus's text format.

    :param status: as of :meth:`~proxymux.admin.instance.Instance.status`.
    :param counters: the cells of each service, by its name.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(status, counters))
    return generate_latest(registry)


class _Scrape(Collector):
    """The metrics of one scrape."""

    def __init__(self, status: Mapping[str, Any], counters: Mapping[str, Sequence[float]]) -> None:
        self._status = status
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        return itertools.chain(self._counted(), self._of_services(), self._of_clusters(), self._of_the_instance())

    def _counted(self) -> Iterator[Metric]:
        """What the cells hold."""
        yield self._counter("proxymux_connections_total", [outcome.value for outcome in Outcome], OUTCOME_CELLS)
        yield self._counter("proxymux_bytes_total", DIRECTIONS, BYTE_CELLS)
        for histogram in HISTOGRAMS:
            yield self._histogram(histogram)
        yield self._counter("proxymux_connect_failures_total", [fault.value for fault in ConnectFault], FAULT_CELLS)
        pools = {service["service"] for service in self._status["services"] if service["pool"] is not None}
        yield self._counter("proxymux_pool_requests_total", RESULTS, RESULT_CELLS, pools)
        yield self._counter("proxymux_reloads_total", RELOADS, RELOAD_CELLS)

    def _counter(
        self, name: str, values: Iterable[str], start: int, only: set[str] | None = None
    ) -> CounterMetricFamily:
        family: CounterMetricFamily = FAMILIES[name].new()
        for service, cells in self._counters.items():
            if only is None or service in only:
                for index, value in enumerate(values):
                    family.add_metric([service, value], cells[start + index])
        return family

    def _histogram(self, histogram: Histogram) -> HistogramMetricFamily:
        family: HistogramMetricFamily = FAMILIES[_NAMES[histogram.field]].new()
        bounds = [*map(str, histogram.bounds), "+Inf"]
        for service, cells in self._counters.items():
            cumulative = itertools.accumulate(cells[histogram.start : histogram.sum_cell])
            buckets = list(zip(bounds, cumulative, strict=True))
            family.add_metric([service], buckets, cells[histogram.sum_cell])
        return family

    def _of_services(self) -> Iterator[Metric]:
        """What the services and their pools are doing now."""
        services = self._status["services"]
        yield _gauge("proxymux_connections_active", [((each["service"],), each["connections"]) for each in services])
        pools = [(each["service"], each["pool"]) for each in services if each["pool"] is not None]
        for name, states in _POOL_STATES.items():
            samples = [((service, state), pool[key]) for service, pool in pools for state, key in states.items()]
            yield _gauge(name, samples)
        waits = [((service,), pool["maxwait"]) for service, pool in pools]
        yield _gauge("proxymux_pool_max_wait_seconds", waits, max)

    def _of_clusters(self) -> Iterator[Metric]:
        """What there is to connect to.  A set that several services name is one."""
        services = self._status["services"]
        clusters = [(name, each) for service in services for name, each in service["clusters"].items()]
        targets = [((name, target["target"]), target) for name, each in clusters for target in each]
        yield _gauge("proxymux_target_up", [(labels, float(target["up"])) for labels, target in targets], min)
        yield _gauge("proxymux_target_connections", [(labels, target["connections"]) for labels, target in targets])
        ages = [((name,), age) for service in services for name, age in service.get("cluster_ages", {}).items()]
        yield _gauge("proxymux_cluster_age_seconds", ages, max)

    def _of_the_instance(self) -> Iterator[Metric]:
        status = self._status
        yield _gauge("proxymux_workers", [((), sum(not each.get("draining") for each in status["workers"]))])
        for name, value in {
            "proxymux_worker_restarts_total": status.get("worker_restarts", 0),
            "proxymux_handed_over_total": sum(cells[HANDED_OVER_CELL] for cells in self._counters.values()),
        }.items():
            family = FAMILIES[name].new()
            family.add_metric([], value)
            yield family
        build = (status["version"], platform.python_version(), twisted_version, compiled())
        yield _gauge("proxymux_build_info", [(build, 1)])


def _plus(first: float, second: float) -> float:
    return first + second


def _gauge(
    name: str,
    samples: Iterable[tuple[tuple[str, ...], float]],
    merge: Callable[[float, float], float] = _plus,
) -> GaugeMetricFamily:
    """A gauge; samples with the same labels, of services with the same name, are merged."""
    merged: dict[tuple[str, ...], float] = {}
    for labels, value in samples:
        merged[labels] = merge(merged[labels], value) if labels in merged else value
    family: GaugeMetricFamily = FAMILIES[name].new()
    for labels, value in merged.items():
        family.add_metric(labels, value)
    return family
