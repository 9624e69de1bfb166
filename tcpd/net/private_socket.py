"""Permissions of UNIX sockets, and their directories: no other user can connect at any moment.

The socket file is created without permissions (umask). It gets its owner and group, then its mode,
and only then does the socket listen. A directory that the daemon makes is closed to others too.

There is no lock file. A connect shows whether a daemon listens: a stale socket is replaced, and one
that accepts is kept.
"""

from __future__ import annotations

import os
import socket
import stat

from tcpd.config.listen import PrivateSocket, UnixSocket
from tcpd.config.owners import group_id, user_id

_DIRECTORY_MODE = 0o750


def make_socket_directory(address: PrivateSocket) -> None:
    """Make the directory of a socket, if it does not exist.

    :raise OSError: with a message for the operator, if it cannot be made.
    """
    owner, group = _ids(address)
    directory = os.path.dirname(address.path)
    if address.closed:
        make_private_directory(directory, None if owner < 0 else owner)
        return
    make_directory(directory, _DIRECTORY_MODE, None if owner < 0 else owner, group)


def set_permissions(address: UnixSocket) -> None:
    """Set owner and group of an existing socket, and then its mode.

    :raise OSError: with a message for the operator, if the daemon may not.
    """
    owner, group = _ids(address)
    try:
        if owner >= 0 or group >= 0:
            os.chown(address.path, owner, group)
    except PermissionError as error:
        if address.owner and owner != os.geteuid():
            why = f"it cannot be given to the user {address.owner}, which requires root"
        else:
            why = f"it cannot be given to the group {address.group}, as the daemon is not in it"
        raise PermissionError(error.errno, why) from error
    os.chmod(address.path, address.mode)


def make_directory(directory: str, mode: int, owner: int | None, group: int = -1) -> None:
    """Make a directory, unless it exists; its parent must exist.

    :param mode: the permissions of the socket, independent of the umask.
    :param owner: the user id of the socket; ``None`` for that of the process.
    :param group: the group id of the socket; -1 for that of the process.
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


def make_private_directory(directory: str, owner: int | None) -> None:
    """Make a directory of mode 0700 and its parents; an existing one gets that mode.

    In ``/tmp`` another user may have made it first, so the owner is checked.

    :param owner: user id of a new one; ``None`` for the process's.
    :raise OSError: with a message for the operator, if another user owns it or it cannot be made.
    """
    os.makedirs(os.path.dirname(directory), 0o700, exist_ok=True)
    make_directory(directory, 0o700, owner)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(f"{directory} is not a directory; remove it")
    if found.st_uid != (os.geteuid() if owner is None else owner):
        raise OSError(f"{directory} belongs to another user")
    if stat.S_IMODE(found.st_mode) & 0o077:
        os.chmod(directory, 0o700)


def _ids(address: UnixSocket) -> tuple[int, int]:
    """Return user id and group id, each -1 if the listener names none."""
    try:
        owner = user_id(address.owner) if address.owner else -1
        return owner, group_id(address.group) if address.group else -1
    except ValueError as error:
        raise OSError(str(error)) from None


def remove_stale_socket(path: str) -> None:
    """Remove the socket file of a daemon that has ended, if there is one.

    :raise OSError: with a message for the operator, if a daemon listens there or the file is not a
        socket.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError("the file there is not a socket; remove it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except BlockingIOError:  # the backlog is full, so a daemon listens
            pass
    raise OSError("another daemon is listening there; give each its own path")
