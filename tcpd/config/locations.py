"""Default paths of the control socket and the state directory, for the daemon and ``tcpd-ctl``.

``tcpd-ctl`` finds the socket by the same rule, without reading a configuration.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Mapping, Sequence

#: ``[tcpd] control`` for the default path.
AUTO = "auto"

#: ``[tcpd] control`` for no socket.
NONE = "none"

#: The prefix of a systemd credential in place of a path.
CREDENTIAL = "credential:"

#: The longest path of a UNIX socket in bytes (Linux: sockaddr_un holds 108, a NUL included).
LONGEST_SOCKET_PATH = 107

_ROOTS = "/run/tcpd"
# not $TMPDIR, as the daemon and tcpd-ctl must find the same directory
TEMPORARY = "/tmp"  # noqa: S108
_CONTROL = "control"

#: The type of :func:`is_usable`, which tests replace.
Usable = Callable[[str, int], bool]


def is_usable(directory: str, uid: int) -> bool:
    """Whether a directory belongs to the user, or the user can create it.

    :param directory: absolute; its parents need not exist.
    :param uid: the user's id; the user of this process.
    """
    try:
        found = os.lstat(directory)
    except OSError:
        pass
    else:
        return stat.S_ISDIR(found.st_mode) and found.st_uid == uid and _is_writable(directory)
    parent = os.path.dirname(directory)
    if parent == TEMPORARY:  # every user may create a directory there, with the sticky bit
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
    """Return the state directories of a user's daemon, by the XDG Base Directory Specification.

    The home directory of the user database comes last: ``su`` and ``sudo`` may leave ``$HOME`` of
    another user.
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
    """Return the state directory, for data that survives a restart.

    :param state: ``[tcpd] state``; empty for that of systemd, or else of the user.
    :param environ: the environment; systemd sets ``STATE_DIRECTORY``, several joined by colons.
    :param uid: the user that started the daemon; root has no default directory.
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
    """Return the path of the daemon's control socket.

    :param control: ``[tcpd] control``.
    :param state: ``[tcpd] state``.
    :param environ: the environment of the daemon.
    :param uid: the user that started the daemon.
    :return: a path; ``""`` for none.
    """
    if control != AUTO:
        return "" if control == NONE else control
    given = [_runtime(environ), _given_state(state, environ)]
    for directory in _directories(state, environ, uid):
        if directory in given or usable(directory, uid):
            return os.path.join(directory, _CONTROL)
    return ""


def is_own(path: str, environ: Mapping[str, str], uid: int) -> bool:
    """Whether the daemon creates the directory of a control socket for its user only."""
    return _is_own(os.path.dirname(path), environ, uid)


def _is_own(directory: str, environ: Mapping[str, str], uid: int) -> bool:
    given = (_runtime(environ), _given_state("", environ), _ROOTS)
    return directory not in given and directory in _directories("", environ, uid, _sessions(uid))


def control_candidates(environ: Mapping[str, str], uid: int, state: str = "") -> list[str]:
    """Return the paths where ``tcpd-ctl`` looks for a control socket, in order.

    The user's daemon comes before the system's. The daemon and ``tcpd-ctl`` may run in different
    login sessions, so the paths of both are included.

    :param environ: the environment of ``tcpd-ctl``.
    :param uid: the user id of the daemon.
    :param state: ``[tcpd] state``, if known.
    """
    found = [
        directory
        for directory in _directories(state, environ, uid, _sessions(uid))
        # not a directory that another user created, or of another user's $HOME
        if not _is_own(directory, environ, uid) or _is_trusted(directory, uid)
    ]
    return [os.path.join(each, _CONTROL) for each in dict.fromkeys([*found, _ROOTS])]


def _is_trusted(directory: str, uid: int) -> bool:
    try:
        found = os.lstat(directory)
    except OSError:
        return True  # it does not exist
    return stat.S_ISDIR(found.st_mode) and found.st_uid == uid


def _directories(
    state: str, environ: Mapping[str, str], uid: int, sessions: Sequence[str] = ()
) -> list[str]:
    """Return the candidates for ``auto``, in order of preference.

    :param sessions: runtime directories of login sessions that the environment may not name.
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
    """Whether the path of a socket in it is short enough."""
    return len(os.fsencode(os.path.join(directory, _CONTROL))) <= LONGEST_SOCKET_PATH


def _sessions(uid: int) -> list[str]:
    """The runtime directory of the user's login session, if there is one."""
    return [f"/run/user/{uid}"]


def _runtime(environ: Mapping[str, str]) -> str:
    return environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]


def _temporary(uid: int) -> str:
    return os.path.join(TEMPORARY, f"tcpd-{uid}")


def locate(file: str, credentials: str | None) -> str:
    """Return the path of a file that an ini file names.

    :param file: a path, or ``credential:NAME``: a systemd credential (systemd.exec(5),
        ``LoadCredential=``).
    :param credentials: systemd's ``$CREDENTIALS_DIRECTORY``; ``None`` if it is not set.
    :raise ValueError: if a credential is named without that directory.
    """
    if not file.startswith(CREDENTIAL):
        return file
    name = file.removeprefix(CREDENTIAL)
    if not credentials:
        raise ValueError(
            f"{file} is a systemd credential, but systemd has passed none "
            f"($CREDENTIALS_DIRECTORY is not set); write LoadCredential={name}:PATH in the unit, "
            "or name a path"
        )
    return os.path.join(credentials, name)
