"""Control socket of an ordinary user's daemon: tcpd-ctl finds it without options."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import PATIENCE, TWISTD, Daemon, receive_all

pytestmark = pytest.mark.live

CONFIG = "[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0\n"

#: Variables that locate a user's directories; an empty one counts as unset.
NOWHERE = dict.fromkeys(
    ("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME"), ""
)


@pytest.fixture(scope="module")
def uid() -> int:
    """A uid without an entry in passwd(5), if root runs the tests; else the own uid."""
    return 3_000_000 + os.getpid() if os.geteuid() == 0 else os.geteuid()


@pytest.fixture(scope="module")
def as_user(uid: int) -> list[str]:
    """The prefix of a command that this user runs: in a user namespace, where root's files belong
    to the user, since the checkout may be readable by root only."""
    if os.geteuid() != 0:
        return []
    words = ["unshare", "--user", f"--map-user={uid}", f"--map-group={uid}"]
    done = subprocess.run([*words, "true"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no user namespace can be made: {done.stderr.decode()}")
    return words


Start = Callable[..., Daemon]


@pytest.fixture
def start(as_user: list[str], tmp_path: Path, uid: int) -> Iterator[Start]:
    twistd = tmp_path / "twistd"
    twistd.write_text(f'#!/bin/sh\nexec {" ".join(as_user)} {sys.executable} {TWISTD} "$@"\n')
    twistd.chmod(0o755)
    started: list[Daemon] = []

    def start(variables: dict[str, str], config: str = CONFIG) -> Daemon:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        started.append(Daemon(directory, config, twistd, {**NOWHERE, **variables}))
        return started[-1]

    try:
        yield start
    finally:
        for daemon in started:
            daemon.stop()
        if os.geteuid() == 0:
            shutil.rmtree(f"/tmp/tcpd-{uid}", ignore_errors=True)


@pytest.fixture
def ctl(as_user: list[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(variables: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*as_user, sys.executable, "-m", "tcpd.ctl", *words],
            env={**os.environ, **NOWHERE, **variables},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


Ctl = Callable[..., subprocess.CompletedProcess[str]]


def socket_of(daemon: Daemon) -> Path:
    """Return the path of the control socket from the log."""
    (line,) = daemon.wait_for(lambda line: "service control: listening on unix:" in line)
    return Path(line.split("listening on unix:")[1].split()[0])


@pytest.mark.parametrize(
    ("daemons", "ctls", "where"),
    [
        # cron, su, ssh without a session
        ({"HOME": "home"}, {"HOME": "home"}, "{home}/.local/state/tcpd"),
        # started outside a session, tcpd-ctl inside one
        ({"HOME": "home"}, {"HOME": "home", "XDG_RUNTIME_DIR": "run"}, "{home}/.local/state/tcpd"),
        # su keeps XDG_RUNTIME_DIR of another user
        (
            {"HOME": "home", "XDG_RUNTIME_DIR": "closed"},
            {"HOME": "home"},
            "{home}/.local/state/tcpd",
        ),
        # a container, a system user
        ({}, {}, "/tmp/tcpd-{uid}"),
        ({"HOME": "closed"}, {"HOME": "closed"}, "/tmp/tcpd-{uid}"),
        # a path too long for a socket
        ({"HOME": "h" * 100}, {"HOME": "h" * 100}, "/tmp/tcpd-{uid}"),
    ],
)
def test_tcpd_ctl_finds_the_socket(
    start: Start,
    ctl: Ctl,
    uid: int,
    tmp_path: Path,
    daemons: dict[str, str],
    ctls: dict[str, str],
    where: str,
) -> None:
    """ "at first start with no login session": daemon and tcpd-ctl agree, the log names the path,
    and the directory has mode 0700."""
    if where.startswith("/tmp") and os.geteuid() != 0:
        pytest.skip("this user has a home")
    for name in ("home", "run", "h" * 100):
        (tmp_path / name).mkdir()
    (tmp_path / "closed").mkdir(mode=0o500)

    def absolute(variables: dict[str, str]) -> dict[str, str]:
        return {name: str(tmp_path / value) for name, value in variables.items()}

    daemon = start(absolute(daemons))
    path = socket_of(daemon)
    assert str(path) == where.format(home=tmp_path / "home", uid=uid) + "/control"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    done = ctl(absolute(ctls), "status")
    assert (done.returncode, done.stderr) == (0, "")
    assert f" {daemon.process.pid} as uid " in done.stdout


def test_bans_survive_a_restart_and_a_second_daemon_is_reported(
    start: Start, ctl: Ctl, tmp_path: Path
) -> None:
    home = {"HOME": str(tmp_path / "home")}
    (tmp_path / "home").mkdir()
    first = start(home)
    state = socket_of(first).parent
    assert [each.name for each in state.iterdir()] == ["control"]
    assert "outlive" not in ctl(home, "ban", "127.0.0.1", "1h").stdout
    assert sorted(each.name for each in state.iterdir()) == ["bans.json", "control"]
    second = start(home)
    second.wait_for(lambda line: "another daemon is listening there" in line)
    second.stop()
    first.stop()
    with start(home).connect("line") as client:
        assert b"your address is banned" in receive_all(client)


def test_directory_of_another_user_is_not_used(
    start: Start, ctl: Ctl, uid: int, tmp_path: Path
) -> None:
    """Another user may own the one in /tmp: the daemon then logs that it has no control socket."""
    if os.geteuid() != 0:
        pytest.skip("this user has a home")
    theirs = Path(f"/tmp/tcpd-{uid}")
    theirs.mkdir()
    try:
        os.chown(theirs, 1, 1)
        daemon = start({})
        daemon.wait_for(lambda line: "this user has no directory for it" in line)
        done = ctl({}, "status")
        assert done.returncode == 3
        assert "there is no control socket at" in done.stderr
        assert str(theirs) not in done.stderr
    finally:
        theirs.rmdir()
