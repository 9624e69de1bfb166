"""A daemon on a reactor in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock, StringTransport

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.listen import Address, Listener
from tcpd.config.overlap import overlap
from tcpd.config.settings import Settings
from tcpd.daemon.compose import SECTIONS, make_daemon
from tcpd.daemon.daemon import Daemon
from tcpd.daemon.metrics_site import figures as read_figures
from tcpd.daemon.registry import Kinds
from tcpd.net.datagram import Datagrams
from tcpd.ops.figures import Figures

KINDS = Kinds([])


class MemoryPort:
    """A port of :class:`DaemonReactor`."""

    def __init__(self, reactor: DaemonReactor, factory: Any, address: tuple[str, str, int]) -> None:
        self.reactor = reactor
        self.factory = factory
        self.address = address

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", self.address[1], self.address[2])

    def stopListening(self) -> None:
        del self.reactor.ports[self.address]


class DaemonReactor(MemoryReactorClock):
    """Opens each port only once."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: dict[tuple[str, str, int], MemoryPort] = {}

    def open_port(self, kind: str, number: int, factory: Any, interface: str) -> MemoryPort:
        address = (kind, interface, number)
        taken = (
            Address(host, port)
            for other, host, port in self.ports
            if (other, port) == (kind, number)
        )
        if any(overlap(each, Address(interface, number)) for each in taken):
            raise CannotListenError(interface, number, OSError(98, "Address already in use"))
        port = self.ports[address] = MemoryPort(self, factory, address)
        return port

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        factory.doStart()
        return self.open_port("tcp", port, factory, interface)

    def turn(self, times: int = 1) -> None:
        """Run the calls that are scheduled for the next turn."""
        for _ in range(times):
            self.advance(0)

    def open_datagrams(self, listener: Listener, server: Datagrams) -> Any:
        place: Any = listener.bind
        return self.open_port("udp", place.port, server, place.host)


def settings(text: str, directory: Path = Path("/etc"), kinds: Kinds = KINDS) -> Settings:
    document, errors = ini.read(str(directory / "x.ini"), text)
    assert not errors
    return build(document, kinds, SECTIONS)


def figures(daemon: Daemon) -> Figures:
    """Return the values of a daemon's metrics."""
    (kind,) = (each.kind for each in daemon.configuration.internals if each.name == "metrics")
    return read_figures(kind.sources)


class DaemonHarness:
    """A running daemon."""

    def __init__(
        self,
        text: str,
        directory: Path = Path("/etc"),
        *,
        kinds: Kinds = KINDS,
        start: bool = True,
        wall_clock: Callable[[], float] = lambda: 0.0,
        **more: Any,
    ) -> None:
        self.directory = directory
        self.kinds = kinds
        self.reactor = DaemonReactor()
        self.daemon = make_daemon(
            settings(text, directory, kinds), kinds, self.reactor, wall_clock, **more
        )
        self.services = self.daemon.running_services
        if start:
            self.daemon.privilegedStartService()
            self.daemon.startService()

    def reload(self, text: str) -> list[str]:
        return self.daemon.configuration.reconfigure(settings(text, self.directory, self.kinds))

    @property
    def open(self) -> set[str]:
        return {f"{kind} {host}:{number}" for kind, host, number in self.reactor.ports}

    def connect(self, number: int, host: str = "192.0.2.1") -> tuple[Any, StringTransport]:
        """Connect a client to a port of 127.0.0.1; the connection is ``None`` if it is refused."""
        factory = self.reactor.ports["tcp", "127.0.0.1", number].factory
        address = IPv4Address("TCP", host, 4711)
        connection = factory.buildProtocol(address)
        transport = StringTransport(peerAddress=address)
        if connection is not None:
            connection.makeConnection(transport)
        return connection, transport


def service(name: str, listen: str, protocol: str = "line", more: str = "") -> str:
    lines = "".join(f"  127.0.0.1:{one.strip()}\n" for one in listen.split(","))
    return f"[service:{name}]\nprotocol = {protocol}\nlisten =\n{lines}{more}\n"
