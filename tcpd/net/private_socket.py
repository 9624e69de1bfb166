"""UNIX sockets for a few: at no moment may anybody else connect to one.

It is born with no permissions for others (the umask), and before it listens a connect is refused
whatever its mode. Only then it is given to its owner and group, and then opened to them. The
directory of the daemon's own, if it has to be made, is closed to others too. A lock file would say
who holds it; asking the socket itself says more: one that nobody listens to any more is replaced,
and one that answers is left alone.
"""

from __future__ import annotations

import os
import socket
import stat

from tcpd.config.listen import PrivateSocket, UnixSocket
from tcpd.config.owners import group_id, user_id

_DIRECTORY_MODE = 0o750


def make_its_directory(place: PrivateSocket) -> None:
    """Make the directory of such a socket, if it is not there.

    :raise OSError: with a reason in words, if it cannot be.
    """
    owner, group = _ids(place)
    directory = os.path.dirname(place.path)
    if place.closed:
        make_closed(directory, None if owner < 0 else owner)
        return
    make_directory(directory, _DIRECTORY_MODE, None if owner < 0 else owner, group)


def give(place: UnixSocket) -> None:
    """Give a socket that is there its owner, its group and, when it is theirs, its mode.

    :raise OSError: with a reason in words, if that cannot be.
    """
    owner, group = _ids(place)
    try:
        if owner >= 0 or group >= 0:
            os.chown(place.path, owner, group)
    except PermissionError as error:
        if place.owner and owner != os.geteuid():
            why = f"it cannot be given to the user {place.owner}, which takes root"
        else:
            why = f"it cannot be given to the group {place.group}, as the daemon is not in it"
        raise PermissionError(error.errno, why) from error
    os.chmod(place.path, place.mode)


def make_directory(directory: str, mode: int, owner: int | None, group: int = -1) -> None:
    """Make a directory if it is not there; the one above it has to be.

    :param mode: its permissions, whatever the umask.
    :param owner: user id to give it to, or ``None``.
    :param group: group id to give it to, or -1.
    :raise OSError: if it cannot be made.
    """
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise OSError(f"there is no directory {os.path.dirname(directory)}; make it") from None
    os.chown(directory, -1 if owner is None else owner, group)
    os.chmod(directory, mode)


def make_closed(directory: str, owner: int | None) -> None:
    """Make a directory for its owner alone, parents included; or find it to be so.

    Where anybody can make a directory, such as ``/tmp``, somebody else may have been first.

    :param owner: user id to give a new one to; ``None`` for the one of the process.
    :raise OSError: with a reason in words, if it is somebody else's, or cannot be made.
    """
    os.makedirs(os.path.dirname(directory), 0o700, exist_ok=True)
    make_directory(directory, 0o700, owner)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"{directory} is no directory; take it away")
    if found.st_uid != (os.geteuid() if owner is None else owner):
        raise OSError(f"{directory} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.chmod(directory, 0o700)


def _ids(place: UnixSocket) -> tuple[int, int]:
    """The numbers of its owner and its group, -1 for one that it has not."""
    try:
        owner = user_id(place.owner) if place.owner else -1
        return owner, group_id(place.group) if place.group else -1
    except ValueError as error:
        raise OSError(str(error)) from None


def clear(path: str) -> None:
    """Take away a socket that a dead daemon left, if there is one.

    :raise OSError: with a reason in words, if anything else is there.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError("there is a file there that is not a socket; take it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # its backlog is full: somebody does listen
            pass
    raise OSError("another daemon is listening there; give each its own path")
