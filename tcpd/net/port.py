"""The listening port of lean transports."""

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

from tcpd.net.address import shown, socket_address
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.sockets import BACKLOG
from tcpd.net.turns import TurnScheduler, has_generations

#: Clients taken at one go; more wait for the next turn.
_MOST_CLIENTS = 64

#: Seconds to leave waiting clients waiting when nothing could be accepted at all.
_BREATH = 1.0

_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)
_NO_MEMORY = (errno.ENOBUFS, errno.ENOMEM)


@implementer(IListeningPort, IReadDescriptor)
class LeanPort:
    """Accepts connections on a listening socket.

    One descriptor is kept in reserve: when the process has run out of them, it is given up to
    accept a client and close its connection at once, rather than leave it waiting for ever.

    Where the service says so, clients for whom there is no place are left waiting in the kernel:
    nobody is accepted until there is one.

    :param sock: bound, listening and not blocking; it belongs to this object from now on.
    :param factory: takes the clients.
    :param turns: the reactor, and its turns.
    :param closed: called when the port is closed, for what goes with it.
    """

    _log = Logger()

    #: For :class:`tcpd.net.reactor.TcpdReactor`: nothing has to be caught around doRead.
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
        self._most = _MOST_CLIENTS

    def startListening(self) -> None:
        """Begin to accept."""
        self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._open = True
        self._factory.doStart()
        self._reactor.addReader(self)

    def stopListening(self) -> Deferred[None]:
        """Close the port, at once.

        :return: has fired; it fails with what the factory's ``doStop`` raised.
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
        where = shown(self.getHost()) if self._open else "closed"
        return f"<{type(self).__name__} {where}>"

    def getHost(self) -> IAddress:
        return socket_address(self._socket.getsockname())

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return self._factory.logPrefix()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor is stopping."""
        self._close()

    def gone(self) -> None:
        """A listening socket is not lost while nobody reads from it."""

    def take_waiting(self) -> None:
        """Accept all clients that the kernel has, for a port that is going to be closed."""
        self._most = BACKLOG
        self._accept()

    def doRead(self) -> None:
        """Clients are waiting. Never raises, and returns nothing."""
        # see tcpd.net.turns.between_polls; where that is at once this is _accept itself
        self._reactor.callLater(0, self._accept)

    def _accept(self) -> None:
        must_wait = self._factory.must_wait
        for _ in range(self._most):
            if not self._open:
                return
            try:
                if must_wait(self._go_on):
                    self._reactor.removeReader(self)
                    return
                client, address = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_FILES and (
                    self._factory.give_up_spare() or self._turn_away()
                ):
                    continue
                if error.errno in (*_OUT_OF_FILES, *_NO_MEMORY):
                    self._breathe(error.strerror or str(error))
                    return
                # else the client has gone already (ECONNABORTED and its like, accept(2))
                continue
            except MemoryError as error:
                self._breathe(os.strerror(errno.ENOMEM))
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
                    "{prefix} a connection could not be begun",
                    failure=Failure(error),
                    prefix=self.logPrefix(),
                )

    def _go_on(self) -> None:
        """There may be a place for who waits."""
        if self._open:
            self._reactor.addReader(self)

    def _turn_away(self) -> bool:
        """Out of descriptors: use the one in reserve to close a waiting client's connection.

        :return: whether that could be done.
        """
        if self._reserve < 0:
            return False
        os.close(self._reserve)
        self._reserve = -1
        with contextlib.suppress(OSError):
            client, address = self._socket.accept()
            client.setblocking(False)
            self._factory.turn_away(client, address)
        with contextlib.suppress(OSError):
            self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        return True

    def _breathe(self, error: str) -> None:
        """Nothing can be accepted: do not ask again at once, which would take all the time."""
        self._reactor.callLater(_BREATH, self._resume)
        self._reactor.removeReader(self)
        self._log.error(
            "{prefix} no connection can be accepted: {error}",
            prefix=self.logPrefix(),
            error=error,
        )

    def _resume(self) -> None:
        if self._open:
            if self._reserve < 0:
                with contextlib.suppress(OSError):
                    self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            self._reactor.addReader(self)
