"""The path of a message: how many frames of Python it passes, as docs/explanation/life-of-a-line
has it."""

from __future__ import annotations

import sys
import time
from types import FrameType
from typing import Any

from chat.irc_chat import IrcChat
from chat.transports import over_tcp

#: At most so many, from the transport to the outboxes of the room.
MOST_FRAMES = 40


@over_tcp("it counts the frames of chat alone")
def test_a_message_to_a_room_passes_few_frames() -> None:
    """'PRIVMSG to a room passes at most 40 frames.'"""
    chat = IrcChat()
    # as in a daemon, where they are C functions
    chat.hub.wall_clock, chat.hub.clock = time.time, time.monotonic
    ann, bob = (chat.irc_client(nick, joined="#tea") for nick in ("ann", "bob"))
    ann.send("PRIVMSG #tea :the first is looked at more closely")
    bob.lines()
    passed: list[str] = []

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and "twisted" not in frame.f_code.co_filename:
            passed.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")

    sys.setprofile(profile)
    ann.protocol.dataReceived(b"PRIVMSG #tea :hello\r\n")
    sys.setprofile(None)
    assert len(passed) <= MOST_FRAMES, "\n".join(passed)
    assert bob.lines() == [":ann!~ann@localhost PRIVMSG #tea :hello"]
