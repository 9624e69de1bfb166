"""How a service's programs are started; all settings are checked before the first client.

Between fork and exec the child of :class:`subprocess.Popen` runs only C code. It sets session,
user, groups and directory, closes all descriptors except the first three, and reports errors to the
parent. Python code (``preexec_fn``) could deadlock on a lock that another thread held at the fork.
Therefore prlimit(1) of util-linux sets the limits and then executes the program. Limits set by the
parent would apply only after the program has started.
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

#: Where to find prlimit, independent of the daemon's PATH.
_PLACES = "/usr/bin:/bin:/usr/local/bin"


@dataclass(frozen=True, slots=True)
class ProgramUser:
    """The user and groups that a program runs as.

    :ivar uid: user id.
    :ivar gid: primary group id.
    :ivar groups: all group ids.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to start the programs of a service.

    :ivar program: path of the program.
    :ivar arguments: the command that is executed, with prlimit if there are limits.
    :ivar environment: the variables that all programs share.
    :ivar directory: the working directory.
    :ivar identity: user and groups; ``None`` for those of the daemon.
    :ivar stderr: ``log``, ``client`` or ``none``.
    :ivar stop: seconds between SIGTERM and SIGKILL.
    """

    program: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    identity: ProgramUser | None
    stderr: str
    stop: float

    def start(
        self, variables: Mapping[str, str], side: socket.socket, errors: int
    ) -> subprocess.Popen[bytes]:
        """Start a program. Returns when exec has succeeded.

        :param variables: the variables that describe the connection.
        :param side: the standard input and output of the program.
        :param errors: a descriptor for its standard error; -1 for none.
        :raise OSError: if it cannot be started.
        :raise subprocess.SubprocessError: for the same errors without an errno.
        """
        if self.arguments[0] != self.program:
            os.stat(self.program)  # for a clearer error than prlimit's if it was removed
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
    """Check the settings and make the plan.

    :param uid: the user id that the daemon is going to run as.
    :param environ: the daemon's environment.
    :raise SettingError: for a program, a user or a limit that cannot be used.
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
        raise SettingError("protocol", "exec needs Linux 5.3 or later (pidfd_open)") from None


def _check_program(path: str) -> None:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SettingError("command", f"{path} cannot be run: {why}") from None
    if not stat.S_ISREG(found.st_mode) or not os.access(path, os.X_OK):
        raise SettingError(
            "command", f"{path} cannot be run: it is not an executable file (chmod +x)"
        )


def _identity(settings: ExecSettings, uid: int) -> ProgramUser | None:
    if uid == 0 and not settings.user:
        raise SettingError(
            "user",
            "the daemon is going to run as root, and so would the program; name the user to run it "
            "as, or root if you mean it",
        )
    try:
        user = user_id(settings.user) if settings.user else uid
    except ValueError as error:
        raise SettingError("user", f"{error}; name an existing one") from None
    try:
        group = group_id(settings.group) if settings.group else None
    except ValueError as error:
        raise SettingError("group", f"{error}; name an existing one") from None
    if uid != 0:
        if user != uid:
            raise SettingError(
                "user",
                f"only root can change its user, and the daemon is going to run as user {uid}; "
                "remove the key, or start the daemon as root and without twistd's --uid",
            )
        if group is not None and group != os.getegid():
            raise SettingError(
                "group",
                "only root can change its group, and the daemon is not going to run as root; "
                "remove the key",
            )
        return None
    try:
        primary, groups = groups_of(user, group)
    except ValueError as error:
        raise SettingError("group", str(error)) from None
    return ProgramUser(user, primary, tuple(groups))


def _limits(settings: ExecSettings, uid: int) -> list[str]:
    """Return prlimit and its options, to precede the command; empty without limits."""
    options = []
    for key, (word, limit) in _LIMITS.items():
        value = getattr(settings, key)
        if value is None:
            continue
        number = math.ceil(value)
        _, hard = resource.getrlimit(limit)
        if uid != 0 and hard != resource.RLIM_INFINITY and number > hard:
            raise SettingError(
                key, f"the daemon's hard limit is {hard}, and only root can exceed it"
            )
        options.append(f"{word}={number}")
    if not options:
        return []
    prlimit = shutil.which("prlimit", path=_PLACES)
    if prlimit is None:
        raise SettingError(
            next(key for key in _LIMITS if getattr(settings, key) is not None),
            "setting limits needs prlimit, which is not installed; install util-linux",
        )
    return [prlimit, *options, "--"]
