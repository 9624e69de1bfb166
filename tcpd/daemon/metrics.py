"""The metrics and health pages as a service of the daemon's own: ``[metrics]``."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.interfaces import IProtocolFactory

from tcpd.config.fields import option
from tcpd.config.listen import LISTENERS, Listener
from tcpd.config.settings import POLICY, PolicySettings, Settings
from tcpd.daemon.certificates import shown
from tcpd.daemon.internal import Internal
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """``[metrics]``: a web site for monitoring, with the paths ``/metrics`` (for Prometheus),
    ``/healthz`` and ``/readyz`` (for load balancers and service managers)."""

    listen: tuple[Listener, ...] = option(
        LISTENERS,
        (),
        "Where it listens, one listener a line, with tls=NAME for TLS; empty, there is no such "
        "site. It asks nobody for a password: whoever reaches it can read it.",
        sample="127.0.0.1:7910",
    )
    policy: str = option(POLICY, "default", "NAME of the [policy:NAME] that it stands behind.")


class _Kind:
    """Makes the site. The part of :class:`tcpd.interfaces.IKind` that a service of the daemon's own
    needs."""

    #: The site has a timeout of its own.
    idle = 0.0

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def make_factory(self, settings: object, context: Any) -> IProtocolFactory:
        daemon = self._daemon
        exposition = Exposition(lambda: figures(daemon), context.clock.seconds, daemon.process)

        def metrics(accept: str) -> Answer:
            return (200, *exposition.scrape(accept))

        return OperatorSite(
            {"/metrics": metrics, "/healthz": self._health, "/readyz": self._readiness},
            context.clock,
        )

    def _health(self, accept: str) -> Answer:
        return text(200, "ok")  # that it is said at all is what it says

    def _readiness(self, accept: str) -> Answer:
        why = self._daemon.unready
        return text(503, why) if why else text(200, "ready")


def metrics(daemon: Daemon) -> Internal:
    """Describe the service. Called by the daemon when it is made."""

    def listen(settings: Settings) -> tuple[Listener, ...]:
        found: tuple[Listener, ...] = settings.sections["metrics"].listen
        return found

    def policy(settings: Settings) -> PolicySettings:
        return settings.policies[settings.sections["metrics"].policy]

    return Internal(
        name="metrics",
        section="metrics",
        keys=frozenset({"listen", "policy"}),
        kind=_Kind(daemon),
        listen=listen,
        policy=policy,
    )


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
