"""A running program: its socket, its exit, and the signals sent to it.

The program's standard input and output are one end of a socket pair, as under inetd; the daemon
relays between the other end and the client, so that TLS, counters and limits apply. A pidfd
(pidfd_open(2)) reports its exit: no SIGCHLD handler is needed.

The program leads its own session and process group, and signals go to that group. A zombie keeps
its process id until wait(2); so the group is signalled before, since the id could be reused after.
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

#: Bytes of output to read at a time; no more is buffered.
_READ = 65536

#: Seconds to wait for the exit status after the output has ended: the kernel closes the descriptors
#: of a process before it reports the exit.
_STATUS = 0.25

_BY_SIGNAL = (os.CLD_KILLED, os.CLD_DUMPED)


class Watcher(Protocol):
    """Receives the events of a program: the protocol of its connection."""

    def output(self, data: bytes) -> None:
        """The program wrote output."""

    def output_ended(self, cut: bool) -> None:
        """The program's output has ended. Called once.

        :param cut: the program was killed by a signal, so the output may be truncated.
        """

    def input_taken(self) -> None:
        """All pending input was written, or was discarded because the program reads no more."""


@implementer(IReadDescriptor)
class ReadEnd:
    """A read-only descriptor, registered with the reactor.

    :param reactor: provides IReactorFDSet.
    :param fd: owned by this object from now on.
    :param ready: called when the descriptor is readable; must not raise.
    """

    #: For :class:`tcpd.net.reactor.TcpdReactor`: doRead raises nothing.
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
        """The descriptor is readable."""
        self._ready()

    def gone(self) -> None:
        """The other end is closed; data may be left to read."""
        self._ready()

    def connectionLost(self, reason: Failure) -> None:
        """See :meth:`gone`. Called by other reactors."""
        self._ready()

    def pause(self) -> None:
        """Stop reading until :meth:`resume`."""
        self._reactor.removeReader(self)

    def resume(self) -> None:
        """Read again."""
        self._reactor.addReader(self)

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        if self._fd >= 0:
            self._reactor.removeReader(self)
            os.close(self._fd)
            self._fd = -1


@implementer(IReadDescriptor, IWriteDescriptor)
class Program:
    """A running program. Made by :class:`~tcpd.relay.exec.ExecFactory`.

    Its output is all that it wrote before it exited. Then the rest of its process group gets
    SIGTERM, and SIGKILL after ``stop`` seconds.

    :param reactor: provides IReactorFDSet and IReactorTime.
    :param process: the program.
    :param sock: the daemon's end of its socket; non-blocking; owned by this object from now on.
    :param watcher: receives its events.
    :param stop: seconds between SIGTERM and SIGKILL.
    :param on_exit: called once, when the program has exited and was waited for.

    :ivar terminated: whether it was sent SIGTERM while running.
    :ivar killed: whether it was sent SIGKILL.
    :ivar died: whether a signal terminated it.
    """

    direct = True

    def __init__(
        self,
        reactor: Any,
        process: subprocess.Popen[bytes],
        sock: socket.socket,
        watcher: Watcher,
        stop: float,
        on_exit: Callable[[Program], None],
    ) -> None:
        self.process = process
        self.terminated = False
        self.killed = False
        self.died = False
        self._reactor = reactor
        self._socket = sock
        self._watcher: Watcher | None = watcher
        self._stop = stop
        self._on_exit = on_exit
        self._pending: list[bytes | memoryview] = []  # its input
        self._input_ends = False  # after the pending input
        self._input_over = False
        self._reading = False
        self._output_over = False  # reported to the watcher; further output is discarded
        self._rest: int | None = None  # bytes of output left after its exit
        self._exited = False
        self._waited_for = False
        self._timer: IDelayedCall | None = None
        self._status: IDelayedCall | None = None  # waits for the exit after its output closed
        self._end = ReadEnd(reactor, os.pidfd_open(process.pid), self._process_exited)
        self.resume()

    # --- its input ---

    def write(self, data: bytes) -> bool:
        """Write input.

        :return: whether all was written; if not, ``input_taken`` is called later.
        """
        if self._input_over:
            return True
        self._pending.append(data)
        if len(self._pending) == 1:
            self._send()
        return not self._pending

    def end_input(self) -> None:
        """Close its input after the pending data."""
        self._input_ends = True
        if not self._pending:
            self._shut_input()

    def doWrite(self) -> None:
        """The socket is writable. Never raises."""
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
        except OSError:  # the program closed its input or exited
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
        """Stop reading its output; the program blocks once the socket is full."""
        if self._reading and not self._output_over:
            self._reading = False
            self._reactor.removeReader(self)

    def resume(self) -> None:
        """Read its output again."""
        if not self._reading and self._socket.fileno() >= 0:
            self._reading = True
            self._reactor.addReader(self)

    def doRead(self) -> None:
        """The socket is readable. Never raises."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError:  # ECONNRESET: it exited with unread input (unix(7)); all output was read
            data = b""
        if not data:
            self._socket_closed()
            return
        if self._output_over:
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
        if not self._output_over:
            self._output_over = True
            if self._waited_for:
                self._close()
            else:
                self.resume()  # until other processes close the socket too
            if self._watcher is not None:
                self._watcher.output_ended(self.died)

    def _socket_closed(self) -> None:
        """All processes have closed the other end of the socket."""
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
        """Whether its exit has not been reported yet."""
        return not self._exited

    def abandon(self) -> None:
        """The client's connection is lost: terminate the program."""
        self._watcher = None
        self._output_over = True
        self._pending.clear()
        if self._status is not None and self._status.active():
            self._status.cancel()
        if self._waited_for:
            self._close()
        elif self._socket.fileno() >= 0:
            # before the end of input: truncated input must not look complete
            self.terminate()
            self._reactor.removeWriter(self)
            self._shut_input()
            self.resume()
        elif not self._exited and self._timer is None:
            # the program closed its socket first, and may be about to exit
            self._timer = self._reactor.callLater(self._stop, self._timed_out)
            return
        self.terminate()

    def terminate(self) -> None:
        """Send SIGTERM to its group, and SIGKILL after ``stop`` seconds."""
        if self.terminated or self._exited:
            return
        self.terminated = True
        self._signal(signal.SIGTERM)
        self._begin_timer()

    def kill(self) -> None:
        """Send SIGKILL to its group."""
        if self._waited_for:
            return
        self._stop_timer()
        self.killed = True
        self._signal(signal.SIGKILL)
        if self._exited:
            self._wait()

    def _timed_out(self) -> None:
        self._timer = None
        if self.terminated or self._exited:
            self.kill()
        else:
            self.terminate()

    def _process_exited(self) -> None:
        """The program exited. It stays a zombie until its group was signalled."""
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
        if not self.terminated:
            self._signal(signal.SIGTERM)  # to the rest of its group
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
        self._timer = self._reactor.callLater(self._stop, self._timed_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _signal(self, number: signal.Signals) -> None:
        # the group is empty, or a process changed its user
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def _wait(self) -> None:
        if not self._waited_for:
            self._waited_for = True
            self._stop_timer()
            self.process.wait()
            if self._output_over:
                self._close()  # even if a process outside its group still has the socket
            self._on_exit(self)

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
        """The program closed its socket while reading was paused; the output is still readable."""
        self._drop_input()

    def connectionLost(self, reason: Failure) -> None:
        """See :meth:`gone`. Called by other reactors."""
        if self._reading:
            self._socket_closed()
        else:
            self._drop_input()


def _waiting_in(sock: socket.socket) -> int:
    """Return the number of bytes readable now."""
    answer = fcntl.ioctl(sock, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])
