"""A reactor on epoll for lean transports: no logging context an event, one send a turn.

Made on Twisted's PosixReactorBase the way third-party reactors are, it does all that Twisted's own
epoll reactor does: clients, datagrams, processes, threads, timers. What it adds is for descriptors
that say so (:class:`IDirect`): their ``doRead`` is called with nothing around it, and what was
written to them by others is sent once, at the end of the turn. docs/explanation has the
measurements.

Installed by ``twistd --reactor=tcpd``, and by ``twistd tcpd`` where no other was asked for.
"""

from __future__ import annotations

import errno
import select
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionFdescWentAway, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor, IReactorFDSet
from twisted.internet.main import installReactor
from twisted.internet.posixbase import PosixReactorBase
from twisted.logger import Logger
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import Attribute, Interface, implementer

if not hasattr(select, "epoll"):
    raise ImportError("this reactor needs epoll, which this system does not have")

_IN = select.EPOLLIN
_OUT = select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR

#: How many events one turn takes; more wait for the next.
_MOST_EVENTS = 1024


class IDirect(Interface):
    """A descriptor whose ``doRead`` and ``doWrite`` never raise and always return ``None``.

    It looks after its own errors, and tells its protocol of its own end.
    """

    direct = Attribute("True; an attribute, since asking an interface costs more.")

    told_of_loss = Attribute(
        "True for a socket that is to be told when its connection is lost (a reset, a timeout of "
        "the kernel's) even while it neither reads nor writes: ``gone()`` is called. It must call "
        "the reactor's ``forget`` before it is closed. May be left out."
    )

    def flush():  # type: ignore[no-untyped-def]
        """Send what was written since the last flush. Called at the end of the turn, if the
        descriptor put itself into the reactor's ``written``; never raises."""


@implementer(IReactorFDSet)
class TcpdReactor(PosixReactorBase):
    """See the head of this module.

    :ivar written: lean transports that were written to in this turn, each at most once; they put
        themselves in.
    """

    _failures = Logger()

    def __init__(self) -> None:
        self._poller = select.epoll()
        self._masks: dict[int, int] = {}
        self._descriptors: dict[int, Any] = {}
        self._direct: dict[int, Any] = {}
        self._always_reading: dict[int, Any] = {}
        self._always_writing: dict[int, Any] = {}
        self.written: list[Any] = []
        super().__init__()

    # --- IReactorFDSet ---

    def addReader(self, reader: Any) -> None:
        self._add(reader, _IN, self._always_reading)

    def addWriter(self, writer: Any) -> None:
        self._add(writer, _OUT, self._always_writing)

    def removeReader(self, reader: Any) -> None:
        self._remove(reader, _IN, self._always_reading)

    def removeWriter(self, writer: Any) -> None:
        self._remove(writer, _OUT, self._always_writing)

    def removeAll(self) -> list[Any]:
        # the reactor's own wakers stay; Twisted has no public name for them
        own = self._internalReaders
        found = []
        for descriptor in dict.fromkeys([*self.getReaders(), *self.getWriters()]):
            if descriptor not in own:
                self.removeReader(descriptor)
                self.removeWriter(descriptor)
                found.append(descriptor)
        return found

    def getReaders(self) -> list[Any]:
        reading = [self._descriptors[fd] for fd, mask in self._masks.items() if mask & _IN]
        return reading + list(self._always_reading.values())

    def getWriters(self) -> list[Any]:
        writing = [self._descriptors[fd] for fd, mask in self._masks.items() if mask & _OUT]
        return writing + list(self._always_writing.values())

    def _add(self, descriptor: Any, event: int, always: dict[int, Any]) -> None:
        fd = descriptor.fileno()
        mask = self._masks.get(fd)
        try:
            if mask is None:
                self._poller.register(fd, event)
                self._masks[fd] = event
            elif mask & event:
                return
            else:
                self._poller.modify(fd, mask | event)
                self._masks[fd] = mask | event
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            always[fd] = descriptor  # a file on disk is always ready, and epoll will not have it
            return
        self._descriptors[fd] = descriptor
        if getattr(descriptor, "direct", False):
            self._direct[fd] = descriptor

    def _remove(self, descriptor: Any, event: int, always: dict[int, Any]) -> None:
        fd = descriptor.fileno()
        if fd == -1:
            # it was closed before it was removed, which Twisted tolerates
            fd = next((fd for fd, one in self._descriptors.items() if one is descriptor), -1)
        mask = self._masks.get(fd)
        if mask is None:
            for fd, one in list(always.items()):
                if one is descriptor:
                    del always[fd]
            return
        if not mask & event:
            return
        mask &= ~event
        if mask or getattr(descriptor, "told_of_loss", False):
            # epoll tells of an error whatever it was asked for
            self._poller.modify(fd, mask)
            self._masks[fd] = mask
        else:
            self._take_out(fd)

    def _take_out(self, fd: int) -> None:
        del self._masks[fd]
        del self._descriptors[fd]
        self._direct.pop(fd, None)
        try:
            self._poller.unregister(fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF):
                raise  # else it was closed before, and so taken out

    def forget(self, descriptor: Any) -> None:
        """Remove a descriptor that is closed right after: the kernel then takes it out by itself,
        which saves a call."""
        fd = descriptor.fileno()
        if self._masks.pop(fd, None) is not None:
            del self._descriptors[fd]
            self._direct.pop(fd, None)

    # --- a turn ---

    def doIteration(self, delay: float | None) -> None:
        """Wait for events and deal with them.

        :param delay: seconds to wait at most; ``None`` for ever.
        """
        if self.written:
            self._flush_written()  # what timers wrote
        if self.written or self._always_reading or self._always_writing:
            delay = 0
        direct = self._direct
        descriptor: Any
        for fd, event in self._poller.poll(delay, _MOST_EVENTS):
            if event == _IN:
                descriptor = direct.get(fd)
                if descriptor is not None:
                    descriptor.doRead()
                    continue
            descriptor = self._descriptors.get(fd)
            if descriptor is None:
                continue  # removed by what was dealt with before it
            if getattr(descriptor, "direct", False):
                self._direct_event(descriptor, fd, event)
            else:
                log.callWithLogger(descriptor, self._event, descriptor, fd, event)
        if self._always_reading or self._always_writing:
            self._always()
        if self.written:
            self._flush_written()

    doPoll = doIteration

    def _flush_written(self) -> None:
        # what a flush causes to be written waits for the next turn: other events come between
        written = self.written
        count = len(written)
        for transport in written[:count]:
            transport.flush()
        del written[:count]

    def _direct_event(self, descriptor: Any, fd: int, event: int) -> None:
        if event & _OUT:
            descriptor.doWrite()
        # an error or hang-up is found by reading; one that does not read is told, or it would
        # be reported again and again
        mask = self._masks.get(fd, 0)
        if event & (_IN | _GONE) and mask & _IN:
            descriptor.doRead()
        elif event & _GONE and fd in self._descriptors:
            if mask or event & select.EPOLLERR:
                descriptor.gone()
            else:
                # both sides have ended, which is no loss: what came before can still be read. Not
                # to be told again and again, it is taken out until it reads on
                self._take_out(fd)

    def _event(self, descriptor: Any, fd: int, event: int) -> None:
        """Deal with one event of an ordinary descriptor, as Twisted's own reactors do."""
        why: BaseException | None = None
        reading = False
        if event & _GONE and not event & _IN:
            # all input has been read; a descriptor that reads was closed, another one was lost
            reading = bool(self._masks.get(fd, 0) & _IN)
            why = ConnectionDone() if reading else ConnectionLost()
        else:
            try:
                if descriptor.fileno() == -1:
                    why = ConnectionFdescWentAway("File descriptor lost")
                else:
                    if event & _IN:
                        reading = True
                        why = descriptor.doRead()
                    if why is None and event & _OUT:
                        reading = False
                        why = descriptor.doWrite()
            except BaseException as error:
                # the boundary to other people's code: logged, and the end of that descriptor
                self._failures.failure("a descriptor's handling failed")
                why = error
        if why is not None:
            self._disconnect(descriptor, why, reading)

    def _disconnect(self, descriptor: Any, why: BaseException, reading: bool) -> None:
        self.removeReader(descriptor)
        if (
            reading
            and isinstance(why, ConnectionDone)
            and IHalfCloseableDescriptor.providedBy(descriptor)
        ):
            descriptor.readConnectionLost(Failure(why))
            return
        self.removeWriter(descriptor)
        descriptor.connectionLost(Failure(why))

    def _always(self) -> None:
        for fd, descriptor in list(self._always_reading.items()):
            if self._always_reading.get(fd) is descriptor:
                log.callWithLogger(descriptor, self._event, descriptor, fd, _IN)
        for fd, descriptor in list(self._always_writing.items()):
            if self._always_writing.get(fd) is descriptor:
                log.callWithLogger(descriptor, self._event, descriptor, fd, _OUT)


def install() -> None:
    """Make it the reactor of this process.

    :raise twisted.internet.error.ReactorAlreadyInstalledError: if there is one.
    """
    installReactor(TcpdReactor())
