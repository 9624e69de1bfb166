"""Members that remember what they were sent, for tests of the hub."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from tcpd.chat.hub import Hub
from tcpd.chat.member import Member, Profile
from tcpd.chat.outbox import FlushSet, Outbox
from tcpd.chat.settings import ChatSettings
from tcpd.events import Event, Who


class RecordingFormat:
    """Renders the msgid, and remembers the events by it and how often each was rendered."""

    def __init__(self) -> None:
        self.events: dict[bytes, Event] = {}
        self.rendered: list[Event] = []

    def render(self, event: Event) -> bytes:
        self.rendered.append(event)
        data = str(event.id).encode() + b"\n"
        self.events[data] = event
        return data


SLOW = "was too slow"


class RecordingDoor:
    """A member's door that notes what happened."""

    slow = SLOW

    def __init__(self) -> None:
        self.own: list[Event] = []
        self.presence: list[str] = []
        self.ended: list[str] = []
        self.drops = 0
        self.react: Callable[[Event], None] = lambda event: None

    def happened(self, event: Event) -> None:
        self.own.append(event)
        self.react(event)

    def appeared(self, who: Who) -> None:
        self.presence.append(f"+{who.nick}")

    def vanished(self, nick: str) -> None:
        self.presence.append(f"-{nick}")

    def put_out(self, by: Who, comment: str, reason: str) -> None:
        self.ended.append(reason)

    def dropped(self) -> None:
        self.drops += 1


class Chat:
    """A hub, its clock, and the members that a test lets in."""

    def __init__(self, order: Any = None, **bounds: Any) -> None:
        self.now = 1_000_000.0
        self.format = RecordingFormat()
        self.flushes: list[FlushSet] = []
        self.flush_set = FlushSet(self.flushes.append)
        more = {} if order is None else {"order": order}
        settings = ChatSettings(**bounds)
        self.hub = Hub(settings, "node", "boot", lambda: self.now, lambda: self.now, **more)
        self.sent: dict[Member, list[bytes]] = {}
        #: Also of those who have left, whose members know of no door any more.
        self.doors: dict[Member, RecordingDoor] = {}

    def enter(
        self, nick: str, *rooms: str, address: str | None = None, echo: bool = False, **more: Any
    ) -> Member:
        written: list[bytes] = []
        outbox = Outbox(self.hub.settings.outbox, self.flush_set, written.append)
        where = None if address is None else ipaddress.ip_address(address)
        profile = Profile(address=where, echo=echo, **more)
        door = RecordingDoor()
        member = self.hub.enter(nick, door, self.format, outbox, profile)
        assert isinstance(member, Member), member
        self.sent[member] = written
        self.doors[member] = door
        for room in rooms:
            assert self.hub.join(member, room) is None
        return member

    def turn(self) -> None:
        """Let reactor turns end, until nothing waits."""
        while self.flushes:
            self.flushes.pop(0).flush()

    def seen(self, member: Member) -> list[Event]:
        """All events that a member was sent so far."""
        self.turn()
        data = b"".join(self.sent[member])
        return [self.format.events[line] for line in data.splitlines(keepends=True)]

    def news(self, member: Member) -> list[Event]:
        """The events that a member was sent since the last time."""
        found = self.seen(member)
        self.sent[member].clear()
        return found
