"""What carries the lines of a client: TCP, or WebSocket through tcpd's own connection layer."""

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

#: Marks a test that cannot run over WebSocket. Takes the reason in a sentence.
over_tcp = pytest.mark.over_tcp

#: What carries lines: "tcp" or "websocket"; see the fixture ``carrier`` in conftest.py.
kind = "tcp"

CLIENT = IPv4Address("TCP", "127.0.0.1", 4711)


@implementer(IWebSocketFactory)
class TextOverWebSocket(TextFactory):
    """The text frontend, reached by WebSocket. No kind of tcpd's own offers it."""

    websocket = WebSocketOptions(longest=65536, subprotocols=IRCV3, ping=0.0)


def connect(factory: Any, clock: IReactorTime) -> tuple[Any, Any]:
    """Connect a client to a frontend.

    :return: the protocol, which takes what the client sends, and the transport, which has what the
        client is sent. By WebSocket both are a :class:`Browser`, which looks the same.
    """
    if kind == "websocket":
        browser = Browser(factory, clock)
        return browser, browser
    protocol = factory.buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    return protocol, transport


class Browser:
    """A WebSocket client. It sends each line as a message, and has each message as a line.

    It stands for the protocol and its transport: attributes that it has not are the protocol's, or
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
        self._below = StringTransport(peerAddress=CLIENT)
        self._connection: Any = ListenerFactory(
            layer, ListenerOptions(websocket=True)
        ).buildProtocol(CLIENT)
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._frames = FrameProtocol(client=True, extensions=[])
        self._half = b""
        self._lines = b""
        self._closed = self._lost = False
        self._connection.makeConnection(self._below)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(factory, "buildProtocol", self._built(factory.buildProtocol))
            request = Request("chat.example", "/", subprotocols=["binary.ircv3.net"])
            self._connection.dataReceived(self._ws.send(request))
        self._read()
        assert self._protocol is not None

    def _built(self, build: Any) -> Any:
        def note(address: Any) -> Any:
            self._protocol = build(address)
            return self._protocol

        return note

    def __getattr__(self, name: str) -> Any:
        protocol = self._protocol
        return getattr(protocol if hasattr(protocol, name) else self._below, name)

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
        """The lines that came and were not cleared."""
        self._read()
        return self._lines

    def clear(self) -> None:
        self._read()
        self._lines = b""

    @property
    def disconnecting(self) -> bool:
        self._read()
        return self._closed or self._below.disconnecting

    def _read(self) -> None:
        data = self._below.value()
        self._below.clear()
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
