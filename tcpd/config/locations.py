"""Where the control socket and the state directory are where nobody says: one rule for the daemon
and for ``tcpd-ctl``, which has to find the socket without reading any configuration."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Mapping, Sequence

#: What ``[tcpd] control`` says for a socket at the place that the rule gives.
AUTO = "auto"

#: What it says for no socket.
NONE = "none"

#: What stands before the name of a systemd credential, where a file is named.
CREDENTIAL = "credential:"

#: The longest path of a UNIX socket in bytes (Linux: sockaddr_un holds 108, a NUL included).
LONGEST_SOCKET_PATH = 107

_ROOTS = "/run/tcpd"
# daemon and tcpd-ctl have to find the same one, so it is not $TMPDIR
_TEMPORARY = "/tmp"  # noqa: S108
_CONTROL = "control"

#: Whether a user of this number can have a directory to itself; :func:`is_usable`, but in tests.
Usable = Callable[[str, int], bool]


def is_usable(directory: str, uid: int) -> bool:
    """Whether a user has a directory that nobody else can change, or may make it.

    :param directory: absolute; its parents may be missing too.
    :param uid: of the user, who runs this process.
    """
    try:
        found = os.lstat(directory)
    except OSError:
        pass
    else:
        return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and _is_writable(directory)
    parent = os.path.dirname(directory)
    if parent == _TEMPORARY:  # anybody may make a directory there, and nobody else take it away
        return _is_writable(parent)
    while True:
        try:
            found = os.stat(parent)
        except OSError:
            parent, child = os.path.dirname(parent), parent
            if parent == child:
                return False
        else:
            return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and _is_writable(parent)


def _is_writable(directory: str) -> bool:
    return os.access(directory, os.W_OK | os.X_OK)


def own_directories(environ: Mapping[str, str], uid: int) -> list[str]:
    """Where a user's daemon may keep what is its own: ``tcpd`` in the user's state directory.

    The XDG Base Directory Specification says where that is. The home directory that the system has
    comes last: ``su`` and ``sudo`` may leave the one of another user in ``$HOME``.
    """
    state = [environ.get("XDG_STATE_HOME", "")]
    homes = [environ.get("HOME", ""), _home(uid)]
    state += [os.path.join(home, ".local", "state") for home in homes if home]
    found = [os.path.join(each, "tcpd") for each in state if os.path.isabs(each)]
    return list(dict.fromkeys(found))


def _home(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_dir
    except KeyError:
        return ""


def state_directory(
    state: str, environ: Mapping[str, str], uid: int, usable: Usable = is_usable
) -> str:
    """The directory for what outlives a restart.

    :param state: ``[tcpd] state``; empty for systemd's, or else the user's own.
    :param environ: the environment; systemd sets ``STATE_DIRECTORY``,
        several joined by colons.
    :param uid: who the daemon was started as; root has none of its own.
    :return: a path; ``""`` for none.
    """
    given = _given_state(state, environ)
    if given or uid == 0:
        return given
    return next((each for each in own_directories(environ, uid) if usable(each, uid)), "")


def _given_state(state: str, environ: Mapping[str, str]) -> str:
    return state or environ.get("STATE_DIRECTORY", "").partition(":")[0]


def control_path(
    control: str, state: str, environ: Mapping[str, str], uid: int, usable: Usable = is_usable
) -> str:
    """Where the daemon opens its control socket.

    :param control: ``[tcpd] control``.
    :param state: ``[tcpd] state``.
    :param environ: the environment of the daemon.
    :param uid: who the daemon was started as.
    :return: a path; ``""`` for nowhere.
    """
    if control != AUTO:
        return "" if control == NONE else control
    given = [_runtime(environ), _given_state(state, environ)]
    for directory in _directories(state, environ, uid):
        if directory in given or usable(directory, uid):
            return os.path.join(directory, _CONTROL)
    return ""


def is_own(path: str, environ: Mapping[str, str], uid: int) -> bool:
    """Whether the directory of a control socket is one that the daemon makes for its user alone."""
    return _is_own(os.path.dirname(path), environ, uid)


def _is_own(directory: str, environ: Mapping[str, str], uid: int) -> bool:
    given = (_runtime(environ), _given_state("", environ), _ROOTS)
    return directory not in given and directory in _directories("", environ, uid, _sessions(uid))


def control_candidates(environ: Mapping[str, str], uid: int, state: str = "") -> list[str]:
    """Where ``tcpd-ctl`` looks for the socket of a daemon that was told nothing, in order.

    A user's own daemon comes before the system's. A daemon may have been started in a session that
    this process is not in, and the other way round: each place that it can have taken is there.

    :param environ: the environment of ``tcpd-ctl``.
    :param uid: who runs it.
    :param state: ``[tcpd] state``, where it is known.
    """
    found = [
        directory
        for directory in _directories(state, environ, uid, _sessions(uid))
        # else it is one that somebody else made, or somebody's whose $HOME is still set
        if not _is_own(directory, environ, uid) or _is_trusted(directory, uid)
    ]
    return [os.path.join(each, _CONTROL) for each in dict.fromkeys([*found, _ROOTS])]


def _is_trusted(directory: str, uid: int) -> bool:
    try:
        found = os.lstat(directory)
    except OSError:
        return True  # it is not there
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid


def _directories(
    state: str, environ: Mapping[str, str], uid: int, sessions: Sequence[str] = ()
) -> list[str]:
    """The directories that ``auto`` is about, the best first.

    :param sessions: where login sessions have theirs that this process may not know of.
    """
    found = [_runtime(environ)]
    if uid == 0:
        found.append(_ROOTS)
    else:
        sessions = [environ.get("XDG_RUNTIME_DIR", ""), *sessions]
        found += [os.path.join(each, "tcpd") for each in sessions if each]
    found += [_given_state(state, environ), *own_directories(environ, uid), _temporary(uid)]
    return [each for each in dict.fromkeys(found) if each and _fits(each)]


def _fits(directory: str) -> bool:
    """Whether a socket in it has a path that the system takes."""
    return len(os.fsencode(os.path.join(directory, _CONTROL))) <= LONGEST_SOCKET_PATH


def _sessions(uid: int) -> list[str]:
    """Where a login session has its files, whether or not this process is in one."""
    return [f"/run/user/{uid}"]


def _runtime(environ: Mapping[str, str]) -> str:
    return environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]


def _temporary(uid: int) -> str:
    return os.path.join(_TEMPORARY, f"tcpd-{uid}")


def locate(file: str, credentials: str | None) -> str:
    """The path of a file that an ini file names.

    :param file: a path, or ``credential:NAME``: a systemd credential (systemd.exec(5),
        ``LoadCredential=``).
    :param credentials: the directory that systemd keeps the credentials of this service in, which
        it tells in ``$CREDENTIALS_DIRECTORY``; ``None`` if it tells none.
    :raise ValueError: for a credential where there are none: a sentence for the operator.
    """
    if not file.startswith(CREDENTIAL):
        return file
    name = file.removeprefix(CREDENTIAL)
    if not credentials:
        raise ValueError(
            f"{file} is a credential of systemd's, and systemd has passed none "
            f"($CREDENTIALS_DIRECTORY is not set); write LoadCredential={name}:PATH in the unit, "
            "or name a path"
        )
    return os.path.join(credentials, name)
