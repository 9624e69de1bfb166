"""Child processes: on a core of their own, measured, and always reaped."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, prctl(2)
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGESIZE")

#: Seconds that a child may take to end before it is killed.
_PATIENCE = 3.0


def cores() -> tuple[set[int], set[int]]:
    """The core for servers and the one for the load; the same where there is but one."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[0]}, {usable[-1]}


def raise_files() -> int:
    """Let this process and its children have as many files as they may.

    :return: how many that is.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _begin(core: set[int]) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def begin() -> None:
        # a runner that is killed takes its children with it
        libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)
        os.sched_setaffinity(0, core)

    return begin


class Child:
    """A child process and all its descendants.

    :param command: what to run.
    :param core: where.
    :param directory: its working directory; what it says goes to a file there.
    :param variables: its environment.
    """

    def __init__(
        self,
        command: Sequence[str],
        core: set[int],
        directory: Path,
        variables: dict[str, str],
        talking: bool = False,
    ) -> None:
        self._said = directory / f"{Path(command[0]).name}.{os.urandom(4).hex()}.out"
        pipe = subprocess.PIPE if talking else None
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=variables,
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or said,
                stderr=said,
                preexec_fn=_begin(core),
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        """What it has said, for people."""
        return self._said.read_text(errors="replace")[-2000:]

    def read_line(self) -> bytes:
        """The next line that it prints; empty when it has ended."""
        assert self.process.stdout is not None
        line: bytes = self.process.stdout.readline()
        return line

    def tell(self) -> None:
        """Give it an empty line."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """End it and its descendants, and wait until it is gone."""
        process = self.process
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            # the session is its own: nobody else's process is in this group
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def cpu(self) -> float:
        """Seconds of processor time so far, of descendants too."""
        return sum(_used(pid) for pid in self._family())

    def waited(self) -> float:
        """Seconds so far in which it could have run and others had the core, of descendants too."""
        return sum(_scheduled(pid, 1) for pid in self._family())

    def memory(self) -> int:
        """Bytes in memory now, of descendants too."""
        return sum(_resident(pid) for pid in self._family())

    def _family(self) -> list[int]:
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (fields := _stat(int(entry))):
                parents[int(entry)] = int(fields[1])
        family = [self.process.pid]
        for pid in family:  # grows meanwhile
            family += [child for child, parent in parents.items() if parent == pid]
        return family


def _stat(pid: int) -> list[str]:
    """The fields of proc(5)'s stat from the third on, which stands behind the name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _used(pid: int) -> float:
    """Seconds of processor time of a process, and of its children that were waited for."""
    # utime, stime, and those of the children: proc(5)'s stat, fields 14 to 17
    own, waited_for = 0.0, 0.0
    if fields := _stat(pid):
        own = (int(fields[11]) + int(fields[12])) / _TICK
        waited_for = (int(fields[13]) + int(fields[14])) / _TICK
    # the same in nanoseconds: many processes with less than a tick each add up
    return (_scheduled(pid, 0) or own) + waited_for


def _scheduled(pid: int, field: int) -> float:
    """Seconds on the core (0) or waiting for it (1), of all threads; 0 where no system tells."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[field]) for task in tasks) / 1e9
    except (OSError, IndexError):
        return 0.0


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
