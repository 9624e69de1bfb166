"""Where the control socket and the state are, by one rule for the daemon and for tcpd-ctl."""

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
        # a path that is too long for a socket is passed over
        (
            "auto",
            "",
            {"HOME": f"/{'h' * LONGEST_SOCKET_PATH}"},
            NOBODY,
            f"/tmp/tcpd-{NOBODY}/control",
        ),
    ],
)
def test_the_rule(control: str, state: str, environ: dict[str, str], uid: int, path: str) -> None:
    """ "it is the first of these that applies" """
    assert control_path(control, state, environ, uid, all_are) == path


def test_what_cannot_be_used_is_passed_over() -> None:
    """A runtime directory of another session, a home that is read-only or not there."""
    environ = {**USER, "XDG_STATE_HOME": "/x"}
    left = ["/u/tcpd", "/x/tcpd", "/h/.local/state/tcpd", f"/tmp/tcpd-{NOBODY}"]
    while left:
        path = control_path("auto", "", environ, NOBODY, lambda each, _: each in left)
        assert path == f"{left.pop(0)}/control"
    assert control_path("auto", "", environ, NOBODY, lambda *_: False) == ""
    # what somebody has named is taken at that word
    assert control_path("auto", "/s", environ, NOBODY, lambda *_: False) == "/s/control"


def test_the_home_that_the_system_has_is_the_last_one() -> None:
    """su and sudo may leave the one of another user in $HOME."""
    entry = pwd.getpwuid(os.geteuid())
    assert own_directories({"HOME": "/h"}, entry.pw_uid) == [
        "/h/.local/state/tcpd",
        f"{entry.pw_dir}/.local/state/tcpd",
    ]


@pytest.mark.parametrize(
    ("daemon", "ctl"),
    [
        ({"HOME": "/h"}, {"HOME": "/h"}),
        # started in a session, asked from cron, and the other way round
        ({"XDG_RUNTIME_DIR": f"/run/user/{NOBODY}", "HOME": "/h"}, {"HOME": "/h"}),
        ({"HOME": "/h"}, {"XDG_RUNTIME_DIR": f"/run/user/{NOBODY}", "HOME": "/h"}),
        ({}, {"HOME": "/h"}),
        ({}, {"XDG_RUNTIME_DIR": "/u"}),
        ({"HOME": "/h"}, {"HOME": "/h", "XDG_STATE_HOME": "/x"}),
    ],
)
def test_tcpd_ctl_looks_wherever_the_daemon_may_be(
    daemon: dict[str, str], ctl: dict[str, str]
) -> None:
    assert control_path("auto", "", daemon, NOBODY, all_are) in control_candidates(ctl, NOBODY)


def test_tcpd_ctl_looks_for_a_users_own_daemon_before_the_systems() -> None:
    assert control_candidates(USER, NOBODY) == [
        "/u/tcpd/control",
        f"/run/user/{NOBODY}/tcpd/control",
        "/h/.local/state/tcpd/control",
        f"/tmp/tcpd-{NOBODY}/control",
        "/run/tcpd/control",
    ]
    assert control_candidates({}, 0)[0] == "/run/tcpd/control"
    assert "/s/control" in control_candidates({}, NOBODY, "/s")


def test_tcpd_ctl_speaks_to_no_daemon_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can make a directory in /tmp, and sudo may leave another user's $HOME."""
    monkeypatch.setattr(locations, "_TEMPORARY", str(tmp_path))
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


def test_which_directories_are_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = os.geteuid()
    assert is_usable(str(tmp_path), uid)
    assert is_usable(str(tmp_path / "new"), uid)
    assert is_usable(str(tmp_path / "a" / "b" / "c"), uid)
    assert not is_usable(str(tmp_path), uid + 1)
    assert not is_usable(str(tmp_path / "new"), uid + 1), "whoever owns the parent can change it"
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert not is_usable(str(tmp_path / "file"), uid)
    assert not is_usable(str(tmp_path / "file" / "under"), uid)
    assert not is_usable(str(tmp_path / "link"), uid)
    assert is_usable(str(tmp_path / "link" / "under"), uid), "a home may be behind a link"
    monkeypatch.setattr(locations, "_TEMPORARY", str(tmp_path))
    assert is_usable(str(tmp_path / "tcpd-7"), uid + 1)
    (tmp_path / "tcpd-7").mkdir()
    assert not is_usable(str(tmp_path / "tcpd-7"), uid + 1), "somebody else was first"


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
def test_a_directory_that_cannot_be_written_is_not_usable(tmp_path: Path) -> None:
    """A home that is closed, or on a file system that is read-only."""
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


def test_the_state_is_what_is_configured_or_systemds_or_the_users_own() -> None:
    assert state_directory("/s", {"STATE_DIRECTORY": "/t"}, NOBODY, all_are) == "/s"
    assert state_directory("", {"STATE_DIRECTORY": "/t:/u"}, NOBODY, all_are) == "/t"
    assert state_directory("", {"HOME": "/h"}, NOBODY, all_are) == "/h/.local/state/tcpd"
    assert state_directory("", {"HOME": "/h"}, NOBODY, lambda *_: False) == ""
    assert state_directory("", {}, NOBODY, all_are) == ""
    assert state_directory("", {"HOME": "/root"}, 0, all_are) == "", "root's is to be named"


def test_which_are_the_users_own() -> None:
    """The daemon makes them with their parents, for the user alone."""
    assert is_own("/h/.local/state/tcpd/control", USER, NOBODY)
    assert is_own(f"/tmp/tcpd-{NOBODY}/control", USER, NOBODY)
    assert is_own("/u/tcpd/control", USER, NOBODY)
    assert not is_own("/s/control", USER, NOBODY)
    assert not is_own("/r/control", {"RUNTIME_DIRECTORY": "/r"}, NOBODY)
    assert not is_own("/t/control", {"STATE_DIRECTORY": "/t"}, NOBODY)
    assert not is_own("/run/tcpd/control", USER, 0)


def test_where_a_file_is() -> None:
    """systemd.exec(5), LoadCredential=: credentials are in $CREDENTIALS_DIRECTORY."""
    assert locate("/etc/x.pem", None) == "/etc/x.pem"
    assert locate("credential:x.pem", "/run/credentials/tcpd.service") == (
        "/run/credentials/tcpd.service/x.pem"
    )
    for nowhere in (None, ""):
        with pytest.raises(ValueError, match=r"write LoadCredential=x\.pem:PATH in the unit"):
            locate("credential:x.pem", nowhere)
