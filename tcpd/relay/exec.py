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
    IBusy,
    IConnection,
    IContext,
    IFarewell,
    IHurrying,
    IKind,
    IReconfigurable,
)
from tcpd.net.turns import between_polls
from tcpd.ops import catalogue
from tcpd.policy.bursts import Bursts
from tcpd.policy.reasons import End
from tcpd.policy.workqueue import share_of
from tcpd.relay.exec_environment import connection_variables
from tcpd.relay.exec_errors import ErrorLog, Errors
from tcpd.relay.exec_plan import make_plan
from tcpd.relay.exec_program import Program
from tcpd.relay.exec_settings import ExecSettings
from tcpd.relay.presence import Presence

#: Seconds that programs have to be gone after they were killed, when the service stops.
_GONE = 1.0

#: Looks at a client that closed a UNIX socket until its program is stopped. This is one minute, as
#: with TCP (tcp_fin_timeout in tcp(7)): the program may be working on what the client sent.
_LOOKS = 12


@implementer(IBusy, IPushProducer, IHalfCloseableProtocol, IFarewell)
class ExecProtocol(Protocol):
    """A client, and the program that it talks to.

    Each is read from only as long as the other takes it: what a program writes waits in the
    program's socket while the client does not read, and the other way round.

    :param factory: starts the program.

    :ivar program: ``None`` until it was started, or if it could not be.
    """

    transport: ITransport

    def __init__(self, factory: ExecFactory) -> None:
        self._factory = factory
        self._paused = False
        self._presence: Presence | None = None
        self._input: list[bytes] = []  # that came before there was a program
        self._input_ended = False
        self._output_ended = False
        self.program: Program | None = None

    @property
    def busy(self) -> bool:
        """See :class:`tcpd.interfaces.IBusy`: it waits for its program, as for those of others."""
        return self.program is None

    def connectionMade(self) -> None:
        """Have a program started."""
        cast(IConsumer, self.transport).registerProducer(self, True)
        self._factory.arrived(self)

    @property
    def share(self) -> Hashable:
        """See :class:`tcpd.policy.workqueue.Source`."""
        connection = IConnection(self.transport, None)
        return share_of(None if connection is None else connection.address, self)

    def work(self, deadline: float) -> bool:
        """See :class:`tcpd.policy.workqueue.Source`: have the program started."""
        self._factory.start(self)
        return False

    def begin(self, program: Program) -> None:
        """It was started. Called by the factory; what has come so far goes to it."""
        self.program = program
        if self._paused:
            program.pause()
        early, self._input = self._input, []
        for data in early:
            program.write(data)
        if self._input_ended:
            program.end_input()

    def wait(self) -> None:
        """There is no place for a program yet. Called by the factory; nothing is read so long."""
        cast(IPushProducer, self.transport).pauseProducing()

    # --- from the client ---

    def dataReceived(self, data: bytes) -> None:
        """Give it to the program."""
        if self.program is None:
            self._input.append(data)
        elif not self.program.write(data):
            self._look_after_client().pause()
            cast(IPushProducer, self.transport).pauseProducing()

    def readConnectionLost(self) -> None:
        """The client sends no more: the program reads the end of its input."""
        self._input_ended = True
        self._look_after_client().end()
        if self.program is not None:
            self.program.end_input()

    def _look_after_client(self) -> Presence:
        if self._presence is None:
            self._presence = Presence(self.transport, self._factory.clock, _LOOKS)
        return self._presence

    def writeConnectionLost(self) -> None:
        """Nothing to do: only who closes the sending side alone is told this, and we don't."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The client is gone, so the program has to go."""
        self._output_ended = True
        if self._presence is not None:
            self._presence.stop()
        self._factory.left(self)
        if self.program is not None:
            self.program.abandon()

    def pauseProducing(self) -> None:
        """The client does not read: nor is the program read from."""
        self._paused = True
        if self.program is not None:
            self.program.pause()

    def resumeProducing(self) -> None:
        """It reads again."""
        self._paused = False
        if self.program is not None and not self._output_ended:
            self.program.resume()

    def stopProducing(self) -> None:
        """The connection is gone, which ``connectionLost`` tells too."""

    def farewell(self, reason: End) -> bytes | None:
        """When the service stops, the program gets SIGTERM, and its last output goes to the client.
        Output that is cut off ends by a reset (docs/decisions/0003)."""
        if reason is End.SHUTDOWN and self.program is not None and not self._output_ended:
            self.program.terminate()
            return None
        if not self._output_ended:
            cast(Any, self.transport).resetConnection()
        return b""

    # --- from the program ---

    def output(self, data: bytes) -> None:
        """The program wrote something."""
        self.transport.write(data)

    def output_ended(self, cut: bool) -> None:
        """The program says nothing more: close, once the client has it all.

        :param cut: what it said may not be all, and must not look so: the connection is reset.
        """
        self._output_ended = True
        transport: Any = self.transport
        transport.unregisterProducer()
        if cut:
            transport.resetConnection()
        else:
            transport.loseConnection()

    def input_taken(self) -> None:
        """The program has room for more."""
        if self._presence is not None:
            self._presence.resume()
        cast(IPushProducer, self.transport).resumeProducing()


@implementer(IReconfigurable, IHurrying)
class ExecFactory(ServerFactory):
    """One service that runs programs.

    There are no more of them than the policy's ``connections``: who comes while those of others
    that have gone are still ending waits for its own. A start takes a millisecond and more, for
    which the reactor waits: it goes through the daemon's queue of work.

    :param settings: its keys.
    :param context: see :class:`tcpd.interfaces.IContext`.
    :raise SettingError: for what cannot be run, or not so.

    :ivar clock: for timers.
    :ivar programs: that run, those included whose connection is gone.
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
        self._bursts = Bursts()
        self._errors = ErrorLog(context, self._log)
        self._finishing = False
        self._finished: Deferred[None] | None = None
        self._giving_up: IDelayedCall | None = None

    def reconfigure(self, settings: ExecSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`: programs from now on are started so."""
        self._plan = make_plan(settings, self._context.uid, os.environ)

    def buildProtocol(self, addr: IAddress | None) -> ExecProtocol:
        """Make the protocol of one connection."""
        return ExecProtocol(self)

    # --- from protocols ---

    def arrived(self, protocol: ExecProtocol) -> None:
        """Somebody wants a program."""
        connection = IConnection(protocol.transport, None)
        if connection is not None and (
            len(self.programs) + len(self._starting) >= connection.service_limit
        ):
            self._waiting.append(protocol)
            protocol.wait()
            return
        self._start_soon(protocol)

    def left(self, protocol: ExecProtocol) -> None:
        """Somebody is gone."""
        self._starting.discard(protocol)
        self._context.work.remove(protocol)
        with contextlib.suppress(ValueError):
            self._waiting.remove(protocol)

    # --- programs ---

    def _start_soon(self, protocol: ExecProtocol) -> None:
        self._starting.add(protocol)
        self._between_polls(lambda: self._context.work.run(protocol))

    def start(self, protocol: ExecProtocol) -> None:
        """Start the program of a client whose turn has come."""
        if protocol not in self._starting:
            return  # it has left meanwhile
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
            since = self._bursts.happened("start-failed", self._context.clock.seconds())
            if since is not None:
                catalogue.EXEC_FAILED.emit(
                    self._log,
                    service=self._context.service,
                    command=self._plan.program,
                    peer=peer,
                    error=(isinstance(error, OSError) and error.strerror) or str(error),
                    since=since,
                )
            transport.abortConnection()  # a clean end would look like a program that said nothing
            return
        self._count("started")
        self.programs[program] = peer
        protocol.begin(program)

    def _spawn(self, protocol: ExecProtocol, variables: dict[str, str], peer: str) -> Program:
        """Start a program, or leave nothing behind."""
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
            on_failure.callback(_undo, process)
            errors: list[Errors] = []
            pid = process.pid

            def over(program: Program) -> None:
                for each in errors:
                    each.finish()
                self._over(program)

            program = Program(reactor, process, ours, protocol, plan.stop, over)
            if reading >= 0:
                errors.append(
                    Errors(reactor, reading, self._errors, partial(self._errors.line, pid, peer))
                )
            on_failure.pop_all()
        return program

    def _over(self, program: Program) -> None:
        """A program has ended."""
        peer = self.programs.pop(program)
        status = program.process.returncode
        if program.killed:
            word = "killed"
        elif program.told:
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
        # a program that became another user cannot be killed, and is not waited for
        self._giving_up = give_up = clock.callLater(seconds + _GONE, self._give_up)

        def tidy(result: None) -> None:
            for timer in (kill, give_up):
                if timer.active():
                    timer.cancel()
            self._errors.stop()

        return done.addCallback(tidy)

    def hurry(self) -> None:
        """See :class:`tcpd.interfaces.IHurrying`."""
        self.kill_all()
        if self._giving_up is not None and self._giving_up.active():
            self._giving_up.reset(_GONE)

    def kill_all(self) -> None:
        """Kill all programs."""
        for program in list(self.programs):
            program.kill()

    def _give_up(self) -> None:
        if self._finished is not None:
            finished, self._finished = self._finished, None
            finished.callback(None)


def _undo(process: subprocess.Popen[bytes]) -> None:
    """What was started cannot be watched: end it."""
    process.kill()
    process.wait()


def _shown(status: int) -> str:
    """An exit status, or the signal that ended a program."""
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
    #: Those of the program's input and output, of its errors, and of what watches it.
    descriptors = 4

    def make_factory(self, settings: ExecSettings, context: IContext) -> ExecFactory:
        """Make the factory of one service.

        :raise SettingError: for a program, a user or a limit that cannot be used.
        """
        return ExecFactory(settings, context)


kind = ExecKind()
