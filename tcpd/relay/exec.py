"""``protocol = exec``: a program for each connection, with its input and output on the socket."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Hashable
from functools import partial
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IDelayedCall,
    IHalfCloseableProtocol,
    IPushProducer,
    ITransport,
)
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.interfaces import (
    IAbortable,
    IBusy,
    IConnection,
    IContext,
    IFarewell,
    IKind,
    IReconfigurable,
)
from tcpd.net.turns import between_polls
from tcpd.ops import catalogue
from tcpd.policy.log_throttle import LogThrottle
from tcpd.policy.reasons import End
from tcpd.policy.workqueue import share_of
from tcpd.relay.exec_environment import connection_variables
from tcpd.relay.exec_errors import ErrorLog, ErrorPipe
from tcpd.relay.exec_plan import make_plan
from tcpd.relay.exec_program import Program
from tcpd.relay.exec_settings import ExecSettings
from tcpd.relay.peer_monitor import PeerMonitor

#: Seconds to wait for killed programs when the service stops.
_GONE = 1.0

#: Checks of a client that closed a UNIX socket until its program is stopped: one minute, as with
#: TCP (tcp_fin_timeout in tcp(7)). The program may still be processing its input.
_CHECKS = 12


@implementer(IBusy, IPushProducer, IHalfCloseableProtocol, IFarewell)
class ExecProtocol(Protocol):
    """Relays between a client and its program.

    Flow control works both ways: while the client does not read, the program's output stays in its
    socket, and vice versa.

    :param factory: starts the program.

    :ivar program: ``None`` before it is started, or if it failed to start.
    """

    transport: ITransport

    def __init__(self, factory: ExecFactory) -> None:
        self._factory = factory
        self._paused = False
        self._monitor: PeerMonitor | None = None
        self._input: list[bytes] = []  # received before the program started
        self._input_ended = False
        self._output_ended = False
        self.program: Program | None = None

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`: true until the program is started."""
        return self.program is None

    def connectionMade(self) -> None:
        """Request a program."""
        cast(IConsumer, self.transport).registerProducer(self, True)
        self._factory.request_program(self)

    @property
    def share(self) -> Hashable:
        """See :class:`tcpd.policy.workqueue.WorkSource`."""
        connection = IConnection(self.transport, None)
        return share_of(None if connection is None else connection.address, self)

    def work(self, deadline: float) -> bool:
        """See :class:`tcpd.policy.workqueue.WorkSource`: starts the program."""
        self._factory.start(self)
        return False

    def begin(self, program: Program) -> None:
        """The program was started: send it the input so far. Called by the factory."""
        self.program = program
        if self._paused:
            program.pause()
        early, self._input = self._input, []
        for data in early:
            program.write(data)
        if self._input_ended:
            program.end_input()

    def wait(self) -> None:
        """The limit of programs is reached: stop reading. Called by the factory."""
        cast(IPushProducer, self.transport).pauseProducing()

    # --- from the client ---

    def dataReceived(self, data: bytes) -> None:
        """Write to the program."""
        if self.program is None:
            self._input.append(data)
        elif not self.program.write(data):
            self._monitor_client().pause()
            cast(IPushProducer, self.transport).pauseProducing()

    def readConnectionLost(self) -> None:
        """The client half-closed: close the program's input."""
        self._input_ended = True
        self._monitor_client().end()
        if self.program is not None:
            self.program.end_input()

    def _monitor_client(self) -> PeerMonitor:
        if self._monitor is None:
            self._monitor = PeerMonitor(self.transport, self._factory.clock, _CHECKS)
        return self._monitor

    def writeConnectionLost(self) -> None:
        """Never called: this protocol does not half-close."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The connection is lost: stop the program."""
        self._output_ended = True
        if self._monitor is not None:
            self._monitor.stop()
        self._factory.cancel_request(self)
        if self.program is not None:
            self.program.abandon()

    def pauseProducing(self) -> None:
        """The client does not read: stop reading from the program."""
        self._paused = True
        if self.program is not None:
            self.program.pause()

    def resumeProducing(self) -> None:
        """The client reads again: resume reading from the program."""
        self._paused = False
        if self.program is not None and not self._output_ended:
            self.program.resume()

    def stopProducing(self) -> None:
        """Nothing to do: ``connectionLost`` is called too."""

    def farewell(self, reason: End) -> bytes | None:
        """At shutdown, send the program SIGTERM and relay its last output. Otherwise reset the
        connection, so that truncated output is visible (docs/decisions/0003)."""
        if reason is End.SHUTDOWN and self.program is not None and not self._output_ended:
            self.program.terminate()
            return None
        if not self._output_ended:
            cast(Any, self.transport).resetConnection()
        return b""

    # --- from the program ---

    def output(self, data: bytes) -> None:
        """See :class:`tcpd.relay.exec_program.Watcher`, as for the next two."""
        self.transport.write(data)

    def output_ended(self, cut: bool) -> None:
        # truncated output must not look complete
        self._output_ended = True
        transport: Any = self.transport
        transport.unregisterProducer()
        if cut:
            transport.resetConnection()
        else:
            transport.loseConnection()

    def input_taken(self) -> None:
        if self._monitor is not None:
            self._monitor.resume()
        cast(IPushProducer, self.transport).resumeProducing()


@implementer(IReconfigurable, IAbortable)
class ExecFactory(ServerFactory):
    """One exec service.

    It runs at most as many programs as the policy's ``connections``: while programs of closed
    connections are still ending, new clients wait. Starting a program blocks the reactor for a
    millisecond or more, so it goes through the daemon's work queue.

    :param settings: the keys of the service.
    :param context: see :class:`tcpd.interfaces.IContext`.
    :raise SettingError: for a program, a user or a limit that cannot be used.

    :ivar clock: schedules timers.
    :ivar programs: running programs with their peers, also those whose connection is lost.
    """

    _log = Logger()
    noisy = False

    def __init__(self, settings: ExecSettings, context: IContext) -> None:
        self._context = context
        self.clock = context.clock
        self._plan = make_plan(settings, context.uid, os.environ)
        self.programs: dict[Program, str] = {}
        self._waiting: deque[ExecProtocol] = deque()
        self._starting: set[ExecProtocol] = set()
        self._between_polls = between_polls(context.reactor)
        self._throttle = LogThrottle()
        self._errors = ErrorLog(context, self._log)
        self._finishing = False
        self._finished: Deferred[None] | None = None
        self._deadline: IDelayedCall | None = None

    def reconfigure(self, settings: ExecSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`: applies to programs started later."""
        self._plan = make_plan(settings, self._context.uid, os.environ)

    def buildProtocol(self, addr: IAddress | None) -> ExecProtocol:
        """Make the protocol of one connection."""
        return ExecProtocol(self)

    # --- from protocols ---

    def request_program(self, protocol: ExecProtocol) -> None:
        """Start a program for a client, or queue the client if the limit is reached."""
        connection = IConnection(protocol.transport, None)
        if connection is not None and (
            len(self.programs) + len(self._starting) >= connection.service_limit
        ):
            self._waiting.append(protocol)
            protocol.wait()
            return
        self._start_soon(protocol)

    def cancel_request(self, protocol: ExecProtocol) -> None:
        """Forget a client whose connection is lost."""
        self._starting.discard(protocol)
        self._context.work.remove(protocol)
        with contextlib.suppress(ValueError):
            self._waiting.remove(protocol)

    # --- programs ---

    def _start_soon(self, protocol: ExecProtocol) -> None:
        self._starting.add(protocol)
        self._between_polls(lambda: self._context.work.run(protocol))

    def start(self, protocol: ExecProtocol) -> None:
        """Start the program of a client. Called by the work queue."""
        if protocol not in self._starting:
            return  # the connection was lost meanwhile
        self._starting.remove(protocol)
        transport: Any = protocol.transport
        if self._finishing:
            transport.abortConnection()
            return
        connection = IConnection(transport, None)
        peer = "unknown" if connection is None else connection.peer
        variables = connection_variables(transport, connection, self._context.server_name)
        try:
            program = self._spawn(protocol, variables, peer)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            self._count("start-failed")
            since = self._throttle.record("start-failed", self._context.clock.seconds())
            if since is not None:
                catalogue.EXEC_FAILED.emit(
                    self._log,
                    service=self._context.service,
                    command=self._plan.program,
                    peer=peer,
                    error=(isinstance(error, OSError) and error.strerror) or str(error),
                    since=since,
                )
            transport.abortConnection()  # an orderly close would look like a program without output
            return
        self._count("started")
        self.programs[program] = peer
        protocol.begin(program)

    def _spawn(self, protocol: ExecProtocol, variables: dict[str, str], peer: str) -> Program:
        """Start a program; release all resources on failure."""
        plan = self._plan
        reactor = self._context.reactor
        with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as theirs:
            ours, side = socket.socketpair()
            on_failure.enter_context(ours)
            theirs.enter_context(side)
            reading = writing = -1
            if plan.stderr == "log":
                reading, writing = os.pipe2(os.O_CLOEXEC)
                os.set_blocking(reading, False)
                theirs.callback(os.close, writing)
                on_failure.callback(os.close, reading)
            ours.setblocking(False)
            process = plan.start(variables, side, writing)
            on_failure.callback(_kill_unwatched, process)
            errors: list[ErrorPipe] = []
            pid = process.pid

            def on_exit(program: Program) -> None:
                for each in errors:
                    each.finish()
                self._on_exit(program)

            program = Program(reactor, process, ours, protocol, plan.stop, on_exit)
            if reading >= 0:
                errors.append(
                    ErrorPipe(reactor, reading, self._errors, partial(self._errors.line, pid, peer))
                )
            on_failure.pop_all()
        return program

    def _on_exit(self, program: Program) -> None:
        """A program has ended."""
        peer = self.programs.pop(program)
        status = program.process.returncode
        if program.killed:
            word = "killed"
        elif program.terminated:
            word = "stopped"
        elif status < 0:
            word = "died"
        else:
            word = "failed" if status else "ended"
        self._count(word)
        if word in ("died", "failed"):
            catalogue.EXEC_ENDED_BADLY.emit(
                self._log,
                service=self._context.service,
                pid=program.process.pid,
                peer=peer,
                status=_shown(status),
                word=word,
            )
        else:
            catalogue.EXEC_ENDED.emit(
                self._log,
                service=self._context.service,
                pid=program.process.pid,
                peer=peer,
                status=_shown(status),
                word=word,
            )
        if self._waiting and not self._finishing:
            waiting = self._waiting.popleft()
            cast(IPushProducer, waiting.transport).resumeProducing()
            self._start_soon(waiting)
        if self._finished is not None and not self.programs:
            finished, self._finished = self._finished, None
            finished.callback(None)

    def _count(self, word: str) -> None:
        self._context.counters.events[f"program-{word}"] += 1

    # --- the end of the service ---

    def finish(self, seconds: float) -> Deferred[None]:
        """See :class:`tcpd.interfaces.IFinishing`."""
        self._finishing = True
        if not self.programs:
            self._errors.stop()
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._finished = done
        clock = self._context.clock
        kill = clock.callLater(seconds, self.kill_all)
        # a program that changed its user cannot be killed: do not wait for it
        self._deadline = deadline = clock.callLater(seconds + _GONE, self._stop_waiting)

        def tidy(result: None) -> None:
            for timer in (kill, deadline):
                if timer.active():
                    timer.cancel()
            self._errors.stop()

        return done.addCallback(tidy)

    def abort(self) -> None:
        """See :class:`tcpd.interfaces.IAbortable`."""
        self.kill_all()
        if self._deadline is not None and self._deadline.active():
            self._deadline.reset(_GONE)

    def kill_all(self) -> None:
        """Kill all programs."""
        for program in list(self.programs):
            program.kill()

    def _stop_waiting(self) -> None:
        if self._finished is not None:
            finished, self._finished = self._finished, None
            finished.callback(None)


def _kill_unwatched(process: subprocess.Popen[bytes]) -> None:
    """Kill a program for which no pidfd or reader could be set up."""
    process.kill()
    process.wait()


def _shown(status: int) -> str:
    """Format an exit status, or the signal that terminated a program."""
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:  # a real-time signal
        return f"signal {-status}"


@implementer(IKind)
class ExecKind:
    """``protocol = exec``."""

    name = "exec"
    summary = "Runs a program for each connection, with its input and output on the socket."
    settings = ExecSettings
    words: frozenset[str] = frozenset()
    idle = 600.0
    sample_listen = None
    #: The client's socket, the program's socket, its standard error, and its pidfd.
    descriptors = 4

    def make_factory(self, settings: ExecSettings, context: IContext) -> ExecFactory:
        """Make the factory of one service.

        :raise SettingError: for a program, a user or a limit that cannot be used.
        """
        return ExecFactory(settings, context)


kind = ExecKind()
