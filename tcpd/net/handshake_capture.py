"""Capture of TCP handshakes by the Linux kernel: enabled on listening sockets, read on demand.

With TCP_SAVE_SYN on a listening socket, the kernel keeps the headers of each client's SYN, about a
hundred bytes a connection. They can be read once (TCP_SAVED_SYN); the connection keeps the result.

The server's initial sequence number is a by-product of TCP_REPAIR, which exists to migrate
connections. After a socket has selected the send queue in repair mode, TCP_QUEUE_SEQ returns the
sequence number of the next byte to be written. Accepted sockets inherit the selection from the
listening socket. Selecting requires CAP_NET_ADMIN; reading requires no capability.

The options are numbers of ``include/uapi/linux/tcp.h``: Python's socket module names only some.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger

from tcpd.handshake.facts import Absence, NoServerIsn
from tcpd.ops import catalogue

TCP_REPAIR = 19
TCP_REPAIR_QUEUE = 20
TCP_QUEUE_SEQ = 21
TCP_INFO = 11
TCP_SAVE_SYN = 27
TCP_SAVED_SYN = 28

_RECEIVED, _SENT = 1, 2  # TCP_REPAIR_QUEUE
_REPAIR, _REPAIRED = 1, -1  # TCP_REPAIR; the latter sends no window probe

#: TCP_SAVE_SYN with the link-layer header (Linux 5.10), or from the IP header on (Linux 4.2).
_WITH_LINK, _WITHOUT_LINK = 2, 1

#: Bytes; the maximum of Python's getsockopt. Real headers have fewer: Ethernet with tags 22, IPv6
#: with extension headers some 100, TCP 60.
_MAX_SYN = 1024

#: Bytes of TCP_INFO kept from the start of a connection: all that the handshake determines.
_INFO_SIZE = 236


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """The capture settings of a listening socket; its connections share the object.

    :ivar mode: the value of TCP_SAVE_SYN: 0, 1, or 2 with the link-layer header.
    :ivar no_syn: why SYNs are not saved; ``None`` if they are.
    :ivar no_isn: why the server's initial sequence number is not available; ``None`` if it is.
    :ivar listened: whether the socket listened before tcpd started, as a socket of systemd does.
    :ivar isn_of_all: whether the number is read for all services, not only for those that show
        handshakes.
    """

    mode: int = 0
    no_syn: Absence | None = Absence.OFF
    no_isn: NoServerIsn | None = NoServerIsn.OFF
    listened: bool = False
    isn_of_all: bool = False


#: The options of a listening socket without capture.
NOT_CAPTURED = CaptureOptions()


class CapturedHandshake:
    """The values read from a connection's socket that cannot be read again.

    :ivar syn: the saved SYN; empty if the kernel has none, ``None`` if it was not read.
    :ivar begin: the first bytes of TCP_INFO, from before any payload; or ``None``.
    :ivar isn: the server's initial sequence number; or ``None``.
    """

    __slots__ = ("begin", "isn", "syn")

    def __init__(self) -> None:
        self.syn: bytes | None = None
        self.begin: bytes | None = None
        self.isn: int | None = None


def read_handshake(
    sock: socket.socket, capture: CaptureOptions, *, info: bool, syn: bool
) -> CapturedHandshake | None:
    """Read the handshake of an accepted socket. Called before any payload is read or written.

    :param capture: the capture of its listening socket.
    :param info: read TCP_INFO.
    :param syn: read the saved SYN, for the access log.
    :return: ``None`` for a UNIX socket.
    """
    if sock.family == socket.AF_UNIX:
        return None
    captured = CapturedHandshake()
    if info:
        with suppress(OSError):
            captured.begin = sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, _INFO_SIZE)
    if capture.no_isn is None:
        with suppress(OSError):
            captured.isn = _sequence_number(sock) - 1 & 0xFFFFFFFF
    if syn:
        read_syn(sock, capture, captured)
    return captured


def read_syn(sock: socket.socket, capture: CaptureOptions, captured: CapturedHandshake) -> None:
    """Read the saved SYN, unless it was read before or is not saved."""
    if captured.syn is None and capture.mode:
        with suppress(OSError):
            captured.syn = sock.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, _MAX_SYN)


class HandshakeCapture:
    """Enables the capture of handshakes on listening sockets; the daemon has one.

    Unsupported features are logged once; the sockets listen regardless.

    :param handshake: ``[tcpd] handshake``.
    :param server_isn: ``[tcpd] server_isn``; ``None``: if available, without a warning if not, and
        only for services that show handshakes. Without effect if ``handshake`` is false.
    """

    _log = Logger()

    def __init__(self, handshake: bool = True, server_isn: bool | None = False) -> None:
        self._handshake = handshake
        self._server_isn = server_isn if handshake else False
        self._logged: set[str] = set()
        self._tested: list[NoServerIsn | None] = []

    def enable(self, sock: socket.socket, late: NoServerIsn | None = None) -> CaptureOptions:
        """Enable the capture for the connections that a socket will accept.

        :param sock: a stream socket, before or after ``listen``.
        :param late: if it listens already: why there is no initial sequence number.
        """
        if sock.family == socket.AF_UNIX:
            return CaptureOptions(0, Absence.UNIX, NoServerIsn.UNIX)
        mode, no_syn = self._save_syn(sock)
        listened = mode != 0 and late is NoServerIsn.SYSTEMD
        no_isn = self._choose_queue(sock, late)
        return CaptureOptions(mode, no_syn, no_isn, listened, self._server_isn is True)

    def enable_on_port(self, port: Any, late: NoServerIsn) -> CaptureOptions:
        """Enable the capture on a Twisted port that listens already.

        :param port: an IListeningPort, with ``fileno()`` if it has a socket.
        """
        try:
            copy = socket.socket(fileno=os.dup(port.fileno()))
        except (AttributeError, TypeError, OSError):
            return CaptureOptions(0, Absence.NOT_TCP, NoServerIsn.NOT_TCP)
        with copy:
            return self.enable(copy, late)

    def _save_syn(self, sock: socket.socket) -> tuple[int, Absence | None]:
        if not self._handshake:
            # a socket from systemd keeps the options of the last daemon
            with suppress(OSError):
                _set(sock, TCP_SAVE_SYN, 0)
            return 0, Absence.OFF
        if sys.platform != "linux":  # the numbers mean other options elsewhere
            self._log_absence("saved SYNs (TCP_SAVE_SYN)", "only Linux has them")
            return 0, Absence.NOT_SUPPORTED
        error: OSError | None = None
        for mode in (_WITH_LINK, _WITHOUT_LINK):
            try:
                _set(sock, TCP_SAVE_SYN, mode)
            except OSError as raised:
                error = raised
            else:
                if mode == _WITHOUT_LINK:
                    self._log_absence("the link layer of saved SYNs (TCP_SAVE_SYN 2)", _why(error))
                return mode, None
        self._log_absence("saved SYNs (TCP_SAVE_SYN)", _why(error))
        return 0, Absence.NOT_SUPPORTED

    def _choose_queue(self, sock: socket.socket, late: NoServerIsn | None) -> NoServerIsn | None:
        if self._server_isn is False:
            return NoServerIsn.OFF
        absence = self._without_isn() or late
        if absence is None:
            try:
                _choose_send_queue(sock)
            except OSError as error:
                absence = _absence(error)
        if absence is not None and self._server_isn:
            self._log_absence("the server's initial sequence number (TCP_REPAIR)", absence.why)
        return absence

    def _without_isn(self) -> NoServerIsn | None:
        """Return the result of the self-test, which runs once."""
        if not self._tested:
            self._tested.append(self_test())
        return self._tested[0]

    def _log_absence(self, what: str, why: str) -> None:
        if what not in self._logged:
            self._logged.add(what)
            catalogue.KERNEL_WITHOUT.emit(self._log, what=what, why=why)


def self_test() -> NoServerIsn | None:
    """Read the initial sequence number of a loopback connection and compare it with the peer's.

    :return: why it is not available; ``None`` if it is.
    """
    if sys.platform != "linux":
        return NoServerIsn.NOT_SUPPORTED
    try:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            _choose_send_queue(listening)
            listening.listen(1)
            with closing(socket.create_connection(listening.getsockname(), 1.0)) as client:
                listening.settimeout(1.0)
                accepted, _ = listening.accept()
                with accepted, _repaired(client):
                    _set(client, TCP_REPAIR_QUEUE, _RECEIVED)
                    same = _sequence_number(client) == _sequence_number(accepted)
    except OSError as error:
        return _absence(error)
    return None if same else NoServerIsn.FAILED


def _choose_send_queue(sock: socket.socket) -> None:
    reuse = sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    with _repaired(sock):
        _set(sock, TCP_REPAIR_QUEUE, _SENT)
    # the end of repair mode clears the option
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)


@contextmanager
def _repaired(sock: socket.socket) -> Iterator[None]:
    _set(sock, TCP_REPAIR, _REPAIR)
    try:
        yield
    finally:
        _set(sock, TCP_REPAIR, _REPAIRED)


def _sequence_number(sock: socket.socket) -> int:
    """Return the next sequence number of the selected queue, an unsigned 32-bit integer."""
    return sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xFFFFFFFF


def _set(sock: socket.socket, option: int, value: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _absence(error: OSError) -> NoServerIsn:
    if error.errno in (errno.EPERM, errno.EACCES):
        return NoServerIsn.NO_CAPABILITY
    if error.errno in (errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EINVAL):
        return NoServerIsn.NOT_SUPPORTED
    return NoServerIsn.FAILED


def _why(error: OSError | None) -> str:
    return (error.strerror or str(error)) if error is not None else "not available"
