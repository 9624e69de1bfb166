"""One program that runs for a connection: its end of the socket, its end, and what it complains of.

The program has one socket as its standard input and output, as under inetd, one of a pair whose
other end is the daemon's: bytes pass through the daemon, so that TLS, counting and limits are
between the program and the client. Whether it has ended is told by a pidfd (pidfd_open(2)), a
descriptor as any other: no signal handler is shared with anybody, and each end costs one look.

It leads a session and so a process group of its own, and signals go to that group. The number of a
process that has ended stays its own until it is waited for (wait(2), "zombie"); so the group is
signalled before, or a stranger's might be met that has the number by then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
import termios
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

#: Bytes read of a program's output at a time, which is all that is kept of it.
_READ = 65536

#: Seconds to wait for the status of a program whose output has ended: the kernel closes the
#: descriptors of a process before it reports its end.
_STATUS = 0.25

_BY_SIGNAL = (os.CLD_KILLED, os.CLD_DUMPED)


class Watcher(Protocol):
    """Who is told of a program: the protocol of its connection."""

    def output(self, data: bytes) -> None:
        """It wrote this."""

    def output_ended(self, cut: bool) -> None:
        """Nothing more will come of it. Called once.

        :param cut: it died of a signal, and may have had more to say.
        """

    def input_taken(self) -> None:
        """It has taken all it was given, or will never take it."""


@implementer(IReadDescriptor)
class ReadEnd:
    """A descriptor that is only read from, for the reactor.

    :param reactor: provides IReactorFDSet.
    :param fd: it belongs to this object from now on.
    :param ready: called when there is something to read; it must not raise.
    """

    #: For :class:`tcpd.net.reactor.TcpdReactor`: nothing has to be caught around doRead.
    direct = True

    def __init__(self, reactor: Any, fd: int, ready: Callable[[], None]) -> None:
        self._reactor = reactor
        self._fd = fd
        self._ready = ready
        reactor.addReader(self)

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "exec"

    def doRead(self) -> None:
        """There is something."""
        self._ready()

    def gone(self) -> None:
        """The other end is gone; there may be something left to read."""
        self._ready()

    def connectionLost(self, reason: Failure) -> None:
        """The same, as other reactors tell it."""
        self._ready()

    def pause(self) -> None:
        """Ask for nothing until :meth:`resume`."""
        self._reactor.removeReader(self)

    def resume(self) -> None:
        """Ask again."""
        self._reactor.addReader(self)

    def close(self) -> None:
        """Let go of it. May be called again."""
        if self._fd >= 0:
            self._reactor.removeReader(self)
            os.close(self._fd)
            self._fd = -1


@implementer(IReadDescriptor, IWriteDescriptor)
class Program:
    """One that runs. Made by :class:`~tcpd.relay.exec.ExecFactory`.

    Its output is what it wrote until it ended. What else is in its process group is told to end
    with it (SIGTERM), and has the time that the program itself would have before it is killed.

    :param reactor: provides IReactorFDSet and IReactorTime.
    :param process: the program.
    :param sock: the daemon's end of its socket; it does not block, and is this object's from now
        on.
    :param watcher: who is told.
    :param stop: seconds between SIGTERM and SIGKILL.
    :param over: called when it has ended and was waited for, once.

    :ivar told: whether it was sent SIGTERM while it ran.
    :ivar killed: whether it was sent SIGKILL.
    :ivar died: whether it ended by a signal.
    """

    direct = True

    def __init__(
        self,
        reactor: Any,
        process: subprocess.Popen[bytes],
        sock: socket.socket,
        watcher: Watcher,
        stop: float,
        over: Callable[[Program], None],
    ) -> None:
        self.process = process
        self.told = False
        self.killed = False
        self.died = False
        self._reactor = reactor
        self._socket = sock
        self._watcher: Watcher | None = watcher
        self._stop = stop
        self._over = over
        self._pending: list[bytes | memoryview] = []  # for its input
        self._input_ends = False  # after what is pending
        self._input_over = False
        self._reading = False
        self._ended_output = False  # the watcher knows; what else comes is thrown away
        self._rest: int | None = None  # how much of its output is left, once it has ended
        self._exited = False
        self._waited_for = False
        self._timer: IDelayedCall | None = None
        self._status: IDelayedCall | None = None  # it closed its output, and may have ended
        self._end = ReadEnd(reactor, os.pidfd_open(process.pid), self._found_ended)
        self.resume()

    # --- its input ---

    def write(self, data: bytes) -> bool:
        """Give it input.

        :return: whether it took all; if not, ``input_taken`` is called when it has.
        """
        if self._input_over:
            return True
        self._pending.append(data)
        if len(self._pending) == 1:
            self._send()
        return not self._pending

    def end_input(self) -> None:
        """It gets nothing more: once it has read all, it reads the end."""
        self._input_ends = True
        if not self._pending:
            self._shut_input()

    def doWrite(self) -> None:
        """There is room. Never raises."""
        self._send()
        if not self._pending:
            self._reactor.removeWriter(self)
            if self._watcher is not None:
                self._watcher.input_taken()

    def _send(self) -> None:
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # it has closed its input, or is gone
            self._pending.clear()
            self._input_over = True
            return
        if sent == len(data):
            self._pending.clear()
            if self._input_ends:
                self._shut_input()
        else:
            self._pending = [memoryview(data)[sent:]]
            self._reactor.addWriter(self)

    def _shut_input(self) -> None:
        if not self._input_over:
            self._input_over = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def _drop_input(self) -> None:
        waited = bool(self._pending)
        self._pending.clear()
        self._input_over = True
        if waited and self._socket.fileno() >= 0:
            self._reactor.removeWriter(self)
        if waited and self._watcher is not None:
            self._watcher.input_taken()

    # --- its output ---

    def pause(self) -> None:
        """Read none of its output: it will wait, once the socket is full."""
        if self._reading and not self._ended_output:
            self._reading = False
            self._reactor.removeReader(self)

    def resume(self) -> None:
        """Read its output again."""
        if not self._reading and self._socket.fileno() >= 0:
            self._reading = True
            self._reactor.addReader(self)

    def doRead(self) -> None:
        """There is output, or its end. Never raises."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:  # ECONNRESET: it ended with input unread (unix(7)); all output was read
            data = b""
        if not data:
            self._socket_over()
            return
        if self._ended_output:
            return
        if self._rest is not None:
            data = data[: self._rest]
            self._rest -= len(data)
        assert self._watcher is not None
        self._watcher.output(data)
        if self._rest == 0:
            self._end_output()

    def _end_output(self) -> None:
        if self._status is not None and self._status.active():
            self._status.cancel()
        if not self._ended_output:
            self._ended_output = True
            if self._waited_for:
                self._close()
            else:
                self.resume()  # for the end of who else has the socket
            if self._watcher is not None:
                self._watcher.output_ended(self.died)

    def _socket_over(self) -> None:
        """Nobody has the other end of the socket any more."""
        if self._socket.fileno() < 0:
            return
        self._drop_input()
        self._close()
        if self._exited:
            self._end_output()
            self._wait()
        else:
            self._status = self._reactor.callLater(_STATUS, self._end_output)

    # --- its end ---

    @property
    def running(self) -> bool:
        """Whether it has not ended yet, as far as is known."""
        return not self._exited

    def abandon(self) -> None:
        """Its connection is gone: it has to end."""
        self._watcher = None
        self._ended_output = True
        self._pending.clear()
        if self._status is not None and self._status.active():
            self._status.cancel()
        if self._waited_for:
            self._close()
        elif self._socket.fileno() >= 0:
            # before the end of its input: what was cut must not be taken for all there is
            self.terminate()
            self._reactor.removeWriter(self)
            self._shut_input()
            self.resume()
        elif not self._exited and self._timer is None:
            # it closed its side first, and may be about to end by itself
            self._timer = self._reactor.callLater(self._stop, self._too_late)
            return
        self.terminate()

    def terminate(self) -> None:
        """Tell it to end; if it does not, it is killed after a while."""
        if self.told or self._exited:
            return
        self.told = True
        self._signal(signal.SIGTERM)
        self._begin_timer()

    def kill(self) -> None:
        """End it and all of its group at once."""
        if self._waited_for:
            return
        self._stop_timer()
        self.killed = True
        self._signal(signal.SIGKILL)
        if self._exited:
            self._wait()

    def _too_late(self) -> None:
        self._timer = None
        if self.told or self._exited:
            self.kill()
        else:
            self.terminate()

    def _found_ended(self) -> None:
        """It has ended, it seems; it stays a zombie until all of its group were told."""
        found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return  # the reactor is stopping
        self._end.close()
        self._exited = True
        self.died = found.si_code in _BY_SIGNAL
        if self._socket.fileno() < 0 or self.killed:
            self._signal(signal.SIGTERM)
            if self._socket.fileno() < 0:
                self._end_output()
            self._wait()
            return
        if not self.told:
            self._signal(signal.SIGTERM)  # what it leaves behind in its group
        if self._timer is None:
            self._begin_timer()
        self._drop_input()
        self._rest = _waiting_in(self._socket)
        if not self._rest:
            self._end_output()
        if self._reading:
            self.doRead()

    def _begin_timer(self) -> None:
        self._stop_timer()
        self._timer = self._reactor.callLater(self._stop, self._too_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _signal(self, number: signal.Signals) -> None:
        # nobody left, or somebody who became another user
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _wait(self) -> None:
        if not self._waited_for:
            self._waited_for = True
            self._stop_timer()
            self.process.wait()
            if self._ended_output:
                self._close()  # if somebody outside of its group still has the socket
            self._over(self)

    def _close(self) -> None:
        if self._socket.fileno() >= 0:
            self._reactor.removeReader(self)
            self._reactor.removeWriter(self)
            self._socket.close()

    # --- for the reactor ---

    def fileno(self) -> int:
        return self._socket.fileno()

    def logPrefix(self) -> str:
        return "exec"

    def gone(self) -> None:
        """It has closed its end while its output was not read: that is still to be had."""
        self._drop_input()

    def connectionLost(self, reason: Failure) -> None:
        """The same, as other reactors tell it."""
        if self._reading:
            self._socket_over()
        else:
            self._drop_input()


def _waiting_in(sock: socket.socket) -> int:
    """How many bytes can be read from it now."""
    answer = fcntl.ioctl(sock, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])
