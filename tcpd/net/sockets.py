"""Makes bound and listening sockets, with the options that accepted sockets inherit."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from tcpd.config.listen import Address, UnixSocket
from tcpd.net.private_socket import remove_stale_socket, set_permissions

#: The backlog of listen(2): connections that the kernel queues between two turns of the reactor.
BACKLOG = 1024

#: Linux's number; module socket has it only since Python 3.14.
IP_PKTINFO = 8

# A host that has vanished is detected after 60 + 4 * 15 seconds, which frees its nickname and slot.
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


def _nothing(sock: socket.socket) -> None:
    """Do nothing."""


def listen_address(
    address: Address, before: Callable[[socket.socket], object] = _nothing
) -> socket.socket:
    """Listen on a TCP port.

    ``*`` is one socket for IPv6 and IPv4, or for IPv4 if the system has no IPv6. ``::`` is IPv6
    only.

    :param before: called with the socket before it listens.
    :raise OSError: if a system call fails.
    """

    def prepare(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _set_inherited(sock)

    sock = _bind(address, socket.SOCK_STREAM, prepare)
    try:
        before(sock)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def bind_datagrams(address: Address) -> socket.socket:
    """Bind a socket to a UDP port; parameters and errors are those of :func:`listen_address`.

    Not with SO_REUSEADDR, which would let other processes bind to the port (socket(7)).
    """
    return _bind(address, socket.SOCK_DGRAM, _nothing)


def enable_pktinfo(sock: socket.socket) -> None:
    """Make ``recvmsg`` return the destination address of each datagram.

    Does nothing for a socket that is bound to one address, or if the system cannot.
    """
    host = sock.getsockname()[0]
    if host not in ("0.0.0.0", "::"):
        return
    if sys.platform == "linux":  # the number means another option elsewhere
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)


def listen_unix(address: UnixSocket) -> socket.socket:
    """Listen on a UNIX socket; replaces the file of a daemon that has ended.

    No client can connect before the file has its owner, group and mode.

    :raise OSError: if a system call fails, or another daemon listens there.
    """
    remove_stale_socket(address.path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o777)
        try:
            sock.bind(address.path)
        finally:
            os.umask(before)
        set_permissions(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def adopt(descriptor: int) -> socket.socket:
    """Duplicate the descriptor of a listening stream socket that another process opened.

    :raise OSError: if it is not a stream socket.
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
    address: Address, kind: socket.SocketKind, prepare: Callable[[socket.socket], object]
) -> socket.socket:
    """Make a bound, non-blocking socket."""
    if address.host == "*":
        try:
            return _bind_one(socket.AF_INET6, kind, "::", address.port, prepare, both=True)
        except OSError as error:
            # a kernel without IPv6, or with IPv6 disabled
            if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
        return _bind_one(socket.AF_INET, kind, "0.0.0.0", address.port, prepare)
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return _bind_one(family, kind, address.host, address.port, prepare)


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
    """Convert an address for ``bind``; only getaddrinfo parses the zone of ``fe80::1%eth0``."""
    try:
        return socket.getaddrinfo(host, port, family, kind, 0, socket.AI_NUMERICHOST)[0][4]
    except socket.gaierror as error:
        _, percent, zone = host.partition("%")
        if not percent:
            raise
        raise OSError(errno.ENODEV, f"there is no network interface {zone}") from error


def _set_inherited(sock: socket.socket) -> None:
    """Set the options that accepted sockets inherit (tcp(7)), which saves calls per connection."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
