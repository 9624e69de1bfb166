"""Checks the directories of UNIX sockets and of the state before a start, without making any."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Container, Iterator
from pathlib import PurePath

from tcpd.config.errors import SettingError
from tcpd.config.files import from_system
from tcpd.config.listen import UnixSocket
from tcpd.config.locations import AUTO, NONE
from tcpd.config.owners import group_id, groups_of, user_id
from tcpd.config.settings import Settings
from tcpd.daemon.problems import SettingProblems
from tcpd.daemon.startup_environment import StartupEnvironment

#: Directories below these are created when the system or the daemon starts
#: (RuntimeDirectory= in systemd.exec(5)), so a missing one may exist when it is needed.
_MADE_AT_START = ("/run/", "/var/run/")


def check_directories(
    settings: Settings,
    environment: StartupEnvironment,
    problems: SettingProblems,
    known: Container[str] = (),
) -> list[str]:
    """Find errors that would fail a start or reload of a daemon in this environment.

    :param settings: the settings without internal services.
    :param problems: receives them.
    :param known: paths that are not checked, as the running daemon uses them.
    :return: warnings, a line each: of conditions that may change until a start, or fail later.
    """
    check = _DirectoryCheck(settings, environment, problems, known)
    check.run()
    return check.warnings


class _DirectoryCheck:
    def __init__(
        self,
        settings: Settings,
        environment: StartupEnvironment,
        problems: SettingProblems,
        known: Container[str],
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._problems = problems
        self._known = known
        self.warnings: list[str] = []

    def run(self) -> None:
        tcpd = self._settings.tcpd
        if tcpd.control not in (AUTO, NONE) and tcpd.control not in self._known:
            control = UnixSocket(tcpd.control, 0, group=tcpd.control_group)
            self._look_at("tcpd", "control", control, made=True)
        if tcpd.state and tcpd.state not in self._known:
            self._look_into("tcpd", "state", tcpd.state, made=True)
        for section, bind in self._listening():
            if bind.path not in self._known:
                self._look_at(section, "listen", bind)

    def _listening(self) -> Iterator[tuple[str, UnixSocket]]:
        for section, listeners in (
            *((f"service:{each.name}", each.listen) for each in self._settings.services.values()),
            ("metrics", self._settings.sections["metrics"].listen),
        ):
            for listener in listeners:
                if isinstance(listener.bind, UnixSocket):
                    yield section, listener.bind

    def _look_at(self, section: str, key: str, bind: UnixSocket, made: bool = False) -> None:
        """Check the directory of a socket, and an existing file at its path."""
        directory = os.path.dirname(bind.path)
        if not self._look_into(section, key, directory, made, bind.path):
            return
        if os.path.lexists(bind.path) and not stat.S_ISSOCK(os.lstat(bind.path).st_mode):
            why = "the file there is not a socket; remove it"
        else:
            why = _not_given(bind, self._environment.uid)
        if why:
            self._complain(section, key, bind.path, why)

    def _look_into(
        self, section: str, key: str, directory: str, made: bool, path: str = ""
    ) -> bool:
        """Check a directory.

        :param made: whether the daemon creates it, if its parent exists.
        :param path: the path to report; by default the directory itself.
        :return: whether it can be used.
        """
        above = os.path.dirname(directory)
        missing = made and not os.path.lexists(directory)
        why = _unusable(above if missing else directory, self._environment.uid)
        path = path or directory
        if not why:
            owner = self._environment.owner
            if owner is not None and not missing and not _may_write(directory, self._environment):
                why = f"{from_system(directory)} cannot be written by {_name(owner)}"
                self._warn(section, key, path, f"{why}, which the daemon becomes")
            return True
        if directory.startswith(_MADE_AT_START) and not os.path.lexists(directory):
            self._warn(section, key, path, f"{why}, unless systemd does (RuntimeDirectory=)")
        else:
            self._complain(section, key, path, why)
        return False

    def _complain(self, section: str, key: str, path: str, why: str) -> None:
        self._problems.add(section, SettingError(key, f"{from_system(path)!r}: {why}"))

    def _warn(self, section: str, key: str, path: str, why: str) -> None:
        source = self._settings.source(section, key)
        self.warnings.append(f"warning: {source}: [{section}] {key}: {from_system(path)!r}: {why}")


def _unusable(directory: str, uid: int) -> str:
    """Why this process cannot create files in a directory; ``""`` if it can."""
    shown = from_system(directory)
    try:
        found = os.stat(directory)
    except FileNotFoundError:
        return f"there is no directory {shown}; create it"
    except OSError as error:
        return f"{shown}: {error.strerror}"
    if not stat.S_ISDIR(found.st_mode):
        return f"{shown} is not a directory"
    effective = os.access in os.supports_effective_ids
    if not os.access(directory, os.W_OK | os.X_OK, effective_ids=effective):
        return f"{shown} cannot be written by {_name(uid)}"
    return ""


def _may_write(directory: str, environment: StartupEnvironment) -> bool:
    """Whether the daemon's user may create files in a directory, by its mode."""
    uid = environment.owner
    assert uid is not None
    try:
        _, groups = groups_of(uid, environment.group)
    except ValueError:  # the user is not in the user database
        groups = []

    def allows(path: str, wanted: int) -> bool:
        found = os.stat(path)
        shift = 6 if uid == found.st_uid else 3 if found.st_gid in groups else 0
        return (found.st_mode >> shift) & wanted == wanted

    path = os.path.realpath(directory)
    above = [str(each) for each in PurePath(path).parents]
    return uid == 0 or (allows(path, 0o3) and all(allows(each, 0o1) for each in above))


def _not_given(bind: UnixSocket, uid: int) -> str:
    """Why a socket cannot be given to its owner and group; ``""`` if it can."""
    try:
        owner = user_id(bind.owner) if bind.owner else uid
        group = group_id(bind.group) if bind.group else os.getegid()
    except ValueError as error:
        return str(error)
    if uid != 0 and owner != uid:
        return f"it cannot be given to the user {bind.owner}, which requires root"
    if uid != 0 and group not in (os.getegid(), *os.getgroups()):
        return f"it cannot be given to the group {bind.group}, as the daemon is not in it"
    return ""


def _name(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"
