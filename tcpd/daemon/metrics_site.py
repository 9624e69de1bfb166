"""The HTTP site of ``[metrics]``; imported only if it is configured."""

from __future__ import annotations

import platform
from typing import Any

from OpenSSL import SSL

from tcpd.daemon.certificates import shown
from tcpd.daemon.metrics_sources import MetricsSources
from tcpd.http.response import Response, text
from tcpd.http.site import Site, Visit
from tcpd.net.datagram import Drop
from tcpd.net.http_protocol import HTTPFactory
from tcpd.ops.exposition import Exposition
from tcpd.ops.figures import CertificateFigures, Figures, Words
from tcpd.ops.metrics import VERSIONS
from tcpd.ops.versions import version_of
from tcpd.policy.reasons import End, Refusal

_WORDS = Words(
    refusals=tuple(Refusal),
    ends=tuple(End),
    tls_failures=(End.TLS_FAILED, End.TLS_REFUSED, End.TLS_TIMEOUT),
    tls_versions=("TLSv1.2", "TLSv1.3"),
    drops=tuple(Drop),
)


def metrics_site(sources: MetricsSources, context: Any) -> HTTPFactory:
    """Make the site, with the paths ``/metrics``, ``/healthz`` and ``/readyz``.

    :param context: the :class:`tcpd.interfaces.IContext` of the service.
    """
    process = sources.status.process
    exposition = Exposition(lambda: figures(sources), context.clock.seconds, process)

    def metrics(visit: Visit) -> Response:
        content_type, body = exposition.scrape(visit.header("accept"))
        return Response(200, content_type, body)

    def health(visit: Visit) -> Response:
        return text(200, "ok")  # any response means healthy

    def readiness(visit: Visit) -> Response:
        why = sources.status.unready
        return text(503, why) if why else text(200, "ready")

    pages = {"/metrics": metrics, "/healthz": health, "/readyz": readiness}
    site = Site(pages, lambda connection: [("Cache-Control", "no-store")])
    return HTTPFactory(site, context)


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
