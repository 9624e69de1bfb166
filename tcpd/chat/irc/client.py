"""State of one IRC client, independent of its connection.

:mod:`tcpd.chat.irc.reply` has replies to its requests, :mod:`tcpd.chat.irc.dispatch` takes its
lines.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from tcpd.chat.conversation import GatewayEdge
from tcpd.chat.hosts import Address
from tcpd.chat.irc import caps
from tcpd.chat.irc.message import write
from tcpd.chat.irc.multiline_batch import Batch
from tcpd.chat.irc.registration import REGISTERED, Registration
from tcpd.chat.irc.server import IrcServer
from tcpd.chat.outbox import Outbox
from tcpd.chat.people import Client
from tcpd.chat.quitting import CLOSED
from tcpd.chat.reply import ChatReply
from tcpd.config.values import Rate
from tcpd.handshake.facts import Facts
from tcpd.policy.buckets import TokenBucket
from tcpd.policy.reasons import End

#: Bytes of a long reply put into the outbox at a time.
CHUNK_BYTES = 16384

#: Maximum number of messages that run ahead of the event log.
MAX_AHEAD = 64


class IrcClient(Client):
    """State of one IRC client, independent of its connection.

    Implements :class:`tcpd.chat.conversation.Conversation` except for taking lines.

    :param server: state that the clients of the service share.
    :param outbox: queue of data for the client.
    :param address: IP address of the client; ``None`` for a UNIX socket.
    :param secure: the connection uses TLS or a UNIX socket.
    :param edge: the connection.

    :ivar caps: enabled capabilities.
    :ivar version_302: the client sent CAP LS 302 and gets the values of capabilities.
    :ivar entry: state of its registration.
    :ivar wrong_passwords: failed attempts of OPER.
    :ivar host: host from DNS or WEBIRC; ``None`` leaves it to the hub.
    :ivar multiline: the open multiline batch; ``None`` if there is none.
    :ivar over: the conversation has ended.
    :ivar waiting: reply to the incomplete request; ``None`` if there is none.
    :ivar streaming: the rest of a long reply; ``None`` if there is none.
    """

    __slots__ = (
        "_batches",
        "_behind",
        "_blocked",
        "_joins",
        "_more",
        "_nicks",
        "caps",
        "edge",
        "entry",
        "host",
        "multiline",
        "over",
        "server",
        "streaming",
        "version_302",
        "waiting",
        "wrong_passwords",
    )

    def __init__(
        self,
        server: IrcServer,
        outbox: Outbox,
        address: Address | None,
        secure: bool,
        edge: GatewayEdge,
    ) -> None:
        super().__init__(outbox, server.formats.of(caps.NONE), address, secure)
        self.server = server
        self.edge = edge
        self.caps = caps.NONE
        self.version_302 = False
        self.entry = Registration()
        self.wrong_passwords = 0
        self.host: str | None = None
        self.multiline: Batch | None = None
        self.over = False
        self.waiting: ChatReply | None = None
        self._blocked = False
        self._behind: list[bytes] | None = None
        self.streaming: Iterator[bytes] | None = None
        #: Long replies after ``streaming``.
        self._more: deque[Iterable[bytes]] | None = None
        self._batches = 0
        self._joins: TokenBucket | None = None
        self._nicks: TokenBucket | None = None
        server.unregistered += 1

    @property
    def name(self) -> str:
        """Nickname for replies; ``*`` before the client has one."""
        if self.person is not None:
            return self.person.nick
        return self.entry.nick or "*"

    def facts(self) -> Facts | None:
        """Return the connection's facts, or ``None`` if they are not known."""
        return self.edge.facts()

    # --- the connection's side ---

    @property
    def entered(self) -> bool:
        return self.person is not None

    def greet(self) -> None:
        """Send nothing: in IRC the client speaks first."""

    def stream_more(self) -> None:
        stream = self.streaming
        size = 0
        while stream is not None and size < CHUNK_BYTES and not self.over:
            line = next(stream, None)
            if line is None:
                stream = self.streaming = iter(self._more.popleft()) if self._more else None
                continue
            if not line:
                return
            size += len(line)
            self.put(line)

    def finished(self) -> None:
        self.finish(CLOSED)

    def entry_timed_out(self) -> None:
        # a password check may have completed its registration since the last line
        if self.person is None:
            self.finish("you did not register in time")

    def request_timed_out(self) -> None:
        self.finish("the server could not answer in time")

    def last_words(self, reason: End) -> bytes:
        return self.error_line(reason.sentence)

    def leave(self, reason: str) -> None:
        self.stop()
        self.server.hub.leave(self, reason)

    def finish(self, why: str, reason: str | None = None) -> None:
        """Send ERROR and close the connection.

        :param why: reason for the client.
        :param reason: reason of QUIT for the other members; ``None`` for the same.
        """
        if not self.over:
            self.leave(why if reason is None else reason)
            self.outbox.put(self.error_line(why))
            self.edge.hang_up()

    def stop(self) -> None:
        """Stop taking lines from the client."""
        if not self.over:
            self.over = True
            self.streaming = self._more = None
            self.server.unregistered -= self.entry is not REGISTERED

    def error_line(self, why: str) -> bytes:
        """Return ERROR, the last line of a connection."""
        return self.timed(write("ERROR", f"Closing Link: {self.name} ({why})", colon=True))

    # --- requests ---

    def opened(self, reply: ChatReply) -> None:
        """Note that a request is incomplete although its command has returned."""
        self.waiting = reply

    def completed(self, reply: ChatReply) -> None:
        """Record that a request is complete, and process the next line."""
        if self.waiting is reply:
            self.waiting = None
            self.edge.proceed()

    def may_run_ahead(self) -> bool:
        """Return whether one more message may run ahead of the event log. If not, the next line
        waits until those that do are delivered."""
        if self.ahead < MAX_AHEAD and self._behind is None:
            return True
        self.block()
        return False

    def block(self) -> None:
        """Delay the next line until :meth:`caught_up`."""
        self._blocked = True

    def put_behind(self, data: bytes) -> None:
        """Put a reply into the outbox, after messages that run ahead of the event log."""
        if self.ahead:
            if self._behind is None:
                self._behind = []
            self._behind.append(data)
        else:
            self.put(data)

    # --- output ---

    def put(self, data: bytes) -> None:
        """Append lines, with their tags, to the outbox."""
        hub = self.server.hub
        if hub.fanout.held:
            hub.fanout.flush_held()
        if not self.outbox.put(data):
            if self.person is not None:
                hub.drop(self)
            else:
                self.outbox.close()
                self.dropped()

    def stream(self, lines: Iterable[bytes]) -> None:
        """Send a long reply as the client reads it, beginning at once. No line of the client is
        processed until all lines are sent.

        :param lines: lines with their tags; consumed as the outbox has room. An empty line is not
            sent and yields to other clients.
        """
        if self.streaming is not None:
            if self._more is None:
                self._more = deque()
            self._more.append(lines)
            return
        self.streaming = iter(lines)
        self.stream_more()

    def timed(self, line: bytes) -> bytes:
        """Return a line with a ``time`` tag if the client has ``server-time``."""
        if line and caps.SERVER_TIME in self.caps:
            return b"@time=%s %s" % (self.server.stamp().encode(), line)
        return line

    def next_batch(self) -> str:
        """Return a new reference for a batch to this client."""
        self._batches += 1
        return f"b{self._batches}"

    # --- the hub's side ---

    def caught_up(self) -> None:
        behind, self._behind = self._behind, None
        for data in behind or ():
            self.put(data)
        if self._blocked:
            self._blocked = False
            self.edge.proceed()

    def dropped(self) -> None:
        self.stop()
        self.server.count["dropped"] += 1
        self.edge.cut()

    # --- for commands ---

    def enable(self, enabled: frozenset[str]) -> None:
        """Set the enabled capabilities."""
        self.caps = enabled
        for flag, name in caps.FLAGS:
            setattr(self, flag, name in enabled)
        self.server.hub.equip(self, self.server.formats.of(enabled))

    def registered(self) -> None:
        """Note that registration is complete, and free its state."""
        self.entry = REGISTERED
        self.server.unregistered -= 1
        self.server.count["registered"] += 1

    def may_join(self) -> bool:
        """Take a token of ``join_rate``, and return whether there was one."""
        self._joins, may = self._take(self._joins, self.server.settings.join_rate)
        return may

    def may_rename(self) -> bool:
        """Take a token of ``nick_rate``, and return whether there was one."""
        self._nicks, may = self._take(self._nicks, self.server.settings.nick_rate)
        return may

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
