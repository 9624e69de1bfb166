"""The factory of one listener: it passes each connection to the connection layer."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from tcpd.net.handshake_capture import CaptureOptions
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_options import PLAIN, ListenerOptions
from tcpd.net.turns import TurnScheduler


class ListenerFactory(Factory):
    """Passes the connections of one listener to its service.

    :param layer: the connection layer of the service.
    :param options: the options of the listener.
    """

    noisy = False

    def __init__(self, layer: ConnectionLayer, options: ListenerOptions = PLAIN) -> None:
        self._layer = layer
        self._options = options
        if options.websocket:  # so that the first client does not wait for the import
            import tcpd.net.websocket  # noqa: F401

    def set_capture(self, capture: CaptureOptions) -> None:
        """Set what the kernel keeps of handshakes. Called when the port opens."""
        self._options = replace(self._options, capture=capture)

    def switch_to(self, other: ListenerFactory) -> None:
        """Take over service and options of another factory; the port stays open.

        Open connections keep theirs.
        """
        before, self._layer = self._layer, other._layer
        self._options = replace(other._options, capture=self._options.capture)
        if before is not self._layer and self.numPorts:
            self._layer.factory.doStart()
            before.factory.doStop()
            before.admission.wake()  # the port may wait for a slot of the former service

    def logPrefix(self) -> str:
        """Return the prefix of what Twisted logs about the port."""
        return f"service {self._layer.service}:"

    def doStart(self) -> None:
        super().doStart()
        self._layer.factory.doStart()

    def doStop(self) -> None:
        super().doStop()
        self._layer.factory.doStop()

    def accept_socket(self, sock: socket.socket, address: Any, turns: TurnScheduler) -> None:
        """Take over an accepted socket. Called by :class:`~tcpd.net.port.StreamPort`."""
        self._layer.accept_socket(sock, address, self._options, turns)

    def refuse_socket(self, sock: socket.socket, address: Any) -> None:
        """Close an accepted socket: the process is out of descriptors. Called by the port."""
        self._layer.refuse_socket(sock, address, self._options)

    def no_memory(self, error: BaseException) -> None:
        """Report that a connection was not accepted for lack of memory. Called by the port."""
        self._layer.no_memory(error)

    def use_spare_descriptor(self) -> bool:
        """Close a spare descriptor of the service, for the next client. Called by the port.

        :return: whether there was one.
        """
        return self._layer.spares.release()

    def must_wait(self, call: Callable[[], None]) -> bool:
        """See :meth:`ConnectionLayer.must_wait`. Called by the port before each ``accept``."""
        return self._layer.must_wait(call)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the connection on a Twisted transport.

        :return: ``None`` to close it at once.
        """
        assert addr is not None
        return self._layer.accept(addr, self._options)
