"""Who may use the control socket, beside what the mode of its file says.

The file is 0660, so the kernel lets only root, its owner and its group connect. This is the second
lock, for when the first was left open (``chmod``, an access list, a directory that was moved): the
kernel also remembers who a peer was when it connected. It tells the user, the primary group, and
since Linux 4.13 all groups of that very process. Those are asked for and not the user database:
they are what the mode of the file was checked against (who was put in a group a minute ago has it
in the database, but not in a shell that is older), and a look into the database may have to ask a
directory server, which the daemon would wait for. The database is the way out where the kernel does
not tell.
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
    """Who is at the other end, as the kernel saw it connect.

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
    """Ask the kernel.

    :param connected: a connected UNIX stream socket.
    :return: ``None`` where the system does not tell.
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
        try:  # more groups than that, which is rare
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
    """Tell whether somebody may.

    :param peer: from :func:`peer_of`; of somebody unknown the mode of the file has to be enough.
    :param group: ``[tcpd] control_group``; empty for none but the daemon's own.
    """
    if peer is None or peer.uid in (0, os.geteuid()):
        return True
    return group_id(group) in peer.groups


def group_id(name: str) -> int:
    """The number of a group; that of the daemon's own for no name; -1 for one that is not there.

    What was found is remembered: to look takes a descriptor, and there may be none left.
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
