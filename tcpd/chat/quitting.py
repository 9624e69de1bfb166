"""Quit reasons of clients that did not send one, in the words that IRC servers use."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from tcpd.policy.reasons import End

#: The client closed the connection, or its sending side, without QUIT.
CLOSED = "Connection closed"

#: The prefix of a person's own reason, so that it cannot imitate the others.
SAID_GOODBYE = "Quit: "

_LOST = "Read error: connection lost"

#: Quit reasons for connections that the daemon ends.
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
    """Return the quit reason for a connection that the daemon ends."""
    return _ENDS.get(reason, reason.sentence)


def lost_by(reason: End | None, failure: Failure) -> str:
    """Return the quit reason for a connection that is lost.

    :param reason: the reason of the connection layer; ``None`` without one.
    :param failure: the failure of the transport; its cause is the system's error, if known.
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
