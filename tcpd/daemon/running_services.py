"""The services that run, and the settings in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IProtocolFactory

from tcpd.config.build import RESERVED
from tcpd.config.listen import UnixSocket
from tcpd.config.settings import ServiceSettings, Settings
from tcpd.daemon.context import Context
from tcpd.net.connection import Connection
from tcpd.net.directory import ServiceEntry
from tcpd.net.service import ListeningService


def is_own(name: str) -> bool:
    """Whether a service is one of the daemon's own."""
    return name in RESERVED


class RunningServices(MultiService):
    """All services that have connections, those of the daemon's own included.

    :param settings: the settings at the start.
    :param kinds: the kinds of services, by name.

    :ivar settings: the settings in force. They contain the internal services
        (:func:`tcpd.daemon.internal.with_internals`), but no drained services.
    :ivar units: the services in force, by name, in the order of the settings.
    :ivar contexts: the contexts of the services in force and the drained ones, by name.
    :ivar drained: the settings of services that an operator has drained, by name.
    """

    def __init__(self, settings: Settings, kinds: Mapping[str, Any]) -> None:
        super().__init__()
        self.settings = settings
        self.units: dict[str, ListeningService] = {}
        self.contexts: dict[str, Context] = {}
        self.drained: dict[str, ServiceSettings] = {}
        self._kinds = kinds
        self._retiring: dict[ListeningService, Deferred[Any]] = {}

    def add(self, name: str, unit: ListeningService) -> None:
        """Add a service; it starts if the others run."""
        self.units[name] = unit
        unit.setServiceParent(self)

    def retire(self, name: str) -> ListeningService:
        """Take a service out of force: its clients get the farewell, and its connections drain.

        :return: the service.
        """
        unit = self.units.pop(name)
        ended: Deferred[Any] = maybeDeferred(unit.disownServiceParent)
        self._retiring[unit] = ended

        def forget(_: object) -> None:
            del self._retiring[unit]

        ended.addBoth(forget)
        return unit

    def stopService(self) -> Deferred[Any]:
        """Stop all services, except the daemon's own, in parallel.

        :return: fires when they and the services retired by a reload have ended.
        """
        Service.stopService(self)  # MultiService would stop the daemon's own services too
        own = self._own()
        ended = [
            maybeDeferred(child.stopService) for child in reversed(list(self)) if child not in own
        ]
        return DeferredList([*ended, *self._retiring.values()], consumeErrors=True)

    def stop_own(self) -> Deferred[Any]:
        """Stop the daemon's own services: operators can watch the others stop until then.

        :return: fires when they have ended.
        """
        ended = [maybeDeferred(unit.stopService) for unit in self._own()]
        return DeferredList(ended, consumeErrors=True)

    def _own(self) -> list[ListeningService]:
        return [unit for name, unit in self.units.items() if is_own(name)]

    def cut(self) -> None:
        """Abort all connections and kill all programs."""
        for unit in self._all():
            unit.abort()

    def abort_factories(self) -> None:
        """Kill all programs."""
        for unit in self._all():
            unit.abort_factory()

    def _all(self) -> list[ListeningService]:
        return [*self.units.values(), *self._retiring]

    # --- queries ---

    def directory(self) -> list[ServiceEntry]:
        """The directory for clients, without the internal services."""
        return [
            ServiceEntry(
                name,
                service.protocol,
                self._kinds[service.protocol].summary,
                tuple(str(listener) for listener in self.units[name].listening),
            )
            for name, service in self.settings.services.items()
            if name in self.units and not is_own(name)
        ]

    def factory(self, name: str) -> IProtocolFactory | None:
        """The factory of a service in force that is not one of the daemon's own."""
        unit = None if is_own(name) else self.units.get(name)
        return None if unit is None else unit.layer.factory

    def by_name(self) -> dict[str, ListeningService]:
        """All services, including retired ones that still drain."""
        return {unit.layer.service: unit for unit in self._retiring} | self.units

    def known(self) -> list[str]:
        """Names of all services: in force, draining, and drained."""
        return list(dict.fromkeys([*self.units, *self.by_name(), *self.drained]))

    def settings_of(self, name: str) -> ServiceSettings | None:
        """The settings of a service that is in force or drained."""
        return self.settings.services.get(name) or self.drained.get(name)

    def socket_paths(self) -> set[str]:
        """Paths of the UNIX sockets that services in force listen on."""
        return {
            bind.path
            for service in self.settings.services.values()
            for listener in service.listen
            if isinstance(bind := listener.bind, UnixSocket)
        }

    def policy_of(self, name: str) -> str | None:
        """NAME of the ``[policy:NAME]`` of a service; ``None`` for the daemon's own."""
        service = self.settings_of(name)
        return service.policy if service and not is_own(name) else None

    def connections(self, service: str | None = None) -> Iterator[Connection]:
        """All connections, service by service, those of services that drain included.

        :param service: only those of this service.
        """
        for unit in self._all():
            if service is None or unit.layer.service == service:
                yield from unit.layer.connections

    def connection_count(self) -> int:
        """The number of connections."""
        return sum(len(unit.layer.connections) for unit in self._all())

    def accepted(self) -> int:
        """Connections that were accepted since the start, the daemon's own services left out."""
        return sum(each.counters.accepted for each in self._client_contexts())

    def refused(self) -> int:
        """Connections that were refused since the start, the daemon's own services left out."""
        return sum(each.counters.refused.total() for each in self._client_contexts())

    def _client_contexts(self) -> list[Context]:
        return [each for name, each in self.contexts.items() if not is_own(name)]
