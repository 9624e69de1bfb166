"""The metrics and health pages, one of the daemon's own services: ``[metrics]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IProtocolFactory

from tcpd.config.fields import option
from tcpd.config.listen import LISTENERS, Listener
from tcpd.config.settings import POLICY, PolicySettings, Settings
from tcpd.daemon.internal import Internal
from tcpd.daemon.metrics_sources import MetricsSources


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """``[metrics]``: an HTTP site for monitoring, with the paths ``/metrics`` (for Prometheus),
    ``/healthz`` and ``/readyz`` (for load balancers and service managers)."""

    listen: tuple[Listener, ...] = option(
        LISTENERS,
        (),
        "Addresses of the site, one listener a line; tls=NAME adds TLS. Empty: no site. There "
        "is no password: every client that can connect can read it.",
        sample="127.0.0.1:7910",
    )
    policy: str = option(POLICY, "default", "NAME of its [policy:NAME].")


class _Kind:
    """Makes the site. It has the part of :class:`tcpd.interfaces.IKind` that an internal service
    needs."""

    #: The site has its own timeout.
    idle = 0.0

    def __init__(self, sources: MetricsSources) -> None:
        self.sources = sources

    def make_factory(self, settings: object, context: Any) -> IProtocolFactory:
        # prometheus_client takes a part of a start, and is rarely configured
        from tcpd.daemon.metrics_site import metrics_site

        return metrics_site(self.sources, context)


def metrics(sources: MetricsSources) -> Internal:
    """Describe the service."""

    def listen(settings: Settings) -> tuple[Listener, ...]:
        found: tuple[Listener, ...] = settings.sections["metrics"].listen
        return found

    def policy(settings: Settings) -> PolicySettings:
        return settings.policies[settings.sections["metrics"].policy]

    return Internal(
        name="metrics",
        section="metrics",
        keys=frozenset({"listen", "policy"}),
        kind=_Kind(sources),
        listen=listen,
        policy=policy,
    )
