"""The credentials of the peer of a UNIX socket (SO_PEERCRED, unix(7))."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any

_UCRED = struct.Struct("=iII")

#: The kernel's value for an unknown peer: -1 as an unsigned number.
_UNKNOWN = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Credentials:
    """The process that connected, at that time; it may have passed the socket on since.

    :ivar pid: process id; 0 if unknown, as for a process in another PID namespace.
    :ivar uid: effective user id.
    :ivar gid: effective group id.
    """

    pid: int
    uid: int
    gid: int

    def __str__(self) -> str:
        return f"uid {self.uid} gid {self.gid} pid {self.pid}"


def credentials_of(connected: Any) -> Credentials | None:
    """Read the credentials of a peer.

    :param connected: a connected socket, or the ``getHandle()`` of any transport.
    :return: ``None`` for other than UNIX sockets, and on systems other than Linux.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None or not hasattr(connected, "getsockopt"):
        return None
    try:
        data = connected.getsockopt(socket.SOL_SOCKET, option, _UCRED.size)
    except OSError:
        return None
    pid, uid, gid = _UCRED.unpack(data)
    return None if uid == _UNKNOWN else Credentials(pid, uid, gid)
