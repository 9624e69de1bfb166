"""One conversation in IRC, without its connection: lines in, lines out.

What is said to the client goes to its outbox, where the hub puts events too. An answer to a line
with a label (https://ircv3.net/specs/extensions/labeled-response) is collected first, so that it
can be labelled as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from tcpd.chat.irc import caps, numerics
from tcpd.chat.irc.commands import multiline, operating
from tcpd.chat.irc.commands.table import COMMANDS
from tcpd.chat.irc.edge import Edge
from tcpd.chat.irc.labels import LABEL_BYTES, Answer, labelled, tagged
from tcpd.chat.irc.message import Message, ParseError, parse, write
from tcpd.chat.irc.registration import Registration
from tcpd.chat.irc.server import IrcServer
from tcpd.chat.irc.unreadable import tell_unreadable
from tcpd.chat.irc.visitors import point_to_text
from tcpd.chat.member import Address, Member
from tcpd.chat.outbox import Outbox
from tcpd.chat.quitting import CLOSED
from tcpd.chat.split import carried
from tcpd.config.values import Rate
from tcpd.events import Event, Invited, Joined, PrivateSaid, RoomRenamed, Who
from tcpd.policy.buckets import TokenBucket
from tcpd.policy.reasons import End
from tcpd.wire.linebuffer import Fault

if TYPE_CHECKING:
    from tcpd.handshake.facts import Facts

#: The longest line taken in, tags and all. What is longer ends the conversation, for there is no
#: telling what it was.
LINE_BYTES = 16384

#: Why somebody has left, for the others, who did not read.
SLOW_READER = "SendQ exceeded"

#: Of a long answer, so much is put into the outbox at a time.
_AT_A_TIME = 16384


class Session:
    """One conversation. A :class:`tcpd.chat.member.Door` for the hub.

    :param server: what all conversations of the service share.
    :param outbox: where all that is said to the client goes.
    :param address: the client's, or ``None``.
    :param secure: whether nobody on the way can read along.
    :param edge: the connection.

    :ivar member: ``None`` until the client is registered.
    :ivar caps: the capabilities that are in use.
    :ivar version_302: whether the client has told CAP LS so, and is told values.
    :ivar entry: what the client has said of itself before.
    :ivar refused: how often it was wrong about an operator's password.
    :ivar host: where it is, if others than its address tell; ``None`` leaves it to the hub.
    :ivar label: of the line that is being obeyed; :func:`tcpd.chat.irc.labels.later` takes it.
    :ivar multiline: the message of several lines that the client is sending, if it is.
    :ivar telling: see :class:`tcpd.chat.edge.Conversation`.
    """

    __slots__ = (
        "_answering",
        "_batches",
        "_ended",
        "_joins",
        "_nicks",
        "_over",
        "_telling",
        "address",
        "caps",
        "edge",
        "entry",
        "host",
        "label",
        "member",
        "multiline",
        "outbox",
        "refused",
        "secure",
        "server",
        "slow",
        "version_302",
    )

    def __init__(
        self,
        server: IrcServer,
        outbox: Outbox,
        address: Address | None,
        secure: bool,
        edge: Edge,
    ) -> None:
        self.server = server
        self.outbox = outbox
        self.address = address
        self.secure = secure
        self.slow = SLOW_READER
        self.member: Member | None = None
        self.caps = caps.NONE
        self.version_302 = False
        self.refused = 0
        self.entry = Registration()
        self.host: str | None = None
        self.multiline: multiline.Batch | None = None
        self._batches = 0
        self._telling: Iterator[bytes] | None = None
        self._over = False
        self.label: str | None = None
        self._answering: Answer | None = None
        self._ended = False
        self.edge = edge
        self._joins: TokenBucket | None = None
        self._nicks: TokenBucket | None = None
        server.entering += 1

    def facts(self) -> Facts | None:
        """What is known of the client's own connection; ``None`` if nothing is."""
        return self.edge.facts()

    # --- the client's side: see tcpd.chat.edge.Conversation ---

    @property
    def telling(self) -> bool:
        return self._telling is not None

    @property
    def checking(self) -> bool:
        return self.entry.checking

    @property
    def over(self) -> bool:
        """Whether the conversation has ended."""
        return self._over

    @property
    def name(self) -> str:
        """What the client is called in what it is told: ``*`` before it has a name."""
        if self.member is not None:
            return self.member.nick
        return self.entry.nick or "*"

    def greet(self) -> None:
        """In IRC the client speaks first."""

    def line(self, line: bytes | Fault) -> None:
        if self._over:
            return
        if self.member is None and line and not self.entry.one_more_line():
            self.finish("too many lines before registration")
            return
        if isinstance(line, Fault):
            self.server.count["bad-lines"] += 1
            self.finish("a line was longer than 16 KiB")
            return
        try:
            message = parse(line)
        except ParseError as error:
            self.answer(error.tags.get("label"), partial(tell_unreadable, self, error))
            multiline.spoil(self)
            return
        if message is None:
            return
        tags = message.tags
        if (self.multiline is not None or "batch" in tags) and multiline.takes(self, message):
            return
        label = tags.get("label")
        if label is None or message.command == "BATCH":  # which is answered when it is complete
            self._obey(message)
        else:
            self.answer(label, partial(self._obey, message))

    def is_costly(self, line: bytes | Fault) -> bool:
        # with tags, it may stand anywhere
        return not isinstance(line, Fault) and b"JOIN" in line.upper()

    def asks_for_all(self, line: bytes | Fault) -> bool:
        return not isinstance(line, Fault) and (
            line[:4].upper() == b"PING" or (line[:1] == b"@" and b"PING" in line.upper())
        )

    def tell_more(self) -> None:
        telling = self._telling
        size = 0
        while telling is not None and size < _AT_A_TIME and not self._over:
            line = next(telling, None)
            if line is None:
                self._telling = None
                return
            if not line:
                return
            size += len(line)
            self._put(line)

    def finished(self) -> None:
        self.finish(CLOSED)

    def too_late(self) -> None:
        # it may be one since the last line: a password takes its time
        if self.member is None:
            self.finish("you did not register in time")

    def last_words(self, reason: End) -> bytes:
        return self._error(reason.sentence)

    def leave(self, reason: str) -> None:
        self._stop()
        if self.member is not None:
            self.server.hub.leave(self.member, reason)

    def finish(self, why: str, reason: str | None = None) -> None:
        """End the conversation, and tell why.

        :param why: for the client.
        :param reason: for the others in the rooms; ``None`` for the same.
        """
        if not self._over:
            self.leave(why if reason is None else reason)
            self._close(why)

    def _stop(self) -> None:
        if not self._over:
            self._over = True
            self._telling = None
            self.server.entering -= self.member is None

    def _close(self, why: str) -> None:
        self.outbox.put(self._error(why))
        if self._answering is not None:
            self._ended = True
        else:
            self.edge.hang_up()

    def _error(self, why: str) -> bytes:
        return self.timed(write("ERROR", f"Closing Link: {self.name} ({why})", colon=True))

    # --- what is said to the client ---

    def send(self, line: bytes) -> None:
        """Say something of the server's own.

        :param line: without tags; this adds what the client's capabilities ask for.
        """
        self._put(self.timed(line))

    def send_all(self, lines: Iterable[bytes], batch: str = "", *params: str) -> None:
        """Say several such lines.

        :param batch: the type of the batch that they are put into; empty for none.
        :param params: of the batch.
        """
        if not batch:
            for line in lines:
                self.send(line)
            return
        self._batches += 1
        name = f"b{self._batches}"
        self.from_server("BATCH", f"+{name}", batch, *params)
        for line in lines:
            self._put(tagged(self.timed(line), "batch", name))
        self.from_server("BATCH", f"-{name}")

    def tell(self, lines: Iterable[bytes]) -> None:
        """Say what may be long: at once what is short of it, the rest as the client reads it.

        Nothing of the client's is taken before all of it is said.

        :param lines: without tags. Asked for a line when there is room for it, maybe turns later;
            an empty one is not said, and lets others have their turn first.
        """
        more = map(self.timed, lines)
        if self._telling is not None:
            self._telling = chain(self._telling, more)
            return
        self._telling = more
        self.tell_more()

    def numeric(self, number: str, *params: str, text: str | None = None) -> None:
        """Say a numeric.

        :param text: the last parameter; ``None`` for what it always is (:data:`numerics.TEXT`).
        """
        self.send(self.numeric_line(number, *params, text=text))

    def numeric_line(self, number: str, *params: str, text: str | None = None) -> bytes:
        """A numeric as a line, for :meth:`tell`."""
        if text is None:
            text = numerics.TEXT.get(number)
        # whatever stands in it: to tell something never ends the conversation
        last = () if text is None else (carried(text),)
        return write(
            number,
            self.name,
            *params,
            *last,
            source=self.server.name,
            colon=text is not None,
        )

    def from_server(self, command: str, *params: str, colon: bool = False) -> None:
        """Say anything else."""
        self.send(write(command, *params, source=self.server.name, colon=colon))

    def fail(self, command: str, code: str, *context: str, text: str, known: bool = False) -> None:
        """Tell what went wrong, in words for programs and for people.

        Source: https://ircv3.net/specs/extensions/standard-replies. Clients that do not know these
        are told as a NOTICE.

        :param known: whether the specification of what the client has sent has this reply: it is
            then sent to all.
        """
        if known or caps.STANDARD_REPLIES in self.caps:
            self.from_server("FAIL", command, code, *context, text, colon=True)
        else:
            self.from_server("NOTICE", self.name, f"{command}: {text}", colon=True)

    def show(self, event: Event) -> None:
        """Say an event that is about this very client."""
        self._put(self.server.formats.of(self.caps).told(event))

    def timed(self, line: bytes) -> bytes:
        """A line with the time, if the client wants it."""
        if line and caps.SERVER_TIME in self.caps:
            return b"@time=%s %s" % (self.server.stamp().encode(), line)
        return line

    def unknown(self, message: Message) -> None:
        """Tell that there is no such command."""
        self.server.count["unknown-commands"] += 1
        self.numeric(numerics.ERR_UNKNOWNCOMMAND, message.command.lstrip(":") or "*")

    def _put(self, data: bytes) -> None:
        if not self.outbox.put(data):
            if self.member is not None:
                self.server.hub.drop(self.member)
            else:
                self.dropped()

    # --- the hub's side: see tcpd.chat.member.Door ---

    def happened(self, event: Event) -> None:
        member = self.member
        if member is None:
            return
        match event:
            case Joined() | Invited() | RoomRenamed():
                operating.happened(self, member, event)
            case PrivateSaid():
                if self._answering is not None and event.whom.id == member.id:
                    self._answering.leave_out(member.format.render(event))
                if member.echo:
                    self._put(member.format.render(event))

    def appeared(self, who: Who) -> None:
        self.numeric(numerics.RPL_MONONLINE, text=str(who))

    def vanished(self, nick: str) -> None:
        self.numeric(numerics.RPL_MONOFFLINE, text=nick)

    def put_out(self, by: Who, comment: str, reason: str) -> None:
        self.send(write("KILL", self.name, comment, source=str(by), colon=True))
        if self.member is not None:
            self.send(write("QUIT", reason, source=str(self.member.who), colon=True))
        self._stop()
        self._close(reason)

    def dropped(self) -> None:
        self._stop()
        self.server.count["dropped"] += 1
        self.edge.cut()

    # --- for commands ---

    def answer(self, label: str | None, act: Callable[[], None]) -> None:
        """Do what a client has asked for, and label all that is said to it for that.

        Source: https://ircv3.net/specs/extensions/labeled-response. "This specification depends on
        the batch capability which MUST be negotiated to use labeled responses."

        :param label: the client's; ``None`` for none.
        """
        if not (label and self.caps >= caps.LABELS and len(label.encode()) <= LABEL_BYTES):
            act()
            return
        self.server.hub.settle()
        answer = self._answering = Answer(self.outbox)
        self.label = label
        try:
            self._redirect(answer.outbox)
            act()
            self.server.hub.settle()
        finally:
            later = self.label is None
            self.label = self._answering = None
            self._redirect(answer.real)
            answer.real.follow()
        telling, self._telling = self._telling, None
        unlabelled, said = answer.lines()
        for line in unlabelled:
            self._put(line)
        if later and not said and telling is None:
            return
        self._batches += 1
        name = f"b{self._batches}"
        lines = labelled(said, telling, label, name, self.server.name, self.timed)
        if telling is None or self._over:
            for line in lines:
                self._put(line)
            if self._ended:
                self.edge.hang_up()
        else:
            self._telling = lines

    def enable(self, enabled: frozenset[str]) -> None:
        """Use these capabilities from now on."""
        self.caps = enabled
        if self.member is not None:
            self._equip(self.member)

    def registered(self, member: Member) -> None:
        """The client is a member now."""
        self.member = member
        self.entry = _REGISTERED
        self.server.entering -= 1
        self.server.count["registered"] += 1
        self._equip(member)

    def may_join(self) -> bool:
        """Take a token for coming into a room; tell whether there was one."""
        self._joins, may = self._take(self._joins, self.server.settings.join_rate)
        return may

    def may_rename(self) -> bool:
        """The same for another nickname."""
        self._nicks, may = self._take(self._nicks, self.server.settings.nick_rate)
        return may

    def _equip(self, member: Member) -> None:
        member.format = self.server.formats.of(self.caps)
        member.echo = caps.ECHO_MESSAGE in self.caps
        member.distant = caps.EXTENDED_MONITOR in self.caps

    def _take(
        self, bucket: TokenBucket | None, rate: Rate | None
    ) -> tuple[TokenBucket | None, bool]:
        if rate is None:
            return None, True
        now = self.server.clock()
        if bucket is None:
            bucket = TokenBucket(rate, now)
        may = bool(bucket.take(now))
        self.server.count["throttled"] += not may
        return bucket, may

    # --- lines ---

    def _obey(self, message: Message) -> None:
        command = COMMANDS.get(message.command)
        # what is said in rooms waits for more of it, and for nothing else
        if message.command not in _SAYING:
            self.server.hub.settle()
        if command is None:
            if self.member is None:
                self.numeric(numerics.ERR_NOTREGISTERED)
                point_to_text(self, message)
            else:
                self.unknown(message)
            return
        if self.member is None and not command.early:
            if message.command != "NOTICE":
                self.numeric(numerics.ERR_NOTREGISTERED)
            return
        if len(message.params) < command.least:
            if message.command != "NOTICE":
                self.numeric(numerics.ERR_NEEDMOREPARAMS, message.command)
            return
        self.server.count["commands"] += 1
        command.call(self, message)

    def _redirect(self, outbox: Outbox) -> None:
        self.outbox = outbox
        if self.member is not None:
            self.member.outbox = outbox


#: What all who are registered have said of themselves, as nobody asks any more.
_REGISTERED = Registration()

_SAYING = frozenset({"PRIVMSG", "NOTICE"})
