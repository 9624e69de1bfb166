"""Dispatch of the events of one poll: reused numbers, exceptions, failed turns."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if not hasattr(select, "epoll"):
    pytest.skip("our reactor needs epoll", allow_module_level=True)

from conftest import LoggedFailures
from twisted.internet.interfaces import IListeningPort, IReadWriteDescriptor
from twisted.internet.posixbase import PosixReactorBase
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.net.reactor import TcpdReactor

IN, OUT, HUP, ERR = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP, select.EPOLLERR


def nothing() -> None:
    """Do nothing."""


@implementer(IReadWriteDescriptor)
class Ordinary:
    """A descriptor that records its calls.

    :param fd: its number.
    :param does: called in each ``doRead`` and ``doWrite``."""

    def __init__(self, fd: int, does: Callable[[], None] = nothing) -> None:
        self.fd = fd
        self.does = does
        self.calls: list[str] = []

    def fileno(self) -> int:
        return self.fd

    def logPrefix(self) -> str:
        return "test"

    def doRead(self) -> None:
        self.calls.append("read")
        self.does()

    def doWrite(self) -> None:
        self.calls.append("write")
        self.does()

    def connectionLost(self, reason: Failure) -> None:
        self.calls.append("lost")


class Direct(Ordinary):
    """A descriptor that provides IDirect."""

    direct = True

    def gone(self) -> None:
        self.calls.append("gone")

    def flush(self) -> None:
        self.calls.append("flush")
        self.does()


class Watched(Direct):
    """An IDirect descriptor with ``wants_loss``."""

    wants_loss = True


KINDS = pytest.mark.parametrize("kind", [Ordinary, Direct, Watched])


class PolledEvents:
    """A double of the epoll object: each poll returns the given events."""

    def __init__(self) -> None:
        self.masks: dict[int, int] = {}
        self.events: list[tuple[int, int]] = []

    def register(self, fd: int, mask: int) -> None:
        assert fd not in self.masks
        self.masks[fd] = mask

    def modify(self, fd: int, mask: int) -> None:
        assert fd in self.masks
        self.masks[fd] = mask

    def unregister(self, fd: int) -> None:
        del self.masks[fd]

    def poll(self, delay: float | None, most: int) -> list[tuple[int, int]]:
        events, self.events = self.events, []
        return events


@pytest.fixture
def reactor() -> Iterator[TcpdReactor]:
    made = TcpdReactor()
    real = made._poller
    try:
        yield made
    finally:
        real.close()
        for each in list(made._internalReaders):
            each.connectionLost(None)


@pytest.fixture
def batch(reactor: TcpdReactor) -> PolledEvents:
    """The events of a poll, in an order that the test chooses."""
    made: Any = PolledEvents()
    made.masks = dict(reactor._masks)
    reactor._poller = made
    return made


@pytest.mark.parametrize("event", [IN, OUT, IN | OUT, HUP, ERR, IN | HUP, OUT | ERR | HUP])
@KINDS
@pytest.mark.parametrize("old", [Ordinary, Direct])
def test_event_does_not_reach_a_later_owner_of_its_number(
    reactor: TcpdReactor, batch: PolledEvents, old: type[Ordinary], kind: type[Ordinary], event: int
) -> None:
    new = kind(901)

    def replace() -> None:
        reactor.removeReader(before)
        reactor.addReader(new)

    first, before = old(900, replace), old(901)
    reactor.addReader(first)
    reactor.addReader(before)
    batch.events = [(900, IN), (901, event)]
    reactor.doIteration(0)
    assert (first.calls, before.calls, new.calls) == (["read"], [], [])
    batch.events = [(901, IN)]
    reactor.doIteration(0)
    assert new.calls == ["read"]


@KINDS
def test_reregistered_descriptor_gets_no_earlier_event(
    reactor: TcpdReactor, batch: PolledEvents, kind: type[Ordinary]
) -> None:
    second = kind(901)

    def again() -> None:
        reactor.forget(second)
        batch.unregister(901)  # close() unregisters it
        reactor.addReader(second)

    first = kind(900, again)
    reactor.addReader(first)
    reactor.addReader(second)
    batch.events = [(900, IN), (901, IN)]
    reactor.doIteration(0)
    assert second.calls == []


@KINDS
@pytest.mark.parametrize(("event_kind", "other"), [(IN, OUT), (OUT, IN)])
def test_event_is_dropped_after_remove_reader(
    reactor: TcpdReactor, batch: PolledEvents, kind: type[Ordinary], event_kind: int, other: int
) -> None:
    second = kind(901)
    add = {IN: reactor.addReader, OUT: reactor.addWriter}
    remove = {IN: reactor.removeReader, OUT: reactor.removeWriter}

    first = kind(900, lambda: remove[event_kind](second))
    reactor.addReader(first)
    add[event_kind](second)
    add[other](second)
    batch.events = [(900, IN), (901, event_kind)]
    reactor.doIteration(0)
    assert (first.calls, second.calls) == (["read"], [])


def test_close_in_do_read_drops_the_write_event(reactor: TcpdReactor, batch: PolledEvents) -> None:
    new = Ordinary(901)

    def replace() -> None:
        reactor.removeReader(before)
        reactor.removeWriter(before)
        reactor.addWriter(new)

    before = Ordinary(901, replace)
    reactor.addReader(before)
    reactor.addWriter(before)
    batch.events = [(901, IN | OUT)]
    reactor.doIteration(0)
    assert (before.calls, new.calls) == (["read"], [])


def test_close_in_do_write_drops_the_read_event(reactor: TcpdReactor, batch: PolledEvents) -> None:
    new = Direct(901)

    def replace() -> None:
        reactor.removeReader(before)
        reactor.removeWriter(before)
        reactor.addReader(new)

    before = Direct(901, replace)
    reactor.addReader(before)
    reactor.addWriter(before)
    batch.events = [(901, IN | OUT | HUP)]
    reactor.doIteration(0)
    assert (before.calls, new.calls) == (["write"], [])


def test_nested_iteration_keeps_the_generations(reactor: TcpdReactor, batch: PolledEvents) -> None:
    """``reactor.iterate()`` in a callback"""
    new = Direct(901)

    def turn() -> None:
        first.does = nothing
        reactor.removeReader(before)
        batch.events = [(902, IN)]
        reactor.doIteration(0)

    first, before = Direct(900, turn), Direct(901)
    third = Direct(902, lambda: reactor.addReader(new))
    for each in (first, before, third):
        reactor.addReader(each)
    batch.events = [(900, IN), (901, IN)]
    reactor.doIteration(0)
    assert (before.calls, third.calls, new.calls) == ([], ["read"], [])


@KINDS
@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyboardInterrupt, SystemExit])
def test_exception_does_not_affect_other_descriptors(
    reactor: TcpdReactor,
    batch: PolledEvents,
    logged_failures: LoggedFailures,
    kind: type[Ordinary],
    error: type[BaseException],
) -> None:

    def fail() -> None:
        raise error("it broke")

    first, second, third = kind(900, fail), kind(901, fail), kind(902)
    for each in (first, second, third):
        reactor.addReader(each)
    batch.events = [(900, IN), (901, IN), (902, IN)]
    reactor.doIteration(0)
    assert first.calls == second.calls == ["read", "lost"]
    assert third.calls == ["read"]
    logged_failures.expect("it broke", 2)
    assert not {first, second} & set(reactor.getReaders())


@KINDS
def test_exception_in_connection_lost_still_unregisters(
    reactor: TcpdReactor, batch: PolledEvents, logged_failures: LoggedFailures, kind: type[Ordinary]
) -> None:

    class Failing(kind):  # type: ignore[valid-type, misc]
        def connectionLost(self, reason: Failure) -> None:
            raise ValueError("its end broke")

    def fail() -> None:
        raise ValueError("it broke")

    first, second = Failing(900, fail), kind(901)
    reactor.addReader(first)
    reactor.addReader(second)
    batch.events = [(900, IN), (901, IN)]
    reactor.doIteration(0)
    assert second.calls == ["read"]
    assert 900 not in batch.masks
    logged_failures.expect("it broke")
    logged_failures.expect("its end broke")


def test_exception_in_flush_does_not_affect_other_flushes(
    reactor: TcpdReactor, batch: PolledEvents, logged_failures: LoggedFailures
) -> None:

    def fail() -> None:
        raise ValueError("it broke")

    class Queue:
        """A flushed object that is not a connection."""

        def flush(self) -> None:
            raise ValueError("the queue broke")

    first, second = Direct(900, fail), Direct(901)
    reactor.written += [first, Queue(), second]
    reactor.doIteration(0)
    assert (first.calls, second.calls) == (["flush", "lost"], ["flush"])
    logged_failures.expect("it broke")
    logged_failures.expect("the queue broke")
    reactor.doIteration(0)
    assert second.calls == ["flush"]


def test_slow_flushes_continue_in_the_next_turns(reactor: TcpdReactor, batch: PolledEvents) -> None:
    """Flushes take 5 ms of a turn; a turn calls 32 at least, each once and in order."""
    flushed: list[int] = []

    class Slow:
        """An object whose flush takes a millisecond."""

        def __init__(self, number: int) -> None:
            self.number = number

        def flush(self) -> None:
            end = time.monotonic() + 0.001
            while time.monotonic() < end:
                pass
            flushed.append(self.number)

    reactor.written += map(Slow, range(100))
    reactor._flush_written()
    assert flushed == list(range(32))
    for _ in range(3):
        reactor._flush_written()
    assert flushed == list(range(100))
    assert not reactor.written


def test_waker_stays_registered_after_an_exception(
    reactor: TcpdReactor,
    batch: PolledEvents,
    logged_failures: LoggedFailures,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    def fail() -> None:
        raise MemoryError("none left")

    monkeypatch.setattr(reactor.waker, "doRead", fail)
    batch.events = [(reactor.waker.fileno(), IN)]
    reactor.doIteration(0)
    assert reactor.waker in reactor.getReaders()
    logged_failures.expect("none left")


def test_exception_does_not_affect_other_regular_files(
    reactor: TcpdReactor, tmp_path: Any, logged_failures: LoggedFailures
) -> None:

    def fail() -> None:
        raise ValueError("it broke")

    class Nameless(Ordinary):
        """A descriptor whose ``logPrefix`` fails."""

        def logPrefix(self) -> str:
            raise KeyboardInterrupt("no name")

    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text("x")
    files = [path.open("rb") for path in paths]
    try:
        first = Nameless(files[0].fileno(), fail)
        second = Ordinary(files[1].fileno(), fail)
        third = Ordinary(files[2].fileno())
        for each in (first, second, third):
            reactor.addReader(each)
            reactor.addWriter(each)
        reactor.doIteration(0)
        assert (first.calls, second.calls) == (["lost"], ["read", "lost"])
        assert third.calls == ["read", "write"]
        assert set(reactor.getReaders()) - reactor._internalReaders == {third}
    finally:
        for each in files:
            each.close()
    logged_failures.expect("it broke")
    logged_failures.expect("no name")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@KINDS
def test_reused_number_gets_no_old_event_with_real_epoll(
    reactor: TcpdReactor, pair: tuple[socket.socket, socket.socket], kind: type[Ordinary]
) -> None:
    ends: list[int] = []
    made: list[Ordinary] = []
    both: list[Ordinary] = []

    def swap() -> None:
        for each in both:
            each.does = nothing
        if made:
            return
        other = next(each for each in both if not each.calls)
        reactor.removeReader(other)
        reading, writing = os.pipe()
        os.dup2(reading, other.fd)
        os.close(reading)
        ends.append(writing)
        made.append(kind(other.fd))
        reactor.addReader(made[0])

    one, two = socket.socketpair()
    with one, two:
        both += [kind(pair[0].fileno(), swap), kind(one.fileno(), swap)]
        for each in both:
            reactor.addReader(each)
        pair[1].send(b"x")
        two.send(b"x")
        reactor.doIteration(1)
        assert [len(each.calls) for each in both] in ([0, 1], [1, 0])
        assert made[0].calls == []
        os.write(ends[0], b"x")
        reactor.doIteration(1)
        assert made[0].calls == ["read"]
        os.close(ends[0])


@KINDS
def test_number_closed_without_removal_can_be_reused(
    reactor: TcpdReactor, kind: type[Ordinary]
) -> None:
    reading, writing = os.pipe()
    before = kind(reading)
    reactor.addReader(before)
    os.close(reading)
    again, other = os.pipe()
    assert again == reading
    after = kind(again)
    reactor.addReader(after)
    reactor.removeReader(before)
    os.write(other, b"x")
    reactor.doIteration(1)
    assert (before.calls, after.calls) == ([], ["read"])
    for fd in (again, writing, other):
        os.close(fd)


@pytest.mark.parametrize("event", [HUP, HUP | ERR, HUP | OUT])
def test_hangup_calls_do_read_of_a_reading_descriptor(
    reactor: TcpdReactor, batch: PolledEvents, event: int
) -> None:
    """The input before the hangup is not lost, and a reset is reported as such."""
    second = Ordinary(901)
    first = Ordinary(900, lambda: reactor.addReader(second))
    reactor.addReader(first)
    reactor.addWriter(second)
    batch.events = [(900, IN), (901, event)]
    reactor.doIteration(0)
    assert second.calls[0] == "read"
    assert "lost" not in second.calls


def test_hangup_disconnects_a_descriptor_that_is_not_reading(
    reactor: TcpdReactor, batch: PolledEvents
) -> None:
    second = Ordinary(901)
    reactor.addWriter(second)
    batch.events = [(901, HUP | OUT)]
    reactor.doIteration(0)
    assert second.calls == ["lost"]


@pytest.fixture
def reports(reactor: TcpdReactor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the reports of a reactor whose logging fails for lack of memory."""
    calls: list[str] = []

    def no_memory(error: BaseException) -> None:
        raise MemoryError("none left for this either")

    reactor.no_memory = no_memory
    reactor.exhausted = calls.append
    monkeypatch.setattr(time, "sleep", lambda seconds: calls.append("sleep"))
    return calls


@KINDS
def test_memory_error_is_passed_to_no_memory(
    reactor: TcpdReactor, batch: PolledEvents, kind: type[Ordinary]
) -> None:

    def fail() -> None:
        raise MemoryError("none left")

    reported: list[BaseException] = []
    reactor.no_memory = reported.append
    first = kind(900, fail)
    reactor.addReader(first)
    batch.events = [(900, IN)]
    reactor.doIteration(0)
    assert first.calls == ["read", "lost"]
    assert [type(each) for each in reported] == [MemoryError]


@implementer(IListeningPort)
class DirectPort(Direct):
    """A descriptor that provides IListeningPort."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, self.fail)

    def fail(self) -> None:
        raise MemoryError("none left")


def test_port_and_waker_stay_after_memory_errors(
    reactor: TcpdReactor, batch: PolledEvents, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = DirectPort(900)
    reactor.addReader(port)
    monkeypatch.setattr(reactor.waker, "doRead", port.fail)
    batch.events = [(900, IN), (reactor.waker.fileno(), IN)]
    reactor.doIteration(0)
    assert port.calls == ["read"]
    assert {port, reactor.waker} <= set(reactor.getReaders())
    assert reports == ["sleep"]


@pytest.mark.parametrize("what", ["poll", "_flush_written", "_call_always_ready"])
def test_main_loop_survives_failed_turns(
    reactor: TcpdReactor,
    batch: PolledEvents,
    reports: list[str],
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """ "The main loop ends while ports stay open and SIGTERM is ignored"."""

    def fail(*_: object) -> None:
        raise MemoryError("none left")

    monkeypatch.setattr(batch if what == "poll" else reactor, what, fail)
    reactor.written.append(Direct(900))
    reactor._always_reading[900] = Direct(900)
    for _ in range(199):
        reactor.doIteration(0)
    assert reports == ["sleep"] * 199
    reactor.doIteration(0)
    assert reports[199].startswith("the main loop cannot continue")


def test_successful_turn_resets_the_count(
    reactor: TcpdReactor, batch: PolledEvents, reports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(300):
        with monkeypatch.context() as patched:
            patched.setattr(batch, "poll", lambda *_: reactor.no_memory(MemoryError()))
            reactor.doIteration(0)
        reactor.doIteration(0)
    assert reports == ["sleep"] * 300


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit])
def test_timer_exception_does_not_end_the_main_loop(
    reactor: TcpdReactor,
    batch: PolledEvents,
    reports: list[str],
    logged_failures: LoggedFailures,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:

    def fail(*_: object) -> None:
        raise error("it broke")

    monkeypatch.setattr(PosixReactorBase, "runUntilCurrent", fail)
    monkeypatch.setattr(PosixReactorBase, "timeout", fail)
    reactor.runUntilCurrent()
    assert reactor.timeout() == 0.0
    reactor.doIteration(0)
    assert reports == ["sleep"]
    if error is not MemoryError:
        logged_failures.expect("it broke", 2)


# --- many at once ---


@pytest.fixture
def closed(reactor: TcpdReactor) -> Iterator[list[Watched]]:
    """Connections whose peers have closed; each reads the end of file and closes."""
    pairs = [socket.socketpair() for _ in range(20)]
    made: list[Watched] = []
    for ours, theirs in pairs:

        def end(ours: socket.socket = ours, number: int = len(made)) -> None:
            reactor.forget(made[number])
            ours.close()

        made.append(Watched(ours.fileno(), end))
        reactor.addReader(made[-1])
        theirs.close()
    try:
        yield made
    finally:
        for ours, _ in pairs:
            ours.close()


@pytest.mark.parametrize("waits", [False, True], ids=["registered", "registered again"])
def test_reads_are_not_delayed_by_thousands_of_ends(
    reactor: TcpdReactor,
    closed: list[Watched],
    pair: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    waits: bool,
) -> None:
    """Issue 14: "No load within the default limits stalls anybody by more than 50 ms"."""
    monkeypatch.setattr("tcpd.net.reactor._SECONDS_FOR_ENDS", 0.0)
    if waits:  # the end is reported again
        for each in closed:
            reactor.removeReader(each)
            reactor.addReader(each)
    other = Watched(pair[0].fileno())
    reactor.addReader(other)
    pair[1].send(b"x")
    for turn in range(1, len(closed) + 1):
        reactor.doIteration(1)
        assert [each.calls for each in closed].count(["read"]) == turn
        assert len(other.calls) == turn
    reactor.forget(other)


def test_poll_takes_more_events_after_a_full_batch(
    reactor: TcpdReactor, closed: list[Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcpd.net.reactor._FEW_EVENTS", 2)
    monkeypatch.setattr("tcpd.net.reactor._SECONDS_FOR_ENDS", 60.0)
    reactor._max_events = 2
    counts = []
    for _ in range(2):
        reactor.doIteration(1)
        counts.append([each.calls for each in closed].count(["read"]))
    assert counts == [2, len(closed)]
