"""Transports of chat's clients in tests: TCP, or WebSocket through the connection layer."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request
from wsproto.frame_protocol import FrameProtocol
from zope.interface import implementer

from tcpd.chat.text.protocol import TextFactory
from tcpd.config.settings import PolicySettings
from tcpd.interfaces import IWebSocketFactory
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listener_options import ListenerOptions
from tcpd.net.websocket_settings import IRCV3, WebSocketOptions
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount

#: Marks a test that cannot run over WebSocket. Takes the reason.
over_tcp = pytest.mark.over_tcp

#: The transport of :func:`connect`: "tcp" or "websocket". Set by the fixture ``transport_kind``.
kind = "tcp"

CLIENT = IPv4Address("TCP", "127.0.0.1", 4711)


@implementer(IWebSocketFactory)
class TextOverWebSocket(TextFactory):
    """The text frontend over WebSocket, which no service of tcpd offers."""

    websocket = WebSocketOptions(longest=65536, subprotocols=IRCV3, ping=0.0)


def connect(factory: Any, clock: IReactorTime) -> tuple[Any, Any]:
    """Connect a client to a frontend.

    :return: the protocol, which takes the input of the client, and the transport, which has its
        output. Over WebSocket both are one :class:`WebSocketClient`.
    """
    if kind == "websocket":
        client = WebSocketClient(factory, clock)
        return client, client
    protocol = factory.buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    return protocol, transport


class WebSocketClient:
    """A WebSocket client, one message per line.

    It stands for the protocol and its transport: attributes that it lacks are the protocol's, or
    else the transport's.
    """

    _protocol: Any = None

    def __init__(self, factory: Factory, clock: IReactorTime) -> None:
        layer = ConnectionLayer(
            service="test",
            factory=factory,
            policy=PolicySettings(),
            idle=0.0,
            connection_count=ConnectionCount(1000),
            counters=ServiceCounters(),
            clock=clock,
            ids=itertools.count(1),
        )
        self._layer = layer
        self._socket = StringTransport(peerAddress=CLIENT)
        self._connection: Any = ListenerFactory(
            layer, ListenerOptions(websocket=True)
        ).buildProtocol(CLIENT)
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._frames = FrameProtocol(client=True, extensions=[])
        self._half = b""
        self._lines = b""
        self._closed = self._lost = False
        self._connection.makeConnection(self._socket)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(factory, "buildProtocol", self._recording(factory.buildProtocol))
            request = Request("chat.example", "/", subprotocols=["binary.ircv3.net"])
            self._connection.dataReceived(self._ws.send(request))
        self._read()
        assert self._protocol is not None

    def _recording(self, build: Any) -> Any:
        def record(address: Any) -> Any:
            self._protocol = build(address)
            return self._protocol

        return record

    def __getattr__(self, name: str) -> Any:
        protocol = self._protocol
        return getattr(protocol if hasattr(protocol, name) else self._socket, name)

    def __setattr__(self, name: str, value: Any) -> None:
        own = self._protocol is None or name in self.__dict__
        object.__setattr__(self if own else self._protocol, name, value)

    # --- as the protocol ---

    def dataReceived(self, data: bytes) -> None:
        """Send lines."""
        *lines, self._half = (self._half + data).split(b"\n")
        frames = (self._frames.send_data(line.removesuffix(b"\r")) for line in lines)
        if lines and not self._closed and not self._lost:
            self._connection.dataReceived(b"".join(frames))

    def connectionLost(self, reason: Any) -> None:
        if not self._lost:
            self._lost = True
            self._connection.connectionLost(reason)

    # --- as the transport ---

    def value(self) -> bytes:
        """The lines received since :meth:`clear`."""
        self._read()
        return self._lines

    def clear(self) -> None:
        self._read()
        self._lines = b""

    @property
    def disconnecting(self) -> bool:
        self._read()
        return self._closed or self._socket.disconnecting

    def _read(self) -> None:
        data = self._socket.value()
        self._socket.clear()
        if not data:
            return
        self._ws.receive_data(data)
        for event in self._ws.events():
            match event:
                case BytesMessage(data=line):
                    self._lines += line + b"\r\n"
                case CloseConnection():
                    self._closed = True
                    if not self._lost:
                        self._connection.dataReceived(self._ws.send(event.response()))
                case AcceptConnection():
                    assert event.subprotocol == "binary.ircv3.net"
                case _:
                    raise AssertionError(event)
