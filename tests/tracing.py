"""Trace of the calls that protocols get on one transport and reactor; run as a child process.

``python tracing.py own|endpoint REACTOR`` plays one script against a real listener and prints the
calls of each protocol in order, as JSON.
"""

from __future__ import annotations

import itertools
import json
import socket
import struct
import sys
import threading
from typing import Any

PATIENCE = 20.0

#: Set when the server has written more than the socket buffers hold.
wrote = threading.Event()


def main(path: str, name: str) -> None:
    from twisted.application.reactors import installReactor

    reactor: Any = installReactor(name)

    from twisted.internet.interfaces import IHalfCloseableProtocol
    from twisted.internet.protocol import Factory, Protocol, connectionDone
    from twisted.python.failure import Failure
    from zope.interface import implementer

    from tcpd.config.listen import Address, EndpointString, Listener
    from tcpd.config.settings import PolicySettings
    from tcpd.net.layer import ConnectionLayer
    from tcpd.net.listener_factory import ListenerFactory
    from tcpd.net.listeners import open_stream
    from tcpd.net.turns import TurnScheduler
    from tcpd.ops.counters import ServiceCounters
    from tcpd.policy.admission import ConnectionCount

    trace: list[list[str]] = []

    @implementer(IHalfCloseableProtocol)
    class Traced(Protocol):
        """Acts on the client's words, and records its calls."""

        transport: Any

        def connectionMade(self) -> None:
            self.calls = ["made"]
            trace.append(self.calls)

        def dataReceived(self, data: bytes) -> None:
            word = data.decode()
            self.calls.append(word)
            if word == "close":
                self.transport.write(b"closing")
                self.transport.loseConnection()
                self.transport.write(b"too late")
                self.calls.append("close returned")
            elif word == "abort":
                self.transport.abortConnection()
                self.calls.append("abort returned")
            elif word == "fail":
                raise ValueError("on request")
            elif word == "produce":
                self.transport.registerProducer(self, True)
                self.transport.write(b"x" * (32 << 20))
                self.calls.append("write returned")
                wrote.set()
            elif word == "late":
                reactor.callLater(0, self.transport.write, b"later")
                self.calls.append("callLater returned")
            else:
                self.transport.write(data)

        def pauseProducing(self) -> None:
            if self.calls[-1] != "pause":
                self.calls.append("pause")

        def resumeProducing(self) -> None:
            self.calls.append("resume")
            self.transport.unregisterProducer()

        def stopProducing(self) -> None:
            self.calls.append("stop")

        def readConnectionLost(self) -> None:
            self.calls.append("half-closed")
            self.transport.write(b"rest")
            self.transport.loseConnection()

        def writeConnectionLost(self) -> None:
            self.calls.append("write-closed")

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            self.calls.append(f"lost: {reason.type.__name__}")

    layer = ConnectionLayer(
        service="traced",
        factory=Factory.forProtocol(Traced),
        policy=PolicySettings(unsent=64 << 20),
        idle=0,
        connection_count=ConnectionCount(100),
        counters=ServiceCounters(),
        clock=reactor,
        ids=itertools.count(1),
    )
    endpoint = EndpointString("tcp:0:interface=127.0.0.1")
    listener = Listener(endpoint if path == "endpoint" else Address("127.0.0.1", 0))
    port: Any = open_stream(reactor, listener, ListenerFactory(layer), {}, TurnScheduler(reactor))
    failures: list[BaseException] = []

    def play() -> None:
        try:
            for scene in SCENES:
                with socket.create_connection(("127.0.0.1", port.getHost().port), PATIENCE) as end:
                    scene(end)
                # the next scene begins when the server has closed the connection
                over = threading.Event()

                def look(over: threading.Event = over) -> None:
                    if layer.connections:
                        reactor.callLater(0.001, look)
                    else:
                        over.set()

                reactor.callFromThread(look)
                assert over.wait(PATIENCE)
        except BaseException as error:
            failures.append(error)
        finally:
            reactor.callFromThread(reactor.stop)

    player = threading.Thread(target=play)
    reactor.callWhenRunning(player.start)
    reactor.run()
    player.join()
    if failures:
        raise failures[0]
    print(json.dumps(trace))


def read_all(client: socket.socket) -> bytes:
    pieces = []
    try:
        while piece := client.recv(1 << 20):
            pieces.append(piece)
    except ConnectionResetError:
        pieces.append(b"(reset)")
    return b"".join(pieces)


def half_close(client: socket.socket) -> None:
    client.sendall(b"hello")
    assert client.recv(100) == b"hello"
    client.shutdown(socket.SHUT_WR)
    assert read_all(client) == b"rest"


def close_by_server(client: socket.socket) -> None:
    client.sendall(b"close")
    assert read_all(client) == b"closing"


def abort_by_server(client: socket.socket) -> None:
    client.sendall(b"abort")
    assert read_all(client) == b"(reset)"


def reset_by_client(client: socket.socket) -> None:
    client.sendall(b"hello")
    assert client.recv(100) == b"hello"
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def failure(client: socket.socket) -> None:
    client.sendall(b"fail")
    read_all(client)


def producer(client: socket.socket) -> None:
    client.sendall(b"produce")
    assert wrote.wait(PATIENCE)
    left = 32 << 20
    while left:
        left -= len(client.recv(1 << 20))
    client.sendall(b"still there")
    assert client.recv(100) == b"still there"
    client.shutdown(socket.SHUT_WR)
    read_all(client)


def later(client: socket.socket) -> None:
    client.sendall(b"late")
    assert client.recv(100) == b"later"
    client.sendall(b"close")
    read_all(client)


SCENES = (half_close, close_by_server, abort_by_server, reset_by_client, failure, producer, later)

if __name__ == "__main__":
    main(*sys.argv[1:])
