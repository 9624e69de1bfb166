"""Services of the daemon's own, for its operator; no ``[service:...]`` declares them.

Each is described by an :class:`Internal`; :func:`with_internals` puts them among the services of
the settings, so that everything which is done with services is done with them too: their ports are
opened before privileges are dropped, their connections stand behind a connection layer and are
counted under their name, and a reload compares them, opens and closes their ports, swaps their
policy and their options (:class:`tcpd.interfaces.IReconfigurable`), all of it or nothing.

What sets them apart:

- no ``[service:...]`` may have one of their names (:data:`tcpd.config.build.RESERVED`), and the
  directory that clients see does not list them;
- what they may take is bounded for each by its policy (:data:`CONNECTIONS` at most) and not counted
  among the daemon's connections: an operator has to get in just when the daemon is full;
- a stop first lets all other services drain and then stops them, so that the operator can watch it;
  they themselves get :data:`DRAIN` seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from tcpd.config.listen import Listener
from tcpd.config.settings import PolicySettings, ServiceSettings, Settings

#: How many connections one of them may have. They come out of the descriptors in reserve, see
#: :mod:`tcpd.daemon.descriptors`.
CONNECTIONS = 64

#: How many of their clients come in although there is no descriptor left.
SPARES = 4

#: Seconds that their clients have to take their last bytes when the daemon stops.
DRAIN = 1.0


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of an internal service that has none a reload could change."""


@dataclass(frozen=True, slots=True)
class Internal:
    """One internal service. It lives as long as the daemon.

    :ivar name: of the unit, in logs and in the label ``service`` of its counters. It stands in
        :data:`tcpd.config.build.RESERVED`.
    :ivar section: the section of the ini file that declares it, for complaints.
    :ivar keys: the keys of this section that it answers for: where they change, a reload reports
        what became of the service and not the keys once more.
    :ivar kind: provides :class:`tcpd.interfaces.IKind`, as far as ``idle`` and ``make_factory``; of
        the latter's ``settings`` it gets what :attr:`options` returns.
    :ivar listen: its listeners, from the settings; none for a service that is off.
    :ivar policy: what it stands behind, from the settings.
    :ivar options: its options, from the settings: a frozen dataclass of
        :func:`tcpd.config.fields.option` attributes. They are compared at a reload.
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
        """What its policy is called among the others; no ini file can name it."""
        return f"({self.name})"


def with_internals(settings: Settings, internals: Iterable[Internal]) -> Settings:
    """The settings, with the internal services that they ask for behind all others."""
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
