"""What a listening port hands its connections to."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from tcpd.net.kernel import Watch
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_options import PLAIN, ListenerOptions
from tcpd.net.turns import TurnScheduler


class ListenerFactory(Factory):
    """What one listener hands its connections to.

    :param layer: the service's.
    :param options: of the listener.
    """

    noisy = False

    def __init__(self, layer: ConnectionLayer, options: ListenerOptions = PLAIN) -> None:
        self._layer = layer
        self._options = options
        if options.websocket:  # with the configuration, and not when the first client comes
            import tcpd.net.websocket  # noqa: F401

    def watch(self, watch: Watch) -> None:
        """The port is open, and this is what the kernel was asked to keep of handshakes."""
        self._options = replace(self._options, watch=watch)

    def become(self, other: ListenerFactory) -> None:
        """Serve as another would, from the next connection on: the port stays open."""
        before, self._layer = self._layer, other._layer
        self._options = replace(other._options, watch=self._options.watch)
        if before is not self._layer and self.numPorts:
            self._layer.factory.doStart()
            before.factory.doStop()
            before.admission.wake()  # the port may wait for a place, and the other has one

    def logPrefix(self) -> str:
        """Name the service in the lines that Twisted logs of its ports."""
        return f"service {self._layer.service}:"

    def doStart(self) -> None:
        super().doStart()
        self._layer.factory.doStart()

    def doStop(self) -> None:
        super().doStop()
        self._layer.factory.doStop()

    def accept_socket(self, sock: socket.socket, address: Any, turns: TurnScheduler) -> None:
        """Take a client's socket from a lean port."""
        self._layer.accept_socket(sock, address, self._options, turns)

    def turn_away(self, sock: socket.socket, address: Any) -> None:
        """Take one from a lean port to close it: the process has no descriptor left for it."""
        self._layer.turn_away(sock, address, self._options)

    def no_memory(self, error: BaseException) -> None:
        """A client could not be accepted for want of memory. Called by a lean port."""
        self._layer.no_memory(error)

    def give_up_spare(self) -> bool:
        """Let go of a descriptor that is kept for its clients. Asked by a lean port.

        :return: whether there was one.
        """
        return self._layer.spares.give_up()

    def must_wait(self, call: Callable[[], None]) -> bool:
        """See :meth:`ConnectionLayer.must_wait`. Asked by a lean port before each client."""
        return self._layer.must_wait(call)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """:return: ``None`` to refuse without a word."""
        assert addr is not None
        return self._layer.accept(addr, self._options)
