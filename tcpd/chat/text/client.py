"""State and output of one client of the text frontend, independent of its connection."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.chat.conversation import Edge
from tcpd.chat.outbox import Outbox
from tcpd.chat.people import Client, Profile
from tcpd.chat.quitting import CLOSED
from tcpd.chat.refused import Refused
from tcpd.chat.reply import ChatReply
from tcpd.chat.room import PREFIXES, Room
from tcpd.chat.text.render import columns, describe_past, describe_sent, encode_lines
from tcpd.chat.text.server import TextServer
from tcpd.events.chat import (
    Event,
    Invited,
    Joined,
    Kicked,
    Killed,
    Kind,
    NickChanged,
    Parted,
    PrivateMessage,
    RoomMessage,
)
from tcpd.handshake.facts import Facts
from tcpd.lines.single import Ready
from tcpd.policy.reasons import End
from tcpd.store.history import Selector

_log = Logger()

#: Maximum number of names in a reply.
NAMES_SHOWN = 100

#: The quit reason of a client that did not read.
SLOW_READER = "did not read what was sent"

#: Messages that may run ahead of the event log.
MOST_AHEAD = 64


class TextClient(Client):
    """The part of a :class:`tcpd.chat.conversation.Conversation` that does not take lines.

    :param server: state of the service.
    :param outbox: the client's output buffer.
    :param profile: facts about the client.
    :param edge: the connection.

    :ivar room: the current room, to which typed text goes; ``None`` for none.
    :ivar asks_room: there is no lobby, and the client has not named a room yet.
    :ivar over: the conversation has ended.
    :ivar waiting: the reply of the open request; ``None`` for none.
    """

    slow = SLOW_READER
    #: All replies of this frontend are short.
    streaming = None

    __slots__ = (
        "_behind",
        "_blocked",
        "asks_room",
        "attempts",
        "edge",
        "over",
        "profile",
        "room",
        "server",
        "waiting",
    )

    def __init__(self, server: TextServer, outbox: Outbox, profile: Profile, edge: Edge) -> None:
        super().__init__(outbox, server.format, profile.address, profile.secure)
        self.server = server
        self.profile = profile
        self.edge = edge
        self.room: Room | None = None
        self.asks_room = False
        self.attempts = 0
        self.over = False
        self.waiting: ChatReply | None = None
        self._blocked = False
        self._behind: list[str] | None = None

    # --- the connection's side ---

    @property
    def entered(self) -> bool:
        return self.person is not None

    def stream_more(self) -> None:
        """Do nothing: all replies of this frontend are short."""

    def greet(self) -> None:
        self.send(
            f"Welcome to the chat on {self.server.name}.",
            "Type the nickname you want to go by, and press Enter.",
        )

    def ready_for(self, line: Any) -> Ready:
        if self.ahead:
            is_command = not isinstance(line, bytes) or line.startswith(b"/")
            if is_command or self.ahead >= MOST_AHEAD or self._behind is not None:
                self._blocked = True
                return Ready.LATER
        if line is not None and self.outbox.queue.delays(self.edge.proceed):
            return Ready.LATER
        return Ready.NOW

    def finished(self) -> None:
        self.finish("Goodbye.", CLOSED)

    def entry_timed_out(self) -> None:
        if self.person is None:
            self.finish("! you did not say who you are in time")

    def request_timed_out(self) -> None:
        self.finish("! the server could not answer in time")

    def last_words(self, reason: End) -> bytes:
        return encode_lines((f"* {reason.sentence}",))

    def leave(self, reason: str) -> None:
        self.over = True
        self.server.hub.leave(self, reason)

    def finish(self, last: str, reason: str = "") -> None:
        """End the conversation with a last line.

        :param reason: the quit reason that others see; may be empty.
        """
        if not self.over:
            self.leave(reason)
            self.outbox.put(encode_lines((last,)))
            self.edge.hang_up()

    def facts(self) -> Facts | None:
        """Facts about the client's connection; ``None`` if unknown."""
        return self.edge.facts()

    # --- requests ---

    def opened(self, reply: ChatReply) -> None:
        """A command has returned, but its request is not complete."""
        self.waiting = reply

    def completed(self, reply: ChatReply) -> None:
        """A request is complete."""
        if self.waiting is reply:
            self.waiting = None
            self.edge.proceed()

    # --- output ---

    def send(self, *lines: str) -> None:
        """Send lines, behind the pending output."""
        hub = self.server.hub
        if hub.fanout.held:
            hub.fanout.flush_held()
        if not self.outbox.put(encode_lines(lines)):
            if self.person is not None:
                hub.drop(self)
            else:
                self.outbox.close()
                self.dropped()

    def send_behind(self, lines: Sequence[str]) -> None:
        """Send a reply: behind messages that ran ahead of the event log."""
        if self.ahead:
            if self._behind is None:
                self._behind = []
            self._behind += lines
        else:
            self.send(*lines)

    def error(self, sentence: str) -> None:
        """Send an error message."""
        self.send(f"! {sentence}")

    # --- the hub's side ---

    def happened(self, event: Event, reply: ChatReply | None) -> None:
        answer = TextReply(self) if reply is None else reply
        assert isinstance(answer, TextReply)
        person = self.person
        assert person is not None
        match event:
            case Joined(room=name):
                room = self.server.hub.room(name)
                if room is not None:
                    self.room = room
                    self.asks_room = False
                    answer.show_new_room(room)
            case NickChanged(nick=nick) if reply is not None:
                # this frontend has no command for that
                self.server.hub.set_real_name(self, nick)
            case Parted() | Kicked():
                if self.room is None or person not in self.room.members:
                    last = next(reversed(person.rooms), None)
                    self.room = None if last is None else self.server.hub.state.rooms[last]
                    answer.show_target()
            case PrivateMessage(kind=kind) if kind is not Kind.TAGS:
                if event.actor.id == person.id:
                    self.send(describe_sent(event))
            case Invited(room=name, target=target) if target.id == person.id:
                self.send(f"* {event.actor.nick} invites you: /join {name}")

    def refused(self, event: Event, refused: Refused) -> None:
        self.error(refused.sentence)

    def caught_up(self) -> None:
        behind, self._behind = self._behind, None
        if behind:
            self.send(*behind)
        if self._blocked:
            self._blocked = False
            self.edge.proceed()

    def killed(self, event: Killed, reply: ChatReply | None) -> None:
        if not self.over:
            self.over = True
            self.outbox.put(encode_lines((f"! {event.reason}",)))
            self.edge.hang_up()

    def dropped(self) -> None:
        self.over = True
        self.server.count["dropped"] += 1
        self.edge.cut()


class TextReply(ChatReply):
    """The reply to one line.

    :ivar client: a :class:`TextClient`.
    """

    client: TextClient

    __slots__ = ()

    @property
    def server(self) -> TextServer:
        """State of the service."""
        return self.client.server

    def send(self, *lines: str) -> None:
        """Send lines, behind messages that ran ahead of the event log."""
        self.client.send_behind(lines)

    def error(self, sentence: str) -> None:
        """Send an error message."""
        self.send(f"! {sentence}")

    def refuse(self, refused: Refused) -> None:
        """Send a refusal of the hub."""
        self.error(refused.sentence)

    def show_target(self) -> None:
        """Show where typed text goes."""
        room = self.client.room
        if room is None:
            self.send(f"  You are in no room now; /join {self.way_back}.")
        else:
            self.send(f"  What you type goes to {room.name} now.")

    @property
    def way_back(self) -> str:
        """The argument of ``/join`` to suggest to a client in no room."""
        lobby = self.server.hub.lobby
        return "#ROOM takes you into one" if lobby is None else f"{lobby.name} takes you back"

    def show_new_room(self, room: Room) -> None:
        """Show topic, last messages and members of a room that the client joined."""
        if room.topic is not None:
            self.show_topic(room)
        count = self.server.hub.settings.history_shown

        def show(page: Sequence[RoomMessage]) -> None:
            if page:
                self._show_page(room, page)
            self.show_names(room)
            person = self.client.person
            if person is not None and len(person.rooms) > 1:
                self.show_target()

        self.wait(self._page(room, count), show)

    def show_names(self, room: Room) -> None:
        """Show the members of a room."""
        names = [
            next((sign for rank, sign in PREFIXES if ranks & rank), "") + person.nick
            for person, ranks in islice(room.members.items(), NAMES_SHOWN)
        ]
        count = len(room.members)
        self.send(*columns(names, f"  In {room.name} ({count}):", count - len(names)))

    def show_topic(self, room: Room) -> None:
        """Show a room's topic."""
        topic = room.topic
        self.send(f"  Topic: {topic.text}" if topic is not None else f"  {room.name} has no topic.")

    def show_history(self, room: Room, count: int) -> None:
        """Show the last messages of a room: at most ``history_shown``, and what fits the outbox."""

        def show(page: Sequence[RoomMessage]) -> None:
            if page:
                self._show_page(room, page)
            elif count:
                self.send(f"  Nothing was said in {room.name} yet.")

        self.wait(self._page(room, count), show)

    def _page(self, room: Room, count: int) -> Deferred[Sequence[RoomMessage]]:
        if not count:
            nothing: Deferred[Sequence[RoomMessage]] = Deferred()
            nothing.callback(())
            return nothing
        page = self.server.hub.history.page(room.key, Selector.latest(count))
        page.addErrback(_unread)
        return page

    def _show_page(self, room: Room, page: Sequence[RoomMessage]) -> None:
        now = self.server.hub.wall_clock()
        budget = self.client.outbox.limit // 4
        lines: list[str] = []
        for event in reversed(page):
            lines.append(describe_past(event, now))
            budget -= 4 * len(lines[-1])
            if budget < 0:
                break
        self.send(f"  Said before in {room.name} (times are UTC):", *reversed(lines))


def _unread(failure: Failure) -> Sequence[RoomMessage]:
    _log.failure("a history cannot be read", failure)
    return ()
