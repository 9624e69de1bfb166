"""Default paths of the control socket and the state directory."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from tcpd.config import locations
from tcpd.config.locations import (
    LONGEST_SOCKET_PATH,
    control_candidates,
    control_path,
    is_own,
    is_usable,
    locate,
    own_directories,
    state_directory,
)

#: A number that no user of the system has, so that none has a home directory.
NOBODY = 3_000_000

USER = {"XDG_RUNTIME_DIR": "/u", "HOME": "/h"}


def all_are(directory: str, uid: int) -> bool:
    return True


@pytest.mark.parametrize(
    ("control", "state", "environ", "uid", "path"),
    [
        ("/x", "/s", {"RUNTIME_DIRECTORY": "/r"}, 0, "/x"),
        ("none", "/s", {"RUNTIME_DIRECTORY": "/r"}, 0, ""),
        ("auto", "/s", {"RUNTIME_DIRECTORY": "/r:/q", **USER}, NOBODY, "/r/control"),
        ("auto", "/s", USER, 0, "/run/tcpd/control"),
        ("auto", "/s", USER, NOBODY, "/u/tcpd/control"),
        ("auto", "/s", {"HOME": "/h"}, NOBODY, "/s/control"),
        ("auto", "", {"STATE_DIRECTORY": "/t", "HOME": "/h"}, NOBODY, "/t/control"),
        ("auto", "", {"HOME": "/h"}, NOBODY, "/h/.local/state/tcpd/control"),
        ("auto", "", {"XDG_STATE_HOME": "/x", "HOME": "/h"}, NOBODY, "/x/tcpd/control"),
        ("auto", "", {"HOME": "relative"}, NOBODY, f"/tmp/tcpd-{NOBODY}/control"),
        ("auto", "", {}, NOBODY, f"/tmp/tcpd-{NOBODY}/control"),
        # a path that is too long for a socket is skipped
        (
            "auto",
            "",
            {"HOME": f"/{'h' * LONGEST_SOCKET_PATH}"},
            NOBODY,
            f"/tmp/tcpd-{NOBODY}/control",
        ),
    ],
)
def test_control_path(
    control: str, state: str, environ: dict[str, str], uid: int, path: str
) -> None:
    """The first applicable directory."""
    assert control_path(control, state, environ, uid, all_are) == path


def test_unusable_directories_are_skipped() -> None:
    """A runtime directory of another session; a home that is read-only or does not exist."""
    environ = {**USER, "XDG_STATE_HOME": "/x"}
    left = ["/u/tcpd", "/x/tcpd", "/h/.local/state/tcpd", f"/tmp/tcpd-{NOBODY}"]
    while left:
        path = control_path("auto", "", environ, NOBODY, lambda each, _: each in left)
        assert path == f"{left.pop(0)}/control"
    assert control_path("auto", "", environ, NOBODY, lambda *_: False) == ""
    # a configured directory is not checked
    assert control_path("auto", "/s", environ, NOBODY, lambda *_: False) == "/s/control"


def test_home_of_the_user_database_is_last() -> None:
    """su and sudo may leave $HOME of another user."""
    entry = pwd.getpwuid(os.geteuid())
    assert own_directories({"HOME": "/h"}, entry.pw_uid) == [
        "/h/.local/state/tcpd",
        f"{entry.pw_dir}/.local/state/tcpd",
    ]


@pytest.mark.parametrize(
    ("daemon", "ctl"),
    [
        ({"HOME": "/h"}, {"HOME": "/h"}),
        # daemon in a session and tcpd-ctl in cron, and vice versa
        ({"XDG_RUNTIME_DIR": f"/run/user/{NOBODY}", "HOME": "/h"}, {"HOME": "/h"}),
        ({"HOME": "/h"}, {"XDG_RUNTIME_DIR": f"/run/user/{NOBODY}", "HOME": "/h"}),
        ({}, {"HOME": "/h"}),
        ({}, {"XDG_RUNTIME_DIR": "/u"}),
        ({"HOME": "/h"}, {"HOME": "/h", "XDG_STATE_HOME": "/x"}),
    ],
)
def test_control_candidates_include_the_daemons_path(
    daemon: dict[str, str], ctl: dict[str, str]
) -> None:
    assert control_path("auto", "", daemon, NOBODY, all_are) in control_candidates(ctl, NOBODY)


def test_user_daemon_precedes_the_system_daemon() -> None:
    assert control_candidates(USER, NOBODY) == [
        "/u/tcpd/control",
        f"/run/user/{NOBODY}/tcpd/control",
        "/h/.local/state/tcpd/control",
        f"/tmp/tcpd-{NOBODY}/control",
        "/run/tcpd/control",
    ]
    assert control_candidates({}, 0)[0] == "/run/tcpd/control"
    assert "/s/control" in control_candidates({}, NOBODY, "/s")


def test_directories_of_other_users_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every user can create a directory in /tmp, and sudo may leave $HOME of another user."""
    monkeypatch.setattr(locations, "TEMPORARY", str(tmp_path))
    uid = os.geteuid()
    another = uid + 1
    for each in (uid, another):
        (tmp_path / f"tcpd-{each}").mkdir()  # both are ours
    assert f"{tmp_path}/tcpd-{uid}/control" in control_candidates({}, uid)
    assert f"{tmp_path}/tcpd-{another}/control" not in control_candidates({}, another)
    (tmp_path / ".local" / "state" / "tcpd").mkdir(parents=True)
    path = f"{tmp_path}/.local/state/tcpd/control"
    home = {"HOME": str(tmp_path)}
    assert path in control_candidates(home, uid)
    assert path not in control_candidates(home, another)


def test_usable_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.geteuid()
    assert is_usable(str(tmp_path), uid)
    assert is_usable(str(tmp_path / "new"), uid)
    assert is_usable(str(tmp_path / "a" / "b" / "c"), uid)
    assert not is_usable(str(tmp_path), uid + 1)
    assert not is_usable(str(tmp_path / "new"), uid + 1), "the owner of the parent can replace it"
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert not is_usable(str(tmp_path / "file"), uid)
    assert not is_usable(str(tmp_path / "file" / "under"), uid)
    assert not is_usable(str(tmp_path / "link"), uid)
    assert is_usable(str(tmp_path / "link" / "under"), uid), "a home may be behind a link"
    monkeypatch.setattr(locations, "TEMPORARY", str(tmp_path))
    assert is_usable(str(tmp_path / "tcpd-7"), uid + 1)
    (tmp_path / "tcpd-7").mkdir()
    assert not is_usable(str(tmp_path / "tcpd-7"), uid + 1), "another user created it first"


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
def test_read_only_directory_is_not_usable(tmp_path: Path) -> None:
    """Without permission, or on a read-only file system."""
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    os.chown(home, NOBODY, NOBODY)
    for each in (tmp_path, *tmp_path.parents[:3]):
        each.chmod(each.stat().st_mode | 0o055)
    script = (
        "import os, sys\n"
        "from tcpd.config.locations import is_usable\n"
        f"os.setuid({NOBODY})\n"
        f"print(is_usable(sys.argv[1] + '/x/y', {NOBODY}), is_usable('/nonexistent/x', {NOBODY}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False False\n"


def test_state_directory() -> None:
    assert state_directory("/s", {"STATE_DIRECTORY": "/t"}, NOBODY, all_are) == "/s"
    assert state_directory("", {"STATE_DIRECTORY": "/t:/u"}, NOBODY, all_are) == "/t"
    assert state_directory("", {"HOME": "/h"}, NOBODY, all_are) == "/h/.local/state/tcpd"
    assert state_directory("", {"HOME": "/h"}, NOBODY, lambda *_: False) == ""
    assert state_directory("", {}, NOBODY, all_are) == ""
    assert state_directory("", {"HOME": "/root"}, 0, all_are) == "", "root's is to be named"


def test_own_directories() -> None:
    """The daemon creates them with mode 0700."""
    assert is_own("/h/.local/state/tcpd/control", USER, NOBODY)
    assert is_own(f"/tmp/tcpd-{NOBODY}/control", USER, NOBODY)
    assert is_own("/u/tcpd/control", USER, NOBODY)
    assert not is_own("/s/control", USER, NOBODY)
    assert not is_own("/r/control", {"RUNTIME_DIRECTORY": "/r"}, NOBODY)
    assert not is_own("/t/control", {"STATE_DIRECTORY": "/t"}, NOBODY)
    assert not is_own("/run/tcpd/control", USER, 0)


def test_locate() -> None:
    """systemd.exec(5), LoadCredential=: credentials are in $CREDENTIALS_DIRECTORY."""
    assert locate("/etc/x.pem", None) == "/etc/x.pem"
    assert locate("credential:x.pem", "/run/credentials/tcpd.service") == (
        "/run/credentials/tcpd.service/x.pem"
    )
    for nowhere in (None, ""):
        with pytest.raises(ValueError, match=r"write LoadCredential=x\.pem:PATH in the unit"):
            locate("credential:x.pem", nowhere)
