"""Why a member has left, as the others read it: for those who did not say it themselves.

The words are those that IRC servers use, as people and programs know them.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tcpd.policy.reasons import End

#: The client has closed its side, or the whole connection, and has not said goodbye.
CLOSED = "Connection closed"

#: What stands before a member's own reason: no other end looks like one that somebody asked for.
SAID_GOODBYE = "Quit: "

_LOST = "Read error: connection lost"

#: For each reason for which the daemon ends a connection whose client may be a member.
_ENDS = {
    End.CLIENT: CLOSED,
    End.SERVER: CLOSED,
    End.TRUNCATED: CLOSED,  # as many clients close TLS
    End.IDLE: "Idle timeout",
    End.SESSION: "Session time limit",
    End.SLOW_READER: "SendQ exceeded",
    End.STALLED: "Write timeout",
    End.LINGER: CLOSED,
    End.WEBSOCKET_FAILED: "WebSocket protocol error",
    End.PING_TIMEOUT: "Ping timeout",
    End.SHUTDOWN: End.SHUTDOWN.sentence,
    End.KICKED: "Disconnected by an operator",
    End.BANNED: "Banned",
}


def ended_for(reason: End) -> str:
    """Why somebody has left whose connection the daemon ends."""
    return _ENDS.get(reason, reason.sentence)


def lost_by(reason: End | None, failure: Failure) -> str:
    """Why somebody has left whose connection is gone.

    :param reason: what the connection layer knows of it; ``None`` where there is no such layer.
    :param failure: what the transport says; the error of the system is its cause, where known.
    """
    clean = isinstance(failure.value, ConnectionDone)
    if reason is not None and (clean or reason not in (End.LOST, End.SERVER)):
        return ended_for(reason)
    if clean:
        return CLOSED
    error = getattr(failure.value, "__cause__", None)
    if isinstance(error, OSError) and error.strerror:
        return f"Read error: {error.strerror}"
    return _LOST
