"""A daemon on a memory reactor, with operators and clients."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.testing import MemoryReactorClock, StringTransport

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.settings import Settings
from tcpd.daemon.compose import SECTIONS, make_daemon
from tcpd.daemon.control.server import ControlFactory
from tcpd.daemon.registry import Kinds
from tcpd.daemon.startup_environment import StartupEnvironment
from tcpd.line.testing import MemoryContext

KINDS = Kinds([])
NOW = 1_780_000_000.0


class Port:
    """Listening port of :class:`Reactor`."""

    def __init__(self, factory: Any, number: int) -> None:
        self.factory = factory
        self.number = number

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", self.number)

    def stopListening(self) -> None:
        pass


class Reactor(MemoryReactorClock):
    """Memory reactor that keeps its ports by number."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: dict[int, Port] = {}

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        self.ports[port] = opened = Port(factory, port)
        return opened

    def turn(self, times: int = 1) -> None:
        """Run the calls that are scheduled for the next turn."""
        for _ in range(times):
            self.advance(0)


class OperatorTransport(StringTransport):
    """Memory transport with the address and the peer credentials of a UNIX socket."""

    def __init__(self, handle: Any) -> None:
        super().__init__(peerAddress=UNIXAddress(None))
        self._handle = handle
        self.half_closed = False

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def getHandle(self) -> Any:
        return self._handle


class Harness:
    """A running daemon on a memory reactor.

    :param text: its configuration; set :attr:`text` to change what a reload reads.
    :param state: the state directory.
    """

    def __init__(self, text: str, state: Path | None = None, environ: Any = None) -> None:
        self.text = text
        self.reactor = Reactor()
        self.now = NOW
        variables = {**(environ or {}), **({"STATE_DIRECTORY": str(state)} if state else {})}
        # the configuration has no control socket: operators connect by control_factory()
        self.daemon = make_daemon(
            self.read(),
            KINDS,
            self.reactor,
            lambda: self.now,
            read=self.read,
            environment=StartupEnvironment(variables, 0),
        )
        self.services = self.daemon.running_services
        self.daemon.privilegedStartService()
        self.daemon.startService()

    def read(self) -> Settings:
        head = "[tcpd]\ncontrol = none\n"
        document, errors = ini.read("/etc/x.ini", head + self.text)
        assert not errors
        return build(document, KINDS, SECTIONS)

    def connect(self, number: int, host: str = "192.0.2.1") -> tuple[Any, StringTransport]:
        """Connect a client to a port by its number."""
        address = IPv4Address("TCP", host, 4711)
        protocol = self.reactor.ports[number].factory.buildProtocol(address)
        transport = StringTransport(peerAddress=address)
        if protocol is not None:
            protocol.makeConnection(transport)
        return protocol, transport

    def control_factory(self, context: MemoryContext) -> ControlFactory:
        """Make the factory of the control socket."""
        internals = self.daemon.configuration.internals
        (kind,) = (each.kind for each in internals if each.name == "control")
        factory: ControlFactory = kind.make_factory(None, context)
        return factory

    def operator(self, beside: Operator | None = None) -> Operator:
        """Connect an operator, by the factory of another or by a new one."""
        return Operator(self, beside and beside.factory)


class Operator:
    """An operator's connection to the control protocol."""

    def __init__(self, harness: Harness, factory: ControlFactory | None = None) -> None:
        self.harness = harness
        self.context = MemoryContext(clock=harness.reactor)
        self.factory = factory or harness.control_factory(self.context)
        self.sockets = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.transport = OperatorTransport(self.sockets[0])
        self.protocol: Any = self.factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        for each in self.sockets:
            each.close()
        self.greeting = self.received()

    def received(self) -> str:
        data: bytes = self.transport.value()
        self.transport.clear()
        return data.decode()

    def ask(self, line: str) -> str:
        """:return: the reply, with LF as line end."""
        self.protocol.dataReceived(line.encode() + b"\r\n")
        return self.received().replace("\r\n", "\n").rstrip("\n")

    def json(self, line: str) -> Any:
        """Send a command with ``json``; the reply must be one line with code 250."""
        name, _, rest = line.partition(" ")
        reply = self.ask(f"{name} json {rest}".rstrip())
        assert reply.startswith("250 "), reply
        assert "\n" not in reply
        return json.loads(reply[4:])
