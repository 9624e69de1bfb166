"""EVENTS: the events of the catalogue as they happen. A slow operator does not delay others."""

from __future__ import annotations

from collections.abc import Callable

from tcpd.daemon.control.command import counted, operator_command
from tcpd.line.command import Command
from tcpd.line.stream import Stream
from tcpd.ops.follow import Follower, Followers


def event_commands(followers: Followers) -> list[Command]:
    """The commands of this group."""
    return [
        operator_command(
            "EVENTS",
            "",
            "Follows the events of the daemon, a JSON object a line, until you send anything.",
            lambda words, operator: Following(followers),
            at_most=0,
        )
    ]


class Following(Stream):
    """The events that an operator follows. Events that it does not read in time are counted.

    :param followers: the followers of the daemon's events.
    """

    def __init__(self, followers: Followers) -> None:
        self._followers = followers
        self._follower: Follower | None = None
        self._count = 0

    def begin(self, say: Callable[[str], None]) -> None:
        """See :class:`tcpd.line.stream.Stream`, as for the others."""

        def send(line: str) -> None:
            self._count += 1
            say(line)

        self._follower = self._followers.follow(send)
        say("events follow, send a line to end them")

    def pause(self) -> None:
        if self._follower is not None:
            self._follower.pause()

    def resume(self) -> None:
        if self._follower is not None:
            self._follower.resume()

    def stop(self) -> str:
        follower, self._follower = self._follower, None
        dropped = 0
        if follower is not None:
            dropped = follower.dropped
            follower.stop()
        missed = f", {dropped} missed" if dropped else ""
        return f"{counted(self._count, 'event')}{missed}"
