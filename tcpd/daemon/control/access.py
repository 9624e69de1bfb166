"""Access to the control socket, beyond the mode of its file.

The mode is 0660, so the kernel lets only root, the owner and the group connect. This check is a
second line of defence, in case the mode was loosened (``chmod``, an access list, a directory that
was moved). The kernel also stores the user and the primary group of a peer when it connects, and
since Linux 4.13 all groups of the process. The check uses these groups, as the kernel did
for the mode of the file. A look-up in the user database may block on a directory server, so the
database is used only if the kernel does not provide the groups.
"""

from __future__ import annotations

import functools
import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass
from typing import Any

#: Linux: asm-generic/socket.h. Python's socket module does not have it.
_SO_PEERGROUPS = 59

_CREDENTIALS = struct.Struct("=iii")
_MOST_GROUPS = 65536  # NGROUPS_MAX


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that connected, as the kernel stored it.

    :ivar pid: process id; 0 where it is unknown.
    :ivar uid: effective user id.
    :ivar groups: all group ids of the process, the primary one included.
    """

    pid: int
    uid: int
    groups: frozenset[int]

    def __str__(self) -> str:
        return f"uid {self.uid} pid {self.pid}"


def peer_of(connected: Any) -> Peer | None:
    """Get the peer from the kernel.

    :param connected: a connected UNIX stream socket.
    :return: ``None`` on systems without SO_PEERCRED.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return None
    data = connected.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(data)
    return Peer(pid, uid, frozenset({gid, *_groups(connected, uid, gid)}))


def _groups(connected: Any, uid: int, gid: int) -> list[int]:
    try:
        data = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * 256)
    except OSError:
        try:  # more groups, which is rare
            data = connected.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
        except OSError:
            return _groups_by_name(uid, gid)
    return list(struct.unpack(f"={len(data) // 4}I", data))


def _groups_by_name(uid: int, gid: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(uid).pw_name, gid)
    except KeyError:
        return []


def may_operate(peer: Peer | None, group: str) -> bool:
    """Whether a peer is an operator.

    :param peer: the result of :func:`peer_of`; for an unknown peer the mode of the file has to be
        enough.
    :param group: ``[tcpd] control_group``; empty for the daemon's own group.
    """
    if peer is None or peer.uid in (0, os.geteuid()):
        return True
    return group_id(group) in peer.groups


def group_id(name: str) -> int:
    """The number of a group; the daemon's own group for no name; -1 for an unknown group.

    The result is cached: a look-up takes a descriptor, and there may be none left.
    """
    if not name:
        return os.getegid()
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        return _by_name(name)
    except (KeyError, OSError):
        return -1


@functools.cache
def _by_name(name: str) -> int:
    return grp.getgrnam(name).gr_gid
