"""A reactor on epoll(7) that calls tcpd's transports directly and flushes them once a turn.

It derives from Twisted's PosixReactorBase, as third-party reactors do, and has all features of
Twisted's own epoll reactor: clients, datagrams, processes, threads, timers. In addition, it calls
``doRead`` of descriptors that provide :class:`IDirect` without a logging context, and flushes the
writes to them once, at the end of the turn. docs/decisions/0006 has the reason,
docs/explanation/speed.rst the measurements.

The kernel reports events by descriptor number, in batches. The handler of one event may close a
descriptor, and a new one may reuse its number within the batch. Each registration therefore has a
generation: a descriptor receives no event of a poll that preceded its registration. A skipped event
is not lost, because the next poll reports it again. If a descriptor raises an exception, it is
logged and the descriptor is closed; the other events of the batch are handled.

``twistd --reactor=tcpd`` installs it, and ``twistd tcpd`` does without ``--reactor``.
"""

from __future__ import annotations

import errno
import select
import time
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionFdescWentAway, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableDescriptor, IListeningPort, IReactorFDSet
from twisted.internet.main import installReactor
from twisted.internet.posixbase import PosixReactorBase
from twisted.logger import Logger
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import Attribute, Interface, implementer

if not hasattr(select, "epoll"):
    raise ImportError("this reactor requires epoll, which this system does not have")

_IN = select.EPOLLIN
_OUT = select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR

#: The peer has closed at least its sending side; registered together with input.
_END = select.EPOLLRDHUP
_ENDS = _END | _GONE

#: The maximum number of events of a poll, and of the poll after one that reached it. Every ready
#: descriptor is then served in the next turn at the latest.
_FEW_EVENTS = 1024
_MANY_EVENTS = 16384

#: Seconds per turn for ended connections; epoll reports the remaining ones again.
_SECONDS_FOR_ENDS = 0.005

#: Seconds per turn for flushes; with thousands, the remaining ones wait for the next turn.
_SECONDS_FOR_FLUSHES = 0.005

#: Flushes between two checks of the time.
_FLUSHES = 32

#: Consecutive turns that may fail, and seconds of sleep after each: about ten seconds in total.
_MAX_FAILED_TURNS = 200
_PAUSE = 0.05


class IDirect(Interface):
    """A descriptor whose ``doRead`` and ``doWrite`` never raise and always return ``None``.

    It handles its own errors, and calls its protocol's ``connectionLost`` itself.
    """

    direct = Attribute("True. An attribute, because ``providedBy`` is slower.")

    wants_loss = Attribute(
        "True for a socket whose ``gone()`` is called when its connection is lost (a reset, a "
        "timeout of the kernel), even while it neither reads nor writes. It must call the "
        "reactor's ``forget`` before it is closed. Optional."
    )

    def gone():  # type: ignore[no-untyped-def]
        """Close: the connection was lost while the descriptor was not reading."""

    def flush():  # type: ignore[no-untyped-def]
        """Send the data written since the last flush. Called at the end of the turn if the
        descriptor is in the reactor's ``written``; never raises."""


@implementer(IReactorFDSet)
class TcpdReactor(PosixReactorBase):
    """The reactor; see the docstring of this module.

    :ivar written: objects to flush at the end of this turn; each appends itself at most once.
    :ivar no_memory: called with each MemoryError that the reactor catches; may be replaced.
    :ivar exhausted: called with a message when turns keep failing; may be replaced.
    """

    _failures = Logger()

    def __init__(self) -> None:
        self._poller = select.epoll()
        self._masks: dict[int, int] = {}
        self._descriptors: dict[int, Any] = {}
        #: The IDirect descriptors that are registered for reading, by number.
        self._direct: dict[int, Any] = {}
        #: The generations of the registrations since the last poll, by number.
        self._generations: dict[int, int] = {}
        self._latest = 0  # the last generation
        self._max_events = _FEW_EVENTS
        self._dispatching = False
        self._always_reading: dict[int, Any] = {}
        self._always_writing: dict[int, Any] = {}
        self.written: list[Any] = []
        self.no_memory: Callable[[BaseException], None] = self._log_failure
        self.exhausted: Callable[[str], None] = self._failures.critical
        self._failing = False  # in this turn
        self._failed_turns = 0
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
        # the reactor's wakers stay; Twisted has no public name for them
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
        if mask is not None and self._descriptors[fd] is not descriptor:
            # the former owner closed it without removing it, and the number was reused
            self._unregister(fd)
            mask = None
        try:
            if mask is None:
                self._poller.register(fd, _epoll_mask(event))
                self._masks[fd] = event
                self._descriptors[fd] = descriptor
                self._latest += 1
                self._generations[fd] = self._latest
            elif mask & event:
                return
            else:
                self._poller.modify(fd, _epoll_mask(mask | event))
                self._masks[fd] = mask | event
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            always[fd] = descriptor  # a regular file is always ready, and epoll refuses it
            return
        if event == _IN and getattr(descriptor, "direct", False):
            self._direct[fd] = descriptor

    def _remove(self, descriptor: Any, event: int, always: dict[int, Any]) -> None:
        fd = descriptor.fileno()
        if fd == -1:
            # closed before it was removed, which Twisted tolerates
            fd = next((fd for fd, one in self._descriptors.items() if one is descriptor), -1)
        if self._descriptors.get(fd) is not descriptor:
            if always:
                for fd in [fd for fd, one in always.items() if one is descriptor]:
                    del always[fd]
            return
        mask = self._masks[fd]
        if not mask & event:
            return
        mask &= ~event
        if mask or getattr(descriptor, "wants_loss", False):
            # epoll reports errors whatever the mask
            self._poller.modify(fd, _epoll_mask(mask))
            self._masks[fd] = mask
            if event == _IN:
                self._direct.pop(fd, None)
        else:
            self._unregister(fd)

    def _unregister(self, fd: int) -> None:
        del self._masks[fd]
        del self._descriptors[fd]
        self._direct.pop(fd, None)
        try:
            self._poller.unregister(fd)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EBADF):
                raise  # else it is closed already, which unregistered it

    def forget(self, descriptor: Any) -> None:
        """Remove a descriptor that is closed right after.

        ``close`` unregisters it from epoll, which saves a system call.
        """
        fd = descriptor.fileno()
        if self._descriptors.get(fd) is descriptor:
            del self._masks[fd]
            del self._descriptors[fd]
            self._direct.pop(fd, None)

    # --- a turn ---

    def doIteration(self, delay: float | None) -> None:
        """Wait for events and dispatch them.

        :param delay: the timeout in seconds; ``None`` for none.
        """
        try:
            if self.written:
                self._flush_written()  # writes of timers
            if self.written or self._always_reading or self._always_writing:
                delay = 0
            events = self._poller.poll(delay, self._max_events)
            self._max_events = _FEW_EVENTS if len(events) < self._max_events else _MANY_EVENTS
            self._dispatch(iter(events))
            if self._always_reading or self._always_writing:
                self._call_always_ready()
            if self.written:
                self._flush_written()
        except BaseException as error:
            self._turn_failed(error)
        if self._failing:
            self._pause()
        else:
            self._failed_turns = 0

    doPoll = doIteration

    def runUntilCurrent(self) -> None:
        """Run the timers that are due. An exception here would end the main loop."""
        try:
            super().runUntilCurrent()
        except BaseException as error:
            self._turn_failed(error)

    def timeout(self) -> float | None:
        """Return the time until the next timer, in seconds; ``None`` without timers."""
        try:
            return super().timeout()
        except BaseException as error:
            self._turn_failed(error)
            return 0.0

    def _turn_failed(self, error: BaseException) -> None:
        self._failing = True
        self._report(error)

    def _report(self, error: BaseException) -> None:
        """Log a failure. If that fails too, the turn counts as failed."""
        try:
            if isinstance(error, MemoryError):
                self.no_memory(error)
            else:
                self._log_failure(error)
        except BaseException:
            self._failing = True

    def _log_failure(self, error: BaseException) -> None:
        self._failures.failure("a descriptor's handling failed", Failure(error))

    def _pause(self) -> None:
        """Sleep after a failed turn, as its cause is likely to last; call ``exhausted`` after too
        many."""
        self._failing = False
        self._failed_turns += 1
        if self._failed_turns >= _MAX_FAILED_TURNS:
            self.exhausted("the main loop cannot continue, most likely for lack of memory")
        time.sleep(_PAUSE)

    def _dispatch(self, events: Iterator[tuple[int, int]]) -> None:
        """Pass the events of one poll to their descriptors."""
        direct = self._direct
        generations = self._generations
        latest = self._latest
        descriptor: Any = None
        now = time.monotonic
        until = 0.0  # deadline for ended connections
        nested, self._dispatching = self._dispatching, True  # reactor.iterate() in a callback
        while True:  # resumes after each descriptor that raises
            try:
                for fd, event in events:
                    if self._latest != latest and generations.get(fd, 0) > latest:
                        continue  # an event of the number's former owner
                    if event == _IN:
                        descriptor = direct.get(fd)
                        if descriptor is not None:
                            descriptor.doRead()
                            continue
                    descriptor = self._descriptors.get(fd)
                    if descriptor is None:
                        continue  # removed by the handler of an earlier event
                    if getattr(descriptor, "direct", False):
                        if event & _ENDS:
                            # thousands may end at once; epoll reports the rest again
                            if not until:
                                until = now() + _SECONDS_FOR_ENDS
                            elif now() >= until:
                                continue
                        self._direct_event(descriptor, fd, event)
                    else:
                        log.callWithLogger(descriptor, self._event, descriptor, fd, event)
                self._dispatching = nested
                if generations and not nested:
                    generations.clear()
                return
            except BaseException as error:
                self._failed(descriptor, error)

    def _flush_written(self) -> None:
        # writes during a flush wait for the next turn, so that other events are handled first
        waiting = self.written[:]
        self.written.clear()
        now = time.monotonic
        until = now() + _SECONDS_FOR_FLUSHES if len(waiting) > _FLUSHES else 0.0
        for start in range(0, len(waiting), _FLUSHES):
            if start and now() >= until:
                self.written[:0] = waiting[start:]
                break
            for transport in waiting[start : start + _FLUSHES]:
                try:
                    transport.flush()
                except BaseException as error:
                    self._failed(transport, error)

    def _direct_event(self, descriptor: Any, fd: int, event: int) -> None:
        if event & _OUT and self._masks[fd] & _OUT:
            descriptor.doWrite()
            if self._descriptors.get(fd) is not descriptor:
                return
        # doRead detects an error or hangup; for a descriptor that is not reading, gone() is called
        mask = self._masks[fd]
        if event & (_IN | _GONE) and mask & _IN:
            descriptor.doRead()
        elif event & _GONE:
            if mask or event & select.EPOLLERR:
                descriptor.gone()
            else:
                # both sides are closed, but input may be unread. epoll would report this in each
                # poll, so the descriptor is unregistered until it reads again
                self._unregister(fd)

    def _event(self, descriptor: Any, fd: int, event: int) -> None:
        """Handle one event of a descriptor that does not provide :class:`IDirect`."""
        why: BaseException | None = None
        reading = False
        if event & _GONE and self._reads(descriptor, fd):
            # doRead gets the remaining input, and then end of file or the error. Twisted's own
            # reactors report a closed connection if it was not reading at the time of the poll
            event |= _IN
        if event & _GONE and not event & _IN:
            why = ConnectionLost()
        else:
            try:
                if descriptor.fileno() == -1:
                    why = ConnectionFdescWentAway("File descriptor lost")
                else:
                    if event & _IN and self._reads(descriptor, fd):
                        reading = True
                        why = descriptor.doRead()
                    # doRead may have closed it, and its number may have been reused
                    if why is None and event & _OUT and self._writes(descriptor, fd):
                        reading = False
                        why = descriptor.doWrite()
            except BaseException as error:
                self._failed(descriptor, error)
        if why is not None:
            self._disconnect(descriptor, why, reading)

    def _reads(self, descriptor: Any, fd: int) -> bool:
        """Whether a descriptor is registered for reading under this number."""
        if self._descriptors.get(fd) is descriptor:
            return bool(self._masks[fd] & _IN)
        return self._always_reading.get(fd) is descriptor

    def _writes(self, descriptor: Any, fd: int) -> bool:
        """Whether a descriptor is registered for writing under this number."""
        if self._descriptors.get(fd) is descriptor:
            return bool(self._masks[fd] & _OUT)
        return self._always_writing.get(fd) is descriptor

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

    def _call_always_ready(self) -> None:
        """Call the descriptors that epoll does not support, such as regular files."""
        for event, always in ((_IN, self._always_reading), (_OUT, self._always_writing)):
            for fd, descriptor in list(always.items()):
                try:
                    if always.get(fd) is descriptor:
                        log.callWithLogger(descriptor, self._event, descriptor, fd, event)
                except BaseException as error:
                    self._failed(descriptor, error)

    def _failed(self, descriptor: Any, error: BaseException) -> None:
        """Log an exception of a descriptor and disconnect it. Never raises."""
        self._report(error)
        try:
            if self._stays(descriptor, error):
                return
            if hasattr(descriptor, "connectionLost"):  # other flushed objects have none
                self._disconnect(descriptor, error, False)
        except BaseException as another:
            self._report(another)
            self._unregister_failed(descriptor, error)

    def _stays(self, descriptor: Any, error: BaseException) -> bool:
        """Whether a descriptor stays registered although it raised an exception."""
        if descriptor in self._internalReaders:
            return True  # the wakers deliver signals and callFromThread
        # a port accepts again when memory is available
        return isinstance(error, MemoryError) and IListeningPort.providedBy(descriptor)

    def _unregister_failed(self, descriptor: Any, error: BaseException) -> None:
        """Unregister a descriptor whose ``connectionLost`` raised too. Never raises."""
        try:
            if self._stays(descriptor, error):
                return
            for always in (self._always_reading, self._always_writing):
                for fd in [fd for fd, one in always.items() if one is descriptor]:
                    del always[fd]
            for fd in [fd for fd, one in self._descriptors.items() if one is descriptor]:
                self._unregister(fd)
        except BaseException as another:
            self._report(another)


def _epoll_mask(mask: int) -> int:
    return mask | _END if mask & _IN else mask


def install() -> None:
    """Install :class:`TcpdReactor` as the reactor of this process.

    :raise twisted.internet.error.ReactorAlreadyInstalledError: if another is installed.
    """
    installReactor(TcpdReactor())
