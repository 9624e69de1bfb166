"""Settings to a tree of Services. This module alone knows all the parts."""

from __future__ import annotations

import itertools
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.systemd import ListenFDs

from tcpd.chat.hub import Hub
from tcpd.chat.settings import ChatSettings
from tcpd.config.errors import ConfigError, SettingError
from tcpd.config.listen import Listener
from tcpd.config.settings import ServiceSettings, Settings
from tcpd.daemon.context import Context
from tcpd.daemon.descriptors import raise_descriptor_limit
from tcpd.interfaces import IKind
from tcpd.net.datagram import Datagrams
from tcpd.net.directory import ServiceEntry
from tcpd.net.layer import ConnectionLayer, ListenerFactory
from tcpd.net.service import ListeningService
from tcpd.net.tls import Certificates, tls_factory
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import Tally

#: The sections that other parts of the daemon declare.
SECTIONS: Mapping[str, type] = {"chat": ChatSettings}


class Daemon(MultiService):
    """All services. Made by :func:`compose`."""

    _log = Logger()

    def __init__(self, connections: int) -> None:
        super().__init__()
        self._connections = connections

    def privilegedStartService(self) -> None:
        """Raise the limit on open files and open all ports.

        :raise tcpd.net.listeners.ListenError: if one cannot be opened.
        """
        warning = raise_descriptor_limit(self._connections)
        if warning:
            self._log.warn("{warning}", warning=warning)
        super().privilegedStartService()


class _Composer:
    def __init__(
        self,
        settings: Settings,
        kinds: Mapping[str, Any],
        reactor: Any,
        wall_clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.kinds = kinds
        self.reactor = reactor
        self.wall_clock = wall_clock
        self.server_name = settings.tcpd.server_name or _host_name()
        self.started = reactor.seconds()
        self.tally = Tally(settings.tcpd.connections)
        self.ids = itertools.count(1)
        self.systemd = ListenFDs.fromEnvironment()
        self.own_ports: set[int] = set()
        self.errors: list[str] = []
        self.tls: dict[str, TLSMemoryBIOFactory] = {}
        self.hub = Hub(
            settings.sections["chat"],
            node=self.server_name[:32],
            boot=secrets.token_hex(4),
            wall_clock=wall_clock,
        )
        self.units: dict[str, ListeningService] = {}

    def compose(self) -> Daemon:
        for name, tls in self.settings.tls.items():
            try:
                self.tls[name] = tls_factory(Certificates(tls), self.reactor)
            except SettingError as error:
                self.complain(f"tls:{name}", error)
        for service in self.settings.services.values():
            kind = self.kinds[service.protocol]
            context = self.context(service)
            try:
                factory = kind.make_factory(service.options, context)
            except SettingError as error:
                self.complain(f"service:{service.name}", error)
                continue
            if not self.errors:
                self.units[service.name] = self.unit(service, kind, context, factory)
        if self.errors:
            raise ConfigError(self.errors)
        daemon = Daemon(self.settings.tcpd.connections)
        for unit in self.units.values():
            unit.setServiceParent(daemon)
        return daemon

    def complain(self, section: str, error: SettingError) -> None:
        place = self.settings.place(section, error.key)
        self.errors.append(f"{place}: [{section}] {error}")

    def directory(self) -> list[ServiceEntry]:
        """What is served now; handed to kinds in their context."""
        entries = []
        for service in self.settings.services.values():
            unit = self.units.get(service.name)
            listening = unit.listening if unit else ()
            entries.append(
                ServiceEntry(
                    service.name,
                    service.protocol,
                    self.kinds[service.protocol].summary,
                    tuple(str(listener) for listener in listening),
                )
            )
        return entries

    def context(self, service: ServiceSettings) -> Context:
        return Context(
            service=service.name,
            clock=self.reactor,
            wall_clock=self.wall_clock,
            server_name=self.server_name,
            started=self.started,
            hub=self.hub,
            counters=ServiceCounters(),
            directory=self.directory,
        )

    def unit(
        self, service: ServiceSettings, kind: IKind, context: Context, factory: IProtocolFactory
    ) -> ListeningService:
        policy = self.settings.policies[service.policy]
        layer = ConnectionLayer(
            service=service.name,
            factory=factory,
            policy=policy,
            idle=kind.idle if policy.idle is None else policy.idle,
            tally=self.tally,
            counters=context.counters,
            clock=self.reactor,
            ids=self.ids,
        )
        return ListeningService(
            layer=layer,
            listeners=[
                (listener, self.server(listener, service, kind, context, layer))
                for listener in service.listen
            ],
            reactor=self.reactor,
            systemd=self.systemd,
            drain=self.settings.tcpd.drain,
        )

    def server(
        self,
        listener: Listener,
        service: ServiceSettings,
        kind: Any,
        context: Context,
        layer: ConnectionLayer,
    ) -> ListenerFactory | DatagramProtocol:
        if listener.udp:
            return Datagrams(
                responder=kind.make_responder(service.options, context),
                counters=context.counters,
                clock=self.reactor,
                rate=service.options.udp_rate,
                own_ports=self.own_ports,
            )
        return ListenerFactory(
            layer,
            self.tls[listener.tls] if listener.tls else None,
            self.tls[listener.starttls] if listener.starttls else None,
        )


def _host_name() -> str:
    """What the system calls itself, less what a protocol's greeting could not carry."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", socket.gethostname())[:63].strip(".-") or "localhost"


def compose(
    settings: Settings,
    kinds: Mapping[str, Any],
    reactor: Any,
    wall_clock: Callable[[], float],
) -> Daemon:
    """Build the daemon. Opens no port; reads the files that settings name (certificates, quotes).

    :param settings: checked settings.
    :param kinds: by name, those that the settings use at least.
    :param reactor: opens ports and keeps time; a :class:`twisted.internet.task.Clock` will do to
        find out whether it can be built.
    :param wall_clock: seconds since 1970, UTC.
    :raise ConfigError: for settings that turn out not to be usable.
    """
    return _Composer(settings, kinds, reactor, wall_clock).compose()
