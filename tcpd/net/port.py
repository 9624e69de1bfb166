"""The listening port for stream sockets: TCP and UNIX."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable

from twisted.internet.interfaces import IListeningPort, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listening_port import ListeningPort
from tcpd.net.sockets import BACKLOG
from tcpd.net.turns import TurnScheduler, has_generations

#: Connections accepted in one turn of the reactor.
_MAX_ACCEPTS = 64

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_NO_MEMORY = (errno.ENOBUFS, errno.ENOMEM)


@implementer(IListeningPort, IReadDescriptor)
class StreamPort(ListeningPort):
    """Accepts connections on a listening socket.

    The port keeps one descriptor in reserve. When the process is out of descriptors, the port
    closes it to accept the next client and close that connection. Otherwise the client would wait
    without end.

    With the policy ``full = pause`` and no free slot, clients wait in the kernel's backlog.

    :param sock: listening and non-blocking; this object closes it.
    :param factory: takes the connections.
    :param turns: schedules the flushes of the connections.
    :param closed: called after the socket is closed, to clean up.
    """

    _log = Logger()

    def __init__(
        self,
        sock: socket.socket,
        factory: ListenerFactory,
        turns: TurnScheduler,
        closed: Callable[[], None],
    ) -> None:
        super().__init__(sock, turns.reactor)
        self._factory = factory
        self._turns = turns
        if has_generations(turns.reactor):
            self.doRead = self._accept  # type: ignore[method-assign]
        self._cleanup = closed
        self._reserve = -1
        self._max_accepts = _MAX_ACCEPTS

    def startListening(self) -> None:
        """Start accepting."""
        self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._open = True
        self._factory.doStart()
        self._reactor.addReader(self)

    def _closed(self) -> None:
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
        self._cleanup()
        self._factory.doStop()

    def logPrefix(self) -> str:
        return self._factory.logPrefix()

    def drain_queue(self) -> None:
        """Accept all clients in the kernel's backlog. Called before the port closes."""
        self._max_accepts = BACKLOG
        self._accept()

    def doRead(self) -> None:
        """Accept connections. Never raises."""
        # only on other reactors than tcpd's, see tcpd.net.turns.between_polls
        self._reactor.callLater(0, self._accept)

    def _accept(self) -> None:
        must_wait = self._factory.must_wait
        for _ in range(self._max_accepts):
            if not self._open:
                return
            try:
                if must_wait(self._slot_free):
                    self._reactor.removeReader(self)
                    return
                client, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS and (
                    self._factory.use_spare_descriptor() or self._refuse_one()
                ):
                    continue
                if error.errno in (*_OUT_OF_DESCRIPTORS, *_NO_MEMORY):
                    self._pause_accepting(error.strerror or str(error))
                    return
                continue  # an error of the connection: ECONNABORTED and others, see accept(2)
            except MemoryError as error:
                self._pause_accepting(os.strerror(errno.ENOMEM))
                self._factory.no_memory(error)
                return
            client.setblocking(False)
            try:
                self._factory.accept_socket(client, address, self._turns)
            except BaseException as error:
                client.close()
                if isinstance(error, MemoryError):
                    self._factory.no_memory(error)
                    continue
                self._log.failure(
                    "{prefix} cannot start a connection",
                    failure=Failure(error),
                    prefix=self.logPrefix(),
                )

    def _slot_free(self) -> None:
        """Accept again. Called by the admission when there may be a free slot."""
        if self._open:
            self._reactor.addReader(self)

    def _refuse_one(self) -> bool:
        """Use the descriptor in reserve to accept and close one connection.

        :return: false if the reserve is used up.
        """
        if self._reserve < 0:
            return False
        os.close(self._reserve)
        self._reserve = -1
        with contextlib.suppress(OSError):
            client, address = self._socket.accept()
            client.setblocking(False)
            self._factory.refuse_socket(client, address)
        self._reopen_reserve()
        return True

    def _reopen_reserve(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _pause_accepting(self, error: str) -> None:
        self._pause()
        self._log.error(
            "{prefix} no connection can be accepted: {error}",
            prefix=self.logPrefix(),
            error=error,
        )

    def _resume(self) -> None:
        if self._open and self._reserve < 0:
            self._reopen_reserve()
        super()._resume()
