"""Requests complete whatever happens, and what a client is sent keeps its order."""

from __future__ import annotations

from typing import Any

import pytest
from chat.doubles import Chat, RecordingClient
from chat.event_logs import HeldLog
from chat.irc_chat import IrcChat, IrcTestClient, command
from chat.transports import over_tcp
from twisted.internet.defer import fail

from tcpd.chat.irc.dispatch import IrcConversation
from tcpd.chat.people import Profile
from tcpd.chat.refused import Code, Refused
from tcpd.chat.reply import Reply
from tcpd.eventlog.local import LocalLog
from tcpd.events.chat import Event, EventId, Identity, RoomMessage


class Asking:
    """A reply, and what was asked for and answered so far."""

    def __init__(self, client: RecordingClient) -> None:
        self.reply = Reply(client)
        self.answered: list[Any] = []

    def ask(self, name: Any, verb: Any, *arguments: Any, then: Any = lambda: None) -> None:
        def answered() -> None:
            self.answered.append(name)
            then()

        def refused(refused: Refused) -> None:
            self.answered.append((name, refused.code))

        self.reply.ask(verb, *arguments, refused=refused, then=answered)


def test_what_an_answer_asks_for_is_not_lost() -> None:
    """'Several things are asked for one after the other.'"""
    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    log.settle()
    asking, hub = Asking(ann), chat.hub

    def more() -> None:
        asking.ask("third", hub.join, "#b")
        asking.ask("fourth", hub.join, "#c")

    asking.ask("first", hub.join, "#a")
    asking.ask("second", hub.join, "#a", then=more)
    asking.ask("last", hub.join, "#d")
    asking.reply.end()
    log.settle()
    assert asking.answered == ["first", "second", "third", "fourth", "last"]
    assert asking.reply.is_complete


def test_a_verb_that_fails_later_does_not_keep_its_request_open(logged_failures: Any) -> None:
    """'What fails in that is logged, and the next thing is asked for.'"""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    log.settle()
    asking = Asking(ann)
    asking.ask("first", chat.hub.join, "#a")
    asking.ask("broken", broken)
    asking.ask("last", chat.hub.join, "#b")
    asking.reply.end()
    log.settle()
    logged_failures.expect("a bug")
    assert asking.answered == ["first", "last"]
    assert asking.reply.is_complete


def test_a_request_whose_answer_fails_is_complete(logged_failures: Any) -> None:
    """'Deliver does not raise.'"""

    def broken() -> None:
        raise RuntimeError("a bug")

    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    log.settle()
    asking = Asking(ann)
    asking.ask("first", chat.hub.join, "#a", then=broken)
    asking.reply.end()
    log.settle()
    logged_failures.expect("a bug")
    assert asking.reply.is_complete


def test_a_rendering_that_fails_keeps_no_request_open(
    monkeypatch: pytest.MonkeyPatch, logged_failures: Any
) -> None:
    """'Our bug, which costs neither the log nor who waits for it.'"""

    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    log.settle()
    asking = Asking(ann)
    asking.ask("first", chat.hub.join, "#a")
    asking.ask("second", chat.hub.join, "#b")
    asking.reply.end()
    with monkeypatch.context() as patch:
        patch.setattr(chat.hub.fanout, "send", broken)
        log._deliver(log.queue.popleft())
    logged_failures.expect("a bug")
    log.settle()
    assert asking.answered == ["second"]
    assert asking.reply.is_complete


def test_a_history_that_cannot_be_read_is_answered_once(
    monkeypatch: pytest.MonkeyPatch, logged_failures: Any
) -> None:
    """'A completion is called once.'"""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    monkeypatch.setattr(chat.history, "find", lambda *_: fail(OSError("a broken disk")))
    asking = Asking(ann)
    asking.ask("redact", chat.hub.redact, "#tea", "some-msg-id")
    logged_failures.expect("a message could not be looked up")
    assert asking.answered == [("redact", Code.NO_SUCH_MESSAGE)]
    assert not asking.reply.is_complete, "the command has not returned"
    asking.reply.end()
    assert asking.reply.is_complete


def test_a_delivery_that_fails_keeps_no_other_back() -> None:
    """'A log delivers each event once, one after the other.'"""
    log, delivered = LocalLog(), []
    first, second, third = (_event(number) for number in (1, 2, 3))

    def deliver(event: Event) -> None:
        delivered.append(event)
        if event is first:
            log.append(second)
            raise RuntimeError("a bug")

    log.start(deliver)
    with pytest.raises(RuntimeError, match="a bug"):
        log.append(first)
    log.append(third)
    assert delivered == [first, second, third]


def _event(number: int) -> Event:
    return Event(EventId("n", "b", number), 1.0, Identity("i", "ann"))


LONG = "x" * 17_000


@over_tcp("a message that is too long closes a WebSocket")
@pytest.mark.parametrize("end", ["QUIT", LONG, None])
def test_own_words_come_before_the_end(end: str | None) -> None:
    """'All answers and their order are as with the local log': the echo, then ERROR."""
    chat = IrcChat()
    ann = chat.irc_client("ann", "echo-message", joined="#tea")
    ann.protocol.dataReceived(
        b"PRIVMSG #tea :hi\r\n" + (b"" if end is None else end.encode() + b"\r\n")
    )
    if end is None:
        ann.protocol.readConnectionLost()
    assert [command(line) for line in ann.lines()] == ["PRIVMSG", "ERROR"]


def held(*nicks: str) -> tuple[HeldLog, list[IrcTestClient]]:
    """A chat whose log delivers when a test says so, and clients with echo-message in #tea and
    #pot."""
    chat = IrcChat()
    clients = [chat.irc_client(nick, "echo-message", joined="#tea,#pot") for nick in nicks]
    for client in clients:
        client.lines()
    log = HeldLog()
    log.start(chat.hub.deliver)
    chat.hub._log = log
    return log, clients


def test_a_refusal_of_what_ran_ahead_stands_in_its_place() -> None:
    """'Everything that a client is sent is as with the local log.'"""
    log, (ann, bob) = held("ann", "bob")
    ann.protocol.dataReceived(b"KICK #tea bob\r\n")
    bob.protocol.dataReceived(b"PRIVMSG #tea :one\r\nPRIVMSG #pot :two\r\n")
    log.settle()
    assert bob.numerics() == ["KICK", "404", "PRIVMSG"]


def test_what_a_client_has_not_asked_for_does_not_wait_behind_a_long_reply() -> None:
    """It goes to the outbox, which is bounded."""
    chat = IrcChat()
    ann, bob = chat.irc_client("ann"), chat.irc_client("bob", joined="#tea")
    ann.protocol.pauseProducing()
    session = ann.session
    assert isinstance(session, IrcConversation)
    session.stream(b"x" * 100 + b"\r\n" for _ in range(1000))
    before = session.outbox.size
    for _ in range(3):
        bob.send("INVITE ann #tea")
    assert session.outbox.size > before
    while not session.gone:
        assert session.outbox.size <= session.outbox.limit
        bob.send(*["INVITE ann #tea"] * 100)


def test_very_many_long_replies_come_one_after_the_other() -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann")
    session = ann.session
    assert isinstance(session, IrcConversation)
    ann.protocol.pauseProducing()
    session.stream(b"%099d\r\n" % number for number in range(500))
    for number in range(500, 3000):
        session.stream((b"%099d\r\n" % number,))
    ann.protocol.resumeProducing()
    while session.streaming:
        chat.settle()
    assert [int(line) for line in ann.lines()] == list(range(3000))


def test_who_attaches_is_not_sent_what_was_said_before() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    laptop = chat.client()
    chat.hub.fanout.hold()
    chat.hub.say(bob, "#tea", "before")
    chat.hub.attach(laptop, ann.who)
    chat.hub.say(bob, "#tea", "after")
    chat.hub.fanout.release()
    texts = [event.text for event in chat.news(laptop) if isinstance(event, RoomMessage)]
    assert texts == ["after"]
