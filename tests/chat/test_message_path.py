"""The number of Python frames that a message passes (docs/explanation/life-of-a-line.rst)."""

from __future__ import annotations

import sys
import time
from types import FrameType
from typing import Any

from chat.irc_chat import IrcChat
from chat.transports import over_tcp

#: The limit, from the transport to the outboxes of the room.
MOST_FRAMES = 40


@over_tcp("it counts the frames of chat only")
def test_frames_of_a_message_to_a_room() -> None:
    """docs/explanation/life-of-a-line.rst: at most 40 frames."""
    chat = IrcChat()
    # C functions, as in the daemon
    chat.hub.wall_clock, chat.hub.clock = time.time, time.monotonic
    ann, bob = (chat.irc_client(nick, joined="#tea") for nick in ("ann", "bob"))
    ann.send("PRIVMSG #tea :the first message is checked more closely")
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
