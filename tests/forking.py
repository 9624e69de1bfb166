"""Fork server: starts twistd and tcpd-ctl from a process that has already imported their modules.

A start takes 0.4 s of CPU time, nearly all of it for imports, and the tests start some 900 daemons.
Each test process has one fork server, which reports the exit status of each child. A fork hides
imports, the kernel's view of the environment, and memory; so tests marked ``serial`` and tests that
change the environment start a new process, and with ``TCPD_TEST_START=exec`` all tests do.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

#: Maximum size of a request in bytes; most of it is the environment.
_LONGEST = 1 << 20

_PROGRAMS = Path(sys.executable).parent

_EXEC = os.environ.get("TCPD_TEST_START") == "exec"


class Forked:
    """A forked program, with the methods of ``subprocess.Popen`` that the tests use.

    :param pid: its process id.
    :param status: descriptor from which its exit status is read, as text.
    :param stdout: its output, or ``None``.
    """

    def __init__(self, pid: int, status: int, stdout: IO[str] | None) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        """See ``Popen``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """See ``Popen``."""
        if self.returncode is None:
            waiting = select.poll()  # unlike select(2), takes descriptors above 1023
            waiting.register(self._status, select.POLLIN)
            if not waiting.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            self.returncode = int(os.read(self._status, 16))
            os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """See ``Popen``."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # exited, and its status is still unread
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """See ``Popen``."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """See ``Popen``."""
        self.send_signal(signal.SIGKILL)


class _Parent:
    """Client of the fork server."""

    def __init__(self) -> None:
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> tuple[int, int]:
        """:return: the process id, and the descriptor from which the exit status is read."""
        reading, writing = os.pipe()
        try:
            data = json.dumps(request).encode()
            socket.send_fds(self._sock, [data], [*descriptors, writing])
        finally:
            os.close(writing)
        return int(self._sock.recv(16)), reading

    def close(self) -> None:
        """Stop the fork server. Called once."""
        self._sock.close()
        self._process.wait()


_parent: _Parent | None = None


def stop() -> None:
    """Stop the fork server. Called by ``pytest_unconfigure``."""
    if _parent is not None:
        _parent.close()


def _fork(
    program: str,
    arguments: Sequence[str],
    cwd: Path | None,
    environ: Mapping[str, str],
    descriptors: Sequence[int],
) -> tuple[int, int]:
    global _parent
    if _parent is None:
        _parent = _Parent()
    request = {
        "program": program,
        "arguments": list(arguments),
        "cwd": str(cwd or Path.cwd()),
        "environ": dict(environ),
    }
    return _parent.fork(request, descriptors)


def start(
    program: str, arguments: Sequence[str], cwd: Path, environ: Mapping[str, str]
) -> Forked | subprocess.Popen[str]:
    """Start ``twistd`` or ``tcpd-ctl``, standard output and standard error in one pipe.

    :param environ: the whole environment.
    """
    if _EXEC:
        return subprocess.Popen(
            [_PROGRAMS / program, *arguments],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environ, "PYTHONUNBUFFERED": "1"},
        )
    reading, writing = os.pipe()
    with open(os.devnull, "rb") as nothing:
        try:
            pid, status = _fork(
                program, arguments, cwd, environ, [nothing.fileno(), writing, writing]
            )
        finally:
            os.close(writing)
    return Forked(pid, status, open(reading))


def run(
    program: str,
    arguments: Sequence[str],
    text: str = "",
    cwd: Path | None = None,
    timeout: float = 30.0,
) -> subprocess.CompletedProcess[str]:
    """Run ``twistd`` or ``tcpd-ctl`` until it exits.

    :param text: for its standard input.
    """
    if _EXEC:
        return subprocess.run(
            [_PROGRAMS / program, *arguments],
            input=text,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):
        given.write(text)
        given.seek(0)
        files = [given.fileno(), out.fileno(), err.fileno()]
        forked = Forked(*_fork(program, arguments, cwd, os.environ, files), None)
        try:
            code = forked.wait(timeout)
        except subprocess.TimeoutExpired:
            forked.kill()
            forked.wait()
            raise
        out.seek(0)
        err.seek(0)
        words = [program, *arguments]
        return subprocess.CompletedProcess(words, code, out.read(), err.read())


# The functions below run in the fork server.


def _load() -> None:
    """Import the modules of both programs, except for the reactor."""
    gc.disable()
    import twisted.internet.posixbase
    import twisted.scripts._twistd_unix
    import twisted.scripts.twistd  # noqa: F401
    from twisted.application.service import IServiceMaker
    from twisted.plugin import getPlugins

    import tcpd

    for module in pkgutil.walk_packages(tcpd.__path__, "tcpd."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for maker in getPlugins(IServiceMaker):
        str(maker.tapname)
    assert "twisted.internet.reactor" not in sys.modules
    gc.freeze()
    gc.enable()


def _serve(sock: socket.socket) -> dict[str, Any] | None:
    """Serve fork requests until the client closes the socket.

    :return: in a child its request; in the fork server ``None``.
    """
    children: dict[int, tuple[int, int]] = {}
    while True:
        ready, _, _ = select.select([sock, *children], [], [])
        for watched in ready:
            if watched is not sock:
                os.close(watched)
                pid, status = children.pop(watched)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with contextlib.suppress(BrokenPipeError):
                    os.write(status, str(code).encode())
                os.close(status)
        if sock in ready:
            data, descriptors, _, _ = socket.recv_fds(sock, _LONGEST, 4)
            if not data:
                return None
            pid = os.fork()
            if not pid:
                sock.detach()
                for number in range(3):
                    os.dup2(descriptors[number], number)
                os.closerange(3, os.sysconf("SC_OPEN_MAX"))
                request: dict[str, Any] = json.loads(data)
                return request
            *streams, status = descriptors
            for each in streams:
                os.close(each)
            children[os.pidfd_open(pid)] = pid, status
            sock.send(str(pid).encode())


def _open_streams(unbuffered: bool) -> None:
    """Open the standard streams as Python does at startup, on the new descriptors."""
    size = 0 if unbuffered else -1
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(
        open(1, "wb", size, closefd=False),  # noqa: SIM115
        write_through=unbuffered,
    )
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(
        open(2, "wb", size, closefd=False),  # noqa: SIM115
        errors="backslashreplace",
        write_through=True,
    )


def _become(request: Mapping[str, Any]) -> Any:
    """Run the requested program in this process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed()
    _open_streams("PYTHONUNBUFFERED" in request["environ"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environ"])
    program = str(_PROGRAMS / request["program"])
    sys.argv[:] = [program, *request["arguments"]]
    sys.path[:0] = [str(_PROGRAMS), *filter(None, os.environ.get("PYTHONPATH", "").split(":"))]
    if request["program"] == "twistd":
        from twisted.scripts.twistd import run
    else:
        from tcpd.ctl.main import main as run
    return run()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _load()
    request = _serve(socket.socket(fileno=int(sys.argv[1])))
    if request is not None:
        sys.exit(_become(request))
