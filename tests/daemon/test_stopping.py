"""Stop by one, two and three SIGTERMs; nothing delays the exit."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import reactors
from conftest import LoggedFailures
from daemon.harness import DaemonHarness, service
from twisted.application.service import Service
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.daemon.startup_environment import StartupEnvironment
from tcpd.daemon.stop_signals import MARGIN, PATIENCE, StopSignals
from tcpd.interfaces import IAbortable
from tcpd.net.threads import DaemonThreadPool, use_daemon_threads

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Restore the signal handlers."""
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


class StoppingProcess:
    """A process that stops, and the calls to it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pidfile: str = "") -> None:
        self.done: list[object] = []
        self.runs = True
        self.startup: list[Any] = []
        reactor: Any = self
        daemon: Any = self
        monkeypatch.setattr(os, "kill", lambda pid, number: self.done.append(("kill", number)))
        monkeypatch.setattr(os, "_exit", lambda status: self.done.append(("exit", status)))
        monkeypatch.setattr(os, "write", lambda fd, data: self.done.append((fd, data)))
        self.signals = StopSignals(daemon, reactor, pidfile)

    def callWhenRunning(self, call: Any) -> None:
        if self.runs:
            call()
        else:
            self.startup.append(call)

    def addSystemEventTrigger(self, phase: str, event: str, call: Any) -> None:
        assert (phase, event) == ("before", "startup")
        self.startup.append(call)

    def run(self, *between: signal.Signals) -> None:
        """Start the reactor, which installs its signal handlers."""
        before, after = self.startup
        before()
        if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
            signal.signal(signal.SIGINT, self.first)
        signal.signal(signal.SIGTERM, self.first)
        for number in between:
            signal.raise_signal(number)
        after()

    def first(self, number: int, frame: object) -> None:
        self.done.append(("reactor", number))

    @property
    def running_services(self) -> Any:
        settings = SimpleNamespace(tcpd=SimpleNamespace(drain=7.0))
        return SimpleNamespace(settings=settings, abort_factories=self.kill_programs)

    @property
    def components(self) -> Any:
        return SimpleNamespace(memory=self)

    exhausted: Any = None

    def callFromThread(self, call: Any) -> None:
        call()

    def cut(self) -> None:
        self.done.append("cut")

    def kill_programs(self) -> None:
        self.done.append("programs killed")
        raise MemoryError


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_each_signal_has_its_effect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    """ "The second SIGTERM ends everything at once"; the third ends the process as it is."""
    pidfile = tmp_path / "pid"
    pidfile.write_text("1")
    bed = StoppingProcess(monkeypatch, str(pidfile))
    for each in NUMBERS[:2]:
        signal.signal(each, lambda number, frame: bed.done.append(("reactor", number)))
    bed.signals.startService()
    signal.raise_signal(number)
    assert bed.done == [("reactor", number)]
    assert 7 < signal.getitimer(signal.ITIMER_REAL)[0] <= 7 + MARGIN
    signal.raise_signal(number)
    assert bed.done[1:] == ["cut"]
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= PATIENCE
    assert pidfile.exists()
    signal.raise_signal(number)
    assert bed.done[2:] == ["programs killed", ("kill", number)]
    assert signal.getsignal(number) == signal.SIG_DFL
    assert not pidfile.exists()


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch) -> StoppingProcess:
    """A daemon that opens its ports; the reactor does not run yet."""
    bed = StoppingProcess(monkeypatch)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    bed.runs = False
    bed.signals.privilegedStartService()
    return bed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_during_the_start_waits_for_the_reactor(
    starting: StoppingProcess, number: signal.Signals
) -> None:
    """ "During the start the first one waits for the reactor": Ctrl-C gives no traceback, and
    SIGTERM from a supervisor that knows the daemon is ready leaves no pidfile."""
    signal.raise_signal(number)
    starting.signals.startService()
    assert starting.done == []
    starting.run()
    assert starting.done == [("reactor", number)]
    signal.raise_signal(number)
    assert starting.done[1:] == ["cut"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_while_handlers_are_installed_is_counted(
    starting: StoppingProcess, number: signal.Signals
) -> None:
    """The signal waits in the kernel: "A signal may be blocked, which means that it will not be
    delivered until it is later unblocked" (signal(7))."""
    starting.signals.startService()
    starting.run(number)
    assert starting.done == [("reactor", number)]
    signal.raise_signal(number)
    assert starting.done[1:] == ["cut"]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGTERM, signal.SIGINT}


def test_second_signal_ends_a_hanging_start(starting: StoppingProcess) -> None:
    """ "the second ends the process as it is" """
    signal.raise_signal(signal.SIGTERM)
    assert starting.done == []
    signal.raise_signal(signal.SIGINT)
    assert starting.done == ["programs killed", ("kill", signal.SIGINT)]


def test_process_exits_if_the_abort_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third signal is not necessary."""
    bed = StoppingProcess(monkeypatch)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    bed.signals.startService()
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGALRM)
    assert bed.done == ["cut", "programs killed", ("kill", signal.SIGTERM)]


def test_signal_that_fails_is_handled_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault: SIGTERM was ignored if logging it failed for lack of memory."""
    bed = StoppingProcess(monkeypatch)
    fails = iter([True, False])

    def poor(number: int, frame: object) -> None:
        if next(fails):
            raise MemoryError
        bed.done.append("stop")

    signal.signal(signal.SIGTERM, poor)
    bed.signals.startService()
    signal.raise_signal(signal.SIGTERM)
    assert bed.done == []
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] < 1
    signal.raise_signal(signal.SIGALRM)
    assert bed.done == ["stop"]
    signal.raise_signal(signal.SIGTERM)
    assert bed.done == ["stop", "cut"]


def test_fatal_error_exits_with_a_sentence_and_a_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logged_failures: LoggedFailures
) -> None:
    """ "The process ends with a sentence and a status, so that its supervisor restarts it." """
    pidfile = tmp_path / "pid"
    pidfile.write_text("1")
    bed = StoppingProcess(monkeypatch, str(pidfile))
    bed.signals.check()
    bed.signals.startService()
    assert bed.exhausted == bed.signals.exit_with_error
    assert bed.done == []
    bed.signals.check()
    sentence = "the main loop has ended without a stop"
    assert bed.done == [
        (2, f"tcpd: {sentence}\n".encode()),
        "programs killed",
        ("exit", 1),
    ]
    assert not pidfile.exists()
    logged_failures.expect("process exits with status 1")
    bed.done.clear()
    bed.signals.stopService()
    bed.signals.check()
    assert bed.done == []


def test_ignored_signals_stay_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """nohup(1), and shells for background jobs."""
    bed = StoppingProcess(monkeypatch)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    bed.signals.privilegedStartService()
    signal.raise_signal(signal.SIGINT)
    bed.signals.startService()
    signal.raise_signal(signal.SIGINT)
    assert bed.done == []


@implementer(IAbortable)
class Slow:
    """A factory with programs to end."""

    def __init__(self, factory: Any) -> None:
        self._factory = factory
        self.finished: Deferred[None] = Deferred()
        self.hurried = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)

    def finish(self, seconds: float) -> Deferred[None]:
        return self.finished

    def abort(self) -> None:
        self.hurried += 1
        if not self.finished.called:
            self.finished.callback(None)


@pytest.mark.parametrize("early", [True, False], ids=["before it begins", "while it waits"])
def test_abort_ends_programs_of_services(early: bool) -> None:
    harness = DaemonHarness(service("a", "1"))
    layer = harness.services.units["a"].layer
    slow: Any = Slow(layer.factory)
    layer.factory = slow
    ends: list[object] = []
    if early:
        harness.daemon.cut()
    harness.daemon.stopService().addCallback(ends.append)
    if not early:
        assert ends == []
        harness.daemon.cut()
    assert slow.hurried
    assert len(ends) == 1


def test_stop_waits_for_all_services_though_one_fails(logged_failures: LoggedFailures) -> None:
    harness = DaemonHarness(service("a", "1") + service("b", "2"))
    failing, waiting = harness.services.units["a"], harness.services.units["b"]
    last: Deferred[None] = Deferred()

    def fail() -> None:
        raise ValueError("it broke")

    failing.stopService = fail  # type: ignore[method-assign, assignment]
    waiting.stopService = lambda: last  # type: ignore[method-assign]
    ends: list[object] = []
    harness.daemon.stopService().addCallback(ends.append)
    assert ends == []
    last.callback(None)
    assert len(ends) == 1


class SlowSharedService(Service):
    """A service that frontends use, with a slow stop."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.setName(name)
        self.calls = calls
        self.stopped: Deferred[None] = Deferred()

    def privilegedStartService(self) -> None:
        self.calls.append(f"{self.name} prepares")

    def startService(self) -> None:
        super().startService()
        frontends: Any = self.parent
        self.calls.append(f"{self.name} starts, frontends {frontends.running_services.running}")

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self.calls.append(f"{self.name} stops")
        return self.stopped


METRICS = "[metrics]\nlisten = 127.0.0.1:9\n"


def test_shared_services_start_first_and_stop_last() -> None:
    """ "They start before the frontends, in this order, and stop after them, in the reverse order"
    (make_daemon). The daemon's own services stop last: operators watch the others until then."""
    calls: list[str] = []
    shared = [SlowSharedService("store", calls), SlowSharedService("chat", calls)]
    harness = DaemonHarness(service("a", "1") + METRICS, shared_services=shared)
    assert calls == [
        *("store prepares", "chat prepares"),
        *("store starts, frontends 0", "chat starts, frontends 0"),
    ]
    calls.clear()
    connection, transport = harness.connect(1)
    ends: list[object] = []
    harness.daemon.stopService().addCallback(ends.append)
    assert transport.disconnecting
    assert calls == [], "connections drain first"
    connection.connectionLost(Failure(ConnectionDone()))
    assert calls == ["chat stops"]
    shared[1].stopped.callback(None)
    assert calls == ["chat stops", "store stops"]
    assert ends == []
    assert harness.open == {"tcp 127.0.0.1:9"}
    shared[0].stopped.callback(None)
    assert harness.open == set()
    assert len(ends) == 1


def test_second_signal_does_not_abort_shared_services() -> None:
    """A shared service finishes its writes; only the exit is faster."""
    calls: list[str] = []
    shared = SlowSharedService("store", calls)
    harness = DaemonHarness(service("a", "1"), shared_services=[shared])
    ends: list[object] = []
    harness.daemon.stopService().addCallback(ends.append)
    harness.daemon.cut()
    assert calls[-1] == "store stops"
    assert ends == []
    shared.stopped.callback(None)
    assert len(ends) == 1


def test_shared_service_that_fails_to_stop_is_logged(
    logged_failures: LoggedFailures,
) -> None:
    calls: list[str] = []
    shared = [SlowSharedService("store", calls), SlowSharedService("chat", calls)]
    harness = DaemonHarness(service("a", "1") + METRICS, shared_services=shared)
    ends: list[object] = []
    harness.daemon.stopService().addCallback(ends.append)
    shared[1].stopped.errback(ValueError("disk full"))
    shared[0].stopped.callback(None)
    assert len(ends) == 1
    assert harness.open == set()
    logged_failures.expect("a service has failed to stop")


@pytest.mark.parametrize("how", ["written", "late", "cut"])
def test_stop_waits_until_bans_are_written(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit does not wait for the writing thread, as a disk may hang."""
    harness = DaemonHarness(
        f"[tcpd]\ndrain = 20s\ncontrol = none\nstate = {tmp_path}\n" + service("a", "1"),
        environment=StartupEnvironment({}, os.getuid()),
    )
    writing: Deferred[None] = Deferred()
    monkeypatch.setattr("tcpd.daemon.banfile.maybeDeferred", lambda *_: writing)
    ensureDeferred(harness.daemon.ban_file.save(harness.daemon.components.bans))
    ends: list[object] = []
    harness.daemon.stopService().addCallback(ends.append)
    harness.reactor.advance(19)
    assert ends == []
    if how == "written":
        writing.callback(None)
    elif how == "late":
        harness.reactor.advance(1)
    else:
        harness.daemon.cut()
    assert len(ends) == 1


def test_exit_does_not_wait_for_threads() -> None:
    """ "Nothing may hold the process's end": not a thread that hangs, and not what is queued."""
    reactor = SelectReactor()
    use_daemon_threads(reactor)
    pool = reactor.getThreadPool()
    assert isinstance(pool, DaemonThreadPool)
    proceed, done = threading.Event(), threading.Event()
    pool.start()
    for _ in range(30):
        pool.callInThread(proceed.wait)
    pool.callInThread(done.set)
    threads = list(pool.threads)
    assert threads
    assert all(thread.daemon for thread in threads)
    pool.stop()  # waits for all work
    assert not done.is_set()
    proceed.set()
    for thread in threads:
        thread.join(30)
    reactors.close(reactor)


def test_existing_thread_pool_is_kept() -> None:
    reactor = SelectReactor()
    pool = reactor.getThreadPool()
    use_daemon_threads(reactor)
    assert reactor.getThreadPool() is pool
    use_daemon_threads(Clock())
    reactors.close(reactor)
