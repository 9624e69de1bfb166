"""Listening sockets of our own, with the options that the sockets they accept inherit."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from tcpd.config.listen import Address, UnixSocket
from tcpd.net.private_socket import clear, give

#: Connections that the kernel may hold for us between two turns of the reactor.
BACKLOG = 1024

# A client that has vanished is found out after 60 + 4 * 15 seconds: a nickname in the chat is
# free again, and a place under a limit.
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


def _nothing(sock: socket.socket) -> None:
    """Ask nothing more of a socket."""


def listen_address(
    place: Address, before: Callable[[socket.socket], object] = _nothing
) -> socket.socket:
    """Listen on a TCP port.

    ``*`` is one socket for IPv6 and IPv4, or IPv4 alone where the system has no IPv6.

    :param before: called with the socket before it listens.
    :raise OSError: if it cannot be.
    """
    if place.host != "*":
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        return _listen(family, place.host, place.port, before)
    try:
        return _listen(socket.AF_INET6, "::", place.port, before)
    except OSError as error:
        if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    return _listen(socket.AF_INET, "0.0.0.0", place.port, before)


def listen_unix(place: UnixSocket) -> socket.socket:
    """Listen on a UNIX socket; one that a dead daemon left behind is replaced.

    It is closed to everybody until it has its owner, its group and its permissions.

    :raise OSError: if it cannot be.
    """
    clear(place.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o777)
        try:
            sock.bind(place.path)
        finally:
            os.umask(before)
        give(place)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def adopt(descriptor: int) -> socket.socket:
    """Make a copy of a listening stream socket that somebody else opened.

    :raise OSError: if it is none.
    """
    sock = socket.socket(fileno=os.dup(descriptor))
    if sock.type != socket.SOCK_STREAM:
        sock.close()
        raise OSError("it is not a stream socket")
    sock.setblocking(False)
    if sock.family != socket.AF_UNIX:
        _set_inherited(sock)
    return sock


def _listen(
    family: socket.AddressFamily,
    host: str,
    port: int,
    before: Callable[[socket.socket], object],
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        _set_inherited(sock)
        # only getaddrinfo understands the zone of a link-local address
        found = socket.getaddrinfo(host, port, family, sock.type, 0, socket.AI_NUMERICHOST)
        sock.bind(found[0][4])
        before(sock)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _set_inherited(sock: socket.socket) -> None:
    """Options that accepted sockets take over (tcp(7)), so that none of them costs a call."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
