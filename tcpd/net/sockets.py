"""Listening sockets of our own, with the options that the sockets they accept inherit."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from tcpd.config.listen import Address, UnixSocket
from tcpd.net.private_socket import clear, give

#: Connections that the kernel may hold for us between two turns of the reactor.
BACKLOG = 1024

#: Linux's number, which module socket has since Python 3.14 only.
IP_PKTINFO = 8

# A client that has vanished is found out after 60 + 4 * 15 seconds: a nickname in the chat is
# free again, and a place under a limit.
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


def _nothing(sock: socket.socket) -> None:
    """Ask nothing more of a socket."""


def listen_address(
    place: Address, before: Callable[[socket.socket], object] = _nothing
) -> socket.socket:
    """Listen on a TCP port.

    ``*`` is one socket for IPv6 and IPv4, or IPv4 alone where the system has no IPv6. ``::`` is
    IPv6 alone.

    :param before: called with the socket before it listens.
    :raise OSError: if it cannot be.
    """

    def prepare(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _set_inherited(sock)

    sock = _bind(place, socket.SOCK_STREAM, prepare)
    try:
        before(sock)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def bind_datagrams(place: Address) -> socket.socket:
    """Bind a socket to a UDP port; parameters and errors as :func:`listen_address` has them.

    Without SO_REUSEADDR, which would let others have the port as well (socket(7)).
    """
    return _bind(place, socket.SOCK_DGRAM, _nothing)


def ask_destinations(sock: socket.socket) -> None:
    """Have the kernel say of each datagram where it was sent to; see :func:`recvmsg`.

    Nothing is asked of a socket that has but one address, nor where the system cannot tell.
    """
    host = sock.getsockname()[0]
    if host not in ("0.0.0.0", "::"):
        return
    if sys.platform == "linux":  # the number means something else elsewhere
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)


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


def _bind(
    place: Address, kind: socket.SocketKind, prepare: Callable[[socket.socket], object]
) -> socket.socket:
    """Make a socket that is bound to a place and does not block."""
    if place.host == "*":
        try:
            return _bind_one(socket.AF_INET6, kind, "::", place.port, prepare, both=True)
        except OSError as error:
            # a kernel that does not know IPv6, or has no address of it
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
        return _bind_one(socket.AF_INET, kind, "0.0.0.0", place.port, prepare)
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    return _bind_one(family, kind, place.host, place.port, prepare)


def _bind_one(
    family: socket.AddressFamily,
    kind: socket.SocketKind,
    host: str,
    port: int,
    prepare: Callable[[socket.socket], object],
    both: bool = False,
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        prepare(sock)
        sock.bind(_numeric(family, kind, host, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _numeric(
    family: socket.AddressFamily, kind: socket.SocketKind, host: str, port: int
) -> tuple[Any, ...]:
    """An address as sockets take it; only getaddrinfo understands the zone of a link-local one."""
    try:
        return socket.getaddrinfo(host, port, family, kind, 0, socket.AI_NUMERICHOST)[0][4]
    except socket.gaierror as error:
        _, percent, zone = host.partition("%")
        if not percent:
            raise
        raise OSError(errno.ENODEV, f"there is no network interface {zone}") from error


def _set_inherited(sock: socket.socket) -> None:
    """Options that accepted sockets take over (tcp(7)), so that none of them costs a call."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
