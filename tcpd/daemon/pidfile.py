"""Removes the pidfile of a daemon that dropped root privileges.

The user that ``twistd -u`` names may not remove a file from a directory of root's, such as /run. A
shell that remains root waits for the exit of the daemon and removes the file: see
docs/decisions/0001.
"""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from twisted.application.service import Service

#: Removes the file $1 at the end of its input, if it still contains $2.
_SCRIPT = 'trap "" HUP INT TERM; read -r _; [ "$(cat "$1")" = "$2" ] && rm -f "$1"'


def may_remove(directory: str, uid: int) -> bool:
    """Whether a user may remove root's files from a directory; group permissions count as none.

    :param directory: absolute.
    """
    found = os.stat(directory)
    if found.st_uid == uid:
        may = bool(found.st_mode & stat.S_IWUSR)
    else:
        may = bool(found.st_mode & stat.S_IWOTH) and not found.st_mode & stat.S_ISVTX
    return may and all(_may_pass(path, uid) for path in (Path(directory), *Path(directory).parents))


def _may_pass(directory: Path, uid: int) -> bool:
    """Whether a user may search a directory."""
    found = os.stat(directory)
    return bool(found.st_mode & (stat.S_IXUSR if found.st_uid == uid else stat.S_IXOTH))


class PidFile(Service):
    """See the module's docstring.

    :param twistd: twistd's options; ``pidfile`` is emptied where the shell removes the file.
    :param owner: the user id that the daemon changes to; ``None`` for no change.
    """

    def __init__(self, twistd: MutableMapping[str, Any], owner: int | None) -> None:
        self._twistd = twistd
        self._owner = owner
        self._end: int | None = None

    def privilegedStartService(self) -> None:
        """Start the shell, if it is needed, while the process may still be root."""
        super().privilegedStartService()
        path = os.path.abspath(self._twistd.get("pidfile") or "/")
        with contextlib.suppress(OSError):  # no shell in a chroot, which twistd has reported
            if (
                self._owner
                and os.geteuid() == 0
                and os.path.isfile(path)
                and not may_remove(os.path.dirname(path), self._owner)
            ):
                self._end = self._watch(path)

    def _watch(self, path: str) -> int:
        """:return: the end of the pipe that the daemon keeps open until it exits."""
        reading, writing = os.pipe()
        try:
            subprocess.Popen(
                ["/bin/sh", "-c", _SCRIPT, "tcpd-pidfile", path, str(os.getpid())],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin"},
                cwd="/",
                start_new_session=True,
            )
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        return writing

    def startService(self) -> None:
        """Called after the start: if the shell removes the pidfile, twistd must not."""
        super().startService()
        if self._end is not None:
            self._twistd["pidfile"] = ""
