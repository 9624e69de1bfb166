"""Where the control socket and the state directory are where nobody says: one rule for the daemon
and for ``tcpd-ctl``, which has to find the socket without reading any configuration."""

from __future__ import annotations

import os.path
from collections.abc import Mapping

#: What ``[tcpd] control`` says for a socket at the place that the rule gives.
AUTO = "auto"

#: What it says for no socket.
NONE = "none"

#: What stands before the name of a systemd credential, where a file is named.
CREDENTIAL = "credential:"

#: The longest path of a UNIX socket in bytes (Linux: sockaddr_un holds 108, a NUL included).
LONGEST_SOCKET_PATH = 107

_ROOTS = "/run/tcpd/control"


def state_directory(state: str, environ: Mapping[str, str]) -> str:
    """The directory for what outlives a restart.

    :param state: ``[tcpd] state``; empty for systemd's.
    :param environ: the environment; systemd sets ``STATE_DIRECTORY``,
        several joined by colons.
    :return: a path; ``""`` for none.
    """
    return state or environ.get("STATE_DIRECTORY", "").partition(":")[0]


def control_path(control: str, state: str, environ: Mapping[str, str], uid: int) -> str:
    """Where the daemon opens its control socket.

    :param control: ``[tcpd] control``.
    :param state: ``[tcpd] state``.
    :param environ: the environment of the daemon.
    :param uid: who the daemon was started as.
    :return: a path; ``""`` for nowhere.
    """
    if control != AUTO:
        return "" if control == NONE else control
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime:
        return os.path.join(runtime, "control")
    if uid == 0:
        return _ROOTS
    users = environ.get("XDG_RUNTIME_DIR", "")
    if users:
        return os.path.join(users, "tcpd", "control")
    directory = state_directory(state, environ)
    return os.path.join(directory, "control") if directory else ""


def control_candidates(environ: Mapping[str, str], uid: int) -> list[str]:
    """Where ``tcpd-ctl`` looks for the socket of a daemon that was told nothing, in order.

    A user's own daemon comes before the system's.

    :param environ: the environment of ``tcpd-ctl``.
    :param uid: who runs it.
    """
    found = [control_path(AUTO, "", environ, uid), _ROOTS]
    return list(dict.fromkeys(path for path in found if path))


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
