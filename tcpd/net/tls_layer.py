"""TLS between a connection and its protocol, on pyOpenSSL's memory BIOs.

Twisted's own layer is made for any transport and any use, and pays for it: a timer a turn to
collect small writes, two exceptions a message. Here the connection below collects what is written,
a record is known to be whole from its header (RFC 8446 section 5.1), and what a protocol writes
while it is given bytes leaves as one piece.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IConsumer, INegotiated, IPushProducer, ISSLTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import IConnection
from tcpd.net.tls import Certificates
from tcpd.net.tls_faults import TLSFault, handshake_fault

if TYPE_CHECKING:
    from tcpd.net.connection import Connection

#: The plain text of a record, at the most (RFC 8446 section 5.1).
_RECORD = 1 << 14

#: Bytes for the wire to ask OpenSSL for at a time; a handshake that shows no long chain has fewer.
_READ = 1 << 16
_HANDSHAKE = 1 << 12

#: More than a record is longer than its plain text, header and tag included.
_OVERHEAD = 256

_HEADER = 5
_APPLICATION_DATA = 23


@implementer(ISSLTransport, INegotiated, IConsumer, IPushProducer)
class TLSLayer:
    """The server's side of TLS on one connection. To its protocol it is the transport.

    ``IConnection(layer)`` is the connection below.

    :param connection: below.
    :param certificates: what to show the client.

    :ivar protocol: above; ``None`` until the handshake is complete, unless TLS was begun later in
        a conversation.
    :ivar disconnecting: whether a close has begun.
    """

    __slots__ = (
        "_bio_read",
        "_bio_write",
        "_connection",
        "_early",
        "_header",
        "_open",
        "_over",
        "_reason",
        "_recv",
        "_rest",
        "_send",
        "_tls",
        "_within",
        "_written",
        "disconnecting",
        "protocol",
    )

    def __init__(self, connection: Connection, certificates: Certificates) -> None:
        self._connection = connection
        self._tls = tls = certificates.serverConnectionForTLS(None)
        tls.set_accept_state()
        # pyOpenSSL looks for an attribute in two ways, which would be paid for with each message
        self._bio_read = tls.bio_read
        self._bio_write = tls.bio_write
        self._recv = tls.recv
        self._send = tls.send
        self._early: list[bytes] = []  # written before the handshake was complete
        self._open = False
        self._over = False
        self._reason: Failure | None = None
        self._rest = 0  # bytes that the last record still lacks
        self._header = b""  # of the next one, as far as it has come
        self._within = False
        self._written = 0  # within; bytes on the wire, about
        self.protocol: Any = None
        self.disconnecting = False

    def __conform__(self, interface: Any) -> Any:
        """Adapt to the connection, which is not this object's to stand for."""
        return self._connection if interface is IConnection else None

    # --- from the connection: a protocol ---

    def dataReceived(self, data: bytes) -> None:
        """Take what came over the wire."""
        if self._over:
            return
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
            while not self._over:
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
                size, self._written = self._written, 0
                self._flush(size)
            elif asked and not self._over:
                self._flush(_OVERHEAD)

    def connectionLost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._over = True
        # or only the garbage collector finds them: a failure has the frames that it came up in, and
        # those have this layer
        protocol, self.protocol = self.protocol, None
        own, self._reason = self._reason, None
        if protocol is not None:
            protocol.connectionLost(own or reason)

    @property
    def fault(self) -> TLSFault:
        """Why the handshake is not complete. Until :meth:`connectionLost` is called."""
        return handshake_fault(self._reason.value if self._reason else None, self._tls)

    def has_more(self) -> bool:
        """Whether the end of the handshake came together with words for the protocol."""
        try:
            return bool(self._tls.recv(1, socket.MSG_PEEK))
        except SSL.Error:
            return False

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
            for data in early:
                self.write(data)
            self.disconnecting = closing
            self._connection.secured()
            if closing and not self._over:
                self._close()

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
            self._ended_by_client()
        else:
            self._fail()

    def _ended_by_client(self) -> None:
        """The client has sent close_notify: answer it, and close (RFC 8446 section 6.1)."""
        self._over = True
        self._shut_down()
        self._connection.loseConnection()

    def _fail(self) -> None:
        """TLS has gone wrong: the alert goes out, and the protocol will hear why."""
        self._over = True
        self._reason = self._reason or _failure()
        self._flush()
        self._connection.loseConnection()

    # --- from the protocol: a transport ---

    def write(self, data: bytes) -> None:
        if self.disconnecting or self._over or not data:
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

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        self.write(b"".join(iovec))

    def loseConnection(self) -> None:
        """Close as TLS does, which waits for the client's answer; that wait is bounded."""
        if self.disconnecting or self._over:
            return
        self.disconnecting = True
        self._connection.let_go()
        self._connection.begin_linger()
        if self._open:
            self._close()
        elif not self._early:
            self.abortConnection()

    def abortConnection(self) -> None:
        """Cut the connection at once."""
        self._over = self.disconnecting = True
        self._connection.abortConnection()

    def loseWriteConnection(self) -> None:
        """As :meth:`loseConnection`: a client that is told the end of TLS answers with its own."""
        self.loseConnection()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._connection.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._connection.unregisterProducer()

    def pauseProducing(self) -> None:
        self._connection.pauseProducing()

    def resumeProducing(self) -> None:
        self._connection.resumeProducing()

    def stopProducing(self) -> None:
        self.loseConnection()

    def getPeer(self) -> Any:
        return self._connection.getPeer()

    def getHost(self) -> Any:
        return self._connection.getHost()

    def getTcpNoDelay(self) -> bool:
        return self._connection.getTcpNoDelay()

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._connection.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> bool:
        return self._connection.getTcpKeepAlive()

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._connection.setTcpKeepAlive(enabled)

    def getHandle(self) -> SSL.Connection:
        """OpenSSL's connection."""
        return self._tls

    def getPeerCertificate(self) -> Any:
        """The client's certificate, as pyOpenSSL tells it; ``None`` if it showed none."""
        return self._tls.get_peer_certificate()

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """What ALPN agreed on."""
        return self._tls.get_alpn_proto_negotiated() or None

    def _send_records(self, data: bytes) -> None:
        view = memoryview(data)
        for begin in range(0, len(data), _RECORD):
            self._send(view[begin : begin + _RECORD])
            if not begin % (4 * _RECORD):
                self._flush()  # what waits in OpenSSL is in nobody's count

    def _close(self) -> None:
        """Send close_notify; if the client's is here already, that was all."""
        if self._shut_down():
            self._over = True
            self._connection.loseConnection()

    def _shut_down(self) -> bool:
        try:
            done = self._tls.shutdown()
        except SSL.Error:
            done = True
        self._flush(_OVERHEAD)
        return bool(done)

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


def _failure() -> Failure:
    """The error that is being caught, as protocols know it."""
    failure = Failure()
    if isinstance(failure.value, SSL.SysCallError):
        return Failure(ConnectionLost())
    return failure
