"""One ``[service:NAME]`` as a Service: its ports, and the connections behind them."""

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
from tcpd.interfaces import IFinishing, IHurrying
from tcpd.net.datagram import Datagrams
from tcpd.net.kernel import Kernel
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listeners import (
    ListenError,
    close,
    open_datagrams,
    open_stream,
    real_listener,
    take_waiting,
)
from tcpd.net.private_socket import give
from tcpd.net.turns import TurnScheduler
from tcpd.ops import catalogue
from tcpd.policy.reasons import End

Server = ListenerFactory | Datagrams
"""What a listener hands its connections or datagrams to."""


@dataclass(slots=True)
class OpenPort:
    """A listener that is open.

    :ivar listener: as it was configured.
    :ivar server: serves it.
    :ivar port: Twisted's.
    """

    _log: ClassVar[Logger] = Logger()

    listener: Listener
    server: Server
    port: IListeningPort

    def serves(self, listener: Listener) -> bool:
        """Whether it is where a listener wants to be, whatever its words."""
        return (_spot(self.listener.bind), self.listener.udp) == (
            _spot(listener.bind),
            listener.udp,
        )

    def stands_in_the_way_of(self, listener: Listener) -> bool:
        """Whether a listener, at another address of its port, can be opened only without it."""
        ours = real_listener(self.listener, self.port)
        return (
            isinstance(ours.bind, Address)
            and spot_of(ours) == spot_of(listener)
            and bool(overlap(ours.bind, listener.bind))
        )

    def become(self, listener: Listener, server: Server) -> None:
        """Serve as another listener at the same address would."""
        before, self.listener = self.listener.bind, listener
        bind = listener.bind
        if isinstance(bind, UnixSocket) and bind != before:
            self._give(bind)
        if isinstance(self.server, Datagrams):
            assert isinstance(server, Datagrams)
            self.server.become(server)
        else:
            assert isinstance(server, ListenerFactory)
            self.server.become(server)

    def _give(self, bind: UnixSocket) -> None:
        try:
            give(bind)
        except OSError as error:  # the socket was made by root, who is not there any more
            self._log.warn(
                "{socket} keeps its owner and permissions until a restart: {error}",
                socket=str(bind),
                error=error.strerror or str(error),
            )

    def make_way(self) -> None:
        """Close it for another listener: who waits in the kernel is taken first."""
        take_waiting(self.port)
        self.close()

    def close(self) -> Deferred[Any]:
        """Close it, at once; what it returns fires when all of it is gone."""
        closed = close(self.port)
        if isinstance(self.listener.bind, PrivateSocket):
            # who gave up root may not be able to take the file away; the next start does
            closed.addErrback(lambda failure: failure.trap(OSError) and None)
        return closed


def _spot(bind: BindAddress) -> BindAddress:
    """Where it is, whoever may use it."""
    return replace(bind, mode=0, owner="", group="") if isinstance(bind, UnixSocket) else bind


class ListeningService(Service):
    """Opens the ports of one service when it starts, and drains it when it stops.

    :param layer: its connections.
    :param wanted: its listeners, each with what is to serve it.
    :param reactor: opens ports.
    :param systemd: the sockets that systemd passed, by name.
    :param turns: for tcpd's own transports.
    :param drain: seconds that connections may take to end when it stops.
    :param user: user and group id (``None`` for as it is) that the daemon is going to have: a UNIX
        socket that root opens is theirs then, if its listener does not give it to others.
    :param kernel: is asked to keep handshakes; ``None`` where nobody wants them.
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
        kernel: Kernel | None = None,
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
        self._kernel = kernel

    @property
    def listening(self) -> tuple[Listener, ...]:
        """Where it really listens; empty while it does not."""
        return tuple(real_listener(each.listener, each.port) for each in self.ports)

    def privilegedStartService(self) -> None:
        """Open the ports, all or none, while the process may still be root.

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
        """Begin to look after connections."""
        super().startService()
        self.layer.start()
        self.log_listening(self.ports)

    def log_listening(self, ports: Iterable[OpenPort]) -> None:
        """Log where it listens, a line a port."""
        for each in ports:
            catalogue.SERVICE_LISTENING.emit(
                self._log,
                service=self.layer.service,
                listener=str(real_listener(each.listener, each.port)),
            )

    def open(self, listener: Listener, server: Server) -> OpenPort:
        """Open one port; it is not yet one of :attr:`ports`.

        :raise ListenError: with a sentence that names the service and the address.
        """
        try:
            if isinstance(server, Datagrams):
                port = open_datagrams(self._reactor, listener, server)
            else:
                ours = self._given_to_its_user(listener)
                port = open_stream(
                    self._reactor, ours, server, self._systemd, self._turns, self._kernel
                )
        except ListenError as error:
            raise ListenError(f"service {self.layer.service} {error}", error.in_use) from error
        return OpenPort(listener, server, port)

    def _given_to_its_user(self, listener: Listener) -> Listener:
        bind = listener.bind
        if self._user is None or os.geteuid() != 0 or not isinstance(bind, UnixSocket):
            return listener
        uid, gid = self._user
        owner = bind.owner or str(uid)
        group = bind.group or ("" if gid is None else str(gid))
        return replace(listener, bind=replace(bind, owner=owner, group=group))

    def stopService(self) -> Deferred[None]:
        """Close the ports, then let the connections end.

        :return: fires with ``None`` when all of it is gone, after ``drain`` seconds at the latest.
        """
        super().stopService()
        ports, self.ports = self.ports, []
        ends = [each.close() for each in ports]
        factory: Any = self.layer.factory
        if IFinishing.providedBy(factory):
            ends.append(maybeDeferred(factory.finish, self.drain))
        ends.append(self.layer.drain(End.SHUTDOWN, self.drain))
        done: Deferred[Any] = gatherResults(ends, consumeErrors=True)
        return done.addCallback(self._told)

    def cut(self) -> None:
        """End its connections at once, and what else it has to bring to an end; a stop that waits
        for them then waits no longer."""
        self.layer.cut_all(End.SHUTDOWN)
        self.hurry()

    def hurry(self) -> None:
        """End what it has beside connections at once."""
        factory: Any = self.layer.factory
        if IHurrying.providedBy(factory):
            factory.hurry()

    def _told(self, _: object) -> None:
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
