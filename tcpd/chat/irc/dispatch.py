"""Dispatch of an IRC client's lines to commands.

:class:`IrcConversation` adds to :class:`~tcpd.chat.irc.client.IrcClient` what needs the command
table.
"""

from __future__ import annotations

from functools import partial

from tcpd.chat.irc import numerics
from tcpd.chat.irc.client import IrcClient
from tcpd.chat.irc.commands import moderation, multiline
from tcpd.chat.irc.commands.messages import send_undelivered
from tcpd.chat.irc.commands.table import COMMANDS
from tcpd.chat.irc.message import Message, ParseError, parse, write
from tcpd.chat.irc.parse_errors import send_parse_error
from tcpd.chat.irc.reply import IrcReply, UnsolicitedReply, run
from tcpd.chat.irc.text_port_hint import send_text_port_hint
from tcpd.chat.refused import Refused
from tcpd.chat.reply import ChatReply
from tcpd.events.chat import (
    Event,
    Identity,
    Invited,
    Joined,
    Killed,
    Kind,
    PrivateMessage,
    RoomMessage,
    RoomRenamed,
)
from tcpd.lines.linebuffer import LineFault
from tcpd.lines.single import Ready

#: Maximum length of a received line, including tags. A longer line closes the connection.
LINE_BYTES = 16384

_AHEAD = tuple(name.encode() for name, command in COMMANDS.items() if command.may_run_ahead)


class IrcConversation(IrcClient):
    """Conversation with one IRC client; see :class:`tcpd.chat.conversation.Conversation`."""

    __slots__ = ()

    def ready_for(self, line: bytes | LineFault | None) -> Ready:
        """See :class:`tcpd.chat.conversation.Conversation`.

        Messages may run ahead of the event log, up to a limit; other commands wait until those are
        delivered. PING also waits until the output of earlier lines is written to all recipients.
        """
        if self.ahead:
            if not isinstance(line, bytes) or not line[:7].upper().startswith(_AHEAD):
                self.block()
                return Ready.LATER
            if not self.may_run_ahead():
                return Ready.LATER
        if not isinstance(line, bytes):
            return Ready.NOW
        if self.outbox.queue.delays(self.edge.proceed):
            return Ready.LATER
        if line[:4].upper() == b"PING" or (line[:1] == b"@" and b"PING" in line.upper()):
            self.server.hub.fanout.flush_held()
            if not self.outbox.flushed:
                return Ready.NEXT_TURN
        return Ready.NOW

    def line(self, line: bytes | LineFault) -> None:
        if self.over:
            return
        if self.person is None and line and not self.entry.count_line():
            self.finish("too many lines before registration")
            return
        if isinstance(line, LineFault):
            self.server.count["bad-lines"] += 1
            self.finish("a line was longer than 16 KiB")
            return
        try:
            message = parse(line)
        except ParseError as error:
            run(self, error.tags.get("label"), partial(send_parse_error, error=error))
            multiline.abort(self)
            return
        if message is None:
            return
        tags = message.tags
        if (self.multiline is not None or "batch" in tags) and multiline.handle_line(self, message):
            return
        # a batch is replied to at its end, with the label of its first line
        label = tags.get("label") if tags and message.command != "BATCH" else None
        if label is not None:
            run(self, label, partial(_run_command, message=message))
            return
        # run(), inlined for speed
        reply = IrcReply(self)
        command = COMMANDS.get(message.command)
        try:
            if command is None or self.person is None or len(message.params) < command.min_params:
                _run_command(reply, message)
            else:
                self.server.count["commands"] += 1
                command.call(reply, message)
        finally:
            if not reply.is_short:
                reply.end()
                if not reply.is_complete:
                    self.opened(reply)

    # --- the hub's side ---

    def happened(self, event: Event, reply: ChatReply | None) -> None:
        if reply is None and isinstance(event, RoomRenamed):
            moderation.renamed_by_other(self, event)
        elif isinstance(event, Joined | Invited | RoomRenamed):
            answer = UnsolicitedReply(self) if reply is None else reply
            assert isinstance(answer, IrcReply)
            moderation.follow_up(answer, event, reply is not None)

    def killed(self, event: Killed, reply: ChatReply | None) -> None:
        if self.over:
            return
        answer = UnsolicitedReply(self) if reply is None else reply
        assert isinstance(answer, IrcReply)
        kill = write("KILL", self.name, event.comment, source=str(event.actor), colon=True)
        quit = write("QUIT", event.reason, source=str(event.target), colon=True)
        last = [self.timed(kill), self.timed(quit), self.error_line(event.reason)]
        self.stop()
        answer.hang_up(last)

    def appeared(self, who: Identity) -> None:
        UnsolicitedReply(self).numeric(numerics.RPL_MONONLINE, text=str(who))

    def vanished(self, nick: str) -> None:
        UnsolicitedReply(self).numeric(numerics.RPL_MONOFFLINE, text=nick)

    def refused(self, event: Event, refused: Refused) -> None:
        if isinstance(event, RoomMessage) and event.kind is not Kind.NOTICE:
            send_undelivered(UnsolicitedReply(self), event.room, refused)
        elif isinstance(event, PrivateMessage) and event.kind is not Kind.NOTICE:
            send_undelivered(UnsolicitedReply(self), event.target.nick, refused)


def _run_command(reply: IrcReply, message: Message) -> None:
    """Check a line, and call its command."""
    command = COMMANDS.get(message.command)
    client = reply.client
    if command is None:
        if client.person is None:
            reply.numeric(numerics.ERR_NOTREGISTERED)
            send_text_port_hint(reply, message)
        else:
            reply.unknown(message)
        return
    if client.person is None and not command.before_registration:
        if message.command != "NOTICE":
            reply.numeric(numerics.ERR_NOTREGISTERED)
        return
    if len(message.params) < command.min_params:
        if message.command != "NOTICE":
            reply.numeric(numerics.ERR_NEEDMOREPARAMS, message.command)
        return
    client.server.count["commands"] += 1
    command.call(reply, message)
