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

    :ivar components: their counters and limits.
    :ivar services: those that run.
    :ivar followers: of events.
    :ivar log: its lost lines.
    :ivar status: of the daemon as a whole.
    :ivar certificates: those in force.
    """

    components: Components
    services: RunningServices
    followers: Followers
    log: LogControl
    status: DaemonStatus
    certificates: CertificateWatch
