"""The site behind ``[metrics]``. Imported only where a configuration has one."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from OpenSSL import SSL
from twisted.internet.interfaces import IReactorTime

from tcpd.daemon.certificates import shown
from tcpd.net.datagram import Drop
from tcpd.ops.exposition import Exposition
from tcpd.ops.figures import CertificateFigures, Figures, Words
from tcpd.ops.metrics import VERSIONS
from tcpd.ops.site import Answer, OperatorSite, text
from tcpd.ops.versions import version_of
from tcpd.policy.reasons import End, Refusal

if TYPE_CHECKING:
    from tcpd.daemon.daemon import Daemon

_WORDS = Words(
    refusals=tuple(Refusal),
    ends=tuple(End),
    tls_failures=(End.TLS_FAILED, End.TLS_REFUSED, End.TLS_TIMEOUT),
    tls_versions=("TLSv1.2", "TLSv1.3"),
    drops=tuple(Drop),
)


def metrics_site(daemon: Daemon, clock: IReactorTime) -> OperatorSite:
    """Make the site, with the paths ``/metrics``, ``/healthz`` and ``/readyz``."""
    exposition = Exposition(lambda: figures(daemon), clock.seconds, daemon.process)

    def metrics(accept: str) -> Answer:
        return (200, *exposition.scrape(accept))

    def health(accept: str) -> Answer:
        return text(200, "ok")  # that it is said at all is what it says

    def readiness(accept: str) -> Answer:
        why = daemon.unready
        return text(503, why) if why else text(200, "ready")

    return OperatorSite({"/metrics": metrics, "/healthz": health, "/readyz": readiness}, clock)


def figures(daemon: Daemon) -> Figures:
    """What the metrics are read from, as it is now."""
    parts = daemon.parts
    units = daemon.by_name()
    return Figures(
        services={name: unit.layer.counters for name, unit in units.items()},
        listeners={name: len(unit.ports) for name, unit in units.items()},
        connections_limit=parts.tally.limit,
        chat=parts.hub.counters,
        members=parts.hub.member_count,
        rooms=parts.hub.room_count,
        history=parts.hub.history_size,
        daemon=parts.counters,
        followers=len(daemon.events),
        events_dropped=daemon.events.dropped,
        log_lost=daemon.log_lost,
        lag=daemon.lag,
        started=daemon.began,
        configured=daemon.configured,
        ready=not daemon.unready,
        versions=_VERSIONS,
        words=_WORDS,
        certificates=[
            CertificateFigures(each.tls, each.pair.file, each.pair.expires)
            for each in shown(daemon.certificates.certificates)
        ],
    )


_VERSIONS = dict(
    zip(
        VERSIONS,
        (
            version_of("tcpd"),
            version_of("twisted"),
            platform.python_version(),
            SSL.OpenSSL_version(SSL.OPENSSL_VERSION).decode("ascii", "replace"),
        ),
        strict=True,
    )
)
