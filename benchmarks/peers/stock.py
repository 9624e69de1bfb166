"""Servers as in Twisted's documentation, with half-close and flow control.

``python stock.py echo|line|tls PORT [PEM]``; on Twisted's default reactor.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor as installed
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import PrivateCertificate
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer


class PlainEcho(Protocol):
    """Echo over TLS, which has no half-close in Twisted and its own producer."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


@implementer(IHalfCloseableProtocol)
class Echo(PlainEcho):
    """Echo with half-close and flow control."""

    def connectionMade(self) -> None:
        self.transport.registerProducer(self.transport, True)

    def readConnectionLost(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass


class Line(LineReceiver):
    """The part of the line protocol that the load uses."""

    def connectionMade(self) -> None:
        self.sendLine(b"220 welcome")

    def lineReceived(self, line: bytes) -> None:
        word, _, token = line.partition(b" ")
        if word in (b"PING", b"ping"):
            self.sendLine(b"250 PONG " + token)
        else:
            self.sendLine(b"500 " + word + b" is not a command")


def main(kind: str, port: str, *pem: str) -> None:
    reactor: Any = installed
    factory = Factory.forProtocol({"echo": Echo, "line": Line, "tls": PlainEcho}[kind])
    factory.noisy = False
    if kind == "tls":
        with open(pem[0], "rb") as file:
            options = PrivateCertificate.loadPEM(file.read()).options()
        reactor.listenSSL(int(port), factory, options, backlog=4096, interface="127.0.0.1")
    else:
        reactor.listenTCP(int(port), factory, backlog=4096, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
