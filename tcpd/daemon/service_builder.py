"""Services from their settings: contexts, factories, connection layers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IProtocolFactory

from tcpd.config.errors import SettingError
from tcpd.config.listen import Listener
from tcpd.config.settings import ServiceSettings, Settings
from tcpd.daemon.components import Components
from tcpd.daemon.context import Context
from tcpd.daemon.internal import DRAIN, SPARES, Internal
from tcpd.daemon.problems import SettingProblems
from tcpd.net.datagram import Datagrams
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.proxy import Proxies
from tcpd.net.service import ListeningService, Server
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount


class ServiceBuilder:
    """Builds the services of a configuration from the components.

    :param components: the components of the daemon.
    :param internals: the daemon's own services.
    :param make_context: makes a :class:`Context`, with the attributes that are the same for all
        services and are not components.
    """

    def __init__(
        self,
        components: Components,
        internals: Iterable[Internal],
        make_context: Callable[..., Context],
    ) -> None:
        self._components = components
        self._internals = {each.name: each for each in internals}
        self._make_context = make_context

    def context(
        self, service: str, settings: Settings, counters: ServiceCounters | None = None
    ) -> Context:
        """Make the context of a service, for its kind.

        :param settings: the whole configuration.
        :param counters: the present counters of the service; new ones by default.
        """
        components = self._components
        return self._make_context(
            service=service,
            clock=components.reactor,
            reactor=components.reactor,
            uid=components.uid,
            wall_clock=components.wall_clock,
            server_name=components.server_name,
            started=components.started,
            chat=components.chat,
            counters=counters or ServiceCounters(),
            work=components.work,
            sections=self.sections(service, settings),
        )

    @staticmethod
    def sections(service: str, settings: Settings) -> dict[str, Any]:
        """The settings of the sections that the kind of a service declares, by title."""
        return {title: settings.sections[title] for title in settings.services[service].sections}

    def factory(
        self, service: ServiceSettings, context: Context, problems: SettingProblems
    ) -> IProtocolFactory | None:
        """Make the factory of a service.

        :param problems: receives the kind's errors.
        :return: ``None`` if it raised.
        """
        try:
            made: IProtocolFactory = self.kind(service).make_factory(service.options, context)
        except SettingError as error:
            internal = self._internals.get(service.name)
            problems.add(internal.section if internal else f"service:{service.name}", error)
            return None
        return made

    def kind(self, service: ServiceSettings) -> Any:
        """The kind of a service, internal or not."""
        internal = self._internals.get(service.name)
        return internal.kind if internal else self._components.kinds[service.protocol]

    def drain(self, name: str, settings: Settings) -> float:
        """Seconds that a service's connections may take to end when it stops."""
        return min(DRAIN, settings.tcpd.drain) if name in self._internals else settings.tcpd.drain

    def idle(self, service: ServiceSettings, settings: Settings) -> float:
        """The idle timeout of a service in seconds: its policy's, or its kind's default."""
        idle = settings.policies[service.policy].idle
        asked: float = self.kind(service).idle
        return asked if idle is None else idle

    def unit(
        self,
        service: ServiceSettings,
        settings: Settings,
        context: Context,
        factory: IProtocolFactory,
    ) -> ListeningService:
        """Make a service with its connection layer. It opens no port yet."""
        components = self._components
        own = service.name in self._internals
        layer = ConnectionLayer(
            service=service.name,
            factory=factory,
            policy=settings.policies[service.policy],
            idle=self.idle(service, settings),
            # operators are accepted when the daemon is full
            connection_count=ConnectionCount(sys.maxsize) if own else components.connection_count,
            bans=None if own else components.bans,
            counters=context.counters,
            clock=components.reactor,
            ids=components.ids,
            protocol=service.protocol,
            server_name=components.server_name,
            shows_handshakes=getattr(self.kind(service), "shows_handshakes", False),
            no_memory=components.memory.failed,
            spares=SPARES if own else 0,
            work=components.work,
        )
        return ListeningService(
            layer=layer,
            wanted=self.servers(service, context, layer),
            reactor=components.reactor,
            systemd=components.systemd,
            turns=components.turns,
            user=components.user,
            drain=self.drain(service.name, settings),
            handshake_capture=components.handshake_capture,
        )

    def servers(
        self, service: ServiceSettings, context: Context, layer: ConnectionLayer
    ) -> list[tuple[Listener, Server]]:
        """Make the server of each listener of a service."""
        return [
            (listener, self._server(listener, service, context, layer))
            for listener in service.listen
        ]

    def _server(
        self,
        listener: Listener,
        service: ServiceSettings,
        context: Context,
        layer: ConnectionLayer,
    ) -> Server:
        components = self._components
        if listener.udp:
            return Datagrams(
                service=service.name,
                responder=self.kind(service).make_responder(service.options, context),
                counters=context.counters,
                clock=components.reactor,
                allows=layer.allows,
                rate=service.options.udp_rate,
                own_ports=components.own_ports,
            )
        certificates = components.certificates.in_use
        options = ListenerOptions(
            tls=certificates[listener.tls] if listener.tls else None,
            starttls=certificates[listener.starttls] if listener.starttls else None,
            proxies=Proxies(listener.proxy) if listener.proxy else None,
            websocket=listener.websocket,
        )
        return ListenerFactory(layer, options)
