"""``ConnectionLost`` with the system's error (ECONNRESET, ETIMEDOUT) as its cause."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure


def loss_from(error: OSError | MemoryError) -> Failure:
    """Make the failure for a protocol's ``connectionLost``."""
    lost = ConnectionLost()
    lost.__cause__ = error.with_traceback(None)  # its frames would keep the connection alive
    return Failure(lost)


def take_socket_error(sock: Any) -> OSError | None:
    """Get and clear the pending error of a socket (SO_ERROR, socket(7)).

    :return: ``None`` if there is none.
    """
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(number, os.strerror(number)) if number else None


def error_text(reason: Failure) -> str:
    """Return the system's error message, as ``Connection reset by peer``; ``""`` without one."""
    cause = getattr(reason.value, "__cause__", None)
    return (isinstance(cause, OSError) and cause.strerror) or ""
