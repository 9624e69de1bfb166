"""Opens listeners, as the ini file writes them, on a reactor."""

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
from tcpd.net.kernel import Kernel
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.port import LeanPort
from tcpd.net.private_socket import make_its_directory
from tcpd.net.sockets import adopt, bind_datagrams, listen_address, listen_unix
from tcpd.net.turns import TurnScheduler


class ListenError(Exception):
    """A listener could not be opened; its text is a sentence for the operator.

    :ivar in_use: whether another socket is in the way.
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
    kernel: Kernel | None = None,
) -> IListeningPort:
    """Open a listener for connections.

    :param reactor: opens endpoints of Twisted's.
    :param listener: where; not one for datagrams.
    :param factory: makes the protocols.
    :param systemd: the sockets that systemd passed, by name.
    :param turns: for tcpd's own transports.
    :param kernel: is asked to keep handshakes; ``None`` where nobody wants them.
    :raise ListenError: if it could not be.
    """
    bind = listener.bind
    watching = _Watching(kernel or Kernel(handshake=False), factory)
    try:
        if isinstance(bind, EndpointString):
            return watching.late(_open_endpoint(reactor, bind, factory))
        if isinstance(bind, PrivateSocket):
            make_its_directory(bind)
        return _open_lean(bind, factory, systemd, turns, watching)
    except CannotListenError as error:
        raise _failed(listener, error.socketError) from error
    except OSError as error:
        raise _failed(listener, error) from error


class _Watching:
    """Asks the kernel to keep handshakes, and notes in the factory what it keeps."""

    def __init__(self, kernel: Kernel, factory: ListenerFactory) -> None:
        self._kernel = kernel
        self._factory = factory

    def before(self, sock: socket.socket) -> None:
        """Called with a socket that is going to listen."""
        self._factory.watch(self._kernel.watch(sock))

    def passed(self, sock: socket.socket) -> None:
        """Called with one of systemd's."""
        self._factory.watch(self._kernel.watch(sock, NoServerIsn.SYSTEMD))

    def late(self, port: IListeningPort) -> IListeningPort:
        """Called with a port of Twisted's, which it returns."""
        self._factory.watch(self._kernel.watch_port(port, NoServerIsn.TOO_EARLY))
        return port


def open_datagrams(reactor: Any, listener: Listener, server: Datagrams) -> IListeningPort:
    """Open a listener for datagrams; parameters and errors as :func:`open_stream` has them."""
    bind = listener.bind
    assert isinstance(bind, Address)
    try:
        port = DatagramPort(bind_datagrams(bind), server, reactor)
    except OSError as error:
        raise _failed(listener, error) from error
    port.startListening()
    return port


def real_listener(listener: Listener, port: IListeningPort) -> Listener:
    """The listener with the port number that it really got, where it asked for any."""
    bind = listener.bind
    if isinstance(bind, Address) and bind.port == 0:
        host: Any = port.getHost()
        return listener.at(bind.host, host.port)
    return listener


def close(port: IListeningPort) -> Deferred[Any]:
    """Close a port: another can have its address within this turn."""
    closed: Deferred[Any] = maybeDeferred(port.stopListening)
    # a port of Twisted's closes its socket in the next turn; shut down, it listens no more
    sock: socket.socket | None = getattr(port, "socket", None)
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    return closed


def take_waiting(port: IListeningPort) -> None:
    """Accept the clients and read the datagrams that wait in the kernel: the port will close."""
    if isinstance(port, LeanPort | DatagramPort):
        port.take_waiting()


def _failed(listener: Listener, error: Any) -> ListenError:
    in_use = getattr(error, "errno", None) == errno.EADDRINUSE
    return ListenError(_why(listener, error), in_use)


def _why(listener: Listener, error: Any) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    sentence = f"cannot listen on {listener}: {reason}"
    if isinstance(error, PermissionError) and isinstance(listener.bind, Address):
        return (
            f"{sentence}; ports under 1024 take root (twistd -u USER gives it up again), "
            "CAP_NET_BIND_SERVICE, or a socket from systemd"
        )
    return sentence


@implementer(IListeningPort)
class _Together:
    """Several ports as one."""

    def __init__(self, ports: Sequence[IListeningPort]) -> None:
        self._ports = ports

    def startListening(self) -> None:
        """They listen already."""

    def getHost(self) -> Any:
        return self._ports[0].getHost()

    def stopListening(self) -> Deferred[Any]:
        return gatherResults([maybeDeferred(port.stopListening) for port in self._ports])


def _open_lean(
    bind: Address | UnixSocket | SystemdSocket,
    factory: ListenerFactory,
    systemd: Mapping[str, Sequence[int]],
    turns: TurnScheduler,
    watching: _Watching,
) -> IListeningPort:
    def opened(sock: socket.socket, closed: Callable[[], None]) -> IListeningPort:
        port = LeanPort(sock, factory, turns, closed)
        port.startListening()
        return port

    if isinstance(bind, Address):
        return opened(listen_address(bind, watching.before), lambda: None)
    if isinstance(bind, UnixSocket):
        path = bind.path

        def unlink() -> None:
            with contextlib.suppress(OSError):
                os.unlink(path)

        sock = listen_unix(bind)
        watching.before(sock)
        return opened(sock, unlink)
    return _together([opened(each, lambda: None) for each in _adopted(bind, systemd, watching)])


def _adopted(
    bind: SystemdSocket, systemd: Mapping[str, Sequence[int]], watching: _Watching
) -> list[socket.socket]:
    """Copies of the sockets that systemd passed under a name."""
    if bind.name not in systemd:
        passed = ", ".join(sorted(systemd)) or "none"
        raise ListenError(
            f"cannot listen on {bind}: systemd passed no socket of this name (it passed: "
            f"{passed}); FileDescriptorName= in the .socket unit names it, and twistd takes -n"
        )
    sockets = [adopt(descriptor) for descriptor in systemd[bind.name]]
    for sock in sockets:
        watching.passed(sock)
    return sockets


def _together(ports: Sequence[IListeningPort]) -> IListeningPort:
    return ports[0] if len(ports) == 1 else _Together(ports)


def _open_endpoint(reactor: Any, bind: EndpointString, factory: IProtocolFactory) -> IListeningPort:
    # which loads what all of them need; hardly any configuration has one
    from twisted.internet.endpoints import serverFromString

    results: list[Any] = []
    try:
        listening: Deferred[IListeningPort] = serverFromString(reactor, bind.description).listen(
            factory
        )
    except (OSError, CannotListenError):
        raise
    except Exception as error:  # the boundary to the parsers of Twisted's plugins
        raise ListenError(
            f"cannot listen on {bind}: it is no endpoint of Twisted's: {error}"
        ) from error
    listening.addBoth(results.append)
    if not results:
        listening.cancel()
        raise ListenError(f"cannot listen on {bind}: it does not open at once, which tcpd needs")
    (result,) = results
    if isinstance(result, Failure):
        if result.check(OSError, CannotListenError):
            result.raiseException()
        raise ListenError(f"cannot listen on {bind}: {result.getErrorMessage()}")
    if not IListeningPort.providedBy(result):
        raise ListenError(f"cannot listen on {bind}: it is no port that clients connect to")
    port: IListeningPort = result
    return port
