"""TLS between a connection and its protocol, on pyOpenSSL's memory BIOs.

docs/decisions/0007 says why it is not Twisted's. The layer finds the end of a record from its
header (RFC 8446 section 5.1), which saves calls of OpenSSL. What a protocol writes in its
``dataReceived`` is passed to the connection below in one piece.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    INegotiated,
    IPushProducer,
    ISSLTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.handshake.client_hello import MAX_CLIENT_HELLO, wire_size
from tcpd.net.stage import BottomTransport, StackedTransport
from tcpd.net.tls_faults import TLSFault, handshake_fault, reasons_of
from tcpd.policy.workqueue import WorkQueue, share_of

#: The maximum plaintext of a record, in bytes (RFC 8446 section 5.1).
_RECORD = 1 << 14

#: Bytes to read from the output BIO in one call. A handshake has less, unless the chain is long.
_READ = 1 << 16
_HANDSHAKE = 1 << 12

#: An upper bound of the size of header, padding and tag of a record.
_OVERHEAD = 256

#: Received bytes that are decrypted at once. More go through the work queue, as handshakes do.
_PIECE = 1 << 16

_HEADER = 5
_HANDSHAKE_RECORD = 22
_APPLICATION_DATA = 23

#: The major version in the header of each record.
_MAJOR = b"\x03"


class TLSOwner(Protocol):
    """The owner of a :class:`TLSLayer`, which calls it back."""

    def secured(self) -> None:
        """Called when the handshake is complete."""

    def input_ended(self) -> None:
        """Called when the peer has ended its direction by close_notify."""

    def truncated(self) -> None:
        """Called when the peer has closed its sending side without close_notify."""

    def receive_failed(self) -> None:
        """Called while an exception from the processing of input is handled."""


@implementer(ISSLTransport, INegotiated, IConsumer, IPushProducer)
class TLSLayer(StackedTransport):
    """TLS on one connection, as server or client. It is the transport of its protocol.

    Each direction ends separately (RFC 8446 section 6.1). After the peer's close_notify, a protocol
    that provides ``IHalfCloseableProtocol`` may continue to write; another is closed.
    :meth:`loseWriteConnection` ends our direction. If the connection ends without the peer's
    close_notify, the stream may have been truncated by an attacker. The protocol's
    ``connectionLost`` then gets a ``ConnectionLost``, as after a reset.

    OpenSSL's connection takes 20 to 60 KB, so it is made only when the first record is complete.

    :param connection: the transport below.
    :param make: makes OpenSSL's connection, of either side. Called at the first record, or by
        :meth:`begin`.
    :param owner: is called back. A failure closes the connection; :attr:`fault` and :attr:`error`
        have the reason.
    :param queue: the work queue, for handshakes, which take a millisecond, and large input. Clients
        share it by the ``address`` of the connection. ``None``: all is processed at once.
    :param keep_hello: keep the client's first message, for reports.

    :ivar client_hello: the ClientHello in its records, as received; empty if it is not kept, not
        complete, or longer than 16 KiB.
    :ivar protocol: the protocol above; ``None`` until the handshake is complete, except after
        STARTTLS.
    """

    __slots__ = (
        "_backlog",
        "_beginning",
        "_bio_read",
        "_bio_write",
        "_direct",
        "_early",
        "_ended",
        "_first",
        "_header",
        "_ignoring",
        "_input_over",
        "_keeping",
        "_make",
        "_open",
        "_over",
        "_owner",
        "_paused",
        "_queue",
        "_reason",
        "_recv",
        "_rest",
        "_send",
        "_tls",
        "_within",
        "_write_over",
        "_written",
        "client_hello",
    )

    _bio_read: Callable[[int], bytes]
    _bio_write: Callable[[bytes], int]
    _recv: Callable[..., bytes]
    _send: Callable[[bytes | memoryview], int]
    _tls: SSL.Connection

    def __init__(
        self,
        connection: BottomTransport,
        make: Callable[[], SSL.Connection],
        owner: TLSOwner,
        queue: WorkQueue | None = None,
        keep_hello: bool = False,
    ) -> None:
        super().__init__(connection, connection)
        self.client_hello = b""
        self._keeping = keep_hello
        self._owner = owner
        self._queue = queue
        self._beginning = False  # a client's handshake waits for the queue
        self._backlog: list[bytes] = []  # input that waits for the queue, the oldest last
        self._direct = False  # the queue calls within dataReceived or begin
        self._ended = False  # the peer closed its sending side after the backlog
        self._paused = False  # by the protocol
        self._make: Callable[[], SSL.Connection] | None = make  # None once called
        self._first = b""  # the incomplete first record
        self._early: list[bytes] = []  # written before the handshake is complete
        self._open = False  # the handshake is complete
        self._over = False  # the connection is closing or has ended
        self._input_over = False  # the peer has ended its direction
        self._ignoring = True  # input does not go to OpenSSL: not yet, or no longer
        self._write_over = False  # close_notify was sent, or follows the handshake
        self._reason: Failure | None = None
        self._rest = 0  # bytes missing from the last record
        self._header = b""  # the incomplete header of the next record
        self._within = False  # dataReceived of the protocol runs
        self._written = 0  # about how many bytes on the wire it has written

    def begin(self) -> None:
        """Start the handshake as client, when the queue has time for it."""
        self._beginning = True
        if self._queue is None:
            self._begin()
        else:
            self._run(self._queue)

    def _begin(self) -> None:
        self._beginning = False
        self._make_tls()
        self._do_handshake()

    def _run(self, queue: WorkQueue) -> None:
        self._direct = True
        try:
            queue.run(self)
        finally:
            self._direct = False

    # --- called by the connection below ---

    def dataReceived(self, data: bytes) -> None:
        """Process input from the wire, at once or through the queue."""
        queue = self._queue
        if queue is None or (self._open and len(data) <= _PIECE and not self._backlog):
            self._receive(data)
            return
        waits = bool(self._backlog)
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
        self._backlog = [*reversed(pieces), *self._backlog]
        if waits:
            return  # the queue has this source already
        self._run(queue)
        if self._backlog:
            self._below.pauseProducing()

    @property
    def share(self) -> Hashable:
        """See :class:`tcpd.policy.workqueue.WorkSource`."""
        return share_of(getattr(self._connection, "address", None), self)

    def work(self, deadline: float) -> bool:
        """See :class:`tcpd.policy.workqueue.WorkSource`: process the backlog."""
        assert self._queue is not None
        try:
            if self._beginning:
                self._begin()
            while self._backlog:
                self._receive(self._backlog.pop())
                if self._backlog and self._queue.now() >= deadline:
                    return True
            if self._ended:
                self.read_ended()
        except Exception:
            self._backlog = []
            if self._direct:
                raise  # to the connection below
            self._owner.receive_failed()
            return False
        if not self._direct and not self._paused:
            self._below.resumeProducing()
        return False

    def pauseProducing(self) -> None:
        self._paused = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._paused = False
        if not self._backlog:
            super().resumeProducing()

    def _receive(self, data: bytes) -> None:
        if self._ignoring:
            # data after close_notify "MUST be ignored" (RFC 8446 section 6.1)
            if self._make is None or self._over:
                return
            self._first = data = self._first + data
            if not _first_record_complete(data):
                return
            self._first = b""
            self._make_tls()
        # most input is exactly one record of application data: then no second recv is needed, and
        # its buffer can be small
        size = len(data)
        whole = (
            self._rest == 0
            and size > _HEADER
            and data[0] == _APPLICATION_DATA
            and (data[3] << 8 | data[4]) == size - _HEADER
            and not self._header
        )
        may_reply = False
        if not whole:
            # in TLS 1.2 OpenSSL may reply to other records, such as to refuse a renegotiation
            may_reply = self._rest == 0 and not self._header and data[0] != _APPLICATION_DATA
            self._track_records(data)
            size = _RECORD  # recv returns at most one record
        self._bio_write(data)
        if not self._open:
            if self._keeping:
                self._keep(data)
            self._do_handshake()
            if not self._open:
                return
        self._within = True
        try:
            while not self._ignoring:
                try:
                    text = self._recv(size)
                except SSL.Error as error:
                    self._recv_failed(error)
                    break
                if not self.disconnecting:
                    self.protocol.dataReceived(text)
                if whole:
                    break
        finally:
            self._within = False
            if self._written:
                self._flush_written()
            elif may_reply and not self._over:
                self._flush(_OVERHEAD)

    def _keep(self, data: bytes) -> None:
        """Add input to :attr:`client_hello`, and remove what follows the ClientHello."""
        self.client_hello = hello = self.client_hello + data
        size = wire_size(hello)
        if size is None and len(hello) <= MAX_CLIENT_HELLO:
            return
        self._keeping = False
        self.client_hello = hello[:size] if size and size <= MAX_CLIENT_HELLO else b""

    def read_ended(self) -> bool:
        """Handle the end of the connection's input, with or without close_notify before."""
        if self._backlog:
            self._ended = True
            return True
        if self._input_over and not self._over:
            return True  # after close_notify the peer may still read
        if self._open and not (self._over or self.disconnecting):
            self._reason = Failure(ConnectionLost("TLS ended without close_notify"))
            self._owner.truncated()
        self._over = self._ignoring = True
        self._connection.loseConnection()
        return True

    def write_ended(self) -> None:
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.writeConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        """Clean up and call the protocol's ``connectionLost``."""
        self._over = self._ignoring = True
        self._backlog = []
        if self._queue is not None:
            self._queue.remove(self)
        # breaks reference cycles: the frames of a failure have this layer
        protocol, self.protocol = self.protocol, None
        own, self._reason = self._reason, None
        if protocol is not None:
            protocol.connectionLost(own or reason)

    @property
    def fault(self) -> TLSFault:
        """Why the handshake failed. Not after :meth:`connectionLost`."""
        error = self._reason.value if self._reason else None
        return handshake_fault(error, self._tls if self._make is None else None)

    @property
    def error(self) -> str:
        """OpenSSL's reason why TLS failed; ``""`` for none. Not after :meth:`connectionLost`."""
        return ", ".join(reasons_of(self._reason.value if self._reason else None))

    @property
    def close_notify_sent(self) -> bool:
        """Whether close_notify was sent. Not after :meth:`connectionLost`."""
        return self._open and bool(self._tls.get_shutdown() & SSL.SENT_SHUTDOWN)

    def has_input(self) -> bool:
        """Whether input for the protocol arrived together with the end of the handshake."""
        try:
            return bool(self._tls.recv(1, socket.MSG_PEEK))
        except SSL.Error:
            return False

    def _make_tls(self) -> None:
        """Make OpenSSL's connection."""
        assert self._make is not None
        self._tls = tls = self._make()
        self._make = None
        self._ignoring = False
        # attribute lookup on pyOpenSSL's objects is slow (__getattr__)
        self._bio_read = tls.bio_read
        self._bio_write = tls.bio_write
        self._recv = tls.recv
        self._send = tls.send

    def _do_handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush(_HANDSHAKE)
        except SSL.Error:
            self._fail()
        else:
            self._open = True
            self._flush(_HANDSHAKE)
            # write the early data, and then execute the close that was requested after it
            closing, self.disconnecting = self.disconnecting, False
            early, self._early = self._early, []
            ending, self._write_over = self._write_over, False
            for data in early:
                self.write(data)
            self.disconnecting = closing
            self._owner.secured()
            if closing and not self._over:
                self._close()
            elif ending:
                self.loseWriteConnection()

    def _track_records(self, data: bytes) -> None:
        """Find where the next record begins, for data that is not exactly one record."""
        at = self._rest
        if self._header:  # the header was split
            data = self._header + data
            self._header = b""
        size = len(data)
        while at + _HEADER <= size:
            at += _HEADER + (data[at + 3] << 8 | data[at + 4])
        if at < size:
            self._header = data[at:]
            at = size
        self._rest = at - size

    def _recv_failed(self, error: SSL.Error) -> None:
        """Handle an error of ``recv``. Called in its except clause."""
        if isinstance(error, SSL.WantReadError):
            return
        if isinstance(error, SSL.ZeroReturnError):
            self._input_ended()
        else:
            self._fail()

    def _input_ended(self) -> None:
        """Handle the peer's close_notify (RFC 8446 section 6.1)."""
        self._ignoring = self._input_over = True
        self._owner.input_ended()
        if self.disconnecting:  # ours was sent
            self._over = True
            self._connection.loseConnection()
        elif IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self.loseConnection()

    def _fail(self) -> None:
        """Keep the error for the protocol, send OpenSSL's alert, and close."""
        self._over = self._ignoring = True
        self._reason = self._reason or _failure()
        self._flush()
        self._connection.loseConnection()

    # --- called by the protocol ---

    def write(self, data: bytes) -> None:
        if self.disconnecting or self._over or self._write_over or not data:
            return
        if not self._open:
            self._early.append(bytes(data))
            return
        size = len(data)
        try:
            if size <= _RECORD:
                self._send(data)
            else:
                self._send_records(data)
        except SSL.Error:
            self._fail()
            return
        if self._within:
            self._written += size + _OVERHEAD
        else:
            self._flush(size + _OVERHEAD)

    def loseConnection(self) -> None:
        """Send close_notify and wait for the peer's, for a bounded time."""
        if self.disconnecting or self._over:
            return
        self.disconnecting = True
        self._connection.stop_producer()
        if self._open:
            if self._close():
                return
        elif not self._early:
            self.abortConnection()
            return
        self._connection.begin_linger()
        # resume reading, or the peer's close_notify would not be read
        self._paused = False
        if not self._backlog:
            self._connection.resumeProducing()

    def abortConnection(self) -> None:
        """Reset the connection at once, without close_notify."""
        self._over = self._ignoring = self.disconnecting = True
        self._connection.abortConnection()

    def resetConnection(self) -> None:
        """Reset the connection, without close_notify, once all data is acknowledged."""
        if not (self.disconnecting or self._over):
            self._flush_written()
            self._over = self._ignoring = self.disconnecting = True
            self._connection.resetConnection()

    def loseWriteConnection(self) -> None:
        """Send close_notify after what was written, and continue reading."""
        if not (self.disconnecting or self._over or self._write_over):
            self._write_over = True
            if self._open:
                self._shut_down()
                self._connection.loseWriteConnection()

    def getHandle(self) -> SSL.Connection | None:
        """Return OpenSSL's connection; ``None`` before the handshake begins."""
        return self._tls if self._make is None else None

    def getPeerCertificate(self) -> Any:
        """Return the peer's certificate, as pyOpenSSL's object; ``None`` without one."""
        return self._tls.get_peer_certificate() if self._open else None

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """The protocol negotiated by ALPN, or ``None``."""
        return (self._tls.get_alpn_proto_negotiated() or None) if self._open else None

    def _send_records(self, data: bytes) -> None:
        view = memoryview(data)
        for begin in range(0, len(data), _RECORD):
            self._send(view[begin : begin + _RECORD])
            if not begin % (4 * _RECORD):
                self._flush()  # the limit of unsent bytes does not see OpenSSL's buffer

    def _close(self) -> bool:
        """Send close_notify, unless it was sent, and close if the peer's was received.

        :return: whether it was.
        """
        done = self._input_over if self._write_over else self._shut_down()
        if done:
            self._over = self._ignoring = True
            self._connection.loseConnection()
        return done

    def _shut_down(self) -> bool:
        """Send close_notify. Called once.

        :return: whether the peer's was received before.
        """
        try:
            done = self._tls.shutdown()
        except SSL.Error:
            done = True
        self._flush(_OVERHEAD)
        return bool(done)

    def _flush_written(self) -> None:
        """Flush what the protocol wrote in its ``dataReceived``."""
        size, self._written = self._written, 0
        if size:
            self._flush(size)

    def _flush(self, expected: int = _READ) -> None:
        """Pass OpenSSL's output to the connection below.

        :param expected: about how many bytes.
        """
        size = min(expected, _READ)
        read = self._bio_read
        try:
            while True:
                data = read(size)
                self._connection.write(data)
                if len(data) < size:
                    break
                size = _READ
        except SSL.WantReadError:
            pass


def _first_record_complete(data: bytes) -> bool:
    """Whether the input so far is a complete record, or no TLS handshake, which OpenSSL reports."""
    if data[0] != _HANDSHAKE_RECORD or data[1:2] not in (b"", _MAJOR):
        return True
    if len(data) < _HEADER:
        return False
    size = data[3] << 8 | data[4]
    return size > _RECORD or len(data) >= _HEADER + size


def _failure() -> Failure:
    """Make a failure of the exception being handled, for the protocol's ``connectionLost``."""
    failure = Failure()
    if isinstance(failure.value, SSL.SysCallError):
        return Failure(ConnectionLost())
    return failure
