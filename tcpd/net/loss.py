"""The system's error of a lost connection (ECONNRESET, ETIMEDOUT): the cause of its failure."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure


def lost_by(error: OSError | MemoryError) -> Failure:
    """Make the failure that protocols get, with its cause."""
    lost = ConnectionLost()
    lost.__cause__ = error.with_traceback(None)  # whose frames have the connection
    return Failure(lost)


def pending_error(sock: Any) -> OSError | None:
    """Take the error that the kernel holds for a socket (SO_ERROR in socket(7)), if it does.

    The kernel forgets it then.
    """
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(number, os.strerror(number)) if number else None


def error_of(reason: Failure) -> str:
    """The system's words for a loss: ``Connection reset by peer``; ``""`` where it gave none."""
    cause = getattr(reason.value, "__cause__", None)
    return (isinstance(cause, OSError) and cause.strerror) or ""
