"""A daemon on a memory reactor, with operators and clients."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from daemon.harness import DaemonHarness, settings
from twisted.internet.address import UNIXAddress
from twisted.internet.testing import StringTransport

from tcpd.daemon.control.server import ControlFactory
from tcpd.daemon.startup_environment import StartupEnvironment
from tcpd.line.testing import MemoryContext

NOW = 1_780_000_000.0


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


class OperatedDaemon(DaemonHarness):
    """A running daemon with operators.

    :param text: its configuration; set :attr:`text` to change what a reload reads.
    :param state: the state directory.
    """

    def __init__(self, text: str, state: Path | None = None, environ: Any = None) -> None:
        self.text = text
        self.now = NOW
        variables = {**(environ or {}), **({"STATE_DIRECTORY": str(state)} if state else {})}
        super().__init__(
            self._whole(),
            wall_clock=lambda: self.now,
            read=lambda: settings(self._whole()),
            environment=StartupEnvironment(variables, 0),
        )

    def _whole(self) -> str:
        # without a control socket: operators connect by control_factory()
        return f"[tcpd]\ncontrol = none\n{self.text}"

    def control_factory(self, context: MemoryContext) -> ControlFactory:
        """Make the factory of the control socket."""
        internals = self.daemon.configuration.internals
        (kind,) = (each.kind for each in internals if each.name == "control")
        factory: ControlFactory = kind.make_factory(None, context)
        return factory

    def operator(self, beside: OperatorConnection | None = None) -> OperatorConnection:
        """Connect an operator, by the factory of another or by a new one."""
        return OperatorConnection(self, beside and beside.factory)


class OperatorConnection:
    """An operator's connection to the control protocol."""

    def __init__(self, daemon: OperatedDaemon, factory: ControlFactory | None = None) -> None:
        self.daemon = daemon
        self.context = MemoryContext(clock=daemon.reactor)
        self.factory = factory or daemon.control_factory(self.context)
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
