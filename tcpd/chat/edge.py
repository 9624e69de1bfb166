"""The Twisted protocol and factory that all chat frontends share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

from twisted.internet import protocol
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from tcpd.chat.conversation import Conversation
from tcpd.chat.hub import Hub
from tcpd.chat.outbox import Outbox
from tcpd.chat.quitting import ended_for, lost_by
from tcpd.chat.service import ChatService
from tcpd.config.values import Rate
from tcpd.handshake.facts import Facts
from tcpd.interfaces import IConnection, IContext
from tcpd.lines.single import SinglePump
from tcpd.ops import catalogue
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.reasons import End, Refusal
from tcpd.policy.workqueue import WorkQueue
from tcpd.wire.opening import Opening


class ChatProtocol(SinglePump):
    """One connection of a frontend.

    :param factory: the factory of the service.
    """

    __slots__ = ("_factory",)

    _log = Logger()

    _session: Conversation | None

    def __init__(self, factory: ChatFactory) -> None:
        super().__init__(
            factory.clock,
            factory.work,
            Opening(any_case=factory.no_method_is_a_name),
            line_bytes=factory.line_bytes,
            rate=factory.rate,
        )
        self._factory = factory

    @abstractmethod
    def converse(self, outbox: Outbox, connection: IConnection | None) -> Conversation:
        """Make the conversation. Called once, when the connection is made.

        :param connection: an :class:`tcpd.interfaces.IConnection`, or ``None``.
        """

    def facts(self) -> Facts | None:
        """Facts of the connection layer and of the conversation; ``None`` without that layer."""
        if self._connection is None:
            return None
        facts: Facts = self._connection.facts()
        return replace(facts, encoding="UTF-8", line_ending=self._buffer.line_ending)

    # --- from the pump ---

    def open(self) -> tuple[Conversation, Outbox]:
        transport: Any = self.transport
        hub = self._factory.hub
        # the outbox buffers all output of a turn, so the transport need not do it again
        write = getattr(transport, "send_now", transport.write)
        outbox = Outbox(hub.settings.outbox, hub.fanout.queue, write)
        return self.converse(outbox, self._connection), outbox

    def hold(self) -> None:
        self._factory.hub.fanout.hold()

    def release(self) -> None:
        self._factory.hub.fanout.release()

    def entry_timeout(self) -> float:
        return self._factory.entry_timeout

    def throttled(self) -> None:
        self._factory.counters.events["throttled"] += 1

    def why_lost(self, reason: Failure) -> str:
        connection = self._connection
        return lost_by(None if connection is None else connection.ended, reason)

    def refusal(self, reason: Refusal) -> bytes:
        return self._factory.refusal(reason)

    def farewell(self, reason: End) -> bytes:
        """See :class:`tcpd.interfaces.IFarewell`: flush the outbox, and send the reason."""
        waiting = self._outbox.take()
        session = self._session
        self.finish()
        if session is None:
            return waiting
        words: bytes = session.last_words(reason)
        self.leave_for(ended_for(reason))
        return waiting + words

    def cut(self) -> None:
        """Reset the connection of a client that does not read."""
        self.finish()
        connection = self._connection
        person = getattr(self._session, "person", None)
        catalogue.CHAT_MEMBER_DROPPED.emit(
            self._log,
            service=self._factory.service,
            nick=person.nick if person is not None else "",
            peer=connection.peer if connection is not None else "",
        )
        if connection is not None:
            connection.end(End.SLOW_READER)
        else:
            transport: Any = self.transport
            transport.abortConnection()


class ChatFactory(protocol.Factory):
    """State that the connections of one frontend service share.

    :param context: see :class:`tcpd.interfaces.IContext`.

    :ivar rate: the rate of lines from a client; ``None`` for no limit.
    :ivar entry_timeout: the seconds that a client has to enter; 0 for no limit.
    :ivar line_bytes: the longest line, without its end.
    :ivar no_method_is_a_name: whether a client never opens with a word like HTTP's methods.
    """

    noisy = False
    line_bytes = 0
    no_method_is_a_name = False
    rate: Rate | None
    entry_timeout: float

    @abstractmethod
    def refusal(self, reason: Refusal) -> bytes:
        """See :class:`tcpd.interfaces.IRefusing`."""

    def __init__(self, context: IContext) -> None:
        self.clock: IReactorTime = context.clock
        self.work: WorkQueue = context.work
        self.service: str = context.service
        chat: ChatService = context.chat
        self.hub: Hub = chat.hub
        self.server_name: str = context.server_name
        self.counters: ServiceCounters = context.counters
