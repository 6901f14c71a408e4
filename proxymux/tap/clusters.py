"""Makes the clusters of a service from its settings."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from proxymux.core.balancing import make_balancer
from proxymux.core.proxy_protocol import encode
from proxymux.discovery.clusters import Clusters
from proxymux.discovery.live_cluster import LiveCluster
from proxymux.discovery.sources import make_source
from proxymux.errors import BadAddress, BadCertificate, ConfigError
from proxymux.net.happy_eyeballs import Dialler
from proxymux.supervisor.seat import Seat

if TYPE_CHECKING:
    from twisted.logger import Logger

    from proxymux.core.cluster_spec import ClusterSpec
    from proxymux.net.driver import Driver
    from proxymux.settings import Settings


def make_clusters(settings: Settings, driver: Driver, log: Logger) -> Clusters:
    """Make the clusters that the settings name.

    :raises ConfigError: if the source of one cannot be read, or TLS to its members cannot be made.
    """
    if not settings.cluster:
        return Clusters({})
    # Not before they are wanted: what health checks say takes time to load.
    from proxymux.discovery.check import Checks
    from proxymux.discovery.checker import Checker

    dialler = Dialler(driver.reactor, driver.timers, driver.dial)
    # A member that wants a PROXY header gets one that names nobody: the connection is the proxy's own.
    header = encode(settings.send_proxy, None, None) if settings.send_proxy else b""
    made: dict[str, LiveCluster] = {}
    for spec in settings.cluster:
        made[spec.name] = cluster = _make(spec, driver, log)
        if spec.checks_ejected:
            checks = Checks(driver, dialler, spec, header)
            interval, only_down = spec.health.interval, spec.check is None
            cluster.checks = Checker(checks.make, driver.timers, interval, only_down, cluster)
    clusters = Clusters(made)
    clusters.check_here(Seat.current is None)  # of several workers the supervisor chooses one
    return clusters


def _make(spec: ClusterSpec, driver: Driver, log: Logger) -> LiveCluster:
    try:
        if spec.tls is not None:
            driver.client_tls.check(spec.tls)
        source = make_source(spec.source, driver.reactor, driver.clock, lambda: random.uniform(0.5, 1.5))
    except (BadAddress, BadCertificate) as problem:
        raise ConfigError("--cluster", f"{spec.name}: {problem}") from None
    return LiveCluster(spec, source, make_balancer(spec, random.random), driver.timers, log)
