"""One ``[service:NAME]`` as a Service: its ports, and the connections behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.systemd import ListenFDs

from tcpd.config.listen import Listener
from tcpd.net.layer import ConnectionLayer, ListenerFactory
from tcpd.net.listeners import ListenError, open_datagrams, open_stream, real_listener
from tcpd.policy.reasons import End


class ListeningService(Service):
    """Opens the ports of one service when it starts, and drains it when it stops.

    :param layer: its connections.
    :param listeners: each with what serves it: a factory, or a protocol for datagrams.
    :param reactor: opens ports.
    :param systemd: the sockets that systemd passed.
    :param drain: seconds that connections may take to end when it stops.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        layer: ConnectionLayer,
        listeners: Sequence[tuple[Listener, ListenerFactory | DatagramProtocol]],
        reactor: Any,
        systemd: ListenFDs,
        drain: float,
    ) -> None:
        self.setName(layer.service)
        self.layer = layer
        self._listeners = listeners
        self._reactor = reactor
        self._systemd = systemd
        self._drain = drain
        self._ports: list[tuple[Listener, IListeningPort]] = []

    @property
    def listening(self) -> tuple[Listener, ...]:
        """Where it really listens; empty while it does not."""
        return tuple(real_listener(listener, port) for listener, port in self._ports)

    def privilegedStartService(self) -> None:
        """Open the ports, all or none, while the process may still be root.

        :raise ListenError: with a sentence that names the service and the address.
        """
        super().privilegedStartService()
        self._open()

    def startService(self) -> None:
        """Begin. Opens the ports if they are not yet open, as where a service is added later."""
        if not self._ports:
            self._open()
        super().startService()
        self.layer.start()
        for listener in self.listening:
            self._log.info(
                "service {service}: listening on {listener}",
                service=self.layer.service,
                listener=str(listener),
            )

    def stopService(self) -> Deferred[None]:
        """Close the ports, then let the connections end.

        :return: fires with ``None`` when all of it is gone, after ``drain`` seconds at the latest.
        """
        super().stopService()
        closed = self._close()
        drained = self.layer.drain(End.SHUTDOWN, self._drain)
        done: Deferred[Any] = gatherResults([closed, drained], consumeErrors=True)
        return done.addCallback(self._told)

    def _told(self, _: object) -> None:
        counters = self.layer.counters
        self._log.info(
            "service {service}: stopped after {accepted} connections and {refused} refused, "
            "{datagrams} datagrams, {received} bytes in and {sent} bytes out",
            service=self.layer.service,
            accepted=counters.accepted,
            refused=counters.refused.total(),
            datagrams=counters.datagrams_in,
            received=counters.bytes_in,
            sent=counters.bytes_out,
        )

    def _open(self) -> None:
        try:
            for listener, server in self._listeners:
                if isinstance(server, DatagramProtocol):
                    port = open_datagrams(self._reactor, listener, server)
                else:
                    port = open_stream(self._reactor, listener, server, self._systemd)
                self._ports.append((listener, port))
        except ListenError as error:
            self._close()
            raise ListenError(f"service {self.layer.service} {error}") from error

    def _close(self) -> Deferred[Any]:
        ports, self._ports = self._ports, []
        return gatherResults(
            [maybeDeferred(port.stopListening) for _, port in ports], consumeErrors=True
        )
