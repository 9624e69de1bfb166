"""``--check``: directories of UNIX sockets."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon.harness import settings

from tcpd.config.errors import ConfigError
from tcpd.daemon.directories import check_directories
from tcpd.daemon.problems import SettingProblems
from tcpd.daemon.startup_environment import StartupEnvironment

NOBODY = 65534

#: The daemon creates these, but not their parents.
MADE = "[tcpd]\n{key} = {path}\n"
LISTENING = "[service:a]\nprotocol = echo\nlisten = unix:{path}\n"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can read."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def check(text: str, owner: int | None = None, known: tuple[str, ...] = ()) -> list[str]:
    """Check a configuration: the warnings, without their places.

    :raise ConfigError: with what would end the start.
    """
    found = settings(text + "\n[service:b]\nprotocol = echo\nlisten = 127.0.0.1:0\n")
    problems = SettingProblems(found)
    environment = StartupEnvironment({}, os.geteuid(), owner, owner)
    warnings = check_directories(found, environment, problems, known)
    problems.check()
    return [warning.partition("]")[2].strip() for warning in warnings]


def wrong(text: str) -> list[str]:
    """The errors of a configuration, without file and line."""
    with pytest.raises(ConfigError) as caught:
        check(text)
    assert all(place.startswith("/etc/x.ini:") for place in caught.value.sources)
    return [line.partition("]")[2].strip() for line in caught.value.lines]


@contextlib.contextmanager
def an_ordinary_user() -> Iterator[None]:
    """Run as an ordinary user, as root may write everywhere."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("key", ["control", "state"])
def test_parent_of_a_created_directory_must_exist(place: Path, key: str) -> None:
    """ "/run/tcpd/control", "A directory for what outlives a restart [...] made if need be": one
    level, as the start has it."""
    file = "control" if key == "control" else ""
    assert check(MADE.format(key=key, path=place / "new" / file)) == []
    path = place / "gone" / "new" / file
    (line,) = wrong(MADE.format(key=key, path=path))
    assert line == f"{key}: {str(path)!r}: there is no directory {place / 'gone'}; create it"
    assert list(place.iterdir()) == [], "a check makes nothing"


def test_directory_of_a_listener_must_exist(place: Path) -> None:
    """The daemon does not create it. [metrics] has listeners, too."""
    path = place / "gone" / "socket"
    sentence = f"listen: {str(path)!r}: there is no directory {path.parent}; create it"
    assert wrong(LISTENING.format(path=path)) == [sentence]
    assert wrong(f"[metrics]\nlisten = unix:{path}\n") == [sentence]


def test_directory_created_by_systemd_may_be_missing() -> None:
    """RuntimeDirectory= in systemd.exec(5): "directories [...] will be created [...] when the unit
    is started, and removed when the unit is stopped"."""
    path = "/run/tcpd-of-no-unit/socket"
    assert check(LISTENING.format(path=path)) == [
        f"listen: {path!r}: there is no directory /run/tcpd-of-no-unit; create it, unless systemd "
        "does (RuntimeDirectory=)"
    ]


@pytest.mark.parametrize(
    "text", [MADE.format(key="control", path="{path}"), LISTENING], ids=["control", "listen"]
)
def test_existing_file_that_is_not_a_socket_is_reported(place: Path, text: str) -> None:
    """ "a socket that nobody listens to any more is replaced", and nothing else is."""
    path = place / "file"
    path.touch()
    (line,) = wrong(text.format(path=path))
    assert line.endswith("the file there is not a socket; remove it")
    (line,) = wrong(text.format(path=path / "below"))
    assert line.endswith(f"{path} is not a directory")


@pytest.mark.parametrize(
    "text",
    [
        MADE.format(key="control", path="{path}/socket"),
        MADE.format(key="control", path="{path}/new/socket"),
        MADE.format(key="state", path="{path}"),
        LISTENING.format(path="{path}/socket"),
    ],
)
def test_directory_without_write_permission(place: Path, text: str) -> None:
    """The user that starts the daemon cannot write to the directory."""
    place.chmod(0o555)
    with an_ordinary_user():
        (line,) = wrong(text.format(path=place))
    assert f"{place} cannot be written by the user " in line


def test_directory_not_writable_by_the_daemons_user(place: Path) -> None:
    """``twistd -u``: root opens the sockets, and the user that it becomes removes them."""
    text = (MADE + LISTENING).format(key="control", path=place / "socket")
    text = text.replace(f"unix:{place}/socket", f"unix:{place}/another")
    warnings = check(text, owner=NOBODY)
    assert [warning.partition(":")[0] for warning in warnings] == ["control", "listen"]
    assert all(
        f"{place} cannot be written by the user nobody, which the daemon becomes" in warning
        for warning in warnings
    )
    place.chmod(0o777)
    assert check(text, owner=NOBODY) == []
    (place / "closed").mkdir(0o700)
    (place / "closed" / "open").mkdir()
    (place / "closed" / "open").chmod(0o777)
    text = LISTENING.format(path=place / "closed" / "open" / "socket")
    assert len(check(text, owner=NOBODY)) == 1, "it is not reachable either"


def test_socket_group_that_cannot_be_set(place: Path) -> None:
    """ "control_group: The group whose members may use the control socket" """
    text = MADE.format(key="control", path=place / "socket") + "control_group = {group}\n"
    assert check(text.format(group=os.getegid())) == []
    (line,) = wrong(text.format(group="no-such-group"))
    assert line.endswith("there is no group 'no-such-group' on this system")
    place.chmod(0o777)
    with an_ordinary_user():
        (line,) = wrong(text.format(group=4_000_000))
        assert line.endswith("cannot be given to the group 4000000, as the daemon is not in it")
        (line,) = wrong(LISTENING.format(path=f"{place}/a owner=4000000"))
        assert line.endswith("cannot be given to the user 4000000, which requires root")


def test_sockets_of_the_running_daemon_are_not_checked(place: Path) -> None:
    """``tcpd-ctl check`` runs after the root privileges that opened the sockets were dropped."""
    path = str(place / "gone" / "socket")
    assert check(LISTENING.format(path=path), known=(path,)) == []
