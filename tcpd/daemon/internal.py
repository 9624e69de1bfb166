"""The daemon's own services, for its operators; no ``[service:...]`` declares them.

Each is described by an :class:`Internal`. :func:`with_internals` adds them to the services of the
settings, so they are treated like all services. Their ports open before privileges are dropped.
Their connections have a connection layer and counters. A reload opens and closes their ports and
changes their policy and options atomically.

Differences from other services:

- No ``[service:...]`` may have one of their names (:data:`tcpd.config.build.RESERVED`), and the
  directory for clients does not list them.
- Each has its own limit of connections (:data:`CONNECTIONS` at most), outside the limit of the
  daemon: operators need access when the daemon is full.
- A stop lets all other services drain first, so that operators can watch it. Then they have
  :data:`DRAIN` seconds themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from tcpd.config.listen import Listener
from tcpd.config.settings import PolicySettings, ServiceSettings, Settings

#: Maximum connections of an internal service. :mod:`tcpd.daemon.descriptors` reserves descriptors.
CONNECTIONS = 64

#: Clients of an internal service that are accepted although no descriptor is left.
SPARES = 4

#: Seconds that clients of internal services have to read their last bytes when the daemon stops.
DRAIN = 1.0


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of an internal service without options."""


@dataclass(frozen=True, slots=True)
class Internal:
    """One internal service. It lives as long as the daemon.

    :ivar name: the name of the unit, in logs and in the label ``service`` of its counters. It is in
        :data:`tcpd.config.build.RESERVED`.
    :ivar section: the section of the ini file that declares it, for error messages.
    :ivar keys: the keys of this section whose changes a reload reports as those of the service.
    :ivar kind: has ``idle`` and ``make_factory`` of :class:`tcpd.interfaces.IKind`; its
        ``settings`` are what :attr:`options` returns.
    :ivar listen: returns its listeners; none for a service that is off.
    :ivar policy: returns its policy.
    :ivar options: returns its options: a frozen dataclass of :func:`tcpd.config.fields.option`
        attributes, which a reload compares.
    """

    name: str
    section: str
    keys: frozenset[str]
    kind: Any
    listen: Callable[[Settings], tuple[Listener, ...]]
    policy: Callable[[Settings], PolicySettings]
    options: Callable[[Settings], Any] = lambda _: NoOptions()

    @property
    def policy_name(self) -> str:
        """The name of its policy, which no ini file can use."""
        return f"({self.name})"


def with_internals(settings: Settings, internals: Iterable[Internal]) -> Settings:
    """The settings with their internal services, which come after all others."""
    services = dict(settings.services)
    policies = dict(settings.policies)
    for each in internals:
        listen = each.listen(settings)
        if listen:
            services[each.name] = ServiceSettings(
                name=each.name,
                protocol=each.name,
                listen=listen,
                policy=each.policy_name,
                options=each.options(settings),
            )
            policy = each.policy(settings)
            most = min(policy.connections, CONNECTIONS)
            policies[each.policy_name] = replace(policy, connections=most)
    return replace(settings, services=services, policies=policies)
