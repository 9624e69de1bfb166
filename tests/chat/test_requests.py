"""Requests: each completes, whatever fails, and its output keeps its order."""

from __future__ import annotations

from typing import Any

import pytest
from chat.doubles import Chat, LateHistory, RecordingClient
from chat.event_logs import HeldLog
from chat.irc_chat import IrcChat, IrcTestClient, command, tags
from chat.transports import over_tcp
from twisted.internet.defer import fail
from twisted.internet.task import Clock

from tcpd.chat.irc.dispatch import IrcConversation
from tcpd.chat.people import Profile
from tcpd.chat.refused import Code, Refused
from tcpd.chat.reply import ChatReply
from tcpd.eventlog.local import LocalLog
from tcpd.events.chat import Event, EventId, Identity, RoomMessage


class RecordingReply:
    """A reply that records what was answered."""

    def __init__(self, client: RecordingClient) -> None:
        self.reply = ChatReply(client)
        self.answered: list[Any] = []

    def ask(self, name: Any, verb: Any, *arguments: Any, then: Any = lambda: None) -> None:
        def answered() -> None:
            self.answered.append(name)
            then()

        def refused(refused: Refused) -> None:
            self.answered.append((name, refused.code))

        self.reply.ask(verb, *arguments, refused=refused, then=answered)


def test_requests_made_by_a_callback_run_in_order() -> None:
    """:meth:`tcpd.chat.reply.ChatReply.ask`: requests run one after the other."""
    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    log.deliver_all()
    asking, hub = RecordingReply(ann), chat.hub

    def more() -> None:
        asking.ask("third", hub.join, "#b")
        asking.ask("fourth", hub.join, "#c")

    asking.ask("first", hub.join, "#a")
    asking.ask("second", hub.join, "#a", then=more)
    asking.ask("last", hub.join, "#d")
    asking.reply.end()
    log.deliver_all()
    assert asking.answered == ["first", "second", "third", "fourth", "last"]
    assert asking.reply.is_complete


def test_verb_that_raises_later_does_not_stop_the_request(logged_failures: Any) -> None:
    """:meth:`tcpd.chat.reply.ChatReply.ask`: the failure is logged, and the next request runs."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    log.deliver_all()
    asking = RecordingReply(ann)
    asking.ask("first", chat.hub.join, "#a")
    asking.ask("broken", broken)
    asking.ask("last", chat.hub.join, "#b")
    asking.reply.end()
    log.deliver_all()
    logged_failures.expect("a bug")
    assert asking.answered == ["first", "last"]
    assert asking.reply.is_complete


def test_request_whose_callback_raises_completes(logged_failures: Any) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    log.deliver_all()
    asking = RecordingReply(ann)
    asking.ask("first", chat.hub.join, "#a", then=broken)
    asking.reply.end()
    log.deliver_all()
    logged_failures.expect("a bug")
    assert asking.reply.is_complete


def test_request_completes_if_rendering_raises(
    monkeypatch: pytest.MonkeyPatch, logged_failures: Any
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug")

    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    log.deliver_all()
    asking = RecordingReply(ann)
    asking.ask("first", chat.hub.join, "#a")
    asking.ask("second", chat.hub.join, "#b")
    asking.reply.end()
    with monkeypatch.context() as patch:
        patch.setattr(chat.hub.fanout, "send", broken)
        log.deliver_next()
    logged_failures.expect("a bug")
    log.deliver_all()
    assert asking.answered == ["second"]
    assert asking.reply.is_complete


def test_failed_history_lookup_is_answered_once(
    monkeypatch: pytest.MonkeyPatch, logged_failures: Any
) -> None:
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    monkeypatch.setattr(chat.history, "find", lambda *_: fail(OSError("a broken disk")))
    asking = RecordingReply(ann)
    asking.ask("redact", chat.hub.redact, "#tea", "some-msg-id")
    logged_failures.expect("a message could not be looked up")
    assert asking.answered == [("redact", Code.NO_SUCH_MESSAGE)]
    assert not asking.reply.is_complete, "the command has not returned yet"
    asking.reply.end()
    assert asking.reply.is_complete


def chat_with_late_history() -> IrcChat:
    clock = Clock()
    return IrcChat(clock=clock, history=LateHistory(clock), bounds={"history_shown": 10})


def answer(chat: IrcChat) -> None:
    """Run turns until the history has answered."""
    chat.clock.advance(LateHistory.delay)
    chat.settle()


def test_no_line_overtakes_a_page_of_the_history() -> None:
    """docs/explanation/structure.rst: "A request is complete before the next line is taken." """
    chat = chat_with_late_history()
    bob = chat.text_client("bob")
    answer(chat)
    bob.type("hello")
    ann = chat.text_client("ann")
    assert "  Said before in #lobby (times are UTC):" not in ann.screen()
    answer(chat)
    assert "  Said before in #lobby (times are UTC):" in ann.screen()
    ann.send(b"/history 5\r\n/who\r\n")
    chat.deliver()
    assert ann.screen() == []
    answer(chat)
    page, said, who = ann.screen()
    assert page == "  Said before in #lobby (times are UTC):"
    assert said.endswith("<bob> hello")
    assert who == "  In #lobby (2): bob, ann"


@pytest.mark.parametrize("exists", [True, False])
def test_no_line_overtakes_a_lookup_in_the_history(exists: bool) -> None:
    """docs/explanation/structure.rst: "A request is complete before the next line is taken." """
    chat = chat_with_late_history()
    ann = chat.irc_client(
        "ann", "echo-message", "message-tags", "draft/message-redaction", joined="#tea"
    )
    [echo] = ann.send("PRIVMSG #tea :oops")
    msgid = tags(echo)["msgid"] if exists else "unknown"
    assert ann.send(f"REDACT #tea {msgid}", "PING x") == []
    answer(chat)
    assert ann.numerics() == ["REDACT" if exists else "FAIL", "PONG"]


def test_delivery_that_raises_does_not_block_the_log() -> None:
    """:class:`tcpd.eventlog.log.EventLog`: each event is delivered once, one after the other."""
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
def test_echo_precedes_the_error_of_a_close(end: str | None) -> None:
    chat = IrcChat()
    ann = chat.irc_client("ann", "echo-message", joined="#tea")
    ann.protocol.dataReceived(
        b"PRIVMSG #tea :hi\r\n" + (b"" if end is None else end.encode() + b"\r\n")
    )
    if end is None:
        ann.protocol.readConnectionLost()
    assert [command(line) for line in ann.lines()] == ["PRIVMSG", "ERROR"]


def clients_on_held_log(*nicks: str) -> tuple[HeldLog, list[IrcTestClient]]:
    """Clients with echo-message in #tea and #pot, on a log that is held from now on."""
    log = HeldLog(holding=False)
    chat = IrcChat(log=log)
    clients = [chat.irc_client(nick, "echo-message", joined="#tea,#pot") for nick in nicks]
    for client in clients:
        client.lines()
    log.holding = True
    return log, clients


def test_refusal_of_a_message_sent_ahead_keeps_its_place() -> None:
    log, (ann, bob) = clients_on_held_log("ann", "bob")
    ann.protocol.dataReceived(b"KICK #tea bob\r\n")
    bob.protocol.dataReceived(b"PRIVMSG #tea :one\r\nPRIVMSG #pot :two\r\n")
    log.deliver_all()
    assert bob.numerics() == ["KICK", "404", "PRIVMSG"]


def test_unsolicited_lines_do_not_wait_for_a_long_reply() -> None:
    """Unsolicited lines go to the outbox, which is bounded."""
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


def test_many_long_replies_are_sent_in_order() -> None:
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


def test_attached_client_is_not_sent_earlier_messages() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    laptop = chat.client()
    chat.hub.fanout.hold()
    chat.hub.say(bob, "#tea", "before")
    chat.hub.attach(laptop, ann.who)
    chat.hub.say(bob, "#tea", "after")
    chat.hub.fanout.release()
    texts = [event.text for event in chat.new_events(laptop) if isinstance(event, RoomMessage)]
    assert texts == ["after"]
