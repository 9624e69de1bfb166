"""Who is at the other end of a UNIX socket, as the kernel saw it connect (SO_PEERCRED, unix(7))."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any

_UCRED = struct.Struct("=iII")

#: What the kernel tells where it knows nobody: -1 as an unsigned number.
_NOBODY = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Credentials:
    """The process that connected, as it was then; it may have handed the connection on since.

    :ivar pid: process id; 0 where it is unknown, as for one in another PID namespace.
    :ivar uid: effective user id.
    :ivar gid: effective group id.
    """

    pid: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"uid {self.uid} gid {self.gid} pid {self.pid}"


def credentials_of(connected: Any) -> Credentials | None:
    """Ask the kernel.

    :param connected: a connected socket, or what a transport has in its place.
    :return: ``None`` where it does not tell: on other systems than Linux, and of other sockets.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or not hasattr(connected, "getsockopt"):
        return None
    try:
        data = connected.getsockopt(socket.SOL_SOCKET, option, _UCRED.size)
    except OSError:
        return None
    pid, uid, gid = _UCRED.unpack(data)
    return None if uid == _NOBODY else Credentials(pid, uid, gid)
