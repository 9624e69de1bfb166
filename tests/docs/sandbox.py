"""A sandbox: a copy of this machine in namespaces, where commands of pages are run as shown.

``sandbox.sh`` makes one in a fraction of a second. Writes go to memory; the network is a loopback
interface. So pages have fixed ports and paths, may write to /etc and become other users, and tests
run in parallel.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import installing
from boxes import missing_for

TOOL = Path(__file__).with_name("sandbox.sh")

#: Timeout in seconds of a command and of each wait.
PATIENCE = 120.0

#: The user of commands after ``$``, and the home directory, which contains a checkout.
USER, HOME = "ann", "/home/ann"
CHECKOUT = f"{HOME}/tcpd"

#: The host name.
HOSTNAME = "debian"

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Directories that daemons expect in /run, which is empty in a sandbox.
_RUN = ("lock", "fail2ban", "haproxy", "stunnel4")


def why_not() -> str:
    """Return why this machine cannot run a sandbox; ``""`` if it can."""
    programs = ("unshare", "nsenter", "setpriv", "pivot_root", "ip")
    if missing := missing_for("a sandbox", programs):
        return missing
    script = (
        "ip link set lo up && mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/r &&"
        " mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/r"
    )
    probe = ("unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c", script)
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"this root gets no network or overlay of /: {done.stderr}" if done.returncode else ""


def _free_id() -> int:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(number for number in range(1000, 60000) if number not in taken)


def make_layer(directory: Path, wheelhouse: Path | None = None) -> Path:
    """Make the overlay: a user, a checkout in the home directory, and a virtual environment.

    :param directory: an empty one.
    :param wheelhouse: of :func:`installing.download`: the only package index of pip. There is no
        virtual environment then.
    """
    directory.chmod(0o755)
    number = _free_id()
    user = f"{USER}:x:{number}:{number}::{HOME}:/bin/bash\n"
    etc = directory / "etc"
    etc.mkdir()
    for name, line in {"passwd": user, "group": f"{USER}:x:{number}:\n"}.items():
        (etc / name).write_text(Path("/etc", name).read_text() + line)
    (etc / "hostname").write_text(f"{HOSTNAME}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {HOSTNAME}\n")
    home = directory / HOME.lstrip("/")
    home.mkdir(parents=True)
    checkout = installing.copy_checkout(home / "tcpd")
    if wheelhouse is None:
        (checkout / ".venv").symlink_to(sys.prefix)
        # written at the installation; the user of the sandbox may not write it
        if not (installing.ROOT / "twisted" / "plugins" / "dropin.cache").exists():
            installing.run(Path(sys.prefix, "bin", "twistd"), "--help", cwd=directory)
    else:
        shutil.copytree(wheelhouse, directory / "srv" / "wheels").chmod(0o755)
        (etc / "pip.conf").write_text("[global]\nno-index = true\nfind-links = /srv/wheels\n")
    for path in (home, *home.rglob("*")):
        os.chown(path, number, number, follow_symlinks=False)
    for name in _RUN:
        (directory / "run" / name).mkdir(parents=True)
    runtime = directory / "run" / "user" / str(number)
    runtime.mkdir(parents=True)
    runtime.chmod(0o700)
    os.chown(runtime, number, number)
    # interpreter and sources may be in a directory of root, such as /root
    for path in (Path(sys.prefix), Path(sys.base_prefix), installing.ROOT):
        for parent in reversed(path.parents[:-1]):
            over = directory / str(parent).lstrip("/")
            over.mkdir(exist_ok=True, parents=True)
            mode = parent.stat().st_mode
            over.chmod(mode & 0o7777 | 0o055 if parent != Path("/tmp") else 0o1777)
    return directory


def _mounted() -> list[str]:
    """Return the required paths that the overlay of ``/`` does not have: on another file system, in
    /tmp or in /run."""
    needed = {Path(sys.prefix), Path(sys.base_prefix), installing.ROOT}
    root = os.stat("/").st_dev
    return sorted(
        str(path)
        for path in needed
        if path.stat().st_dev != root or path.is_relative_to("/tmp") or path.is_relative_to("/run")
    )


class RunningProgram:
    """A program that keeps running: a daemon, or an interactive program.

    :ivar lines: its output.
    :ivar rest: its output after the last line end, such as a prompt.
    """

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self.rest = ""
        self.ended = False
        self._more = threading.Condition()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        waiting = b""
        while piece := os.read(self._process.stdout.fileno(), 65536):
            *lines, waiting = (waiting + piece).split(b"\n")
            with self._more:
                self.lines += [line.decode(errors="replace").rstrip("\r") for line in lines]
                self.rest = waiting.decode(errors="replace")
                self._more.notify_all()
        with self._more:
            if self.rest:
                self.lines.append(self.rest)
            self.ended = True
            self._more.notify_all()

    def wait_for(self, wanted: Callable[[str], object], start: int = 0) -> int:
        """Wait for a line; return its number.

        :param start: the number of the first line to look at.
        """

        def found() -> int | None:
            numbers = range(start, len(self.lines))
            return next((number for number in numbers if wanted(self.lines[number])), None)

        with self._more:
            self._more.wait_for(lambda: found() is not None or self.ended, PATIENCE)
            number = found()
        shown = "\n".join(self.lines)
        assert number is not None, f"{'it has exited' if self.ended else 'no such line'}:\n{shown}"
        return number

    def wait_for_prompt(self, prompt: str) -> None:
        """Wait until the last line begins with a prompt."""
        with self._more:
            self._more.wait_for(lambda: self.rest.startswith(prompt) or self.ended, PATIENCE)
        assert self.rest.startswith(prompt), f"no prompt: {prompt}"

    def line(self, number: int) -> str | None:
        """Wait for a line by its number; ``None`` if the program exits before."""
        with self._more:
            self._more.wait_for(lambda: len(self.lines) > number or self.ended, PATIENCE)
            if len(self.lines) > number:
                return self.lines[number]
        assert self.ended, "no further line after:\n" + "\n".join(self.lines)
        return None

    def wait_for_end(self) -> None:
        """Wait until it has exited."""
        with self._more:
            self._more.wait_for(lambda: self.ended, PATIENCE)
        assert self.ended, "it does not exit"

    def type(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def _inside(self) -> Iterator[int]:
        """Yield the program's process id: the child of nsenter."""
        number = self._process.pid
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{number}/task/{number}/children").read_text()
            yield from map(int, children.split())

    def catches(self, signal: int) -> bool:
        """Return whether it has a handler for a signal, or has exited."""
        for number in self._inside():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{number}/status").read_text()
                caught = int(status.partition("SigCgt:")[2].split()[0], 16)
                return bool(caught >> (signal - 1) & 1)
        return True

    def stop(self, signal: int) -> None:
        """Send a signal, and wait for the exit."""
        if self._process.poll() is None:
            for number in self._inside():
                os.kill(number, signal)
        self.close()

    def close(self) -> None:
        """Close its standard input, and wait for the exit."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self._process.stdout.close()


class Shell:
    """A shell in a sandbox. Directory and variables persist between commands."""

    _END = "--end of the output of a command--"

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        self.directory = ""

    def run(self, command: str) -> tuple[int, str]:
        """Run a command, and wait for its exit.

        :return: its exit status and its output, standard error included.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        script = (
            f"eval {shlex.quote(command)} </dev/null\n"
            f'printf "\\n%s %s %s\\n" {shlex.quote(self._END)} $? "$PWD"\n'
        )
        stdin.write(script.encode())
        stdin.flush()
        printed = b""
        end = time.monotonic() + PATIENCE
        mark = f"\n{self._END} ".encode()
        while not (mark in printed and printed.endswith(b"\n")):
            ready, _, _ = select.select([stdout], [], [], max(0, end - time.monotonic()))
            assert ready, f"{command}: not done after {PATIENCE:g} s: {printed.decode()}"
            piece = os.read(stdout.fileno(), 65536)
            assert piece, f"{command}: the shell has exited: {printed.decode()}"
            printed += piece
        output, _, rest = printed.decode(errors="replace").rpartition(mark.decode())
        status, self.directory = rest.strip().split(" ", 1)
        return int(status), output

    def close(self) -> None:
        """Close the standard input, and wait for the exit."""
        self._process.communicate(timeout=PATIENCE)


class Sandbox:
    """A running sandbox.

    :param layer: of :func:`make_layer`.
    :param directory: an empty one.
    """

    def __init__(self, layer: Path, directory: Path) -> None:
        self._process = subprocess.Popen(
            [str(TOOL), str(layer), str(directory), *_mounted()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if words[:1] != ["up"]:
            rest = self._process.stdout.read()
            raise AssertionError(f"the sandbox does not start: {' '.join(words)} {rest}")
        self._pid = words[1]
        # python3 in the sandbox is the Python that runs the tests
        programs = f"{CHECKOUT}/.venv/bin:{sys.base_prefix}/bin:{_PATH}"
        self._environment = {**os.environ, "SANDBOX_PATH": programs}
        self._shells: dict[str, Shell] = {}
        self._opened: list[Shell] = []
        self._programs: list[RunningProgram] = []

    def _enter(self, user: str, *command: str) -> list[str]:
        return [str(TOOL), "enter", self._pid, user, *command]

    def shell(self, user: str) -> Shell:
        """Return the shell of a user, opened in the checkout."""
        if user not in self._shells:
            self._shells[user] = self.open_shell(user)
        return self._shells[user]

    def open_shell(self, user: str) -> Shell:
        """Open a further shell of a user in the checkout."""
        opened = Shell(self._enter(user, "bash"), self._environment)
        self._opened.append(opened)
        opened.run(f"cd {CHECKOUT}")
        return opened

    def run(self, command: str, user: str = USER) -> tuple[int, str]:
        """Run a command in a user's shell; see :meth:`Shell.run`."""
        return self.shell(user).run(command)

    def must(self, command: str, user: str = "root") -> str:
        """Run a command that must succeed; return its output."""
        status, printed = self.run(command, user)
        assert status == 0, f"{command}\n{printed}"
        return printed

    def start(self, command: str, user: str = USER) -> RunningProgram:
        """Start a program in the directory of the user's shell."""
        script = f"cd {shlex.quote(self.shell(user).directory)}; exec {command}"
        program = RunningProgram(self._enter(user, "bash", "-c", script), self._environment)
        self._programs.append(program)
        return program

    def write(self, path: str, text: str, user: str = USER) -> None:
        """Write a file and its directory; the path is relative to the user's shell."""
        name = shlex.quote(path)
        content = shlex.quote(text)
        self.must(f'mkdir -p "$(dirname {name})"; printf %s {content} >{name}', user)

    def close(self) -> None:
        """Stop it with all its processes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # process 1 of the sandbox exits, and the kernel kills all others
        self._process.stdin.close()
        for each in (*self._opened, *self._programs):
            each.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
