"""Ends of byte streams: reset, half-close, TLS closure; and far sides to forward to."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from OpenSSL import SSL
from running import PATIENCE, receive_all

#: The length of a long stream, in bytes.
MUCH = 4 << 20

#: Settings of a daemon that logs how each connection ended, with ``[tls:main]``.
SETTINGS = (
    "[tcpd]\ndrain = 2s\n[policy:default]\naccess_log = yes\n"
    "[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"
)


def reset(connection: socket.socket) -> None:
    """Close a connection by a reset: SO_LINGER of zero seconds, socket(7)."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def fill(connection: socket.socket, data: bytes = bytes(1 << 16), most: int = 256 << 20) -> int:
    """Send ``data`` repeatedly until the socket buffer is full for 0.5 s, or a reset.

    :param most: stop after this number of bytes.
    :return: the number of bytes sent.
    """
    connection.setblocking(False)
    sent = 0
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while sent < most and select.select([], [connection], [], 0.5)[1]:
            with contextlib.suppress(ssl.SSLWantWriteError, BlockingIOError):
                sent += connection.send(data)
    connection.settimeout(PATIENCE)
    return sent


def ending(connection: socket.socket, answer: bytes = b"") -> tuple[bytes, str]:
    """Read until the end of the stream.

    :param answer: sent after each piece that is received.
    :return: the data; ``clean`` for EOF or close_notify, ``cut`` for a reset or TLS without it.
    """
    received = bytearray()
    try:
        while piece := connection.recv(65536):
            received += piece
            if answer:
                connection.sendall(answer)
    except BrokenPipeError:
        return bytes(received), "clean"  # EPIPE: EOF arrived before the reset
    except (ConnectionResetError, ssl.SSLEOFError):
        return bytes(received), "cut"
    return bytes(received), "clean"


def closed_how(connection: socket.socket) -> str:
    """Read until the end of a plain stream; return ``closed`` or ``reset``."""
    try:
        receive_all(connection)
    except ConnectionResetError:
        return "reset"
    return "closed"


class TlsEnd:
    """OpenSSL's end of a TLS connection, which can close one direction.

    :param connection: the TCP connection.
    :param server: whether it is the server's end.
    """

    def __init__(self, connection: socket.socket, context: SSL.Context, server: bool) -> None:
        connection.settimeout(None)  # pyOpenSSL requires a blocking socket
        self._connection = connection
        self._tls = SSL.Connection(context, connection)
        (self._tls.set_accept_state if server else self._tls.set_connect_state)()
        self._tls.do_handshake()

    def send(self, data: bytes) -> None:
        self._tls.sendall(data)

    def end(self) -> None:
        """Send close_notify."""
        self._tls.shutdown()

    def receive_all(self) -> bytes:
        """Read until close_notify.

        :raise SSL.Error: if the stream ends without it.
        """
        received = bytearray()
        with contextlib.suppress(SSL.ZeroReturnError):
            while True:
                received += self._tls.recv(65536)
        return bytes(received)

    def close(self) -> None:
        self._connection.close()


class AcceptedFarSide:
    """A server to forward to, whose connections the test accepts.

    :param pki: the directory of its certificate; ``None`` for plain TCP.
    :ivar keys: of ``[service]``, for TLS with it.
    """

    def __init__(self, pki: Path | None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE)
        self._context: ssl.SSLContext | None = None
        self.port = self._listening.getsockname()[1]
        self.keys = ""
        if pki is not None:
            self._context = server_context(pki)
            self.keys = far_keys(pki)

    def accept(self) -> socket.socket:
        connection, _ = self._listening.accept()
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        if self._context is None:
            return connection
        return self._context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)

    def close(self) -> None:
        self._listening.close()


class FarServer:
    """A server to forward to, which serves each connection in a thread.

    :param path: of its UNIX socket; by default it is a TCP port.
    :ivar to: its address, as the key ``to`` has it.
    """

    def __init__(self, serve: Callable[[socket.socket], None], path: str = "") -> None:
        if path:
            self.listening = socket.socket(socket.AF_UNIX)
            self.listening.bind(path)
            self.listening.listen()
            self.to = f"unix:{path}"
        else:
            self.listening = socket.create_server(("127.0.0.1", 0))
            self.to = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self.errors: list[BaseException] = []
        self._serve = serve
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                connection.settimeout(PATIENCE)
                thread = threading.Thread(target=self._serve_one, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve_one(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._serve(connection)
        except BaseException as error:
            self.errors.append(error)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not self.errors, self.errors


def far_keys(pki: Path) -> str:
    """Return the keys of a service that verifies far.example."""
    return f"tls = yes\ntls_name = far.example\nca = {pki}/authority.example.pem\n"


def server_context(pki: Path) -> ssl.SSLContext:
    """Make the TLS context of far.example."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "far.example.pem", pki / "far.example-key.pem")
    return context
