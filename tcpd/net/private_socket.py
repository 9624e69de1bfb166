"""A UNIX socket for a few: at no moment may anybody else connect to it.

It is born with no permissions for others (the umask), and before it listens a connect is refused
whatever its mode. Only then it is given to its group. Its directory, if it has to be made, is
closed to others too. A lock file would say who holds it; asking the socket itself says more: one
that nobody listens to any more is replaced, and one that answers is left alone.
"""

from __future__ import annotations

import grp
import os
import socket
import stat
from typing import Any

from twisted.internet.interfaces import IListeningPort, IProtocolFactory

from tcpd.config.listen import PrivateSocket

#: Connections that may wait to be accepted; operators are few.
_BACKLOG = 64

_DIRECTORY_MODE = 0o750


def open_private(reactor: Any, place: PrivateSocket, factory: IProtocolFactory) -> IListeningPort:
    """Open it.

    :param reactor: provides :class:`twisted.internet.interfaces.IReactorUNIX`.
    :raise OSError: with a reason in words, if it cannot be.
    """
    group = _group_id(place.group)
    directory = os.path.dirname(place.path)
    make_directory(directory, _DIRECTORY_MODE, place.owner, group)
    clear(place.path)
    before = os.umask(0o177)
    try:
        port: IListeningPort = reactor.listenUNIX(place.path, factory, backlog=_BACKLOG, mode=0o600)
    finally:
        os.umask(before)
    try:
        os.chown(place.path, -1 if place.owner is None else place.owner, group)
        os.chmod(place.path, place.mode)
    except OSError as error:
        port.stopListening()
        if isinstance(error, PermissionError) and place.group:
            raise PermissionError(
                error.errno,
                f"it cannot be given to the group {place.group}, as the daemon is not in it",
            ) from error
        raise
    return port


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


def _group_id(name: str) -> int:
    """-1 for no name; a number stands for itself."""
    if not name:
        return -1
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise OSError(f"there is no group {name!r} on this system") from None


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
