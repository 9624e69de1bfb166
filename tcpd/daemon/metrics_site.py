"""The HTTP site of ``[metrics]``; imported only if it is configured."""

from __future__ import annotations

import platform

from OpenSSL import SSL
from twisted.internet.interfaces import IReactorTime

from tcpd.daemon.certificates import shown
from tcpd.daemon.metrics_sources import MetricsSources
from tcpd.net.datagram import Drop
from tcpd.ops.exposition import Exposition
from tcpd.ops.figures import CertificateFigures, Figures, Words
from tcpd.ops.metrics import VERSIONS
from tcpd.ops.site import Answer, OperatorSite, text
from tcpd.ops.versions import version_of
from tcpd.policy.reasons import End, Refusal

_WORDS = Words(
    refusals=tuple(Refusal),
    ends=tuple(End),
    tls_failures=(End.TLS_FAILED, End.TLS_REFUSED, End.TLS_TIMEOUT),
    tls_versions=("TLSv1.2", "TLSv1.3"),
    drops=tuple(Drop),
)


def metrics_site(sources: MetricsSources, clock: IReactorTime) -> OperatorSite:
    """Make the site, with the paths ``/metrics``, ``/healthz`` and ``/readyz``."""
    exposition = Exposition(lambda: figures(sources), clock.seconds, sources.status.process)

    def metrics(accept: str) -> Answer:
        return (200, *exposition.scrape(accept))

    def health(accept: str) -> Answer:
        return text(200, "ok")  # any response means healthy

    def readiness(accept: str) -> Answer:
        why = sources.status.unready
        return text(503, why) if why else text(200, "ready")

    return OperatorSite({"/metrics": metrics, "/healthz": health, "/readyz": readiness}, clock)


def figures(sources: MetricsSources) -> Figures:
    """Read all values."""
    components, status = sources.components, sources.status
    chat = components.chat
    units = sources.services.by_name()
    return Figures(
        services={name: unit.layer.counters for name, unit in units.items()},
        listeners={name: len(unit.ports) for name, unit in units.items()},
        connections_limit=components.connection_count.limit,
        chat=chat.counters,
        members=chat.hub.people_count,
        rooms=chat.hub.room_count,
        history=chat.history.size,
        daemon=components.counters,
        followers=len(sources.followers),
        events_dropped=sources.followers.dropped,
        log_lost=sources.log.lost,
        lag=status.lag,
        started=status.began,
        configured=status.configured,
        ready=not status.unready,
        versions=_VERSIONS,
        words=_WORDS,
        certificates=[
            CertificateFigures(each.tls, each.pair.file, each.pair.expires)
            for each in shown(sources.certificates.certificates)
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
