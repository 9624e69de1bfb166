"""A stage: a copy of this machine in namespaces, where commands of pages are typed word for word.

``stage.sh`` makes one in a fraction of a second. What commands write is in memory and goes with the
stage; its network is a loopback interface. So pages keep their fixed ports and paths, may write to
/etc and become other users, and tests run side by side.
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

TOOL = Path(__file__).with_name("stage.sh")

#: Seconds that a command, or whatever is waited for, may take.
PATIENCE = 120.0

#: The person who types what stands behind ``$``, and where: in a checkout.
USER, HOME = "ann", "/home/ann"
CHECKOUT = f"{HOME}/tcpd"

#: The name of the machine.
HOSTNAME = "debian"

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: Directories that daemons expect to find in /run, which is empty on a stage.
_RUN = ("lock", "fail2ban", "haproxy", "stunnel4")


def why_not() -> str:
    """Why there can be no stage on this machine; ``""`` if there can."""
    if sys.platform != "linux":
        return "a stage takes Linux"
    if os.geteuid() != 0:
        return "a stage takes root"
    for program in ("unshare", "nsenter", "setpriv", "pivot_root", "ip"):
        if shutil.which(program) is None:
            return f"a stage takes {program}, which is not installed"
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
    """Make what is laid over the machine's files: a user, their checkout, and an environment.

    :param directory: an empty one.
    :param wheelhouse: of :func:`installing.download`: then there is no environment, and pip finds
        these packages and no others.
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
        # whoever installs tcpd writes this; others could not
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
    # the interpreter and the sources may be where only root gets, such as in /root
    for path in (Path(sys.prefix), Path(sys.base_prefix), installing.ROOT):
        for parent in reversed(path.parents[:-1]):
            over = directory / str(parent).lstrip("/")
            over.mkdir(exist_ok=True, parents=True)
            mode = parent.stat().st_mode
            over.chmod(mode & 0o7777 | 0o055 if parent != Path("/tmp") else 0o1777)
    return directory


def _elsewhere() -> list[str]:
    """What the tests need that is not on the file system of ``/``, or is where a stage has none of
    the machine's files."""
    needed = {Path(sys.prefix), Path(sys.base_prefix), installing.ROOT}
    root = os.stat("/").st_dev
    return sorted(
        str(path)
        for path in needed
        if path.stat().st_dev != root or path.is_relative_to("/tmp") or path.is_relative_to("/run")
    )


class Program:
    """A program that goes on: a daemon, or what somebody types into.

    :ivar lines: what it has printed.
    :ivar rest: what it has printed behind the last line end, such as a prompt.
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

        :param start: the number of the first line that counts.
        """

        def found() -> int | None:
            numbers = range(start, len(self.lines))
            return next((number for number in numbers if wanted(self.lines[number])), None)

        with self._more:
            self._more.wait_for(lambda: found() is not None or self.ended, PATIENCE)
            number = found()
        shown = "\n".join(self.lines)
        assert number is not None, f"{'it ended' if self.ended else 'no such line'}:\n{shown}"
        return number

    def wait_for_prompt(self, prompt: str) -> None:
        """Wait until it asks so."""
        with self._more:
            self._more.wait_for(lambda: self.rest.startswith(prompt) or self.ended, PATIENCE)
        assert self.rest.startswith(prompt), f"it does not ask: {prompt}"

    def line(self, number: int) -> str | None:
        """Wait for the line of this number; ``None`` if the program ends before."""
        with self._more:
            self._more.wait_for(lambda: len(self.lines) > number or self.ended, PATIENCE)
            if len(self.lines) > number:
                return self.lines[number]
        assert self.ended, "no further line after:\n" + "\n".join(self.lines)
        return None

    def wait_for_end(self) -> None:
        """Wait until it has ended."""
        with self._more:
            self._more.wait_for(lambda: self.ended, PATIENCE)
        assert self.ended, "it goes on"

    def type(self, line: str) -> None:
        """Type a line."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def _inside(self) -> Iterator[int]:
        """The program itself; what was started is nsenter, which waits for it."""
        number = self._process.pid
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{number}/task/{number}/children").read_text()
            yield from map(int, children.split())

    def catches(self, signal: int) -> bool:
        """Whether it has a handler for a signal, or has ended."""
        for number in self._inside():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{number}/status").read_text()
                caught = int(status.partition("SigCgt:")[2].split()[0], 16)
                return bool(caught >> (signal - 1) & 1)
        return True

    def stop(self, signal: int) -> None:
        """Send a signal to it, and wait for its end."""
        if self._process.poll() is None:
            for number in self._inside():
                os.kill(number, signal)
        self.close()

    def close(self) -> None:
        """End its input, and wait for its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self._process.stdout.close()


class Terminal:
    """A shell on a stage. Directory and variables stay from one command to the next."""

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
        """Run a command, and wait for its end.

        :return: its exit status, and what it printed, errors too.
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
            assert piece, f"{command}: the shell has ended: {printed.decode()}"
            printed += piece
        output, _, rest = printed.decode(errors="replace").rpartition(mark.decode())
        status, self.directory = rest.strip().split(" ", 1)
        return int(status), output

    def close(self) -> None:
        """Wait for the end of the shell. It ends with its input."""
        self._process.communicate(timeout=PATIENCE)


class Stage:
    """One that is up.

    :param layer: of :func:`make_layer`.
    :param directory: an empty one.
    """

    def __init__(self, layer: Path, directory: Path) -> None:
        self._process = subprocess.Popen(
            [str(TOOL), str(layer), str(directory), *_elsewhere()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if words[:1] != ["up"]:
            rest = self._process.stdout.read()
            raise AssertionError(f"the stage is not up: {' '.join(words)} {rest}")
        self._pid = words[1]
        # one Python for all: python3 on the stage is that which runs the tests
        programs = f"{CHECKOUT}/.venv/bin:{sys.base_prefix}/bin:{_PATH}"
        self._environment = {**os.environ, "STAGE_PATH": programs}
        self._terminals: dict[str, Terminal] = {}
        self._opened: list[Terminal] = []
        self._programs: list[Program] = []

    def _enter(self, user: str, *command: str) -> list[str]:
        return [str(TOOL), "enter", self._pid, user, *command]

    def terminal(self, user: str) -> Terminal:
        """The shell of a user, in the checkout."""
        if user not in self._terminals:
            self._terminals[user] = self.open_terminal(user)
        return self._terminals[user]

    def open_terminal(self, user: str) -> Terminal:
        """One more shell of a user, in the checkout."""
        opened = Terminal(self._enter(user, "bash"), self._environment)
        self._opened.append(opened)
        opened.run(f"cd {CHECKOUT}")
        return opened

    def run(self, command: str, user: str = USER) -> tuple[int, str]:
        """Run a command in a user's shell; see :meth:`Terminal.run`."""
        return self.terminal(user).run(command)

    def must(self, command: str, user: str = "root") -> str:
        """Run one that has to succeed; return what it printed."""
        status, printed = self.run(command, user)
        assert status == 0, f"{command}\n{printed}"
        return printed

    def start(self, command: str, user: str = USER) -> Program:
        """Start a program that goes on, where the user's shell is."""
        script = f"cd {shlex.quote(self.terminal(user).directory)}; exec {command}"
        program = Program(self._enter(user, "bash", "-c", script), self._environment)
        self._programs.append(program)
        return program

    def write(self, path: str, text: str, user: str = USER) -> None:
        """Write a file, relative to where the user's shell is, and its directory."""
        name = shlex.quote(path)
        content = shlex.quote(text)
        self.must(f'mkdir -p "$(dirname {name})"; printf %s {content} >{name}', user)

    def close(self) -> None:
        """End it, and all that runs in it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # process 1 of the stage ends, and the kernel ends all the others
        self._process.stdin.close()
        for each in (*self._opened, *self._programs):
            each.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
