"""One ``[service:NAME]`` as a Service: its ports and its connections."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from tcpd.config.listen import Address, BindAddress, Listener, PrivateSocket, UnixSocket
from tcpd.config.overlap import overlap, spot_of
from tcpd.interfaces import IAbortable, IFinishing
from tcpd.net.datagram import Datagrams
from tcpd.net.handshake_capture import HandshakeCapture
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listeners import (
    ListenError,
    bound_listener,
    close,
    drain_queue,
    open_datagrams,
    open_stream,
)
from tcpd.net.private_socket import set_permissions
from tcpd.net.turns import TurnScheduler
from tcpd.ops import catalogue
from tcpd.policy.reasons import End

Server = ListenerFactory | Datagrams
"""Serves the connections or the datagrams of a listener."""


@dataclass(slots=True)
class OpenPort:
    """An open listener.

    :ivar listener: as configured.
    :ivar server: serves it.
    :ivar port: the listening port.
    """

    _log: ClassVar[Logger] = Logger()

    listener: Listener
    server: Server
    port: IListeningPort

    def serves(self, listener: Listener) -> bool:
        """Whether a listener has the same address and transport, whatever its other options."""
        return (_address_of(self.listener.bind), self.listener.udp) == (
            _address_of(listener.bind),
            listener.udp,
        )

    def overlaps(self, listener: Listener) -> bool:
        """Whether a listener, at another address of its port, can be opened only without it."""
        ours = bound_listener(self.listener, self.port)
        return (
            isinstance(ours.bind, Address)
            and spot_of(ours) == spot_of(listener)
            and bool(overlap(ours.bind, listener.bind))
        )

    def switch_to(self, listener: Listener, server: Server) -> None:
        """Take over the options of another listener at the same address; the port stays open."""
        before, self.listener = self.listener.bind, listener
        bind = listener.bind
        if isinstance(bind, UnixSocket) and bind != before:
            self._set_permissions(bind)
        if isinstance(self.server, Datagrams):
            assert isinstance(server, Datagrams)
            self.server.switch_to(server)
        else:
            assert isinstance(server, ListenerFactory)
            self.server.switch_to(server)

    def _set_permissions(self, bind: UnixSocket) -> None:
        try:
            set_permissions(bind)
        except OSError as error:  # root made the socket, and the daemon has dropped root since
            self._log.warn(
                "{socket} keeps its owner and permissions until a restart: {error}",
                socket=str(bind),
                error=error.strerror or str(error),
            )

    def drain_and_close(self) -> None:
        """Accept the waiting clients, then close: another listener needs the address."""
        drain_queue(self.port)
        self.close()

    def close(self) -> Deferred[Any]:
        """Close the socket at once.

        :return: fires when the port has stopped.
        """
        closed = close(self.port)
        if isinstance(self.listener.bind, PrivateSocket):
            # without root the file may be undeletable; the next start replaces it
            closed.addErrback(lambda failure: failure.trap(OSError) and None)
        return closed


def _address_of(bind: BindAddress) -> BindAddress:
    """Return the address without owner and permissions."""
    return replace(bind, mode=0, owner="", group="") if isinstance(bind, UnixSocket) else bind


class ListeningService(Service):
    """Opens the ports of one service when it starts, and drains its connections when it stops.

    :param layer: the layer of its connections.
    :param wanted: the listeners, each with its server.
    :param reactor: opens ports.
    :param systemd: the sockets that systemd passed, by name.
    :param turns: schedules flushes of tcpd's own transports.
    :param drain: seconds that connections may take to end when the service stops.
    :param user: the user id and group id (``None``: unchanged) that the daemon will switch to. They
        own a UNIX socket that root opens, unless its listener names others.
    :param handshake_capture: enables the capture of handshakes; ``None`` for none.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        layer: ConnectionLayer,
        wanted: Sequence[tuple[Listener, Server]],
        reactor: Any,
        systemd: Mapping[str, Sequence[int]],
        drain: float,
        turns: TurnScheduler,
        user: tuple[int, int | None] | None = None,
        handshake_capture: HandshakeCapture | None = None,
    ) -> None:
        self.setName(layer.service)
        self.layer = layer
        self.drain = drain
        self.ports: list[OpenPort] = []
        self.wanted = wanted
        self._reactor = reactor
        self._systemd = systemd
        self._turns = turns
        self._user = user
        self._handshake_capture = handshake_capture

    @property
    def listening(self) -> tuple[Listener, ...]:
        """The open listeners, with the actual port numbers."""
        return tuple(bound_listener(each.listener, each.port) for each in self.ports)

    def privilegedStartService(self) -> None:
        """Open the ports, all or none, before the process drops root.

        :raise ListenError: with a sentence that names the service and the address.
        """
        super().privilegedStartService()
        try:
            for listener, server in self.wanted:
                self._open_wanted(listener, server)
        except ListenError:
            while self.ports:
                self.ports.pop().close()
            raise

    def _open_wanted(self, listener: Listener, server: Server) -> None:
        bind = listener.bind
        try:
            self.ports.append(self.open(listener, server))
        except ListenError as error:
            if not isinstance(bind, PrivateSocket) or bind.required:
                raise
            catalogue.CONTROL_UNAVAILABLE.emit(self._log, error=str(error))

    def startService(self) -> None:
        """Start the connection layer and log the listeners."""
        super().startService()
        self.layer.start()
        self.log_listening(self.ports)

    def log_listening(self, ports: Iterable[OpenPort]) -> None:
        """Log one event for each port."""
        for each in ports:
            catalogue.SERVICE_LISTENING.emit(
                self._log,
                service=self.layer.service,
                listener=str(bound_listener(each.listener, each.port)),
            )

    def open(self, listener: Listener, server: Server) -> OpenPort:
        """Open one port. The caller adds it to :attr:`ports`.

        :raise ListenError: with a sentence that names the service and the address.
        """
        try:
            if isinstance(server, Datagrams):
                port = open_datagrams(self._reactor, listener, server)
            else:
                port = open_stream(
                    self._reactor,
                    self._with_owner(listener),
                    server,
                    self._systemd,
                    self._turns,
                    self._handshake_capture,
                )
        except ListenError as error:
            raise ListenError(f"service {self.layer.service} {error}", error.in_use) from error
        return OpenPort(listener, server, port)

    def _with_owner(self, listener: Listener) -> Listener:
        """Make a UNIX socket belong to the user that the daemon switches to."""
        bind = listener.bind
        if self._user is None or os.geteuid() != 0 or not isinstance(bind, UnixSocket):
            return listener
        uid, gid = self._user
        owner = bind.owner or str(uid)
        group = bind.group or ("" if gid is None else str(gid))
        return replace(listener, bind=replace(bind, owner=owner, group=group))

    def stopService(self) -> Deferred[None]:
        """Close the ports and drain the connections.

        :return: fires with ``None`` when all have ended, after ``drain`` seconds at the latest.
        """
        super().stopService()
        ports, self.ports = self.ports, []
        ends = [each.close() for each in ports]
        factory: Any = self.layer.factory
        if IFinishing.providedBy(factory):
            ends.append(maybeDeferred(factory.finish, self.drain))
        ends.append(self.layer.drain(End.SHUTDOWN, self.drain))
        done: Deferred[Any] = gatherResults(ends, consumeErrors=True)
        return done.addCallback(self._log_stopped)

    def abort(self) -> None:
        """Abort all connections and the factory; the Deferred of a stop then fires soon."""
        self.layer.abort_all(End.SHUTDOWN)
        self.abort_factory()

    def abort_factory(self) -> None:
        """Abort the other work of the factory, such as programs."""
        factory: Any = self.layer.factory
        if IAbortable.providedBy(factory):
            factory.abort()

    def _log_stopped(self, _: object) -> None:
        counters = self.layer.counters
        catalogue.SERVICE_STOPPED.emit(
            self._log,
            service=self.layer.service,
            accepted=counters.accepted,
            refused=counters.refused.total(),
            datagrams=counters.datagrams_in,
            bytes_in=counters.bytes_in,
            bytes_out=counters.bytes_out,
        )
