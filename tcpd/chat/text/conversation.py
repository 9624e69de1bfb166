"""One conversation of the text frontend: lines in, lines out.

The client chooses a nickname, then talks. This module processes its lines;
:class:`~tcpd.chat.text.client.TextClient` has the rest.
"""

from __future__ import annotations

from functools import partial

from tcpd.chat.quitting import SAID_GOODBYE
from tcpd.chat.refused import Code, Refused
from tcpd.chat.text import commands, hints
from tcpd.chat.text.client import TextClient, TextReply
from tcpd.chat.text.parse import JOIN, Call, Unknown, cut_word, parse
from tcpd.events.chat import Kind
from tcpd.lines.linebuffer import LineFault
from tcpd.wire.formatting import typed

#: The maximum length of a line, in bytes: some ten messages.
LINE_BYTES = 4096
#: Maximum number of nicknames that a client may try.
ATTEMPTS = 10

_MESSAGE = Kind.MESSAGE


class TextConversation(TextClient):
    """See :class:`tcpd.chat.conversation.Conversation`."""

    __slots__ = ()

    def line(self, line: bytes | LineFault) -> None:
        if self.over:
            return
        reply = TextReply(self)
        try:
            self._take(reply, line)
        finally:
            if not reply.is_short:
                reply.end()
                if not reply.is_complete:
                    self.opened(reply)

    def _take(self, reply: TextReply, line: bytes | LineFault) -> None:
        if isinstance(line, LineFault):
            self.server.count["bad-lines"] += 1
            reply.error(f"that line is longer than {LINE_BYTES} bytes; nothing was sent")
            return
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self.server.count["bad-lines"] += 1
            reply.error("that line is not UTF-8, set your terminal to it; nothing was sent")
            return
        meant = typed(text)
        if meant is None:
            self.finish("Goodbye.", SAID_GOODBYE)
        elif self.person is None:
            self._introduce(reply, meant.strip())
        else:
            self._obey(reply, meant)

    # --- before the client has entered ---

    def _introduce(self, reply: TextReply, text: str) -> None:
        if hints.is_irc(text):
            where = hints.where_irc_is(self.server.directory())
            self.finish(f"ERROR :Closing Link: this port takes plain lines, not IRC; {where}")
            return
        line = parse(text)
        command = line.command.name if isinstance(line, Call) else None
        if command == "quit":
            self.finish("Goodbye.")
            return
        if isinstance(line, Call) and command == "help":
            commands.show_help(reply, line.rest)
            return
        self.attempts += 1
        if isinstance(line, Call) and command == "nick":
            text = line.rest
        elif isinstance(line, Call | Unknown):
            self._ask_again("say who you are first: type the nickname you want to go by")
            return
        elif hint := hints.at_prompt(text):
            by_nick = f"; to be called {text}, type /nick {text}" if text.isalpha() else ""
            self._ask_again(f"{hint}{by_nick}")
            return
        reply.ask(
            self.server.hub.enter,
            text,
            self.profile,
            refused=self._not_entered,
            then=partial(self._welcome, reply),
        )

    def _not_entered(self, refused: Refused) -> None:
        if refused.code is Code.HUB_FULL:
            self.finish(f"! {refused.sentence}")
        else:
            self._ask_again(refused.sentence, "; try another")

    def _welcome(self, reply: TextReply) -> None:
        reply.send(
            f"Hello {reply.person.nick}. Type a line and press Enter to send it to the room.",
            "/help lists the commands, /quit says goodbye.",
            "",
        )
        lobby = self.server.hub.lobby  # docs/decisions/0012
        if lobby is not None:
            reply.ask(self.server.hub.join, lobby.name, refused=reply.refuse)
            return
        self.asks_room = True
        reply.send(
            "Which room do you want to talk in? Type its name, such as #tea, and press Enter.",
            "/rooms lists those that there are; any other is opened for you.",
        )

    def _ask_again(self, sentence: str, more: str = "") -> None:
        if self.attempts >= ATTEMPTS:
            self.finish(f"! {sentence}; that was one try too many")
        else:
            self.error(f"{sentence}{more}")

    def _name_room(self, reply: TextReply, text: str) -> None:
        """Process a line as the name of the first room, if there is no lobby."""
        hint = hints.in_room(text)
        word, rest = cut_word(text)
        if hint is not None:
            reply.error(hint)
        elif rest and not word.startswith("#"):
            reply.error("you are in no room yet, and the name of a room is one word, like #tea")
        else:
            commands.run(reply, JOIN, text)

    # --- afterwards ---

    def _obey(self, reply: TextReply, text: str) -> None:
        line = parse(text)
        match line:
            case str() if self.asks_room:
                self._name_room(reply, line)
            case str():
                hint = hints.in_room(line)
                if (
                    commands.talk(reply, line, _MESSAGE)
                    and hint is not None
                    and self.room is not None
                ):
                    reply.send(f"  You said that to all in {self.room.name}; {hint}.")
            case Call(command=command, rest=rest):
                self.server.count["commands"] += 1
                commands.run(reply, command, rest)
            case Unknown(word=word, nearest=nearest):
                hint = f"did you mean /{nearest}?" if nearest else "/help lists them"
                reply.error(f"there is no command /{word[:20]}; {hint}")
