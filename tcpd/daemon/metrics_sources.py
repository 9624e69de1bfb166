"""The sources of the metrics."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.daemon.certificates import CertificateWatch
from tcpd.daemon.components import Components
from tcpd.daemon.log_control import LogControl
from tcpd.daemon.running_services import RunningServices
from tcpd.daemon.status import DaemonStatus
from tcpd.ops.follow import Followers


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSources:
    """Objects that :mod:`tcpd.daemon.metrics_site` reads for each scrape.

    :ivar components: provides counters and limits.
    :ivar services: the running services.
    :ivar followers: the followers of events.
    :ivar log: provides the number of lost lines.
    :ivar status: the status of the daemon as a whole.
    :ivar certificates: the certificates in force.
    """

    components: Components
    services: RunningServices
    followers: Followers
    log: LogControl
    status: DaemonStatus
    certificates: CertificateWatch
