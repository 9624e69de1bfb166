"""A box: a Debian under a real systemd, in namespaces of its own (tests/box/systemd-box)."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import installing

TOOL = Path(__file__).with_name("box") / "systemd-box"

#: Seconds that a command in a box, or anything that is waited for there, may take.
PATIENCE = 120.0

#: Seconds that making one may take: half of it is downloaded.
MAKING = 900.0

#: The Python of Debian 12, which is the one in the box.
PYTHON = "3.11"


def why_not() -> str:
    """Why there can be no box on this machine; ``""`` if there can."""
    if sys.platform != "linux":
        return "a box takes Linux"
    if os.geteuid() != 0:
        return "a box takes root"
    for program in ("debootstrap", "unshare", "nsenter", "pivot_root", "ip"):
        if shutil.which(program) is None:
            return f"a box takes {program}, which is not installed"
    probe = (
        *("unshare", "--mount", "--pid", "--net", "--cgroup", "--fork"),
        *("mount", "-t", "cgroup2", "cgroup2", "/mnt"),
    )
    done = subprocess.run(probe, capture_output=True, text=True, check=False)
    return f"no namespaces, or no cgroup2, for this root: {done.stderr}" if done.returncode else ""


def make(root: Path) -> str:
    """Make the file system of a box; return what went wrong."""
    command = [str(TOOL), "make", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAKING, check=False)
    told = (done.stdout + done.stderr)[-2000:]
    return f"exit status {done.returncode}: {told}" if done.returncode else ""


def copy(root: Path, to: Path) -> Path:
    """A copy of the file system of a box that is not up."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(root), str(to)], check=True)
    return to


def wheels(directory: Path) -> str:
    """Fetch wheels, for the Python of the box, of what the Debian package holds and is built by.

    :return: what went wrong.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
            *("--only-binary", ":all:", "--python-version", PYTHON, "--dest", str(directory)),
            *("setuptools>=77", "docutils>=0.19", *installing.requirements("completion")),
        ],
        capture_output=True,
        text=True,
        timeout=installing.PIP_PATIENCE,
        check=False,
    )
    return f"exit status {done.returncode}: {done.stderr[-2000:]}" if done.returncode else ""


class Box:
    """One that is up.

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
        told = self._process.stdout.readline().split()
        if told[:1] != ["up"]:
            rest = self._process.stdout.read()
            self.close()
            raise AssertionError(f"the box is not up: {' '.join(told)} {rest}")
        self._pid = told[1]

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and all that is in it."""
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
        """Run a script of bash's as root, and say how it went."""
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
        """Run one that has to succeed, each line of it; return what it printed."""
        done = self.run(f"set -euo pipefail\n{script}")
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout

    def wait_for(self, script: str) -> None:
        """Run one again and again until it succeeds."""
        until = time.monotonic() + PATIENCE
        while (done := self.run(script)).returncode:
            assert time.monotonic() < until, f"{script}\n{done.stdout}\n{self.log()}"
            time.sleep(0.1)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Make a file of root's."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        file.chmod(mode)

    def show(self, *properties: str, unit: str = "tcpd") -> str:
        """Values of properties of a unit, a line each, in systemd's order."""
        return self.must(f"systemctl show {unit} --value -p {','.join(properties)}").strip()

    def log(self) -> str:
        """What tcpd, and systemd of it, logged."""
        return self.run("journalctl --no-pager -n 60 -o short-precise -u tcpd").stdout
