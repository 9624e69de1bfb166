"""A box: a Debian that boots systemd in separate namespaces (tests/box/systemd-box)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import installing

TOOL = Path(__file__).with_name("box") / "systemd-box"

#: Timeout in seconds of a command or of a wait in a box.
PATIENCE = 120.0

#: Timeout in seconds for making a box, half of which is downloads.
MAKING = 900.0

#: The version of Python in the box, which is Debian 12.
PYTHON = "3.11"


def missing_for(what: str, programs: Sequence[str]) -> str:
    """Return what this machine lacks of Linux, root and some programs; ``""`` if nothing."""
    if sys.platform != "linux":
        return f"{what} requires Linux"
    if os.geteuid() != 0:
        return f"{what} requires root"
    for program in programs:
        if shutil.which(program) is None:
            return f"{what} requires {program}, which is not installed"
    return ""


def why_not() -> str:
    """Return why this machine cannot run a box; ``""`` if it can."""
    programs = ("debootstrap", "unshare", "nsenter", "pivot_root", "ip")
    if missing := missing_for("a box", programs):
        return missing
    probe = (
        *("unshare", "--mount", "--pid", "--net", "--cgroup", "--fork"),
        *("mount", "-t", "cgroup2", "cgroup2", "/mnt"),
    )
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"no namespaces, or no cgroup2, for this root: {done.stderr}" if done.returncode else ""


def make(root: Path) -> str:
    """Make the file system of a box; return the error, or ``""``."""
    command = [str(TOOL), "make", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAKING, check=False)
    output = (done.stdout + done.stderr)[-2000:]
    return f"exit status {done.returncode}: {output}" if done.returncode else ""


def copy(root: Path, to: Path) -> Path:
    """Copy the file system of a box that is not running."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(root), str(to)], check=True)
    return to


def wheels(directory: Path) -> str:
    """Fetch wheels, for the box's Python, of what the Debian package contains and is built with.

    :return: the error, or ``""``.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
            *("--only-binary", ":all:", "--python-version", PYTHON, "--dest", str(directory)),
            *("setuptools>=77", "docutils>=0.19", *installing.requirements("completion", "top")),
        ],
        capture_output=True,
        text=True,
        timeout=installing.PIP_PATIENCE,
        check=False,
    )
    return f"exit status {done.returncode}: {done.stderr[-2000:]}" if done.returncode else ""


class Box:
    """A running box.

    :param root: its file system, from :func:`make` or :func:`copy`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._process = subprocess.Popen(
            [str(TOOL), "boot", str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self._process.stdout is not None
        words = self._process.stdout.readline().split()
        if words[:1] != ["up"]:
            rest = self._process.stdout.read()
            self.close()
            raise AssertionError(f"the box does not start: {' '.join(words)} {rest}")
        self._pid = words[1]

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop it with all its processes."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()
        process.stdout.close()

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a bash script as root."""
        return subprocess.run(
            [str(TOOL), "enter", self._pid, "bash", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def must(self, script: str) -> str:
        """Run a bash script of which each line must succeed; return its output."""
        done = self.run(f"set -euo pipefail\n{script}")
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def wait_for(self, script: str) -> None:
        """Run a bash script until it succeeds."""
        until = time.monotonic() + PATIENCE
        while (done := self.run(script)).returncode:
            assert time.monotonic() < until, f"{script}\n{done.stdout}\n{self.log()}"
            time.sleep(0.1)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file that belongs to root."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        file.chmod(mode)

    def show(self, *properties: str, unit: str = "tcpd") -> str:
        """Return the values of a unit's properties, one a line, in systemd's order."""
        return self.must(f"systemctl show {unit} --value -p {','.join(properties)}").strip()

    def log(self) -> str:
        """Return the last lines of the journal of tcpd's unit."""
        return self.run("journalctl --no-pager -n 60 -o short-precise -u tcpd").stdout
