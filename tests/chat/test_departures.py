"""Quits of clients that left or were dropped: in batches from the work queue."""

from __future__ import annotations

from typing import Any

from chat.doubles import Busy, Chat
from chat.event_logs import RecordingLog, on_the_local_log
from chat.irc_chat import IrcChat
from twisted.internet.task import Clock

from tcpd.chat.departures import Departures
from tcpd.chat.people import Profile
from tcpd.chat.service import ChatService
from tcpd.chat.settings import ChatSettings
from tcpd.events.chat import Quit
from tcpd.net.turns import work_queue
from tcpd.policy.workqueue import SECONDS_A_TURN


class RecordingFanout:
    """A fan-out that records hold and release."""

    def __init__(self, done: list[Any]) -> None:
        self.hold = lambda: done.append("hold")
        self.release = lambda: done.append("release")


def departures(clock: Clock) -> tuple[Departures, list[Any]]:
    done: list[Any] = []
    fanout: Any = RecordingFanout(done)
    return Departures(work_queue(clock), clock.seconds, lambda: fanout), done


def test_departures_run_in_order_and_are_sent_together() -> None:
    clock = Clock()
    source, done = departures(clock)
    for number in range(3):
        source.later(lambda number=number: done.append(number))
    assert done == [], "not within the call"
    clock.advance(0)
    assert done == ["hold", 0, 1, 2, "release"]


def test_batch_ends_at_its_deadline() -> None:
    clock = Clock()
    source, done = departures(clock)

    def act(number: int) -> None:
        done.append(number)
        clock.rightNow += SECONDS_A_TURN / 2

    for number in range(3):
        source.later(lambda number=number: act(number))
    clock.advance(0)
    assert done == ["hold", 0, 1, "release", "hold", 2, "release"]


def test_failure_does_not_affect_other_departures(logged_failures: Any) -> None:
    clock = Clock()
    source, done = departures(clock)
    source.later(lambda: 1 // 0)  # type: ignore[arg-type,return-value]
    source.later(lambda: done.append("next"))
    clock.advance(0)
    assert done == ["hold", "next", "release"]
    logged_failures.expect("ZeroDivisionError")


@on_the_local_log
def test_departures_wait_for_a_turn_with_time_left(log_kind: str) -> None:
    chat = IrcChat()
    bob, ann = (chat.irc_client(nick, joined="#tea") for nick in ("bob", "ann"))
    bob.lines()
    chat.context.work.run(Busy(chat.clock))
    ann.protocol.readConnectionLost()
    ann.lose()
    assert chat.hub.person("ann") is not None
    assert bob.lines() == [":ann!~ann@localhost QUIT :Connection closed"]
    assert chat.hub.person("ann") is None


def test_nickname_is_free_when_its_quit_is_sent() -> None:
    chat = IrcChat()
    bob, ann = (chat.irc_client(nick, joined="#tea") for nick in ("bob", "ann"))
    bob.lines()
    ann.lose()
    assert bob.lines() == [":ann!~ann@localhost QUIT :Connection closed"]
    again = chat.irc_client("ann")
    assert not again.closed
    assert again.lines() == []


def test_quit_of_a_dropped_client_is_sent_once() -> None:
    """The outbox of the client overflows at each of several messages."""
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


def test_pending_quits_are_logged_before_the_stop() -> None:
    """:meth:`tcpd.chat.service.ChatService.stopService` fires when all events are delivered."""
    clock, log = Clock(), RecordingLog()
    chat = ChatService(
        ChatSettings(), "node", "boot", lambda: 0.0, clock, log=log, work=work_queue(clock)
    )
    chat.startService()
    double = Chat()
    client = double.client()
    assert chat.hub.enter(client, "ann", Profile()) is None
    chat.hub.leave(client, "gone")
    assert not any(isinstance(event, Quit) for event in log.events)
    stopped: list[None] = []
    chat.stopService().addCallback(stopped.append)
    assert stopped == [None]
    assert log.events_at_stop == log.events
    assert isinstance(log.events[-1], Quit)
    assert log.events[-1].actor.nick == "ann"
