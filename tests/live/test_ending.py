"""The end of the real daemon, once, twice and three times asked for."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from running import PATIENCE, REACTOR, TWISTD, Daemon, receive_until

from tcpd.policy.passwords import hash_password

pytestmark = pytest.mark.live

USER = "user = root\n" if os.geteuid() == 0 else ""

#: A program that ignores SIGTERM, for which there is far more time than a test has.
STUBBORN = f"""
[tcpd]
drain = 10min
[service:exec]
protocol = exec
command = /bin/sh -c 'trap "" TERM; echo $$; while :; do sleep 0.1; done'
stop = 10min
{USER}listen =
    127.0.0.1:0
"""

ECHO = "[service:echo]\nprotocol = echo\nlisten =\n    127.0.0.1:0\n"

HASH = hash_password("secret")

#: What may hang: a password that is checked in a thread, and a file that is written in one.
HANGS = """
import hashlib, os, time
hashlib.scrypt = os.fsync = lambda *_, **__: time.sleep(10_000)
"""

#: What may hang in the reactor's thread: an end that is waited for, and one that is not.
DEAF = """
import tcpd.daemon.daemon
tcpd.daemon.daemon.Daemon.cut = lambda self: None
"""
STUCK = """
import time
import tcpd.daemon.daemon
def cut(self):
    while True:
        time.sleep(0.01)
tcpd.daemon.daemon.Daemon.cut = cut
"""


#: Somebody is quicker than the reactor, which has no handlers yet.
EARLY = """
import os, tcpd.daemon.supervision
ready = tcpd.daemon.supervision.Supervision.ready
def early(self):
    ready(self)
    os.kill(os.getpid(), {number})
tcpd.daemon.supervision.Supervision.ready = early
"""


def start(directory: Path, config: str, patch: str = "", reactor: list[str] = REACTOR) -> Daemon:
    """Start a daemon in which something is otherwise."""
    (directory / "sitecustomize.py").write_text(patch)
    path = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
    return Daemon(directory, config, variables={"PYTHONPATH": path}, reactor=reactor)


def gone(pid: int) -> bool:
    """Whether a process ends within a moment, or is but a zombie of this machine's first."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
    return False


def ask(daemon: Daemon, until: str) -> None:
    """Send SIGTERM, and wait for what the log has to say of it."""
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_for(lambda line: until in line)


@pytest.mark.parametrize("reactor", [REACTOR, ["--reactor=epoll"]], ids=["", "epoll"])
def test_the_second_sigterm_ends_programs_that_ignore_it(
    tmp_path: Path, reactor: list[str]
) -> None:
    """ "The second SIGTERM ends everything at once, programs of exec that ignore SIGTERM
    included", with minutes of drain left; also one whose client has gone, or waits for TLS."""
    daemon = start(tmp_path, STUBBORN, reactor=reactor)
    with daemon.connect("exec") as first, daemon.connect("exec") as second:
        pids = [int(receive_until(each, b"\n")) for each in (first, second)]
        second.close()
        ask(daemon, "stopping")
        assert not gone_now(pids[0])
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(PATIENCE) == -signal.SIGTERM
        assert time.monotonic() - began < PATIENCE
    assert all(gone(pid) for pid in pids)
    assert daemon.stop() == -signal.SIGTERM


@pytest.mark.parametrize("reactor", [REACTOR, ["--reactor=epoll"]], ids=["", "epoll"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_reactor_runs_stops_the_daemon(
    tmp_path: Path, number: signal.Signals, reactor: list[str]
) -> None:
    """Ctrl-C right behind "started", and SIGTERM from systemd, which was told READY=1."""
    daemon = start(tmp_path, ECHO, EARLY.format(number=int(number)), reactor=reactor)
    assert daemon.process.wait(PATIENCE) == -number
    daemon.stop()
    log = "\n".join(daemon.log)
    assert " started: " in log
    assert "Traceback" not in log
    daemon.wait_for(lambda line: f"Received {number.name}, shutting down." in line)
    daemon.wait_for(lambda line: "stopped after" in line)
    assert not daemon.control.exists(), "and nothing is left behind"


def gone_now(pid: int) -> bool:
    """Whether a process is not there."""
    return not Path(f"/proc/{pid}").exists()


def test_no_thread_holds_the_end(tmp_path: Path) -> None:
    """ "Nothing (thread pools, DNS look-ups, password hashing in threads) may hold the process's
    end": a client's password is being checked, for hours."""
    config = f"[service:irc]\nprotocol = irc\npassword = {HASH}\nlisten =\n  127.0.0.1:0\n"
    daemon = start(tmp_path, config, HANGS)
    with daemon.connect("irc") as client:
        client.sendall(b"PASS secret\r\nNICK ann\r\nUSER ann 0 * :Ann\r\n")
        threads(daemon, 2)
        assert daemon.stop() == -signal.SIGTERM


def threads(daemon: Daemon, count: int) -> None:
    """Wait until a daemon has so many threads."""
    deadline = time.monotonic() + PATIENCE
    while len(os.listdir(f"/proc/{daemon.process.pid}/task")) < count:
        assert time.monotonic() < deadline, "\n".join(daemon.log)


def test_a_disk_that_hangs_holds_the_end_no_longer_than_asked(tmp_path: Path) -> None:
    """A ban is being written: the stop waits for it, and a second SIGTERM does not."""
    daemon = start(tmp_path, f"[tcpd]\nstate = {tmp_path}/state\ndrain = 10min\n{ECHO}", HANGS)
    banning = subprocess.Popen(
        [TWISTD.replace("twistd", "tcpd-ctl"), "--socket", str(daemon.control), "ban", "192.0.2.1"]
    )
    threads(daemon, 2)
    ask(daemon, "stopping")
    assert daemon.process.poll() is None
    ask(daemon, "stopped after")
    assert daemon.stop() == -signal.SIGTERM
    assert banning.wait(PATIENCE) != 0


@pytest.mark.parametrize("patch", [DEAF, STUCK], ids=["deaf", "stuck"])
@pytest.mark.parametrize("third", [True, False], ids=["asked a third time", "after a while"])
def test_the_third_sigterm_ends_what_cannot_end_itself(
    tmp_path: Path, patch: str, third: bool
) -> None:
    """And so do seconds after the second, in which nothing happened."""
    daemon = start(tmp_path, STUBBORN, patch)
    with daemon.connect("exec") as client:
        pid = int(receive_until(client, b"\n"))
        ask(daemon, "stopping")
        daemon.process.send_signal(signal.SIGTERM)
        if third:
            deadline = time.monotonic() + PATIENCE
            while daemon.process.poll() is None:  # two that come together are one (signal(7))
                assert time.monotonic() < deadline
                daemon.process.send_signal(signal.SIGTERM)
        assert daemon.stop() == -signal.SIGTERM
    assert gone(pid)
