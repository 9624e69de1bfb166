"""The socket of a ``udp`` listener: an answer leaves from the address that the client asked.

A socket on every address answers, left to itself, from the address that the kernel prefers on the
way to the client. A client that asked another address of the host drops such an answer. So the
kernel is asked where each datagram was sent to (``IP_PKTINFO``, ip(7); ``IPV6_PKTINFO``, RFC 3542
section 6), and the answer says so in turn.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.net.address import shown, socket_address
from tcpd.net.datagram import Datagrams
from tcpd.net.sockets import IP_PKTINFO, ask_destinations

#: Datagrams taken at one go; more wait for the next turn.
_MOST_DATAGRAMS = 64

#: As many as the kernel keeps by default (net.core.rmem_default), and some.
_MOST_WAITING = 1024

#: Seconds to leave datagrams waiting when there is no memory.
_BREATH = 1.0

#: No UDP datagram is larger (RFC 768: a 16 bit length).
_MAX_DATAGRAM = 65535

_IN_PKTINFO = struct.Struct("=I4s4s")  # interface, local address, destination in the header
_IN6_PKTINFO = struct.Struct("@16sI")  # destination, interface
_ROOM = socket.CMSG_SPACE(_IN_PKTINFO.size) + socket.CMSG_SPACE(_IN6_PKTINFO.size)

Ancillary = list[tuple[int, int, bytes]]


def answer_source(received: Ancillary) -> Ancillary:
    """Say, for ``sendmsg``, where an answer is to leave from.

    :param received: what ``recvmsg`` said of where the question was sent to.
    :return: the same address as the source; nothing where a socket has but one address.
    """
    found: Ancillary = []
    for level, kind, data in received:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) == _IN_PKTINFO.size:
            # for a broadcast the kernel says which of its addresses to use. The way back is the
            # routing table's to choose: no interface
            _, local, _ = _IN_PKTINFO.unpack(data)
            # on a socket for both families IPV6_PKTINFO comes as well, with the broadcast address
            return [(level, kind, _IN_PKTINFO.pack(0, local, bytes(4)))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            if len(data) != _IN6_PKTINFO.size:
                continue
            address, interface = _IN6_PKTINFO.unpack(data)
            if address[0] == 0xFF:  # multicast: no address of ours, but its interface is
                found = [(level, kind, _IN6_PKTINFO.pack(bytes(16), interface))]
            else:
                link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
                index = interface if link_local else 0
                found = [(level, kind, _IN6_PKTINFO.pack(address, index))]
    return found


@implementer(IListeningPort, IReadDescriptor)
class DatagramPort:
    """Receives the datagrams of a listener and sends its answers.

    :param sock: bound and not blocking; it belongs to this object from now on.
    :param server: answers.
    :param reactor: an IReactorFDSet and IReactorTime.
    """

    #: For :class:`tcpd.net.reactor.TcpdReactor`: nothing has to be caught around doRead.
    direct = True

    def __init__(self, sock: socket.socket, server: Datagrams, reactor: Any) -> None:
        self._socket = sock
        self._server = server
        self._reactor = reactor
        self._buffer = bytearray(_MAX_DATAGRAM)
        self._open = False
        self._most = _MOST_DATAGRAMS

    def startListening(self) -> None:
        """Begin to receive."""
        ask_destinations(self._socket)
        self._open = True
        self._server.opened(self._socket.getsockname()[1])
        self._reactor.addReader(self)

    def stopListening(self) -> Deferred[None]:
        """Close the port, at once.

        :return: has fired.
        """
        return maybeDeferred(self._close)

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._reactor.removeReader(self)
            self._socket.close()

    def __repr__(self) -> str:
        where = shown(self.getHost()) if self._open else "closed"
        return f"<{type(self).__name__} {where}>"

    def getHost(self) -> IAddress:
        return socket_address(self._socket.getsockname(), "UDP")

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return self._server.service

    def connectionLost(self, reason: Failure) -> None:
        """The reactor is stopping."""
        self._close()

    def gone(self) -> None:
        """A socket without connections is not lost."""

    def take_waiting(self) -> None:
        """Answer what the kernel has, for a port that is going to be closed."""
        self._most = _MOST_WAITING
        self._answer()

    def doRead(self) -> None:
        """Answer what is there. Never raises, and returns nothing."""
        try:
            self._answer()
        except MemoryError:
            # what waits is there again at once, and would take all the time
            self._reactor.removeReader(self)
            self._reactor.callLater(_BREATH, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._reactor.addReader(self)

    def _answer(self) -> None:
        sock, server, buffer = self._socket, self._server, self._buffer
        into = [buffer]
        for _ in range(self._most):
            try:
                size, ancillary, _, address = sock.recvmsg_into(into, _ROOM)
            except BlockingIOError:
                return
            except OSError:
                continue  # what became of an answer (ICMP), which concerns nobody here
            answer = server.received(bytes(buffer[:size]), address)
            if answer is None:
                continue
            try:
                sock.sendmsg((answer,), answer_source(ancillary), 0, address)
            except OSError:
                # a full buffer, no route, an address that is ours no more, an answer too long:
                # datagrams get lost, and that is no event
                server.unsent()
            else:
                server.sent(len(answer))
