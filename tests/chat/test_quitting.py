"""Reasons of quits that clients did not send."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest
from chat.irc_chat import IrcChat
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from tcpd.chat.quitting import ended_for, lost_by
from tcpd.policy.reasons import End


def lost(cause: OSError | None = None) -> Failure:
    error = ConnectionLost()
    error.__cause__ = cause
    return Failure(error)


RESET = OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


@pytest.mark.parametrize(
    ("reason", "failure", "said"),
    [
        (None, Failure(ConnectionDone()), "Connection closed"),
        (End.CLIENT, Failure(ConnectionDone()), "Connection closed"),
        (End.SERVER, Failure(ConnectionDone()), "Connection closed"),
        (None, lost(), "Read error: connection lost"),
        (End.LOST, lost(), "Read error: connection lost"),
        (None, lost(RESET), "Read error: Connection reset by peer"),
        (End.LOST, lost(RESET), "Read error: Connection reset by peer"),
        (End.SERVER, Failure(ValueError("of TLS")), "Read error: connection lost"),
        (End.STALLED, Failure(ConnectionAborted()), "Write timeout"),
        (End.SLOW_READER, Failure(ConnectionAborted()), "SendQ exceeded"),
    ],
)
def test_quit_reason_of_a_lost_connection(reason: End | None, failure: Failure, said: str) -> None:
    assert lost_by(reason, failure) == said


#: Reasons that end a connection before its client is a member.
_BEFORE = {
    End.FIRST_BYTE,
    End.REFUSED,
    End.PROXY_FAILED,
    End.PROXY_TIMEOUT,
    End.TLS_FAILED,
    End.TLS_REFUSED,
    End.TLS_TIMEOUT,
    End.WEBSOCKET_TIMEOUT,
    End.LOST,
}


@pytest.mark.parametrize("reason", sorted(set(End) - _BEFORE))
def test_quit_reasons_are_in_the_third_person(reason: End) -> None:
    """The sentences of :class:`End` address the client; the neighbours read the reason."""
    assert "you" not in ended_for(reason).split()


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda ann: ann.protocol.readConnectionLost(), "Connection closed"),
        (lambda ann: ann.lose(), "Connection closed"),
        (
            lambda ann: ann.protocol.connectionLost(lost(RESET)),
            "Read error: Connection reset by peer",
        ),
        (lambda ann: ann.protocol.farewell(End.SHUTDOWN), "the server is shutting down"),
        (lambda ann: ann.protocol.farewell(End.KICKED), "Disconnected by an operator"),
        (lambda ann: ann.protocol.farewell(End.PING_TIMEOUT), "Ping timeout"),
        (lambda ann: ann.send("QUIT"), "Quit: "),
    ],
)
def test_neighbours_receive_the_reason(end: Any, said: str) -> None:
    """Modern IRC, "QUIT message": "When connections are terminated by a client-sent QUIT command,
    servers SHOULD prepend <reason> with the ASCII string "Quit: ".\""""
    chat = IrcChat()
    bob = chat.irc_client("bob", joined="#tea")
    ann = chat.irc_client("ann", joined="#tea")
    bob.lines()
    end(ann)
    ann.lose()
    assert bob.lines() == [f":ann!~ann@localhost QUIT :{said}"]


def test_end_of_the_stream_is_answered_with_error() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann")
    ann.protocol.readConnectionLost()
    assert ann.lines() == ["ERROR :Closing Link: ann (Connection closed)"]
    assert ann.closed


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("/quit", "Quit: "),
        ("/quit see you", "Quit: see you"),
        ("/quit Ping timeout", "Quit: Ping timeout"),
        ("\x04", "Quit: "),  # Ctrl-D
    ],
)
def test_text_client_cannot_forge_a_quit_reason(typed: str, said: str) -> None:
    """Modern IRC, "QUIT message", as above."""
    chat = IrcChat()
    bob = chat.irc_client("bob", joined="#lobby")
    ann, zoe = chat.text_client("ann"), chat.text_client("zoe")
    bob.lines()
    zoe.screen()
    ann.type(typed)
    assert bob.lines() == [f":ann!text@localhost QUIT :{said}"]
    reason = said.removeprefix("Quit: ")
    assert zoe.screen() == [f"* ann left the chat{': ' if reason else ''}{reason}"]
