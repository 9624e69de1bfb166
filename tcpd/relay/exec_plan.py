"""How a service's programs are started: all of it found out and checked before the first client.

A program is started by :class:`subprocess.Popen`, whose child runs C alone between fork and exec:
it takes the new session, the user, the groups and the directory, closes every descriptor but the
first three, and tells the parent why if it fails. Python code in the child would run with whatever
locks the daemon's threads held. Limits are for that reason set by util-linux's prlimit(1), which
becomes the program: set from outside on a process that runs already they would come too late for
what it has done by then.
"""

from __future__ import annotations

import math
import os
import resource
import shutil
import socket
import stat
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tcpd.config.errors import SettingError
from tcpd.config.owners import group_id, groups_of, user_id
from tcpd.relay.exec_environment import clean_environment
from tcpd.relay.exec_settings import ExecSettings

#: By key: prlimit's option, and the limit of the resource module.
_LIMITS = {
    "memory": ("--as", resource.RLIMIT_AS),
    "cpu": ("--cpu", resource.RLIMIT_CPU),
    "files": ("--nofile", resource.RLIMIT_NOFILE),
    "processes": ("--nproc", resource.RLIMIT_NPROC),
}

#: Where prlimit may be; the daemon's own PATH is not asked.
_PLACES = "/usr/bin:/bin:/usr/local/bin"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a program runs as.

    :ivar uid: user id.
    :ivar gid: primary group id.
    :ivar groups: all of its groups' ids.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is the same for all programs of a service.

    :ivar program: path of the program itself.
    :ivar arguments: what is executed, prlimit included where there are limits.
    :ivar environment: what they share of their environment.
    :ivar directory: where they begin.
    :ivar identity: whom they become; ``None`` where they stay what the daemon is.
    :ivar stderr: ``log``, ``client`` or ``none``.
    :ivar stop: seconds between SIGTERM and SIGKILL.
    """

    program: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    identity: Identity | None
    stderr: str
    stop: float

    def start(
        self, variables: Mapping[str, str], side: socket.socket, errors: int
    ) -> subprocess.Popen[bytes]:
        """Start one. Returns when the program has taken the child's place, or could not.

        :param variables: more of the environment.
        :param side: what it is given as standard input and output.
        :param errors: a descriptor to write to for its standard error; -1 for none.
        :raise OSError: if it cannot be started.
        :raise subprocess.SubprocessError: the same, of what has no number.
        """
        if self.arguments[0] != self.program:
            os.stat(self.program)  # else it is prlimit that finds it gone, in words of its own
        who = self.identity
        return subprocess.Popen(
            self.arguments,
            stdin=side.fileno(),
            stdout=side.fileno(),
            stderr={"client": side.fileno(), "none": subprocess.DEVNULL}.get(self.stderr, errors),
            env={**self.environment, **variables},
            cwd=self.directory,
            start_new_session=True,
            user=None if who is None else who.uid,
            group=None if who is None else who.gid,
            extra_groups=None if who is None else who.groups,
        )


def make_plan(settings: ExecSettings, uid: int, environ: Mapping[str, str]) -> Plan:
    """Find it all out.

    :param uid: the user id that the daemon is going to run as.
    :param environ: the daemon's own environment.
    :raise SettingError: for what cannot be.
    """
    _check_system()
    program = settings.command[0]
    _check_program(program)
    directory = settings.directory or "/"
    if not os.path.isdir(directory):
        raise SettingError("directory", f"{directory} is not a directory; make it, or name another")
    identity = _identity(settings, uid)
    runs_as = uid if identity is None else identity.uid
    return Plan(
        program=program,
        arguments=(*_limits(settings, runs_as), *settings.command),
        environment=clean_environment(environ, settings.environment),
        directory=directory,
        identity=identity,
        stderr=settings.stderr,
        stop=settings.stop,
    )


def _check_system() -> None:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        raise SettingError(
            "protocol", "exec takes Linux 5.3 or later, whose pidfd_open tells of a program's end"
        ) from None


def _check_program(path: str) -> None:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingError("command", f"{path} cannot be run: {why}") from None
    if not stat.S_ISREG(found.st_mode) or not os.access(path, os.X_OK):
        raise SettingError(
            "command", f"{path} cannot be run: it is no file that may be executed (chmod +x)"
        )


def _identity(settings: ExecSettings, uid: int) -> Identity | None:
    if uid == 0 and not settings.user:
        raise SettingError(
            "user",
            "the daemon is going to run as root, and so would the program; name the user that it "
            "is to run as, or root if that is meant",
        )
    try:
        user = user_id(settings.user) if settings.user else uid
    except ValueError as error:
        raise SettingError("user", f"{error}; name one that there is") from None
    try:
        group = group_id(settings.group) if settings.group else None
    except ValueError as error:
        raise SettingError("group", f"{error}; name one that there is") from None
    if uid != 0:
        if user != uid:
            raise SettingError(
                "user",
                f"only root may become another user, and the daemon is going to run as user {uid}; "
                "leave the key out, or start the daemon as root and without twistd's --uid",
            )
        if group is not None and group != os.getegid():
            raise SettingError(
                "group",
                "only root may take another group, and the daemon is not going to be root; leave "
                "the key out",
            )
        return None
    try:
        primary, groups = groups_of(user, group)
    except ValueError as error:
        raise SettingError("group", str(error)) from None
    return Identity(user, primary, tuple(groups))


def _limits(settings: ExecSettings, uid: int) -> list[str]:
    """What stands in front of the program: prlimit and its options, or nothing."""
    options = []
    for key, (word, limit) in _LIMITS.items():
        value = getattr(settings, key)
        if value is None:
            continue
        number = math.ceil(value)
        _, hard = resource.getrlimit(limit)
        if uid != 0 and hard != resource.RLIM_INFINITY and number > hard:
            raise SettingError(
                key, f"the daemon's own hard limit is {hard}, and only root may go above it"
            )
        options.append(f"{word}={number}")
    if not options:
        return []
    prlimit = shutil.which("prlimit", path=_PLACES)
    if prlimit is None:
        raise SettingError(
            next(key for key in _LIMITS if getattr(settings, key) is not None),
            "limits are set by prlimit, which is not there; install util-linux",
        )
    return [prlimit, *options, "--"]
