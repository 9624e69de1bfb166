"""Opens the listeners of the configuration on a reactor."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.config.listen import (
    Address,
    EndpointString,
    Listener,
    PrivateSocket,
    SystemdSocket,
    UnixSocket,
)
from tcpd.handshake.facts import NoServerIsn
from tcpd.net.datagram import Datagrams
from tcpd.net.datagram_port import DatagramPort
from tcpd.net.handshake_capture import HandshakeCapture
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.port import StreamPort
from tcpd.net.private_socket import make_socket_directory
from tcpd.net.sockets import adopt, bind_datagrams, listen_address, listen_unix
from tcpd.net.turns import TurnScheduler


class ListenError(Exception):
    """A listener cannot be opened. The message is a sentence for the operator.

    :ivar in_use: whether the error is EADDRINUSE.
    """

    def __init__(self, sentence: str, in_use: bool = False) -> None:
        super().__init__(sentence)
        self.in_use = in_use


def open_stream(
    reactor: Any,
    listener: Listener,
    factory: ListenerFactory,
    systemd: Mapping[str, Sequence[int]],
    turns: TurnScheduler,
    handshake_capture: HandshakeCapture | None = None,
) -> IListeningPort:
    """Open a stream listener.

    :param reactor: opens Twisted's endpoints.
    :param listener: a listener without ``udp``.
    :param factory: takes the connections.
    :param systemd: the sockets that systemd passed, by name.
    :param turns: schedules flushes of tcpd's own transports.
    :param handshake_capture: enables the capture of handshakes; ``None`` for none.
    :raise ListenError: if the listener cannot be opened.
    """
    bind = listener.bind
    enabling = handshake_capture or HandshakeCapture(handshake=False)
    try:
        if isinstance(bind, EndpointString):
            port = _open_endpoint(reactor, bind, factory)
            factory.set_capture(enabling.enable_on_port(port, NoServerIsn.TOO_EARLY))
            return port
        if isinstance(bind, PrivateSocket):
            make_socket_directory(bind)
        return _open_sockets(bind, factory, systemd, turns, enabling)
    except CannotListenError as error:
        raise _failed(listener, error.socketError) from error
    except OSError as error:
        raise _failed(listener, error) from error


def open_datagrams(reactor: Any, listener: Listener, server: Datagrams) -> IListeningPort:
    """Open a ``udp`` listener; parameters and errors are those of :func:`open_stream`."""
    bind = listener.bind
    assert isinstance(bind, Address)
    try:
        port = DatagramPort(bind_datagrams(bind), server, reactor)
    except OSError as error:
        raise _failed(listener, error) from error
    port.startListening()
    return port


def bound_listener(listener: Listener, port: IListeningPort) -> Listener:
    """Return the listener with its actual port number, if it is configured with port 0."""
    bind = listener.bind
    if isinstance(bind, Address) and bind.port == 0:
        host: Any = port.getHost()
        return listener.at(bind.host, host.port)
    return listener


def close(port: IListeningPort) -> Deferred[Any]:
    """Close a port at once, so that another can bind to its address in the same turn.

    :return: fires when the port has stopped.
    """
    closed: Deferred[Any] = maybeDeferred(port.stopListening)
    # a Twisted port closes its socket in the next turn; a shutdown frees the address now
    sock: socket.socket | None = getattr(port, "socket", None)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    return closed


def drain_queue(port: IListeningPort) -> None:
    """Accept all clients, or answer all datagrams, that the kernel has queued for a port."""
    if isinstance(port, StreamPort | DatagramPort):
        port.drain_queue()


def _failed(listener: Listener, error: Any) -> ListenError:
    in_use = getattr(error, "errno", None) == errno.EADDRINUSE
    return ListenError(_why(listener, error), in_use)


def _why(listener: Listener, error: Any) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    sentence = f"cannot listen on {listener}: {reason}"
    if isinstance(error, PermissionError) and isinstance(listener.bind, Address):
        return (
            f"{sentence}; ports below 1024 require root (twistd -u USER drops it after the start), "
            "CAP_NET_BIND_SERVICE, or a socket from systemd"
        )
    return sentence


@implementer(IListeningPort)
class _PortGroup:
    """Several ports as one: the sockets that systemd passed under one name."""

    def __init__(self, ports: Sequence[IListeningPort]) -> None:
        self._ports = ports

    def startListening(self) -> None:
        """Do nothing: the ports listen already."""

    def getHost(self) -> Any:
        return self._ports[0].getHost()

    def stopListening(self) -> Deferred[Any]:
        return gatherResults([maybeDeferred(port.stopListening) for port in self._ports])


def _open_sockets(
    bind: Address | UnixSocket | SystemdSocket,
    factory: ListenerFactory,
    systemd: Mapping[str, Sequence[int]],
    turns: TurnScheduler,
    enabling: HandshakeCapture,
) -> IListeningPort:
    def opened(sock: socket.socket, closed: Callable[[], None] = lambda: None) -> IListeningPort:
        port = StreamPort(sock, factory, turns, closed)
        port.startListening()
        return port

    def enable(sock: socket.socket, late: NoServerIsn | None = None) -> None:
        factory.set_capture(enabling.enable(sock, late))

    if isinstance(bind, Address):
        return opened(listen_address(bind, enable))
    if isinstance(bind, UnixSocket):
        path = bind.path

        def unlink() -> None:
            with contextlib.suppress(OSError):
                os.unlink(path)

        sock = listen_unix(bind)
        enable(sock)
        return opened(sock, unlink)
    sockets = _adopted(bind, systemd)
    for sock in sockets:
        enable(sock, NoServerIsn.SYSTEMD)
    ports = [opened(sock) for sock in sockets]
    return ports[0] if len(ports) == 1 else _PortGroup(ports)


def _adopted(bind: SystemdSocket, systemd: Mapping[str, Sequence[int]]) -> list[socket.socket]:
    """Duplicate the sockets that systemd passed under a name."""
    if bind.name not in systemd:
        passed = ", ".join(sorted(systemd)) or "none"
        raise ListenError(
            f"cannot listen on {bind}: systemd passed no socket of this name (it passed: "
            f"{passed}); FileDescriptorName= in the .socket unit names it, and twistd needs -n"
        )
    return [adopt(descriptor) for descriptor in systemd[bind.name]]


def _open_endpoint(reactor: Any, bind: EndpointString, factory: IProtocolFactory) -> IListeningPort:
    # slow to import, and few configurations have an endpoint
    from twisted.internet.endpoints import serverFromString

    results: list[Any] = []
    try:
        listening: Deferred[IListeningPort] = serverFromString(reactor, bind.description).listen(
            factory
        )
    except (OSError, CannotListenError):
        raise
    except Exception as error:  # endpoint parsers may be plugins
        raise ListenError(
            f"cannot listen on {bind}: it is not a Twisted endpoint: {error}"
        ) from error
    listening.addBoth(results.append)
    if not results:
        listening.cancel()
        raise ListenError(
            f"cannot listen on {bind}: it does not open immediately, which tcpd requires"
        )
    (result,) = results
    if isinstance(result, Failure):
        if result.check(OSError, CannotListenError):
            result.raiseException()
        raise ListenError(f"cannot listen on {bind}: {result.getErrorMessage()}")
    if not IListeningPort.providedBy(result):
        raise ListenError(f"cannot listen on {bind}: it is not a listening port")
    port: IListeningPort = result
    return port
