"""One conversation at the text door, without its connection: lines in, lines out.

First it asks for a nickname, then it talks. Lines from the client come by :meth:`Session.line`;
what is said to the client goes to its outbox, where the hub puts events too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice

from tcpd.chat.hub import Hub
from tcpd.chat.member import Format, Member, Profile
from tcpd.chat.names import fold
from tcpd.chat.outbox import Outbox
from tcpd.chat.quitting import CLOSED, SAID_GOODBYE
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import PREFIXES, Room
from tcpd.chat.split import room_for, split_message
from tcpd.chat.text import commands, hints
from tcpd.chat.text.parse import JOIN, Call, Unknown, cut_word, parse
from tcpd.chat.text.render import columns, describe_past, describe_sent, encode_lines
from tcpd.events import Event, Invited, Joined, Kicked, Kind, Parted, PrivateSaid, Renamed, Who
from tcpd.handshake.facts import Facts
from tcpd.net.directory import ServiceEntry
from tcpd.policy.reasons import End
from tcpd.wire.formatting import typed
from tcpd.wire.linebuffer import Fault

#: The longest line taken, in bytes: some ten messages.
LINE_BYTES = 4096
#: How many nicknames one may try at the start.
ATTEMPTS = 10
#: How many names one answer lists.
NAMES_SHOWN = 100

#: Why somebody has left, for the others, who did not read.
SLOW_READER = "did not read what was sent"

_MESSAGE = Kind.MESSAGE


class Session:
    """One conversation. A :class:`tcpd.chat.member.Door` for the hub.

    :param hub: the rooms.
    :param format: how events are written; shared by all sessions of the service.
    :param outbox: where all that is said to the client goes.
    :param profile: what is known of the client.
    :param server_name: what the daemon calls itself.
    :param count: raised by a word: ``messages``, ``private``, ``commands``, ``bad-lines``,
        ``dropped``.
    :param hang_up: called once when the conversation is over, with a last line in the outbox.
    :param cut: called once if the client does not read: the connection is to be ended at once.
    :param facts: tells of the connection, or ``None`` if nothing is known of it.
    :param directory: lists what the daemon serves.

    :ivar slow: see :class:`tcpd.chat.member.Door`.
    :ivar member: ``None`` until a nickname was given.
    :ivar room: where what is typed goes; ``None`` for nowhere.
    """

    def __init__(
        self,
        hub: Hub,
        format: Format,
        outbox: Outbox,
        profile: Profile,
        server_name: str,
        count: Counter[str],
        hang_up: Callable[[], None],
        cut: Callable[[], None],
        facts: Callable[[], Facts | None] = lambda: None,
        directory: Callable[[], Sequence[ServiceEntry]] = list,
    ) -> None:
        self.hub = hub
        self.slow = SLOW_READER
        self.telling = self.checking = False
        self.member: Member | None = None
        self.room: Room | None = None
        self.count = count
        self._format = format
        self._outbox = outbox
        self._profile = profile
        self._server_name = server_name
        self._hang_up = hang_up
        self._cut = cut
        self._attempts = 0
        self._over = False
        self._asks_room = False  # there is no lobby, and no room was named yet
        self._facts = facts
        self._directory = directory

    # --- the client's side ---

    def greet(self) -> None:
        """Begin the conversation."""
        self.reply(
            f"Welcome to the chat on {self._server_name}.",
            "Type the nickname you want to go by, and press Enter.",
        )

    def line(self, line: bytes | Fault) -> None:
        """Take a line from the client, without its end."""
        if self._over:
            return
        if isinstance(line, Fault):
            self.count["bad-lines"] += 1
            self.error(f"that line is longer than {LINE_BYTES} bytes; nothing was sent")
            return
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self.count["bad-lines"] += 1
            self.error("that line is not UTF-8, set your terminal to it; nothing was sent")
            return
        meant = typed(text)
        if meant is None:
            self.finish("Goodbye.", SAID_GOODBYE)
        elif self.member is None:
            self._introduce(meant.strip())
        else:
            self._obey(meant)

    def is_costly(self, line: bytes | Fault) -> bool:
        """Whoever comes into a room is told to all in it: a nickname at first, then /join."""
        return (
            self.member is None
            or self._asks_room
            or (isinstance(line, bytes) and line.lstrip()[:2].lower() == b"/j")
        )

    def asks_for_all(self, line: bytes | Fault) -> bool:
        """No answer here says so."""
        return False

    def tell_more(self) -> None:
        """All answers here are short."""

    def finished(self) -> None:
        """The client has said all it had to say."""
        self.finish("Goodbye.", CLOSED)

    def too_late(self) -> None:
        """The client gave no nickname."""
        self.finish("! you did not say who you are in time")

    def last_words(self, reason: End) -> bytes:
        """The daemon ends the connection."""
        return encode_lines((f"* {reason.sentence}",))

    def finish(self, last: str, reason: str = "") -> None:
        """End the conversation with a last line.

        :param reason: for the others in the rooms; may be empty.
        """
        if not self._over:
            self.leave(reason)
            self._outbox.put(encode_lines((last,)))
            self._hang_up()

    def leave(self, reason: str) -> None:
        """End the conversation without a word: the connection is gone, or is about to go."""
        self._over = True
        if self.member is not None:
            self.hub.leave(self.member, reason)

    def facts(self) -> Facts | None:
        """What is known of the client's own connection; ``None`` if nothing is."""
        return self._facts()

    # --- what is said to the client ---

    def reply(self, *lines: str) -> None:
        """Answer with lines, behind what waits for the client already."""
        if not self._outbox.put(encode_lines(lines)):
            if self.member is not None:
                self.hub.drop(self.member)
            else:
                self.dropped()

    def error(self, sentence: str) -> None:
        """Tell why something was not done."""
        self.reply(f"! {sentence}")

    def answer(self, refused: Refused | None) -> None:
        """Tell what the hub refused, if it did."""
        if refused is not None:
            self.error(refused.sentence)

    def show_target(self) -> None:
        """Tell where what is typed goes."""
        if self.room is None:
            self.reply(f"  You are in no room now; /join {self.way_back}.")
        else:
            self.reply(f"  What you type goes to {self.room.name} now.")

    @property
    def way_back(self) -> str:
        """What goes behind ``/join`` for who is in no room."""
        lobby = self.hub.lobby
        return "#ROOM takes you into one" if lobby is None else f"{lobby.name} takes you back"

    def show_names(self, room: Room) -> None:
        """Tell who is in a room."""
        names = [
            next((sign for rank, sign in PREFIXES if room.members[member] & rank), "") + member.nick
            for member in islice(room.members, NAMES_SHOWN)
        ]
        count = len(room.members)
        self.reply(*columns(names, f"  In {room.name} ({count}):", count - len(names)))

    def show_topic(self, room: Room) -> None:
        """Tell a room's topic."""
        topic = room.topic
        self.reply(
            f"  Topic: {topic.text}" if topic is not None else f"  {room.name} has no topic."
        )

    def show_history(self, room: Room, count: int) -> None:
        """Tell what was said last in a room: so many lines, or what fits the outbox well."""
        now = self.hub.wall_clock()
        budget = self._outbox.limit // 4
        lines: list[str] = []
        for event in islice(reversed(room.history), count):
            lines.append(describe_past(event, now))
            budget -= 4 * len(lines[-1])
            if budget < 0:
                break
        if lines:
            self.reply(f"  Said before in {room.name} (times are UTC):", *reversed(lines))
        elif count:
            self.reply(f"  Nothing was said in {room.name} yet.")

    # --- the hub's side ---

    def happened(self, event: Event) -> None:
        member = self.member
        assert member is not None
        match event:
            case Joined(room=name):
                room = member.rooms[fold(name)]
                self.room = room
                self._asks_room = False
                if room.topic is not None:
                    self.show_topic(room)
                if room.history:
                    self.show_history(room, self.hub.settings.history_shown)
                self.show_names(room)
                if len(member.rooms) > 1:
                    self.show_target()
            case Renamed(nick=nick):
                # nobody says another real name here
                self.hub.set_real_name(member, nick)
            case Parted() | Kicked():
                if self.room is None or self.room.key not in member.rooms:
                    self.room = next(reversed(member.rooms.values()), None)
                    self.show_target()
            case PrivateSaid(kind=kind) if kind is not Kind.TAGS:
                self.reply(describe_sent(event))
            case Invited(room=name, whom=whom) if whom.id == member.id:
                self.reply(f"* {event.who.nick} invites you: /join {name}")

    def appeared(self, who: Who) -> None:
        """Nobody is watched from here."""

    def vanished(self, nick: str) -> None:
        """Nobody is watched from here."""

    def put_out(self, by: Who, comment: str, reason: str) -> None:
        self.finish(f"! {reason}")

    def dropped(self) -> None:
        self._over = True
        self.count["dropped"] += 1
        self._cut()

    # --- lines ---

    def _introduce(self, text: str) -> None:
        """Take a line while the client has no nickname yet."""
        if hints.is_irc(text):
            where = hints.where_irc_is(self._directory())
            self.finish(f"ERROR :Closing Link: this port takes plain lines, not IRC; {where}")
            return
        line = parse(text)
        command = line.command.name if isinstance(line, Call) else None
        if command == "quit":
            self.finish("Goodbye.")
            return
        if isinstance(line, Call) and command == "help":
            commands.show_help(self, line.rest)
            return
        self._attempts += 1
        if isinstance(line, Call) and command == "nick":
            text = line.rest
        elif isinstance(line, Call | Unknown):
            self._ask_again("say who you are first: type the nickname you want to go by")
            return
        elif hint := hints.at_prompt(text):
            by_nick = f"; to be called {text}, type /nick {text}" if text.isalpha() else ""
            self._ask_again(f"{hint}{by_nick}")
            return
        entered = self.hub.enter(text, self, self._format, self._outbox, self._profile)
        if isinstance(entered, Member):
            self.member = entered
            self.reply(
                f"Hello {entered.nick}. Type a line and press Enter to say it to everybody in the"
                " room.",
                "/help lists the commands, /quit says goodbye.",
                "",
            )
            if self.hub.lobby is not None:
                self.answer(self.hub.join(entered, self.hub.lobby.name))
            else:
                self._asks_room = True
                self.reply(
                    "Which room do you want to talk in? Type its name, such as #tea, and press"
                    " Enter.",
                    "/rooms lists those that there are; any other is opened for you.",
                )
            return
        if entered.code is Code.HUB_FULL:
            self.finish(f"! {entered.sentence}")
        else:
            self._ask_again(entered.sentence, "; try another")

    def _ask_again(self, sentence: str, more: str = "") -> None:
        if self._attempts >= ATTEMPTS:
            self.finish(f"! {sentence}; that was one try too many")
        else:
            self.error(f"{sentence}{more}")

    def _name_room(self, text: str) -> None:
        """Take a line while the client has not named a room yet, and there is no lobby."""
        hint = hints.in_room(text)
        word, rest = cut_word(text)
        if hint is not None:
            self.error(hint)
            return
        if rest and not word.startswith("#"):
            self.error("you are in no room yet, and the name of a room is one word, like #tea")
            return
        self.hub.settle()
        commands.run(self, JOIN, text)

    def _obey(self, text: str) -> None:
        line = parse(text)
        if type(line) is str:
            if self._asks_room:
                self._name_room(line)
                return
            hint = hints.in_room(line)
            if self.talk(line, _MESSAGE) and hint is not None and self.room is not None:
                self.reply(f"  You said that to all in {self.room.name}; {hint}.")
            return
        self.hub.settle()
        match line:
            case Call(command=command, rest=rest):
                self.count["commands"] += 1
                commands.run(self, command, rest)
            case Unknown(word=word, nearest=nearest):
                hint = f"did you mean /{nearest}?" if nearest else "/help lists them"
                self.error(f"there is no command /{word[:20]}; {hint}")

    def talk(self, text: str, kind: Kind, room: Room | None = None) -> bool:
        """Say something in a room, in several messages if it is long.

        :param room: ``None`` for the current one.
        :return: whether all of it was said.
        """
        assert self.member is not None
        room = room or self.room
        if room is None:
            self.show_target()
            return False
        for piece in split_message(text, room_for(self.member, room.name, kind)):
            refused = self.hub.say(self.member, room.name, piece, kind)
            if refused is not None:
                self.error(refused.sentence)
                return False
            self.count["messages"] += 1
        return True
