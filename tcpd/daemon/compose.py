"""Settings to parts, and parts to the daemon. This module alone knows all the parts."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import IProtocolFactory

from tcpd.chat.hub import Hub
from tcpd.chat.settings import ChatSettings
from tcpd.config.errors import ConfigError, SettingError
from tcpd.config.listen import Listener
from tcpd.config.settings import ServiceSettings, Settings
from tcpd.daemon.context import Context
from tcpd.daemon.internal import DRAIN, SPARES, Internal
from tcpd.daemon.metrics import MetricsSettings
from tcpd.net.datagram import Datagrams
from tcpd.net.directory import ServiceEntry
from tcpd.net.kernel import Kernel
from tcpd.net.layer import ConnectionLayer, ListenerFactory
from tcpd.net.proxy import Proxies
from tcpd.net.service import ListeningService, Server
from tcpd.net.systemd import initial_environment, passed_sockets
from tcpd.net.tls import Certificates
from tcpd.net.turns import Turns, work_queue
from tcpd.ops.counters import DaemonCounters, ServiceCounters
from tcpd.ops.memory import MemoryGuard
from tcpd.policy.admission import Tally
from tcpd.policy.bans import Bans

#: The sections that other parts of the daemon declare.
SECTIONS: Mapping[str, type] = {"chat": ChatSettings, "metrics": MetricsSettings}


class Complaints:
    """What is wrong with settings that are well formed, collected to be told at once.

    :param settings: for the places of sections and keys.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines: list[str] = []
        self._places: list[str] = []

    def add(self, section: str, error: SettingError) -> None:
        """Note what a part found."""
        place = self._settings.place(section, error.key)
        self._lines.append(f"{place}: [{section}] {error}")
        self._places.append(str(place))

    def check(self) -> None:
        """:raise ConfigError: if there is any."""
        if self._lines:
            raise ConfigError(self._lines, self._places)


class Parts:
    """What lives as long as the daemon, and the making of what does not.

    :param settings: those that it starts with.
    :param kinds: by name.
    :param reactor: opens ports and keeps time.
    :param wall_clock: seconds since 1970, UTC.
    :param directory: tells what is served.
    :param reload: see :class:`tcpd.interfaces.IContext`.
    :param internals: by name, the services of the daemon's own.
    :param uid: the user id that it is going to run as; ``None`` for the one it has.
    :param gid: the group id that it is going to have beside another user id.
    """

    def __init__(
        self,
        settings: Settings,
        kinds: Mapping[str, Any],
        reactor: Any,
        wall_clock: Callable[[], float],
        directory: Callable[[], list[ServiceEntry]],
        reload: Callable[[Callable[[bool, Sequence[str]], None]], None],
        internals: Mapping[str, Internal],
        uid: int | None = None,
        gid: int | None = None,
    ) -> None:
        self.kinds = kinds
        self.internals = internals
        self.reactor = reactor
        self.uid = os.geteuid() if uid is None else uid
        self.user = None if uid is None else (uid, gid)
        self.wall_clock = wall_clock
        self.directory = directory
        self.reload = reload
        self.server_name = settings.tcpd.server_name or _host_name()
        self.started = reactor.seconds()
        self.tally = Tally(settings.tcpd.connections)
        self.bans = Bans(wall_clock)
        self.ids = itertools.count(1)
        environment = initial_environment()
        self.systemd = passed_sockets(environment, os.getpid())
        #: Where systemd keeps the credentials of this service; ``None`` where it has passed none.
        self.credentials = environment.get("CREDENTIALS_DIRECTORY")
        self.turns = Turns(reactor)
        self.work = work_queue(reactor)
        #: What fails for want of memory is reported here.
        self.memory = MemoryGuard(reactor)
        if hasattr(reactor, "no_memory"):
            reactor.no_memory = self.memory.failed
        self.kernel = Kernel(settings.tcpd.handshake, settings.tcpd.server_isn)
        self.own_ports: set[int] = set()
        self.counters = DaemonCounters()
        self.certificates: dict[str, Certificates] = {}
        self.hub = Hub(
            settings.sections["chat"],
            node=self.server_name[:32],
            boot=secrets.token_hex(4),
            wall_clock=wall_clock,
            clock=reactor.seconds,
        )

    def load_certificates(
        self, settings: Settings, complaints: Complaints
    ) -> dict[str, Certificates]:
        """Read the certificates that settings name, all of them, and change nothing."""
        loaded = {}
        for name, tls in settings.tls.items():
            try:
                loaded[name] = Certificates(tls, self.credentials)
            except SettingError as error:
                complaints.add(f"tls:{name}", error)
        return loaded

    def use_certificates(self, loaded: Mapping[str, Certificates]) -> list[str]:
        """Use what was loaded for handshakes from now on.

        :return: names of those that were there before, and were others.
        """
        changed = []
        for name, certificates in loaded.items():
            if name not in self.certificates:
                self.certificates[name] = certificates
            elif self.certificates[name].adopt(certificates):
                changed.append(name)
        return changed

    def context(self, service: str, counters: ServiceCounters | None = None) -> Context:
        """What the kind of a service gets.

        :param counters: to go on with; by default new ones.
        """
        return Context(
            service=service,
            clock=self.reactor,
            reactor=self.reactor,
            uid=self.uid,
            wall_clock=self.wall_clock,
            server_name=self.server_name,
            started=self.started,
            hub=self.hub,
            counters=counters or ServiceCounters(),
            work=self.work,
            reload=self.reload,
            directory=self.directory,
        )

    def factory(
        self, service: ServiceSettings, context: Context, complaints: Complaints
    ) -> IProtocolFactory | None:
        """Make the factory of a service; ``None`` if its kind complained."""
        try:
            made: IProtocolFactory = self.kind(service).make_factory(service.options, context)
        except SettingError as error:
            internal = self.internals.get(service.name)
            complaints.add(internal.section if internal else f"service:{service.name}", error)
            return None
        return made

    def kind(self, service: ServiceSettings) -> Any:
        """The kind of a service, those of the daemon's own included."""
        internal = self.internals.get(service.name)
        return internal.kind if internal else self.kinds[service.protocol]

    def drain(self, name: str, settings: Settings) -> float:
        """How many seconds a service's connections may take to end when it stops."""
        return min(DRAIN, settings.tcpd.drain) if name in self.internals else settings.tcpd.drain

    def idle(self, service: ServiceSettings, settings: Settings) -> float:
        """The idle timeout of a service, in seconds: its policy's, or what its kind asks for."""
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
        """Make a service, with its connection layer; it opens no port yet."""
        layer = ConnectionLayer(
            service=service.name,
            factory=factory,
            policy=settings.policies[service.policy],
            idle=self.idle(service, settings),
            # what the daemon may have in all does not count for its operator
            tally=Tally(sys.maxsize) if service.name in self.internals else self.tally,
            bans=None if service.name in self.internals else self.bans,
            counters=context.counters,
            clock=self.reactor,
            ids=self.ids,
            protocol=service.protocol,
            server_name=self.server_name,
            tells_handshakes=getattr(self.kind(service), "tells_handshakes", False),
            no_memory=self.memory.failed,
            spares=SPARES if service.name in self.internals else 0,
        )
        return ListeningService(
            layer=layer,
            wanted=self.servers(service, context, layer),
            reactor=self.reactor,
            systemd=self.systemd,
            turns=self.turns,
            user=self.user,
            drain=self.drain(service.name, settings),
            kernel=self.kernel,
        )

    def servers(
        self, service: ServiceSettings, context: Context, layer: ConnectionLayer
    ) -> list[tuple[Listener, Server]]:
        """Make what serves each listener of a service."""
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
        if listener.udp:
            return Datagrams(
                service=service.name,
                responder=self.kind(service).make_responder(service.options, context),
                counters=context.counters,
                clock=self.reactor,
                allows=layer.allows,
                rate=service.options.udp_rate,
                own_ports=self.own_ports,
            )
        return ListenerFactory(
            layer,
            self.certificates[listener.tls] if listener.tls else None,
            self.certificates[listener.starttls] if listener.starttls else None,
            Proxies(listener.proxy) if listener.proxy else None,
            listener.websocket,
        )


def _host_name() -> str:
    """What the system calls itself, less what a protocol's greeting could not carry."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", socket.gethostname())[:63].strip(".-") or "localhost"
