"""A reactor on epoll for lean transports: no logging context an event, one send a turn.

Made on Twisted's PosixReactorBase the way third-party reactors are, it does all that Twisted's own
epoll reactor does: clients, datagrams, processes, threads, timers. What it adds is for descriptors
that say so (:class:`IDirect`): their ``doRead`` is called with nothing around it, and what was
written to them by others is sent once, at the end of the turn. docs/explanation has the
measurements.

The kernel reports events by descriptor number, many at a time. An event handled early may close a
descriptor, and an object made in the same batch may get its number. Each registration has a
generation, therefore, and an event goes to nobody who registered after the poll that returned it.
A skipped event is not lost: the next poll reports it again, to its owner. A descriptor
that fails is logged and ends; the other events of the batch are handled all the same.

Installed by ``twistd --reactor=tcpd``, and by ``twistd tcpd`` where no other was asked for.
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
    raise ImportError("this reactor needs epoll, which this system does not have")

_IN = select.EPOLLIN
_OUT = select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR

#: The peer has closed its sending side, at least; asked for together with input.
_END = select.EPOLLRDHUP
_ENDS = _END | _GONE

#: How many events one turn takes, and the next one where there were as many: who is ready last
#: waits for one turn.
_MOST_EVENTS = 1024
_MANY_EVENTS = 16384

#: Seconds of a turn for connections that have ended; more wait for the next.
_SECONDS_FOR_ENDS = 0.005

#: TurnScheduler that may fail one after the other, and seconds to wait after each: some ten in all.
_MOST_FAILED = 200
_BREATH = 0.05


class IDirect(Interface):
    """A descriptor whose ``doRead`` and ``doWrite`` never raise and always return ``None``.

    It handles its own errors, and calls its protocol's ``connectionLost`` itself.
    """

    direct = Attribute("True; an attribute, since asking an interface costs more.")

    wants_loss = Attribute(
        "True for a socket that wants to know when its connection is lost (a reset, a timeout of "
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
    :ivar no_memory: called with each MemoryError that is caught here; may be set.
    :ivar exhausted: called with a sentence when no turn succeeds any more; may be set.
    """

    _failures = Logger()

    def __init__(self) -> None:
        self._poller = select.epoll()
        self._masks: dict[int, int] = {}
        self._descriptors: dict[int, Any] = {}
        #: Of these the direct ones that read.
        self._direct: dict[int, Any] = {}
        #: By number, the generation of each registration since the last poll; the latest one.
        self._generations: dict[int, int] = {}
        self._latest = 0
        self._most = _MOST_EVENTS
        self._dealing = False  # with the events of a poll
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
        if mask is not None and self._descriptors[fd] is not descriptor:
            # its owner closed it without removing it, and the number belongs to another by now
            self._take_out(fd)
            mask = None
        try:
            if mask is None:
                self._poller.register(fd, _asked(event))
                self._masks[fd] = event
                self._descriptors[fd] = descriptor
                self._latest += 1
                self._generations[fd] = self._latest
            elif mask & event:
                return
            else:
                self._poller.modify(fd, _asked(mask | event))
                self._masks[fd] = mask | event
        except OSError as error:
            if error.errno != errno.EPERM:
                raise
            always[fd] = descriptor  # a file on disk is always ready, and epoll will not have it
            return
        if event == _IN and getattr(descriptor, "direct", False):
            self._direct[fd] = descriptor

    def _remove(self, descriptor: Any, event: int, always: dict[int, Any]) -> None:
        fd = descriptor.fileno()
        if fd == -1:
            # it was closed before it was removed, which Twisted tolerates
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
            # epoll reports an error whatever it was asked for
            self._poller.modify(fd, _asked(mask))
            self._masks[fd] = mask
            if event == _IN:
                self._direct.pop(fd, None)
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
        if self._descriptors.get(fd) is descriptor:
            del self._masks[fd]
            del self._descriptors[fd]
            self._direct.pop(fd, None)

    # --- a turn ---

    def doIteration(self, delay: float | None) -> None:
        """Wait for events and deal with them.

        :param delay: seconds to wait at most; ``None`` for ever.
        """
        try:
            if self.written:
                self._flush_written()  # what timers wrote
            if self.written or self._always_reading or self._always_writing:
                delay = 0
            events = self._poller.poll(delay, self._most)
            self._most = _MOST_EVENTS if len(events) < self._most else _MANY_EVENTS
            self._deal_with(iter(events))
            if self._always_reading or self._always_writing:
                self._always()
            if self.written:
                self._flush_written()
        except BaseException as error:
            self._turn_failed(error)
        if self._failing:
            self._breathe()
        else:
            self._failed_turns = 0

    doPoll = doIteration

    def runUntilCurrent(self) -> None:
        """Call what is due. What it raises would end the main loop, and all else with it."""
        try:
            super().runUntilCurrent()
        except BaseException as error:
            self._turn_failed(error)

    def timeout(self) -> float | None:
        """How long to wait for events, in seconds; ``None`` for ever."""
        try:
            return super().timeout()
        except BaseException as error:
            self._turn_failed(error)
            return 0.0

    def _turn_failed(self, error: BaseException) -> None:
        self._failing = True
        self._report(error)

    def _report(self, error: BaseException) -> None:
        """Log a failure, or count it; where even that fails, this is no good turn."""
        try:
            if isinstance(error, MemoryError):
                self.no_memory(error)
            else:
                self._log_failure(error)
        except BaseException:
            self._failing = True

    def _log_failure(self, error: BaseException) -> None:
        self._failures.failure("a descriptor's handling failed", Failure(error))

    def _breathe(self) -> None:
        """Wait a moment after a turn that failed, for its reason is likely to last; give up when
        that has gone on for long."""
        self._failing = False
        self._failed_turns += 1
        if self._failed_turns >= _MOST_FAILED:
            self.exhausted("the main loop cannot go on, most likely for want of memory")
        time.sleep(_BREATH)

    def _deal_with(self, events: Iterator[tuple[int, int]]) -> None:
        """Hand the events of one poll to their descriptors."""
        direct = self._direct
        generations = self._generations
        latest = self._latest
        descriptor: Any = None
        now = time.monotonic
        until = 0.0  # when the time for ends is used up
        nested, self._dealing = self._dealing, True  # by reactor.iterate() in a callback
        while True:  # once, and once more behind each descriptor that failed
            try:
                for fd, event in events:
                    if self._latest != latest and generations.get(fd, 0) > latest:
                        continue  # it is of a former owner of that number
                    if event == _IN:
                        descriptor = direct.get(fd)
                        if descriptor is not None:
                            descriptor.doRead()
                            continue
                    descriptor = self._descriptors.get(fd)
                    if descriptor is None:
                        continue  # removed by what was dealt with before it
                    if getattr(descriptor, "direct", False):
                        if event & _ENDS:
                            # thousands may end at once; those left are reported again
                            if not until:
                                until = now() + _SECONDS_FOR_ENDS
                            elif now() >= until:
                                continue
                        self._direct_event(descriptor, fd, event)
                    else:
                        log.callWithLogger(descriptor, self._event, descriptor, fd, event)
                self._dealing = nested
                if generations and not nested:
                    generations.clear()
                return
            except BaseException as error:
                self._failed(descriptor, error)

    def _flush_written(self) -> None:
        # what a flush causes to be written waits for the next turn: other events come between
        waiting = self.written[:]
        self.written.clear()
        for transport in waiting:
            try:
                transport.flush()
            except BaseException as error:
                self._failed(transport, error)

    def _asks_for(self, descriptor: Any, fd: int) -> int:
        """What a descriptor is registered for now; 0 if its number is another's by now."""
        return self._masks[fd] if self._descriptors.get(fd) is descriptor else 0

    def _direct_event(self, descriptor: Any, fd: int, event: int) -> None:
        if event & _OUT and self._masks[fd] & _OUT:
            descriptor.doWrite()
            if self._descriptors.get(fd) is not descriptor:
                return
        # reading finds an error or hang-up; a descriptor that does not read is called back, or
        # epoll would report it again and again
        mask = self._masks[fd]
        if event & (_IN | _GONE) and mask & _IN:
            descriptor.doRead()
        elif event & _GONE:
            if mask or event & select.EPOLLERR:
                descriptor.gone()
            else:
                # both sides have ended, which is no loss: there may be input to read. epoll would
                # report it again and again, so it is taken out until it reads on
                self._take_out(fd)

    def _event(self, descriptor: Any, fd: int, event: int) -> None:
        """Deal with one event of an ordinary descriptor."""
        why: BaseException | None = None
        reading = False
        if event & _GONE and self._reads(descriptor, fd):
            # reading finds what is left, and whether it was closed or reset. Twisted's own reactors
            # take it for closed where it was not read from at the time of the poll
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
                    # reading may have ended it, and its number may be another's by now
                    if why is None and event & _OUT and self._writes(descriptor, fd):
                        reading = False
                        why = descriptor.doWrite()
            except BaseException as error:
                self._failed(descriptor, error)
        if why is not None:
            self._disconnect(descriptor, why, reading)

    def _reads(self, descriptor: Any, fd: int) -> bool:
        """Whether a descriptor is registered for reading, under this number."""
        if self._descriptors.get(fd) is descriptor:
            return bool(self._masks[fd] & _IN)
        return self._always_reading.get(fd) is descriptor

    def _writes(self, descriptor: Any, fd: int) -> bool:
        """The same for writing."""
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

    def _always(self) -> None:
        for event, always in ((_IN, self._always_reading), (_OUT, self._always_writing)):
            for fd, descriptor in list(always.items()):
                try:
                    if always.get(fd) is descriptor:
                        log.callWithLogger(descriptor, self._event, descriptor, fd, event)
                except BaseException as error:
                    self._failed(descriptor, error)

    def _failed(self, descriptor: Any, error: BaseException) -> None:
        """End a descriptor that failed where it must not. Never raises.

        It is the boundary to code of others: the failure is logged, and costs that descriptor
        alone.
        """
        self._report(error)
        try:
            if self._stays(descriptor, error):
                return
            if hasattr(descriptor, "connectionLost"):  # what is only flushed has none
                self._disconnect(descriptor, error, False)
        except BaseException as another:
            self._report(another)
            self._take_out_failed(descriptor, error)

    def _stays(self, descriptor: Any, error: BaseException) -> bool:
        """Whether a descriptor is to have another turn, whatever it did in this one."""
        if descriptor in self._internalReaders:
            return True  # without these no signal arrives
        # a port would be closed to all who come later
        return isinstance(error, MemoryError) and IListeningPort.providedBy(descriptor)

    def _take_out_failed(self, descriptor: Any, error: BaseException) -> None:
        """Take out a descriptor whose end failed, too. Never raises."""
        try:
            if self._stays(descriptor, error):
                return
            for always in (self._always_reading, self._always_writing):
                for fd in [fd for fd, one in always.items() if one is descriptor]:
                    del always[fd]
            for fd in [fd for fd, one in self._descriptors.items() if one is descriptor]:
                self._take_out(fd)
        except BaseException as another:
            self._report(another)


def _asked(mask: int) -> int:
    """What to ask epoll for."""
    return mask | _END if mask & _IN else mask


def install() -> None:
    """Make it the reactor of this process.

    :raise twisted.internet.error.ReactorAlreadyInstalledError: if there is one.
    """
    installReactor(TcpdReactor())
