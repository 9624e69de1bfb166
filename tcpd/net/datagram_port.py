"""The socket of a ``udp`` listener: the source of a reply is the destination of the request.

On a socket bound to all addresses, the kernel would choose the source address by the route to the
client. A client that sent to another address of the host would drop the reply. So the port reads
the destination of each datagram (``IP_PKTINFO``, ip(7); ``IPV6_PKTINFO``, RFC 3542 section 6) and
sets it as the source of the reply.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from zope.interface import implementer

from tcpd.net.datagram import Datagrams
from tcpd.net.listening_port import ListeningPort
from tcpd.net.sockets import IP_PKTINFO, enable_pktinfo

#: Datagrams read in one turn of the reactor.
_MAX_DATAGRAMS = 64

#: Datagrams read before the port closes: more than net.core.rmem_default holds.
_MAX_QUEUED = 1024

#: The largest UDP datagram (RFC 768: a 16 bit length).
_MAX_DATAGRAM = 65535

_IN_PKTINFO = struct.Struct("=I4s4s")  # interface, local address, destination in the header
_IN6_PKTINFO = struct.Struct("@16sI")  # destination, interface
_ANCILLARY_SIZE = socket.CMSG_SPACE(_IN_PKTINFO.size) + socket.CMSG_SPACE(_IN6_PKTINFO.size)

Ancillary = list[tuple[int, int, bytes]]


def reply_source(received: Ancillary) -> Ancillary:
    """Make the ancillary data for ``sendmsg`` that sets the source address of a reply.

    :param received: the ancillary data of the request, from ``recvmsg``.
    :return: empty for a socket that is bound to one address.
    """
    found: Ancillary = []
    for level, kind, data in received:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) == _IN_PKTINFO.size:
            # ipi_spec_dst is a local address even for a broadcast; no interface: let routing choose
            _, local, _ = _IN_PKTINFO.unpack(data)
            # a dual-stack socket has IPV6_PKTINFO too, with the broadcast address: ignored
            return [(level, kind, _IN_PKTINFO.pack(0, local, bytes(4)))]
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            if len(data) != _IN6_PKTINFO.size:
                continue
            address, interface = _IN6_PKTINFO.unpack(data)
            if address[0] == 0xFF:  # multicast is no source address; keep the interface
                found = [(level, kind, _IN6_PKTINFO.pack(bytes(16), interface))]
            else:
                link_local = address[0] == 0xFE and address[1] & 0xC0 == 0x80
                index = interface if link_local else 0
                found = [(level, kind, _IN6_PKTINFO.pack(address, index))]
    return found


@implementer(IListeningPort, IReadDescriptor)
class DatagramPort(ListeningPort):
    """Receives the datagrams of a listener and sends the replies.

    :param sock: bound and non-blocking; this object closes it.
    :param server: makes the replies.
    :param reactor: an IReactorFDSet and IReactorTime.
    """

    _kind = "UDP"

    def __init__(self, sock: socket.socket, server: Datagrams, reactor: Any) -> None:
        super().__init__(sock, reactor)
        self._server = server
        self._buffer = bytearray(_MAX_DATAGRAM)
        self._max_datagrams = _MAX_DATAGRAMS

    def startListening(self) -> None:
        """Start receiving."""
        enable_pktinfo(self._socket)
        self._open = True
        self._server.opened(self._socket.getsockname()[1])
        self._reactor.addReader(self)

    def logPrefix(self) -> str:
        return self._server.service

    def drain_queue(self) -> None:
        """Answer all datagrams that the kernel has queued. Called before the port closes."""
        self._max_datagrams = _MAX_QUEUED
        self._answer()

    def doRead(self) -> None:
        """Answer datagrams. Never raises."""
        try:
            self._answer()
        except MemoryError:
            self._pause()

    def _answer(self) -> None:
        sock, server, buffer = self._socket, self._server, self._buffer
        into = [buffer]
        for _ in range(self._max_datagrams):
            try:
                size, ancillary, _, address = sock.recvmsg_into(into, _ANCILLARY_SIZE)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about an earlier reply
            reply = server.received(bytes(buffer[:size]), address)
            if reply is None:
                continue
            try:
                sock.sendmsg((reply,), reply_source(ancillary), 0, address)
            except OSError:
                # full buffer, no route, address removed, reply too long: UDP may lose datagrams
                server.unsent()
            else:
                server.sent(len(reply))
