"""A reactor that opens tcpd's listening ports, to run Twisted's own tests against them.

tcpd opens its ports by :func:`tcpd.net.listeners.open_stream`; its ``reactor.listenTCP`` is
Twisted's. Here the reactor's own methods open a :class:`~tcpd.net.port.StreamPort`, with a
connection layer that refuses no client. So the server's side of each connection in those tests is a
:class:`~tcpd.net.transport.SocketConnection`, with :class:`~tcpd.net.tls_layer.TLSLayer` for TLS.

For child processes only: it replaces classes of tcpd by subclasses.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from OpenSSL import SSL
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, ITLSTransport
from twisted.internet.main import installReactor
from zope.interface import implementer

from tcpd.config.listen import Address, UnixSocket
from tcpd.config.settings import PolicySettings
from tcpd.interfaces import IConnection
from tcpd.net import layer, pipeline
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listener_options import PLAIN, ListenerOptions
from tcpd.net.port import StreamPort
from tcpd.net.reactor import TcpdReactor
from tcpd.net.sockets import adopt, listen_address, listen_unix
from tcpd.net.tls_layer import TLSLayer
from tcpd.net.transport import SocketConnection
from tcpd.net.turns import TurnScheduler
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount

_EVERYBODY = 1_000_000
_ANY_LENGTH = 1 << 40


class Contexts:
    """A :class:`~tcpd.net.tls.Certificates` with a Twisted context factory."""

    def __init__(self, factory: Any) -> None:
        self._context = factory.getContext()

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        return SSL.Connection(self._context)


class _TransportNames:
    """Attributes of transports that Twisted's tests use and no interface has."""

    __slots__ = ()

    def stopReading(self: Any) -> None:
        self.pauseProducing()

    def startReading(self: Any) -> None:
        self.resumeProducing()

    @property
    def connected(self) -> bool:
        return not IConnection(self)._lost


@implementer(ITLSTransport)
class NamedConnection(_TransportNames, SocketConnection):
    """A connection with ``startTLS``, which tcpd has in IConnection."""

    __slots__ = ("bufferSize",)

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        assert normal, "only the server side of TLS is supported"
        contexts: Any = Contexts(contextFactory)
        self.options = replace(self.options, starttls=contexts)
        self.start_tls()

    @property
    def socket(self) -> socket.socket:
        return self.getHandle()

    @property
    def reactor(self) -> Any:
        return self._reactor

    def stopConsuming(self) -> None:
        self.unregisterProducer()
        self.loseConnection()


class NamedLayer(_TransportNames, TLSLayer):
    """The TLS layer with the attributes of :class:`_TransportNames`."""

    __slots__ = ()


class NamedPort(StreamPort):
    """A port with the attributes that Twisted's tests use and no interface has."""

    @property
    def connected(self) -> bool:
        return self._open

    @property
    def disconnected(self) -> bool:
        return not self._open

    @property
    def factory(self) -> Any:
        return self._factory._layer.factory


class ListeningReactor(TcpdReactor):
    """See the docstring of this module."""

    def __init__(self) -> None:
        super().__init__()
        self._turns = TurnScheduler(self)

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        return self._listen_at(port, factory, interface, None)

    def listenSSL(
        self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        return self._listen_at(port, factory, interface, Contexts(contextFactory))

    def listenUNIX(
        self,
        address: str,
        factory: Any,
        backlog: int = 50,
        mode: int = 0o666,
        wantPID: bool = False,
    ) -> IListeningPort:
        def unlink() -> None:
            with contextlib.suppress(OSError):
                os.unlink(address)

        try:
            sock = listen_unix(UnixSocket(address, mode))
        except OSError as error:
            raise CannotListenError(None, address, error) from error
        return self._open(sock, factory, None, unlink)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        return self._open(adopt(fileDescriptor), factory, None)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        sock = socket.socket(fileno=os.dup(fileDescriptor))
        sock.setblocking(False)
        own = self._layer(factory)
        own.accept_socket(sock, sock.getpeername(), PLAIN, self._turns)
        return next((connection._application for connection in own.connections), None)

    def _listen_at(self, port: int, factory: Any, interface: str, tls: Any) -> IListeningPort:
        # Twisted's :: is dual-stack
        host = {"": "0.0.0.0", "::": "*"}.get(interface, interface)
        try:
            sock = listen_address(Address(host, port))
        except OSError as error:
            raise CannotListenError(interface, port, error) from error
        return self._open(sock, factory, tls)

    def _open(
        self, sock: socket.socket, factory: Any, tls: Any, closed: Callable[[], None] = lambda: None
    ) -> IListeningPort:
        port = NamedPort(
            sock,
            ListenerFactory(self._layer(factory), ListenerOptions(tls=tls)),
            self._turns,
            closed,
        )
        port.startListening()
        return port

    def _layer(self, factory: Any) -> ConnectionLayer:
        return ConnectionLayer(
            service="twisted",
            factory=factory,
            policy=PolicySettings(
                connections=_EVERYBODY, per_address=_EVERYBODY, unsent=_ANY_LENGTH
            ),
            idle=0,
            connection_count=ConnectionCount(_EVERYBODY),
            counters=ServiceCounters(),
            clock=self,
            ids=itertools.count(1),
        )


def install() -> None:
    """Install the reactor in child processes of Twisted's tests."""
    installReactor(ListeningReactor())


layer.SocketConnection = NamedConnection  # type: ignore[misc]
pipeline.TLSLayer = NamedLayer  # type: ignore[misc]
