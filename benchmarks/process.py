"""Child processes: pinned to a core, measured, and always reaped."""

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

#: Seconds after SIGTERM until a child is killed.
_PATIENCE = 3.0


def cores() -> tuple[set[int], set[int]]:
    """Return the core for servers and the core for the load; with one core they are the same."""
    usable = sorted(os.sched_getaffinity(0))
    return {usable[0]}, {usable[-1]}


def raise_files() -> int:
    """Raise the soft limit of open files to the hard limit, for this process and its children.

    :return: the limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _begin(core: set[int]) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def begin() -> None:
        # children die with a runner that is killed
        libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)
        os.sched_setaffinity(0, core)

    return begin


class Child:
    """A child process and its descendants.

    :param command: the command line.
    :param core: the core to run on.
    :param directory: its working directory, which gets a file with its output.
    :param variables: its environment.
    :param talking: use pipes for standard input and standard output.
    """

    def __init__(
        self,
        command: Sequence[str],
        core: set[int],
        directory: Path,
        variables: dict[str, str],
        talking: bool = False,
    ) -> None:
        self._output = directory / f"{Path(command[0]).name}.{os.urandom(4).hex()}.out"
        pipe = subprocess.PIPE if talking else None
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=variables,
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or output,
                stderr=output,
                preexec_fn=_begin(core),
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """The end of its output, for messages."""
        return self._output.read_text(errors="replace")[-2000:]

    def read_line(self) -> bytes:
        """Return the next line of its output; empty at EOF."""
        assert self.process.stdout is not None
        line: bytes = self.process.stdout.readline()
        return line

    def send_line(self) -> None:
        """Write an empty line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Stop it with its descendants, and wait for the exit."""
        process = self.process
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            # it is the leader of a session, so the group contains its descendants only
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()

    def cpu(self) -> float:
        """Return the CPU time in seconds, descendants included."""
        return sum(_used(pid) for pid in self._family())

    def waited(self) -> float:
        """Return the seconds for which it was runnable, but other processes had the core."""
        return sum(_scheduled(pid, 1) for pid in self._family())

    def memory(self) -> int:
        """Return the resident memory in bytes, descendants included."""
        return sum(_resident(pid) for pid in self._family())

    def _family(self) -> list[int]:
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and (fields := _stat(int(entry))):
                parents[int(entry)] = int(fields[1])
        family = [self.process.pid]
        for pid in family:  # the loop extends the list
            family += [child for child, parent in parents.items() if parent == pid]
        return family


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat, proc(5), from the third on, after the name."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _used(pid: int) -> float:
    """Return the CPU time of a process and of its reaped children in seconds."""
    # utime, stime, cutime and cstime: fields 14 to 17 of /proc/PID/stat, proc(5)
    own, waited_for = 0.0, 0.0
    if fields := _stat(pid):
        own = (int(fields[11]) + int(fields[12])) / _TICK
        waited_for = (int(fields[13]) + int(fields[14])) / _TICK
    # in nanoseconds: many processes with less than a tick each add up
    return (_scheduled(pid, 0) or own) + waited_for


def _scheduled(pid: int, field: int) -> float:
    """Return the seconds on the core (0) or waiting for it (1), all threads; 0 if unknown."""
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
