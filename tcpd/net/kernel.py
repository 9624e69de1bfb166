"""The handshakes that Linux's kernel keeps: asked for in advance, read on demand.

A listening socket is asked to keep the headers of each client's SYN (TCP_SAVE_SYN), which costs the
kernel a copy of about a hundred bytes a connection and this process nothing. What the kernel kept
can be read once (TCP_SAVED_SYN), so it stays with the connection then.

The server's own initial sequence number is a by-product of TCP_REPAIR, the means of moving
connections between machines. On a socket that has been in repair mode and chosen the send queue,
TCP_QUEUE_SEQ returns the number of the next byte to be written. Accepted sockets take that choice
over from the listening one; to choose takes the capability CAP_NET_ADMIN, to read takes none.

All options are those of ``include/uapi/linux/tcp.h``, by number: Python's socket module names only
some of them.
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

#: With the header of the link layer (Linux 5.10), or from IP on (Linux 4.2).
_WITH_LINK, _WITHOUT_LINK = 2, 1

#: More than real headers have: Ethernet with tags 22, IPv6 with extension headers some 100, TCP 60;
#: and the most that Python takes.
_LONGEST_SYN = 1024

#: So much of TCP_INFO is kept from the beginning of a connection: up to both windows, which is all
#: that a handshake settles.
_BEGINNING = 236


@dataclass(frozen=True, slots=True)
class Watch:
    """What the kernel was asked to keep on a listening socket; its connections share it.

    :ivar mode: of TCP_SAVE_SYN: 0, 1, or 2 with the header of the link layer.
    :ivar no_syn: why no SYN is kept; ``None`` if it is.
    :ivar no_isn: why the server's initial sequence number cannot be had; ``None`` if it can.
    :ivar listened: whether clients could connect long before it was asked, as to systemd's socket.
    """

    mode: int = 0
    no_syn: Absence | None = Absence.OFF
    no_isn: NoServerIsn | None = NoServerIsn.OFF
    listened: bool = False


#: Of a listening socket that nothing was asked of.
UNWATCHED = Watch()


class Noted:
    """What was read from one connection's socket and cannot be read again.

    :ivar syn: the saved SYN; empty where the kernel has none, ``None`` where it has not answered.
    :ivar begin: the beginning of TCP_INFO, before a byte went either way; or ``None``.
    :ivar isn: the server's initial sequence number; or ``None``.
    """

    __slots__ = ("begin", "isn", "syn")

    def __init__(self) -> None:
        self.syn: bytes | None = None
        self.begin: bytes | None = None
        self.isn: int | None = None


def note(sock: socket.socket, watch: Watch, *, info: bool, syn: bool) -> Noted | None:
    """Read what is wanted of a socket that nothing was read from or written to.

    :param watch: of its listening socket.
    :param info: read TCP_INFO.
    :param syn: read the saved SYN, for when the connection is over.
    :return: ``None`` for a socket that is not of TCP.
    """
    if sock.family == socket.AF_UNIX:
        return None
    noted = Noted()
    if info:
        with suppress(OSError):
            noted.begin = sock.getsockopt(socket.IPPROTO_TCP, TCP_INFO, _BEGINNING)
    if watch.no_isn is None:
        with suppress(OSError):
            noted.isn = _sequence_number(sock) - 1 & 0xFFFFFFFF
    if syn:
        read_syn(sock, watch, noted)
    return noted


def read_syn(sock: socket.socket, watch: Watch, noted: Noted) -> None:
    """Read the saved SYN, unless that has been done, or there can be none."""
    if noted.syn is None and watch.mode:
        with suppress(OSError):
            noted.syn = sock.getsockopt(socket.IPPROTO_TCP, TCP_SAVED_SYN, _LONGEST_SYN)


class Kernel:
    """Asks the kernel to keep handshakes for reports; one for the daemon.

    What the kernel does not support is logged once, and changes nothing else.

    :param handshake: ``[tcpd] handshake``.
    :param server_isn: ``[tcpd] server_isn``, which means nothing without the former.
    """

    _log = Logger()

    def __init__(self, handshake: bool = True, server_isn: bool = False) -> None:
        self._handshake = handshake
        self._server_isn = handshake and server_isn
        self._told: set[str] = set()
        self._tested: list[NoServerIsn | None] = []

    def watch(self, sock: socket.socket, late: NoServerIsn | None = None) -> Watch:
        """Ask it, for the connections that a socket will accept.

        :param sock: a stream socket that is going to listen, or does.
        :param late: why there is no initial sequence number, if it listens already.
        """
        if sock.family == socket.AF_UNIX:
            return Watch(0, Absence.UNIX, NoServerIsn.UNIX)
        mode, no_syn = self._save_syn(sock)
        listened = mode != 0 and late is NoServerIsn.SYSTEMD
        return Watch(mode, no_syn, self._choose_queue(sock, late), listened)

    def watch_port(self, port: Any, late: NoServerIsn) -> Watch:
        """The same for a port of Twisted's that listens already.

        :param port: has ``fileno()`` if it is a port with a socket.
        """
        try:
            copy = socket.socket(fileno=os.dup(port.fileno()))
        except (AttributeError, TypeError, OSError):
            return Watch(0, Absence.NOT_TCP, NoServerIsn.NOT_TCP)
        with copy:
            return self.watch(copy, late)

    def _save_syn(self, sock: socket.socket) -> tuple[int, Absence | None]:
        if not self._handshake:
            # systemd keeps a socket, and what a daemon before asked of it
            with suppress(OSError):
                _set(sock, TCP_SAVE_SYN, 0)
            return 0, Absence.OFF
        if sys.platform != "linux":  # the numbers mean something else there
            self._tell("saved SYNs (TCP_SAVE_SYN)", "only Linux has them")
            return 0, Absence.NOT_SUPPORTED
        error: OSError | None = None
        for mode in (_WITH_LINK, _WITHOUT_LINK):
            try:
                _set(sock, TCP_SAVE_SYN, mode)
            except OSError as raised:
                error = raised
            else:
                if mode == _WITHOUT_LINK:
                    self._tell("the link layer of saved SYNs (TCP_SAVE_SYN 2)", _why(error))
                return mode, None
        self._tell("saved SYNs (TCP_SAVE_SYN)", _why(error))
        return 0, Absence.NOT_SUPPORTED

    def _choose_queue(self, sock: socket.socket, late: NoServerIsn | None) -> NoServerIsn | None:
        if not self._server_isn:
            return NoServerIsn.OFF
        absence = self._without_isn() or late
        if absence is None:
            try:
                _choose_send_queue(sock)
            except OSError as error:
                absence = _absence(error)
        if absence is not None:
            self._tell("the server's initial sequence number (TCP_REPAIR)", absence.why)
        return absence

    def _without_isn(self) -> NoServerIsn | None:
        """Why no listening socket at all can have it; found out once, by trying."""
        if not self._tested:
            self._tested.append(self_test())
        return self._tested[0]

    def _tell(self, what: str, why: str) -> None:
        if what not in self._told:
            self._told.add(what)
            catalogue.KERNEL_WITHOUT.emit(self._log, what=what, why=why)


def self_test() -> NoServerIsn | None:
    """Read an initial sequence number, and compare it with what the other end has seen.

    :return: why it cannot be had; ``None`` if it can.
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
    # the end of repair mode takes this away
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)


@contextmanager
def _repaired(sock: socket.socket) -> Iterator[None]:
    _set(sock, TCP_REPAIR, _REPAIR)
    try:
        yield
    finally:
        _set(sock, TCP_REPAIR, _REPAIRED)


def _sequence_number(sock: socket.socket) -> int:
    """The next of the queue that was chosen; unsigned, 32 bits."""
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
    return (error.strerror or str(error)) if error is not None else "it is not there"
