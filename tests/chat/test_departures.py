"""Clients that leave, or are dropped, by the thousand: from the queue of work, in batches."""

from __future__ import annotations

from typing import Any

from chat.doubles import Chat
from chat.event_logs import on_the_local_log
from chat.irc_chat import IrcChat
from chat.text_chat import Busy
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from tcpd.chat.departures import Departures
from tcpd.chat.people import Profile
from tcpd.chat.service import ChatService
from tcpd.chat.settings import ChatSettings
from tcpd.events.chat import Event, Quit
from tcpd.net.turns import work_queue
from tcpd.policy.workqueue import SECONDS_A_TURN


class Sending:
    """A fan-out that records when it holds events back."""

    def __init__(self, done: list[Any]) -> None:
        self.hold = lambda: done.append("hold")
        self.release = lambda: done.append("release")


def departures(clock: Clock) -> tuple[Departures, list[Any]]:
    done: list[Any] = []
    fanout: Any = Sending(done)
    return Departures(work_queue(clock), clock.seconds, lambda: fanout), done


def test_they_are_done_in_order_and_sent_together() -> None:
    clock = Clock()
    source, done = departures(clock)
    for number in range(3):
        source.later(lambda number=number: done.append(number))
    assert done == [], "not within the call"
    clock.advance(0)
    assert done == ["hold", 0, 1, 2, "release"]


def test_a_batch_ends_with_its_time() -> None:
    """'No further one after the deadline.'"""
    clock = Clock()
    source, done = departures(clock)

    def act(number: int) -> None:
        done.append(number)
        clock.rightNow += SECONDS_A_TURN / 2

    for number in range(3):
        source.later(lambda number=number: act(number))
    clock.advance(0)
    assert done == ["hold", 0, 1, "release", "hold", 2, "release"]


def test_a_failure_costs_no_other(logged_failures: Any) -> None:
    clock = Clock()
    source, done = departures(clock)
    source.later(lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    source.later(lambda: done.append("next"))
    clock.advance(0)
    assert done == ["hold", "next", "release"]
    logged_failures.expect("ZeroDivisionError")


@on_the_local_log
def test_they_have_their_turn_behind_the_work_of_others(log_kind: str) -> None:
    """Many who leave take no time from a turn that has none left."""
    chat = IrcChat()
    bob, ann = (chat.irc_client(nick, joined="#tea") for nick in ("bob", "ann"))
    bob.lines()
    chat.context.work.run(Busy(chat.clock))
    ann.protocol.readConnectionLost()
    ann.lose()
    assert chat.hub.person("ann") is not None
    assert bob.lines() == [":ann!~ann@localhost QUIT :Connection closed"]
    assert chat.hub.person("ann") is None


def test_a_nickname_is_free_when_the_quit_was_sent() -> None:
    chat = IrcChat()
    bob, ann = (chat.irc_client(nick, joined="#tea") for nick in ("bob", "ann"))
    bob.lines()
    ann.lose()
    assert bob.lines() == [":ann!~ann@localhost QUIT :Connection closed"]
    again = chat.irc_client("ann")
    assert not again.closed
    assert again.lines() == []


def test_who_is_dropped_is_told_of_once() -> None:
    """A client whose outbox is full when many things are sent to it."""
    chat = IrcChat(bounds={"outbox": 4096})
    bob, ann, cat = (chat.irc_client(nick, joined="#tea") for nick in ("bob", "ann", "cat"))
    for client in (bob, ann, cat):
        client.lines()
    ann.protocol.pauseProducing()
    for _ in range(20):
        bob.send(f"PRIVMSG #tea :{'x' * 400}")
    quits = [line for line in cat.lines() if " QUIT " in line]
    assert quits == [":ann!~ann@localhost QUIT :SendQ exceeded"]
    assert chat.hub.counters.dropped == 1


class Recording:
    """See :class:`tcpd.eventlog.log.EventLog`."""

    def __init__(self) -> None:
        self.entries: list[Event | str] = []

    def start(self, deliver: Any) -> None:
        self._deliver = deliver

    def append(self, event: Event) -> None:
        self.entries.append(event)
        self._deliver(event)

    def stop(self) -> Deferred[None]:
        self.entries.append("stop")
        return succeed(None)


def test_those_who_left_before_the_stop_are_in_the_log() -> None:
    """'Fires when all events are delivered and kept.'"""
    clock, log = Clock(), Recording()
    chat = ChatService(
        ChatSettings(), "node", "boot", lambda: 0.0, clock, log=log, work=work_queue(clock)
    )
    chat.startService()
    double = Chat()
    client = double.client()
    assert chat.hub.enter(client, "ann", Profile()) is None
    chat.hub.leave(client, "gone")
    assert not any(isinstance(each, Quit) for each in log.entries)
    stopped: list[None] = []
    chat.stopService().addCallback(stopped.append)
    *_, quit, stop = log.entries
    assert isinstance(quit, Quit)
    assert (quit.actor.nick, stop, stopped) == ("ann", "stop", [None])
