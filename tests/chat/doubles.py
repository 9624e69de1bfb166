"""Doubles for tests of chat: recording clients, a hub on a clock, a service's context, threads."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.chat.hub import Hub
from tcpd.chat.outbox import FlushQueue, Outbox
from tcpd.chat.people import Client, Person, Profile
from tcpd.chat.refused import Code, Refused
from tcpd.chat.reply import ChatReply
from tcpd.chat.service import ChatService
from tcpd.chat.settings import ChatSettings
from tcpd.chat.state import ChatState
from tcpd.eventlog.local import LocalLog
from tcpd.events.chat import Change, Event, Identity, Killed, RoomMessage
from tcpd.handshake.facts import Facts
from tcpd.interfaces import IConnection, IContext
from tcpd.net.directory import ServiceEntry
from tcpd.ops.counters import ChatCounters, ServiceCounters
from tcpd.policy.reasons import End, Refusal
from tcpd.policy.workqueue import WorkQueue
from tcpd.store.history import HistoryStore, Selector
from tcpd.store.memory import HistoryLimits, MemoryHistory

T = TypeVar("T")


class LateHistory(MemoryHistory):
    """A history that answers later, as one on a disk does.

    :ivar delay: in seconds.
    """

    delay = 0.01

    def __init__(self, clock: Clock) -> None:
        super().__init__(HistoryLimits(100, 1 << 20, 1 << 20), {"room": 0, "all": 0})
        self._clock = clock

    def page(self, room: str, selector: Selector) -> Deferred[Sequence[RoomMessage]]:
        return self._later(super().page(room, selector))

    def find(self, room: str, msgid: str) -> Deferred[RoomMessage | None]:
        return self._later(super().find(room, msgid))

    def _later(self, found: Deferred[T]) -> Deferred[T]:
        answer: Deferred[T] = Deferred()
        self._clock.callLater(self.delay, found.chainDeferred, answer)
        return answer


class RecordingFormat:
    """Renders an event as its msgid.

    :ivar events: the rendered events, by rendering.
    :ivar rendered: the events in the order of calls.
    """

    def __init__(self) -> None:
        self.events: dict[bytes, Event] = {}
        self.rendered: list[Event] = []

    def render(self, event: Event) -> bytes:
        self.rendered.append(event)
        data = str(event.id).encode() + b"\n"
        self.events[data] = event
        return data


SLOW = "was too slow"


class RecordingClient(Client):
    """A client that records its calls. It has the attributes of its person, too."""

    slow = SLOW

    def __init__(self, outbox: Outbox, format: RecordingFormat, echo: bool) -> None:
        super().__init__(outbox, format)
        self.echo = echo
        self.own: list[Event] = []
        self.presence: list[str] = []
        self.ended: list[str] = []
        self.refusals: list[tuple[Event, Refused]] = []
        self.drops = 0
        self.react: Callable[[Event], None] = lambda event: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.who, name)

    @property
    def who(self) -> Person:
        """The person of the client, even after it has left."""
        assert self.person is not None
        return self.person

    def completed(self, reply: ChatReply) -> None:
        """No request is awaited."""

    def happened(self, event: Event, reply: Any) -> None:
        self.own.append(event)
        self.react(event)

    def appeared(self, who: Identity) -> None:
        self.presence.append(f"+{who.nick}")

    def vanished(self, nick: str) -> None:
        self.presence.append(f"-{nick}")

    def refused(self, event: Event, refused: Refused) -> None:
        self.refusals.append((event, refused))

    def killed(self, event: Killed, reply: Any) -> None:
        self.ended.append(event.reason)

    def dropped(self) -> None:
        self.drops += 1


def set_mode(hub: Hub, client: Client, letter: str, on: bool = True) -> None:
    """Set a mode of a client's person, or remove it."""
    hub.set_user_modes(client, letter if on else "", "" if on else letter)


def change_modes(
    hub: Hub, client: Client, name: str, changes: Sequence[Change]
) -> list[Refused] | Refused:
    """Change modes.

    :return: the refusal of all changes, or the refusals of single ones.
    """
    refusals: list[Refused] = []
    return hub.change_modes(client, name, changes, refusals=refusals) or refusals


def refusal_code(answer: Refused | Sequence[Refused] | None) -> Code | None:
    """The code of the only refusal in an answer of the hub; ``None`` if there is none."""
    if isinstance(answer, Sequence):
        (answer,) = answer or [None]
    if answer is None:
        return None
    assert answer.sentence
    assert not answer.sentence.endswith(".")
    return answer.code


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def snapshot(state: ChatState) -> dict[str, Any]:
    """Return all data of the state except clients and caches."""
    return {
        "people": [
            (
                *(person.identity, person.key, person.real_name, person.address, person.secure),
                *(person.since, person.spoke, person.away, person.invisible),
                *(person.server_operator, person.announcements, list(person.rooms)),
            )
            for person in state.people.values()
        ],
        "nicks": {key: person.id for key, person in state.nicks.items()},
        "rooms": [
            (
                *(room.name, key, room.is_lobby, room.created, room.topic, room.modes),
                [(person.id, int(ranks)) for person, ranks in room.members.items()],
                {mode: list(listed.values()) for mode, listed in room.lists.items()},
                *(list(room.invited), room.unrestricted),
            )
            for key, room in state.rooms.items()
        ],
        "counts": (state.listed, state.invisible, state.server_operators),
        "whowas": {nick: state.whowas.of(nick) for nick in ("ann", "bob", "ольга")},
    }


def kept_messages(history: HistoryStore, room: str) -> Sequence[RoomMessage]:
    """The history of a room, oldest first."""
    pages: list[Sequence[RoomMessage]] = []
    history.page(room, Selector.latest(1000)).addCallback(pages.append)
    return pages[0]


class Chat:
    """A hub, its clock, and recording clients.

    :param log: the event log; by default the local one.
    """

    def __init__(self, log: Any = None, node: str = "node", **bounds: Any) -> None:
        self.now = 1_000_000.0
        self.clock = Clock()
        self.format = RecordingFormat()
        self.flushes: list[FlushQueue] = []
        self.queue = FlushQueue(self.flushes.append)
        settings = ChatSettings(**bounds)
        counters = ChatCounters()
        limits = HistoryLimits(
            settings.history_kept, settings.history_bytes, settings.history_in_all
        )
        self.history = MemoryHistory(limits, counters.forgotten)
        self.log = LocalLog() if log is None else log
        self.hub = Hub(
            settings,
            log=self.log,
            history=self.history,
            queue=self.queue,
            node=node,
            boot="boot",
            wall_clock=lambda: self.now,
            clock=lambda: self.now,
            counters=counters,
            report=Logger().failure,
            secret=bytes(32),
        )
        self.log.start(self.hub.deliver)
        self.sent: dict[Client, list[bytes]] = {}

    def client(self, echo: bool = False) -> RecordingClient:
        """A client that is not registered."""
        written: list[bytes] = []
        outbox = Outbox(self.hub.settings.outbox, self.queue, written.append)
        client = RecordingClient(outbox, self.format, echo)
        self.sent[client] = written
        return client

    def enter(
        self, nick: str, *rooms: str, address: str | None = None, echo: bool = False, **more: Any
    ) -> RecordingClient:
        """A client that is registered, and has joined rooms."""
        where = None if address is None else ipaddress.ip_address(address)
        client = self.client(echo)
        refused = self.hub.enter(client, nick, Profile(address=where, **more))
        assert refused is None, refused
        for room in rooms:
            assert self.hub.join(client, room) is None
        return client

    def flush(self) -> None:
        """End reactor turns until no flush is scheduled."""
        while self.flushes:
            self.flushes.pop(0).flush()

    def all_events(self, client: Client) -> list[Event]:
        """The events that a client has received since they were last taken."""
        self.flush()
        data = b"".join(self.sent[client])
        return [self.format.events[line] for line in data.splitlines(keepends=True)]

    def new_events(self, client: Client) -> list[Event]:
        """Take the events that a client has received since the last call."""
        found = self.all_events(client)
        self.sent[client].clear()
        return found

    def kept_messages(self, room: str) -> Sequence[RoomMessage]:
        """The history of a room, oldest first."""
        return kept_messages(self.history, room)


@implementer(IContext)
class PlainContext:
    """The context of a service, with plain attributes."""

    def __init__(self, chat: ChatService, clock: Clock, work: WorkQueue) -> None:
        self.service = "chat"
        self.clock = self.reactor = clock
        self.wall_clock = chat.hub.wall_clock
        self.server_name = "chat.example.net"
        self.started = 0.0
        self.chat = chat
        self.work = work
        self.counters = ServiceCounters()
        self.reloads: list[Any] = []
        self.reload = self.reloads.append

        self.services: list[ServiceEntry] = []

    def directory(self) -> list[ServiceEntry]:
        return self.services


class Busy:
    """Work that uses up the time of a turn."""

    share = "busy"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def work(self, deadline: float) -> bool:
        self._clock.rightNow += 1.0
        return False


@implementer(IReactorThreads)
class Threads:
    """The threads of a reactor. Their work is done when the clock advances."""

    def __init__(self, clock: Clock) -> None:
        self.callFromThread = partial(clock.callLater, 0)
        self.callLater = clock.callLater
        self.seconds = clock.seconds

    # the interface has these two; deferToThreadPool needs neither

    def callInThread(self, *arguments: Any) -> None:
        raise NotImplementedError

    def suggestThreadPoolSize(self, size: int) -> None:
        raise NotImplementedError

    def getThreadPool(self) -> Threads:
        return self

    def callInThreadWithCallback(self, result_to: Any, call: Any, *arguments: Any) -> None:
        try:
            result = True, call(*arguments)
        except Exception:
            result = False, Failure()
        self.callFromThread(result_to, *result)


@implementer(IConnection)
class ConnectionTransport(StringTransport):
    """A transport with what the frontends use of :class:`tcpd.interfaces.IConnection`.

    :param facts: the facts of the connection.
    :param proxy: the PROXY header, if there was one.

    :ivar ends: the reasons of calls of ``end``.
    :ivar refusals: the reasons of calls of ``refuse``.
    :ivar replaced: the addresses of calls of ``replace_address``.
    :ivar failures: the arguments of calls of ``log_and_abort``.
    """

    peer = "192.0.2.1:4711"
    ended = None

    def __init__(
        self,
        address: str | None = None,
        tls: bool = False,
        proxy: Any = None,
        facts: Facts | None = None,
    ) -> None:
        super().__init__()
        self.address = address and ipaddress.ip_address(address)
        self.tls = object() if tls else None
        self.proxy = proxy
        self.ends: list[End] = []
        self.refusals: list[Refusal] = []
        self.replaced: list[str] = []
        self.failures: list[str] = []
        self._facts = facts or Facts()

    def facts(self) -> Facts:
        return self._facts

    def end(self, reason: End) -> None:
        self.ends.append(reason)

    def refuse(self, reason: Refusal) -> None:
        self.refusals.append(reason)

    def replace_address(self, address: Any) -> Refusal | None:
        self.replaced.append(str(address))
        return None

    def log_and_abort(self, doing: str) -> None:
        self.failures.append(doing)
