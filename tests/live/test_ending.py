"""Stop of a live daemon by one, two and three SIGTERMs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from processes import has_exited
from running import PATIENCE, REACTOR, TWISTD, Daemon, receive_until

from tcpd.policy.passwords import hash_password

pytestmark = pytest.mark.live

USER = "user = root\n" if os.geteuid() == 0 else ""

#: A program that ignores SIGTERM, and a stop that waits ten minutes for it.
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

#: Makes the wait_for_threads hang that check a password and that write a file.
HANGS = """
import hashlib, os, time
hashlib.scrypt = os.fsync = lambda *_, **__: time.sleep(10_000)
"""

#: The second SIGTERM has no effect; or it blocks the reactor's thread.
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

#: Sends a signal before the reactor has installed its handlers.
EARLY = """
import os, tcpd.daemon.supervision
ready = tcpd.daemon.supervision.Supervision.ready
def early(self):
    ready(self)
    os.kill(os.getpid(), {number})
tcpd.daemon.supervision.Supervision.ready = early
"""


def start(directory: Path, config: str, patch: str = "", reactor: list[str] = REACTOR) -> Daemon:
    """Start a daemon with a patch in its sitecustomize."""
    (directory / "sitecustomize.py").write_text(patch)
    path = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))
    return Daemon(directory, config, variables={"PYTHONPATH": path}, reactor=reactor)


def terminate(daemon: Daemon, until: str) -> None:
    """Send SIGTERM, and wait for a line of the log."""
    daemon.process.send_signal(signal.SIGTERM)
    daemon.wait_for(lambda line: until in line)


@pytest.mark.parametrize("reactor", [REACTOR, ["--reactor=epoll"]], ids=["", "epoll"])
def test_second_sigterm_kills_programs_that_ignore_it(tmp_path: Path, reactor: list[str]) -> None:
    """ "The second SIGTERM ends everything at once, programs of exec that ignore SIGTERM
    included", and programs whose client has closed."""
    daemon = start(tmp_path, STUBBORN, reactor=reactor)
    with daemon.connect("exec") as first, daemon.connect("exec") as second:
        pids = [int(receive_until(each, b"\n")) for each in (first, second)]
        second.close()
        terminate(daemon, "stopping")
        assert Path(f"/proc/{pids[0]}").exists()
        began = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(PATIENCE) == -signal.SIGTERM
        assert time.monotonic() - began < PATIENCE
    assert all(has_exited(pid) for pid in pids)
    assert daemon.stop() == -signal.SIGTERM


@pytest.mark.parametrize("reactor", [REACTOR, ["--reactor=epoll"]], ids=["", "epoll"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_before_the_reactor_runs_stops_the_daemon(
    tmp_path: Path, number: signal.Signals, reactor: list[str]
) -> None:
    """Ctrl-C right after "started"; SIGTERM of systemd right after READY=1."""
    daemon = start(tmp_path, ECHO, EARLY.format(number=int(number)), reactor=reactor)
    assert daemon.process.wait(PATIENCE) == -number
    daemon.stop()
    log = "\n".join(daemon.log)
    assert " started: " in log
    assert "Traceback" not in log
    daemon.wait_for(lambda line: f"Received {number.name}, shutting down." in line)
    daemon.wait_for(lambda line: "stopped after" in line)
    assert not daemon.control.exists()


def test_stop_does_not_wait_for_threads(tmp_path: Path) -> None:
    """ "Nothing (thread pools, DNS look-ups, password hashing in threads) may hold the process's
    end". A password check hangs."""
    config = f"[service:irc]\nprotocol = irc\npassword = {HASH}\nlisten =\n  127.0.0.1:0\n"
    daemon = start(tmp_path, config, HANGS)
    with daemon.connect("irc") as client:
        client.sendall(b"PASS secret\r\nNICK ann\r\nUSER ann 0 * :Ann\r\n")
        wait_for_threads(daemon, 2)
        assert daemon.stop() == -signal.SIGTERM


def wait_for_threads(daemon: Daemon, count: int) -> None:
    """Wait until a daemon has ``count`` wait_for_threads."""
    deadline = time.monotonic() + PATIENCE
    while len(os.listdir(f"/proc/{daemon.process.pid}/task")) < count:
        assert time.monotonic() < deadline, "\n".join(daemon.log)


def test_second_sigterm_does_not_wait_for_a_hanging_disk(tmp_path: Path) -> None:
    """The stop waits for the write of a ban; a second SIGTERM does not."""
    daemon = start(tmp_path, f"[tcpd]\nstate = {tmp_path}/state\ndrain = 10min\n{ECHO}", HANGS)
    banning = subprocess.Popen(
        [TWISTD.replace("twistd", "tcpd-ctl"), "--socket", str(daemon.control), "ban", "192.0.2.1"]
    )
    wait_for_threads(daemon, 2)
    terminate(daemon, "stopping")
    assert daemon.process.poll() is None
    terminate(daemon, "stopped after")
    assert daemon.stop() == -signal.SIGTERM
    assert banning.wait(PATIENCE) != 0


@pytest.mark.parametrize("patch", [DEAF, STUCK], ids=["no effect", "blocked"])
@pytest.mark.parametrize("third", [True, False], ids=["third signal", "timeout"])
def test_third_sigterm_ends_the_process_in_any_state(
    tmp_path: Path, patch: str, third: bool
) -> None:
    """Without a third signal, the process ends some seconds after the second."""
    daemon = start(tmp_path, STUBBORN, patch)
    with daemon.connect("exec") as client:
        pid = int(receive_until(client, b"\n"))
        terminate(daemon, "stopping")
        daemon.process.send_signal(signal.SIGTERM)
        if third:
            deadline = time.monotonic() + PATIENCE
            while daemon.process.poll() is None:  # a pending signal is not queued, signal(7)
                assert time.monotonic() < deadline
                daemon.process.send_signal(signal.SIGTERM)
        assert daemon.stop() == -signal.SIGTERM
    assert has_exited(pid)
