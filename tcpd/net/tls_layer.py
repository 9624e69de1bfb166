"""TLS between a connection and its protocol, on pyOpenSSL's memory BIOs.

Why it is not Twisted's: docs/decisions/0007. The connection below collects what is written, a
record is known to be whole from its header (RFC 8446 section 5.1), and what a protocol writes while
it is given bytes leaves as one piece.
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

from tcpd.net.stage import BottomTransport, StackedTransport
from tcpd.net.tls_faults import TLSFault, handshake_fault, reasons_of
from tcpd.policy.workqueue import WorkQueue, share_of

#: The plain text of a record, at the most (RFC 8446 section 5.1).
_RECORD = 1 << 14

#: Bytes for the wire to ask OpenSSL for at a time; a handshake that shows no long chain has fewer.
_READ = 1 << 16
_HANDSHAKE = 1 << 12

#: More than a record is longer than its plain text, header and tag included.
_OVERHEAD = 256

#: Received bytes that are decrypted at a time; more is for the queue of work, as a handshake is.
_PIECE = 1 << 16

_HEADER = 5
_HANDSHAKE_RECORD = 22
_APPLICATION_DATA = 23

#: The first byte of each version of TLS that a record can name.
_MAJOR = b"\x03"


class TLSOwner(Protocol):
    """What a :class:`TLSLayer` reports to."""

    def secured(self) -> None:
        """The handshake is complete."""

    def input_ended(self) -> None:
        """The peer has ended its direction by close_notify."""

    def truncated(self) -> None:
        """The peer closed its sending side without close_notify."""

    def receive_failed(self) -> None:
        """What was received could not be dealt with; the exception is being handled."""


@implementer(ISSLTransport, INegotiated, IConsumer, IPushProducer)
class TLSLayer(StackedTransport):
    """TLS on one connection, either side of it. To its protocol it is the transport.

    Each direction ends by itself (RFC 8446 section 6.1). The peer's close_notify ends what it
    sends: a protocol that provides ``IHalfCloseableProtocol`` may go on writing, another is closed.
    :meth:`loseWriteConnection` ends our direction. A connection that ends without the peer's
    close_notify may have been cut by anybody: the protocol's ``connectionLost`` gets a
    ``ConnectionLost`` then, as after a reset.

    OpenSSL has nothing to do with a connection until its first record is whole: what it keeps for
    each, 20 to 60 KB, is only for who begins a handshake.

    :param connection: below.
    :param make: makes OpenSSL's connection, of either side. Called at the first record, or by
        :meth:`begin`.
    :param owner: gets the reports. A failure closes the connection; :attr:`fault` and
        :attr:`error` say why.
    :param queue: for what takes long: handshakes, which take a millisecond, and many records.
        ``None``: all is done at once. Clients share their turns by the ``address`` of the
        connection.

    :ivar protocol: above; ``None`` until the handshake is complete, unless TLS was begun later in
        a conversation.
    """

    __slots__ = (
        "_backlog",
        "_beginning",
        "_bio_read",
        "_bio_write",
        "_deaf",
        "_direct",
        "_early",
        "_ended",
        "_first",
        "_header",
        "_input_over",
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
    ) -> None:
        super().__init__(connection, connection)
        self._owner = owner
        self._queue = queue
        self._beginning = False  # the queue has no time yet for the begin of a client's handshake
        self._backlog: list[bytes] = []  # received, and waits for the queue; the oldest last
        self._direct = False  # the queue runs it within dataReceived or begin
        self._ended = False  # the connection below was closed behind what waits
        self._paused = False  # by the protocol
        self._make: Callable[[], SSL.Connection] | None = make  # until it was called
        self._first = b""  # of the first record, as far as it has come
        self._early: list[bytes] = []  # written before the handshake was complete
        self._open = False
        self._over = False
        self._input_over = False  # the peer has ended its direction
        self._deaf = True  # what comes is not for OpenSSL: not yet, or not any more
        self._write_over = False  # close_notify is sent, or will be behind the handshake
        self._reason: Failure | None = None
        self._rest = 0  # bytes that the last record still lacks
        self._header = b""  # of the next one, as far as it has come
        self._within = False
        self._written = 0  # within; bytes on the wire, about

    def begin(self) -> None:
        """Begin the handshake, when the queue has time for it. Called by a client, which speaks
        first."""
        self._beginning = True
        if self._queue is None:
            self._begin()
        else:
            self._run(self._queue)

    def _begin(self) -> None:
        self._beginning = False
        self._make_tls()
        self._shake_hands()

    def _run(self, queue: WorkQueue) -> None:
        self._direct = True
        try:
            queue.run(self)
        finally:
            self._direct = False

    # --- from the connection: a protocol ---

    def dataReceived(self, data: bytes) -> None:
        """Take what came over the wire: at once, or when the queue has time for it."""
        queue = self._queue
        if queue is None or (self._open and len(data) <= _PIECE and not self._backlog):
            self._take(data)
            return
        waits = bool(self._backlog)
        pieces = [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]
        self._backlog = [*reversed(pieces), *self._backlog]
        if waits:
            return  # it was on its way already
        self._run(queue)
        if self._backlog:
            self._below.pauseProducing()

    @property
    def share(self) -> Hashable:
        """See :class:`tcpd.policy.workqueue.Source`."""
        return share_of(getattr(self._connection, "address", None), self)

    def work(self, deadline: float) -> bool:
        """See :class:`tcpd.policy.workqueue.Source`: take what waits."""
        assert self._queue is not None
        try:
            if self._beginning:
                self._begin()
            while self._backlog:
                self._take(self._backlog.pop())
                if self._backlog and self._queue.now() >= deadline:
                    return True
            if self._ended:
                self.read_ended()
        except Exception:
            self._backlog = []
            if self._direct:
                raise  # to the connection, which called
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

    def _take(self, data: bytes) -> None:
        if self._deaf:
            # what comes after close_notify "MUST be ignored" (RFC 8446 section 6.1)
            if self._make is None or self._over:
                return
            self._first = data = self._first + data
            if not _begins(data):
                return
            self._first = b""
            self._make_tls()
        # Most messages are one whole record of application data that begins where the one before
        # ended: to know that spares asking OpenSSL for more. Nor are the buffers that it fills
        # free, which are made for each call.
        size = len(data)
        whole = (
            self._rest == 0
            and size > _HEADER
            and data[0] == _APPLICATION_DATA
            and (data[3] << 8 | data[4]) == size - _HEADER
            and not self._header
        )
        asked = False
        if not whole:
            # TLS 1.2 shows what is no application data: OpenSSL may have an answer to it, such as
            # that there is no renegotiation
            asked = self._rest == 0 and not self._header and data[0] != _APPLICATION_DATA
            self._follow(data)
            size = _RECORD  # OpenSSL gives no more than a record's
        self._bio_write(data)
        if not self._open:
            self._shake_hands()
            if not self._open:
                return
        self._within = True
        try:
            while not self._deaf:
                try:
                    text = self._recv(size)
                except SSL.Error as error:
                    self._nothing_received(error)
                    break
                if not self.disconnecting:
                    self.protocol.dataReceived(text)
                if whole:
                    break
        finally:
            self._within = False
            if self._written:
                self._flush_written()
            elif asked and not self._over:
                self._flush(_OVERHEAD)

    def read_ended(self) -> bool:
        """The connection below has been closed by the peer, at least its sending side."""
        if self._backlog:
            self._ended = True
            return True
        if self._input_over and not self._over:
            return True  # it said so by close_notify, and may still read
        if self._open and not (self._over or self.disconnecting):
            self._reason = Failure(ConnectionLost("TLS ended without close_notify"))
            self._owner.truncated()
        self._over = self._deaf = True
        self._connection.loseConnection()
        return True

    def write_ended(self) -> None:
        """Our close_notify was sent, and our sending side below is closed."""
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.writeConnectionLost()

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._over = self._deaf = True
        self._backlog = []
        if self._queue is not None:
            self._queue.remove(self)
        # or only the garbage collector finds them: a failure has the frames that it came up in, and
        # those have this layer
        protocol, self.protocol = self.protocol, None
        own, self._reason = self._reason, None
        if protocol is not None:
            protocol.connectionLost(own or reason)

    @property
    def fault(self) -> TLSFault:
        """Why the handshake is not complete. Until :meth:`connectionLost` is called."""
        error = self._reason.value if self._reason else None
        return handshake_fault(error, self._tls if self._make is None else None)

    @property
    def error(self) -> str:
        """OpenSSL's reason for the end of TLS; ``""`` for an orderly end. Until
        :meth:`connectionLost` is called."""
        return ", ".join(reasons_of(self._reason.value if self._reason else None))

    @property
    def has_ended(self) -> bool:
        """Whether close_notify was sent. Until :meth:`connectionLost` is called."""
        return self._open and bool(self._tls.get_shutdown() & SSL.SENT_SHUTDOWN)

    def has_more(self) -> bool:
        """Whether the end of the handshake came together with words for the protocol."""
        try:
            return bool(self._tls.recv(1, socket.MSG_PEEK))
        except SSL.Error:
            return False

    def _make_tls(self) -> None:
        """Make OpenSSL's connection: there is something for it."""
        assert self._make is not None
        self._tls = tls = self._make()
        self._make = None
        self._deaf = False
        # pyOpenSSL looks for an attribute in two ways, which would be paid for with each message
        self._bio_read = tls.bio_read
        self._bio_write = tls.bio_write
        self._recv = tls.recv
        self._send = tls.send

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except SSL.WantReadError:
            self._flush(_HANDSHAKE)
        except SSL.Error:
            self._fail()
        else:
            self._open = True
            self._flush(_HANDSHAKE)
            # a close that was asked for before now comes behind what was written before it; one
            # that is asked for from here on is begun at once
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

    def _follow(self, data: bytes) -> None:
        """Note where the next record begins, for data that is not just one."""
        at = self._rest
        if self._header:  # it was cut in two
            data = self._header + data
            self._header = b""
        size = len(data)
        while at + _HEADER <= size:
            at += _HEADER + (data[at + 3] << 8 | data[at + 4])
        if at < size:
            self._header = data[at:]
            at = size
        self._rest = at - size

    def _nothing_received(self, error: SSL.Error) -> None:
        """Called while the error is being caught."""
        if isinstance(error, SSL.WantReadError):
            return
        if isinstance(error, SSL.ZeroReturnError):
            self._input_ended()
        else:
            self._fail()

    def _input_ended(self) -> None:
        """The peer has sent close_notify (RFC 8446 section 6.1)."""
        self._deaf = self._input_over = True
        self._owner.input_ended()
        if self.disconnecting:  # so did we
            self._over = True
            self._connection.loseConnection()
        elif IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        else:
            self.loseConnection()

    def _fail(self) -> None:
        """TLS has gone wrong: the alert goes out, and the protocol will hear why."""
        self._over = self._deaf = True
        self._reason = self._reason or _failure()
        self._flush()
        self._connection.loseConnection()

    # --- from the protocol: a transport ---

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
        """Send close_notify and wait for the peer's, unless that is here; the wait is bounded."""
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
        # the answer would not be read from a client whose lines wait
        self._paused = False
        if not self._backlog:
            self._connection.resumeProducing()

    def abortConnection(self) -> None:
        """Cut the connection at once."""
        self._over = self._deaf = self.disconnecting = True
        self._connection.abortConnection()

    def resetConnection(self) -> None:
        """Cut the connection, without close_notify, once all that was written is delivered."""
        if not (self.disconnecting or self._over):
            self._flush_written()
            self._over = self._deaf = self.disconnecting = True
            self._connection.resetConnection()

    def loseWriteConnection(self) -> None:
        """Send close_notify behind what was written, and go on reading."""
        if not (self.disconnecting or self._over or self._write_over):
            self._write_over = True
            if self._open:
                self._shut_down()
                self._connection.loseWriteConnection()

    def getHandle(self) -> SSL.Connection | None:
        """OpenSSL's connection; ``None`` before the handshake has begun."""
        return self._tls if self._make is None else None

    def getPeerCertificate(self) -> Any:
        """The client's certificate, as pyOpenSSL has it; ``None`` if it showed none."""
        return self._tls.get_peer_certificate() if self._open else None

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What ALPN agreed on."""
        return (self._tls.get_alpn_proto_negotiated() or None) if self._open else None

    def _send_records(self, data: bytes) -> None:
        view = memoryview(data)
        for begin in range(0, len(data), _RECORD):
            self._send(view[begin : begin + _RECORD])
            if not begin % (4 * _RECORD):
                self._flush()  # what waits in OpenSSL is in nobody's count

    def _close(self) -> bool:
        """Send close_notify, unless that was done.

        :return: whether the peer's is here, too: the connection below is closed then.
        """
        done = self._input_over if self._write_over else self._shut_down()
        if done:
            self._over = self._deaf = True
            self._connection.loseConnection()
        return done

    def _shut_down(self) -> bool:
        """Send close_notify; whether the peer's was here before. Called once."""
        try:
            done = self._tls.shutdown()
        except SSL.Error:
            done = True
        self._flush(_OVERHEAD)
        return bool(done)

    def _flush_written(self) -> None:
        """Hand over what the protocol wrote while it was given bytes."""
        size, self._written = self._written, 0
        if size:
            self._flush(size)

    def _flush(self, expected: int = _READ) -> None:
        """Hand what OpenSSL has for the client to the connection.

        :param expected: bytes, about.
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


def _begins(data: bytes) -> bool:
    """Whether a handshake can be begun with what has come, or refused.

    What does not look like the beginning of one is for OpenSSL to judge: it has a reason for each.
    """
    if data[0] != _HANDSHAKE_RECORD or data[1:2] not in (b"", _MAJOR):
        return True
    if len(data) < _HEADER:
        return False
    size = data[3] << 8 | data[4]
    return size > _RECORD or len(data) >= _HEADER + size


def _failure() -> Failure:
    """The error that is being caught, as protocols know it."""
    failure = Failure()
    if isinstance(failure.value, SSL.SysCallError):
        return Failure(ConnectionLost())
    return failure
