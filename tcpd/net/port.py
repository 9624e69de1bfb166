"""The listening port for stream sockets: TCP and UNIX."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort, IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.net.address import format_address, socket_address
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.sockets import BACKLOG
from tcpd.net.turns import TurnScheduler, has_generations

#: Connections accepted in one turn of the reactor.
_MAX_ACCEPTS = 64

#: Seconds without ``accept`` after a lack of descriptors or memory.
_PAUSE = 1.0

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_NO_MEMORY = (errno.ENOBUFS, errno.ENOMEM)


@implementer(IListeningPort, IReadDescriptor)
class StreamPort:
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

    #: See :class:`tcpd.net.reactor.IDirect`.
    direct = True

    def __init__(
        self,
        sock: socket.socket,
        factory: ListenerFactory,
        turns: TurnScheduler,
        closed: Callable[[], None],
    ) -> None:
        self._socket = sock
        self._factory = factory
        self._turns = turns
        self._reactor = turns.reactor
        if has_generations(turns.reactor):
            self.doRead = self._accept  # type: ignore[method-assign]
        self._closed = closed
        self._reserve = -1
        self._open = False
        self._max_accepts = _MAX_ACCEPTS

    def startListening(self) -> None:
        """Start accepting."""
        self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._open = True
        self._factory.doStart()
        self._reactor.addReader(self)

    def stopListening(self) -> Deferred[None]:
        """Close the port at once.

        :return: a Deferred that has fired; it fails with what the factory's ``doStop`` raised.
        """
        return maybeDeferred(self._close)

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._reactor.removeReader(self)
            self._socket.close()
            if self._reserve >= 0:
                os.close(self._reserve)
                self._reserve = -1
            self._closed()
            self._factory.doStop()

    def __repr__(self) -> str:
        where = format_address(self.getHost()) if self._open else "closed"
        return f"<{type(self).__name__} {where}>"

    def getHost(self) -> IAddress:
        return socket_address(self._socket.getsockname())

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return self._factory.logPrefix()

    def connectionLost(self, reason: Failure) -> None:
        """Close the port: the reactor is stopping."""
        self._close()

    def gone(self) -> None:
        """Do nothing: a listening socket has no connection to lose."""

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
                    self._pause(error.strerror or str(error))
                    return
                continue  # an error of the connection: ECONNABORTED and others, see accept(2)
            except MemoryError as error:
                self._pause(os.strerror(errno.ENOMEM))
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

    def _pause(self, error: str) -> None:
        """Stop accepting for a while: the reactor would report the same clients again at once."""
        self._reactor.callLater(_PAUSE, self._resume)
        self._reactor.removeReader(self)
        self._log.error(
            "{prefix} no connection can be accepted: {error}",
            prefix=self.logPrefix(),
            error=error,
        )

    def _resume(self) -> None:
        if self._open:
            if self._reserve < 0:
                self._reopen_reserve()
            self._reactor.addReader(self)
