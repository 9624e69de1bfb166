"""The hub's rules, by plain members that remember what they were sent."""

from __future__ import annotations

import dataclasses

import pytest
from chat.doubles import SLOW, Chat, RecordingClient, RecordingFormat
from chat.event_logs import HeldLog
from twisted.internet.task import Clock

from tcpd.chat.hub import Hub
from tcpd.chat.people import Profile
from tcpd.chat.refused import Code, Refused
from tcpd.chat.reply import Reply
from tcpd.chat.service import ChatService
from tcpd.chat.settings import REASON_BYTES, TOPIC_BYTES, ChatSettings
from tcpd.chat.split import room_for
from tcpd.events.chat import (
    Event,
    Joined,
    Kicked,
    Kind,
    ModesChanged,
    NickChanged,
    Parted,
    PrivateMessage,
    Quit,
    RoomMessage,
    TopicChanged,
)


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


def refused(code: Code, answer: object) -> None:
    assert isinstance(answer, Refused), answer
    assert answer.code is code
    assert answer.sentence
    assert not answer.sentence.endswith(".")


def test_two_people_talk() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#lobby"), chat.enter("bob", "#lobby")
    assert chat.hub.say(ann, "#lobby", "hello") is None
    assert chat.hub.say(bob, "#LOBBY", "waves", Kind.ACTION) is None
    *_, said = chat.seen(bob)
    assert isinstance(said, RoomMessage)
    assert (said.actor, said.room, said.text, said.kind) == (
        ann.identity,
        "#lobby",
        "hello",
        Kind.MESSAGE,
    )
    assert said.time == chat.now
    assert kinds(chat.seen(ann)) == [Joined, Joined, RoomMessage]


def test_own_words_come_back_only_to_who_wants_them() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby", echo=True)
    bob = chat.enter("bob", "#lobby")
    chat.hub.say(ann, "#lobby", "hello")
    chat.hub.say(bob, "#lobby", "hello")
    assert kinds(chat.seen(ann)) == [Joined, Joined, RoomMessage, RoomMessage]
    assert kinds(chat.seen(bob)) == [Joined, RoomMessage]


def test_an_event_is_rendered_once_per_format() -> None:
    """'Rendered ONCE per wire format and event, never once per member.'"""
    chat = Chat()
    members = [chat.enter(f"m{number}", "#lobby") for number in range(10)]
    other = RecordingFormat()
    for member in members[::2]:
        chat.hub.equip(member, other)
    chat.format.rendered.clear()
    chat.hub.say(members[0], "#lobby", "hello")
    assert kinds(chat.format.rendered) == [RoomMessage]
    assert kinds(other.rendered) == [RoomMessage]


def test_event_ids_count_up() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby")
    for _ in range(3):
        chat.hub.say(ann, "#lobby", "x")
    # entering and joining took the first two
    assert [str(event.id) for event in chat.kept("#lobby")] == [
        "node-boot-3",
        "node-boot-4",
        "node-boot-5",
    ]


@pytest.mark.parametrize(
    ("node", "shown"),
    [("a.b", "a.b"), ("", "-"), ("Ann's host", "Ann-s-host"), ("tür", "t-r"), ("n" * 33, "n" * 32)],
)
def test_any_node_name_fits_into_a_msgid(node: str, shown: str) -> None:
    chat = Chat(node=node)
    ann = chat.enter("ann", "#lobby")
    assert str(chat.seen(ann)[0].id) == f"{shown}-boot-2"


@pytest.mark.parametrize("boot", ["", "b" * 13, "a b"])
def test_a_boot_id_fits_into_a_msgid(boot: str) -> None:
    with pytest.raises(ValueError, match="is no boot id"):
        ChatService(ChatSettings(), "node", boot, lambda: 0.0, Clock())


# --- nicknames ---


@pytest.mark.parametrize("nick", ["ann", "ANN", "Ann"])
def test_a_taken_nickname(nick: str) -> None:
    """'Nicknames that are equal under fold are the same for every door.'"""
    chat = Chat()
    chat.enter("ann")
    bob = chat.enter("bob")
    refused(Code.NICK_TAKEN, chat.hub.rename(bob, nick))
    refused(Code.NICK_TAKEN, chat.hub.enter(chat.client(), nick, Profile()))


def test_renaming() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby", "#tea")
    bob = chat.enter("bob", "#lobby", "#tea")
    chat.news(bob)
    assert chat.hub.rename(ann, "Annie") is None
    (event,) = chat.news(bob)
    assert isinstance(event, NickChanged), "told once, though they share two rooms"
    assert (event.actor.nick, event.nick, event.actor.id) == ("ann", "Annie", ann.id)
    assert chat.hub.person("annie") is ann.who
    assert chat.hub.person("ann") is None
    assert chat.hub.rename(bob, "ann") is None, "the old one is free again"
    refused(Code.BAD_NICK, chat.hub.rename(bob, "a b"))


def test_renaming_in_other_letters_of_the_same_name() -> None:
    chat = Chat()
    ann = chat.enter("ann")
    assert chat.hub.rename(ann, "ANN") is None
    assert ann.nick == "ANN"
    assert chat.hub.person("ann") is ann.who
    assert kinds(chat.news(ann)) == [NickChanged], "in no room, one is still told oneself"
    assert chat.hub.rename(ann, "ANN") is None
    assert chat.news(ann) == []


# --- rooms ---


def test_the_lobby_belongs_to_the_house() -> None:
    """'#lobby is permanent, belongs to the chat and has no opener/operator.'"""
    chat = Chat()
    ann, bob = chat.enter("ann", "#lobby"), chat.enter("bob", "#lobby")
    joined = chat.seen(ann)[0]
    assert isinstance(joined, Joined)
    assert not joined.opened
    for answer in (
        chat.hub.set_topic(ann, "#lobby", "mine"),
        chat.hub.kick(ann, "#lobby", "bob"),
        chat.hub.ban(ann, "#lobby", "bob"),
        chat.hub.set_operator(ann, "#lobby", "ann", True),
    ):
        refused(Code.NO_OPERATORS, answer)
    chat.hub.part(ann, "#lobby")
    chat.hub.part(bob, "#lobby")
    assert list(chat.hub.rooms) == [chat.hub.lobby]
    chat.hub.join(ann, "#lobby")
    assert not chat.hub.lobby.operators


def test_who_opens_a_room_is_its_operator() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#Tea"), chat.enter("bob", "#TEA")
    room = chat.hub.room("#tea")
    assert room is not None
    assert room.name == "#Tea"
    assert room.operators == {ann.who}
    assert list(room.members) == [ann.who, bob.who]


def test_an_empty_room_vanishes_with_all_that_was_in_it() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    chat.hub.say(ann, "#tea", "x")
    chat.hub.ban(ann, "#tea", "bob")
    chat.hub.part(ann, "#tea")
    assert chat.hub.room("#tea") is None
    bob = chat.enter("bob", "#tea")
    room = chat.hub.room("#tea")
    assert room is not None
    assert (room.operators, room.bans) == ({bob.who}, {})


def test_joining_twice_is_nothing() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    chat.news(ann)
    assert chat.hub.join(ann, "#tea") is None
    assert chat.news(ann) == []


def test_who_leaves_sees_it_and_nothing_after() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    chat.hub.part(bob, "#tea", "bye")
    chat.hub.say(ann, "#tea", "gone?")
    parted = chat.seen(bob)[-1]
    assert isinstance(parted, Parted)
    assert parted.reason == "bye"
    refused(Code.NOT_IN_ROOM, chat.hub.part(bob, "#tea"))
    refused(Code.NOT_IN_ROOM, chat.hub.say(bob, "#tea", "x"))
    refused(Code.NO_SUCH_ROOM, chat.hub.say(bob, "#nowhere", "x"))


def test_quitting_is_told_once_to_each_neighbour() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby", "#tea")
    bob = chat.enter("bob", "#lobby", "#tea")
    eve = chat.enter("eve", "#other")
    for member in (bob, eve):
        chat.news(member)
    chat.hub.leave(ann, "bye")
    chat.hub.leave(ann, "bye")
    assert kinds(chat.news(bob)) == [Quit]
    assert chat.news(eve) == []
    assert chat.hub.person("ann") is None
    assert chat.hub.people_count == 2
    assert chat.enter("ann")


def test_at_the_end_nobody_is_told_who_leaves() -> None:
    """'From now on nobody is told who leaves', and still all are gone in the end."""
    chat = Chat()
    members = [chat.enter(f"m{number}", "#lobby", "#tea") for number in range(10)]
    chat.news(members[-1])
    chat.hub.close()
    for member in members:
        chat.hub.leave(member, "the server is shutting down")
    assert chat.news(members[-1]) == []
    assert chat.hub.people_count == 0
    assert list(chat.hub.rooms) == [chat.hub.lobby]
    assert not chat.hub.lobby.members


# --- operators ---


def test_operators_are_made_and_unmade() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    refused(Code.NOT_OPERATOR, chat.hub.set_operator(bob, "#tea", "bob", True))
    assert chat.hub.set_operator(ann, "#tea", "bob", True) is None
    assert chat.hub.set_operator(ann, "#tea", "bob", True) is None
    assert chat.hub.set_operator(bob, "#tea", "ann", False) is None
    room = chat.hub.room("#tea")
    assert room is not None
    assert room.operators == {bob.who}
    assert kinds(chat.seen(bob)) == [Joined, ModesChanged, ModesChanged]
    chat.enter("eve")
    refused(Code.NOT_IN_SAME_ROOM, chat.hub.set_operator(bob, "#tea", "eve", True))
    refused(Code.NO_SUCH_NICK, chat.hub.set_operator(bob, "#tea", "zoe", True))


def test_an_operator_who_leaves_is_none_when_they_come_back() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    room = chat.hub.room("#tea")
    assert room is not None
    chat.hub.part(ann, "#tea")
    assert room.operators == set()
    chat.hub.join(ann, "#tea")
    refused(Code.NOT_OPERATOR, chat.hub.kick(ann, "#tea", "bob"))
    refused(Code.NOT_OPERATOR, chat.hub.kick(bob, "#tea", "ann"))


def test_topics() -> None:
    """'Topic by operators; lobby by nobody but configurable default.'"""
    chat = Chat(lobby_topic="hi")
    assert chat.hub.lobby.topic is not None
    assert chat.hub.lobby.topic.text == "hi"
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    refused(Code.NOT_OPERATOR, chat.hub.set_topic(bob, "#tea", "coffee"))
    refused(Code.TOO_LONG, chat.hub.set_topic(ann, "#tea", "x" * (TOPIC_BYTES + 1)))
    assert chat.hub.set_topic(ann, "#tea", "tea\r\nQUIT") is None
    room = chat.hub.room("#tea")
    assert room is not None
    assert room.topic is not None
    assert room.topic.text == "tea\ufffd\ufffdQUIT", "no line end gets through any door"
    chat.hub.set_topic(ann, "#tea", "")
    assert room.topic is None
    assert kinds(chat.seen(bob))[1:] == [TopicChanged, TopicChanged]


def test_kicking() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    refused(Code.NOT_OPERATOR, chat.hub.kick(bob, "#tea", "ann"))
    assert chat.hub.kick(ann, "#tea", "bob", "x" * 1000) is None
    kicked = chat.seen(bob)[-1]
    assert isinstance(kicked, Kicked)
    assert len(kicked.reason) == REASON_BYTES
    assert bob.own[-1] is kicked, "it is the kicked one whom it concerns"
    assert not bob.rooms
    assert chat.hub.join(bob, "#tea") is None, "they may come back"
    refused(Code.NO_SUCH_NICK, chat.hub.kick(ann, "#tea", "zoe"))


def test_bans_by_nickname() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea", address="127.0.0.1")
    assert chat.hub.ban(ann, "#tea", "BOB") is None
    refused(Code.BANNED, chat.hub.say(bob, "#tea", "still here"))
    chat.hub.kick(ann, "#tea", "bob")
    refused(Code.BANNED, chat.hub.join(bob, "#tea"))
    chat.hub.leave(bob)
    again = chat.enter("Bob", address="192.0.2.1")
    refused(Code.BANNED, chat.hub.join(again, "#tea"))
    assert chat.hub.unban(ann, "#tea", "bob") is None
    assert chat.hub.join(again, "#tea") is None
    refused(Code.NOT_LISTED, chat.hub.unban(ann, "#tea", "bob"))
    assert kinds(chat.seen(ann)) == [Joined, Joined, ModesChanged, Kicked, ModesChanged, Joined]


@pytest.mark.parametrize(
    ("banned", "other", "kept_out"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("2001:db8::1", "192.0.2.1", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("::1", "::1", False),
        (None, None, False),
        ("192.0.2.1", None, False),
    ],
)
def test_bans_by_address(banned: str | None, other: str | None, kept_out: bool) -> None:
    """'By nickname and, when the member is present and its address is not loopback, its
    address.'"""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    chat.enter("bob", "#tea", address=banned)
    chat.hub.ban(ann, "#tea", "bob")
    eve = chat.enter("eve", address=other)
    answer = chat.hub.join(eve, "#tea")
    assert (answer is not None) is kept_out
    if kept_out:
        refused(Code.BANNED, answer)
        assert chat.hub.unban(ann, "#tea", "bob") is None
        assert chat.hub.join(eve, "#tea") is None


def test_somebody_absent_is_banned_by_nickname() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    assert chat.hub.ban(ann, "#tea", "bob") is None
    refused(Code.BANNED, chat.hub.join(chat.enter("bob"), "#tea"))
    refused(Code.BAD_NICK, chat.hub.ban(ann, "#tea", "a*"))


# --- private ---


def test_private_messages() -> None:
    """'/msg go to one nick, echo a confirmation to the sender; no history.'"""
    chat = Chat()
    ann, bob = chat.enter("ann", "#lobby"), chat.enter("bob", "#lobby")
    eve = chat.enter("eve", "#lobby")
    for member in (ann, bob, eve):
        chat.news(member)
    assert chat.hub.tell(ann, "BOB", "psst") is None
    (event,) = chat.news(bob)
    assert isinstance(event, PrivateMessage)
    assert (event.actor.nick, event.target.nick, event.text) == ("ann", "bob", "psst")
    assert chat.news(ann) == chat.news(eve) == []
    assert ann.own[-1] is event
    assert not chat.kept("#lobby")
    refused(Code.NO_SUCH_NICK, chat.hub.tell(ann, "zoe", "psst"))
    refused(Code.TOO_LONG, chat.hub.tell(ann, "bob", "x" * 490))


# --- bounds ---


def test_bounds() -> None:
    chat = Chat(
        max_members=3,
        max_rooms=3,
        rooms_per_member=2,
        bans_per_room=1,
        history_kept=2,
        outbox=16384,
    )
    ann = chat.enter("ann", "#a", "#lobby")
    refused(Code.OWN_ROOMS_FULL, chat.hub.join(ann, "#b"))
    bob = chat.enter("bob", "#b")
    refused(Code.ROOMS_FULL, chat.hub.join(bob, "#c"))
    chat.hub.ban(ann, "#a", "x")
    refused(Code.LIST_FULL, chat.hub.ban(ann, "#a", "y"))
    assert chat.hub.ban(ann, "#a", "X") is None
    for text in "123":
        chat.hub.say(ann, "#a", text)
    room = chat.hub.room("#a")
    assert room is not None
    assert [said.text for said in chat.kept(room.key)] == ["2", "3"]
    chat.enter("eve")
    refused(Code.HUB_FULL, chat.hub.enter(chat.client(), "zoe", Profile()))


@pytest.mark.parametrize(
    ("text", "code"), [("", Code.EMPTY), ("x" * 490, Code.TOO_LONG), ("é" * 245, Code.TOO_LONG)]
)
def test_messages_that_cannot_be(text: str, code: Code) -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby")
    refused(code, chat.hub.say(ann, "#lobby", text))


def test_a_message_that_fits_a_line_of_irc_is_carried() -> None:
    """'Its text is what others get in one line of IRC.'"""
    chat = Chat()
    ann = chat.enter("ann", "#lobby")
    room = room_for(ann, "#lobby")
    assert room == 512 - len(f":{ann.identity} PRIVMSG #lobby :\r\n")
    assert chat.hub.say(ann, "#lobby", "x" * room) is None
    refused(Code.TOO_LONG, chat.hub.say(ann, "#lobby", "x" * (room + 1)))
    refused(Code.TOO_LONG, chat.hub.say(ann, "#lobby", "x" * room, Kind.ACTION))
    assert chat.hub.say(ann, "#lobby", "x" * (room + 1), Kind.NOTICE) is None


# --- slow readers ---


def test_a_slow_reader_is_dropped_and_nobody_else_notices() -> None:
    """'When full the member is dropped ..., others get a normal quit event, and nobody else
    notices.'"""
    chat = Chat(outbox=16384)
    ann, slow = chat.enter("ann", "#lobby"), chat.enter("slow", "#lobby")
    others = [chat.enter(f"m{number}", "#lobby") for number in range(5)]
    slow.outbox.pause()
    rounds = 0
    while not slow.gone:
        rounds += 1
        assert slow.outbox.size <= 16384
        chat.hub.say(ann, "#lobby", f"{rounds}")
        chat.turn()
    assert rounds > 500
    assert slow.drops == 1
    assert slow.outbox.size == 0
    assert chat.sent[slow] == [], "not a byte was written to a paused transport"
    assert chat.hub.person("slow") is None
    chat.hub.say(ann, "#lobby", "after")
    for other in others:
        texts = [event.text for event in chat.seen(other) if isinstance(event, RoomMessage)]
        assert texts == [*(str(number) for number in range(1, rounds + 1)), "after"]
        (left,) = [event for event in chat.seen(other) if isinstance(event, Quit)]
        assert (left.actor.nick, left.reason) == ("slow", SLOW)


def test_a_thousand_are_dropped_at_once() -> None:
    """'Dropping during a delivery must not disturb iteration or recurse without bound.'"""
    chat = Chat(outbox=16384)
    ann = chat.enter("ann", "#lobby")
    slow = [chat.enter(f"m{number}", "#lobby") for number in range(1000)]
    for member in slow:
        member.outbox.pause()
        member.outbox.size = member.outbox.limit
    chat.news(ann)
    chat.hub.say(ann, "#lobby", "hello")
    assert all(member.gone for member in slow)
    assert kinds(chat.news(ann)) == [Quit] * 1000
    assert chat.hub.people_count == 1
    assert list(chat.hub.lobby.members) == [ann.who]


def test_the_speaker_is_not_dropped_for_what_they_are_not_sent() -> None:
    chat = Chat(outbox=16384)
    ann = chat.enter("ann", "#lobby")
    ann.outbox.pause()
    ann.outbox.size = ann.outbox.limit
    assert chat.hub.say(ann, "#lobby", "hello") is None
    assert not ann.gone


# --- order ---


def test_a_reaction_waits_for_its_turn() -> None:
    """'A log delivers each event once, one after the other: never within the delivery of
    another.'"""
    chat = Chat()
    ann, bob = chat.enter("ann", "#lobby"), chat.enter("bob", "#lobby")
    during: list[bool] = []

    def react(event: Event) -> None:
        if isinstance(event, PrivateMessage):
            chat.hub.say(ann, "#lobby", "two")
            chat.hub.rename(ann, "anna")
            chat.hub.part(ann, "#lobby")
            during.append(ann.nick == "ann")

    ann.react = react
    chat.news(bob)
    chat.hub.tell(ann, "bob", "one")
    assert kinds(chat.news(bob)) == [PrivateMessage, RoomMessage, NickChanged, Parted]
    assert during == [True], "nothing was applied within the reaction"


def test_nothing_is_true_before_it_is_delivered() -> None:
    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    assert chat.hub.enter(ann, "ann", Profile()) is None
    assert ann.person is None
    log.settle()
    assert chat.hub.join(ann, "#tea") is None
    assert chat.hub.room("#tea") is None
    log.settle()
    assert list(ann.rooms) == ["#tea"]


def entered(chat: Chat, log: HeldLog, *nicks: str) -> list[RecordingClient]:
    """Clients that have entered, on a log that delivers when it is told to."""
    clients = [chat.client() for _ in nicks]
    for client, nick in zip(clients, nicks, strict=True):
        assert chat.hub.enter(client, nick, Profile()) is None
    log.settle()
    return clients


def test_two_who_open_the_same_room_at_once() -> None:
    """'It decides again whatever depends on the order of events.'"""
    log = HeldLog()
    chat = Chat(log)
    ann, bob = entered(chat, log, "ann", "bob")
    for client in (ann, bob):
        assert chat.hub.join(client, "#tea") is None
    log.settle()
    room = chat.hub.room("#tea")
    assert room is not None
    assert list(room.members) == [ann.who, bob.who]
    assert room.operators == {ann.who}, "whose opening came first"
    assert [event.opened for event in chat.seen(bob) if isinstance(event, Joined)] == [False]


def test_who_asks_twice_comes_in_once() -> None:
    log = HeldLog()
    chat = Chat(log)
    [ann] = entered(chat, log, "ann")
    for _ in range(2):
        assert chat.hub.join(ann, "#tea") is None
    log.settle()
    assert kinds(chat.seen(ann)) == [Joined]
    room = chat.hub.room("#tea")
    assert room is not None
    assert room.operators == {ann.who}


def test_of_two_who_want_a_nickname_at_once_the_first_gets_it() -> None:
    """'Whether a nickname is still free' is decided again, and the origin tells its client."""
    log = HeldLog()
    chat = Chat(log)
    ann, bob = entered(chat, log, "ann", "bob")
    replies = [AskingReply(client) for client in (ann, bob)]
    for reply in replies:
        reply.rename(chat.hub, "zoe")
    log.settle()
    assert (ann.nick, bob.nick) == ("zoe", "bob")
    assert [reply.refusals for reply in replies] == [[], [Code.NICK_TAKEN]]
    assert all(reply.is_complete for reply in replies)


class AskingReply(Reply):
    """A reply that notes what was refused."""

    def __init__(self, client: RecordingClient) -> None:
        super().__init__(client)
        self.refusals: list[Code] = []

    def rename(self, hub: Hub, nick: str) -> None:
        self.ask(hub.rename, nick, refused=lambda refused: self.refusals.append(refused.code))
        self.end()


def test_what_ran_ahead_and_is_refused_is_told_to_who_sent_it() -> None:
    """'A message that ran ahead was refused when its turn in the log came.'"""
    log = HeldLog()
    chat = Chat(log)
    ann, bob = entered(chat, log, "ann", "bob")
    for client in (ann, bob):
        chat.hub.join(client, "#tea")
        log.settle()
    chat.hub.kick(ann, "#tea", "bob")
    assert chat.hub.say(bob, "#tea", "too late") is None
    assert bob.ahead == 1
    log.settle()
    assert bob.ahead == 0
    [(event, why)] = bob.refusals
    assert isinstance(event, RoomMessage)
    assert why.code is Code.NOT_IN_ROOM


def test_who_quits_in_between_leaves_nothing_behind() -> None:
    log = HeldLog()
    chat = Chat(log)
    ann, bob = entered(chat, log, "ann", "bob")
    for client in (ann, bob):
        chat.hub.join(client, "#tea")
        log.settle()
    chat.hub.leave(bob)
    for answer in (
        chat.hub.kick(ann, "#tea", "bob"),
        chat.hub.set_operator(ann, "#tea", "bob", True),
        chat.hub.tell(ann, "bob", "psst"),
    ):
        assert answer is None
    log.settle()
    assert chat.hub.people_count == 1
    assert kinds(chat.seen(ann)) == [Joined, Joined, Quit]
    assert entered(chat, log, "bob", "zoe")


def test_who_leaves_while_entering_leaves_nothing_behind() -> None:
    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    chat.hub.leave(ann)
    log.settle()
    assert chat.hub.people_count == 0


def test_a_reload_changes_bounds_for_what_comes_after() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#a", "#b", "#c")
    chat.hub.settings = dataclasses.replace(chat.hub.settings, rooms_per_member=2)
    refused(Code.OWN_ROOMS_FULL, chat.hub.join(ann, "#d"))
    assert len(ann.rooms) == 3


def test_a_thousand_join() -> None:
    chat = Chat()
    members = [chat.enter(f"m{number}", "#lobby") for number in range(1000)]
    chat.turn()
    assert len(chat.hub.lobby.members) == 1000
    assert kinds(chat.seen(members[-1])) == [Joined]
    assert len(chat.seen(members[0])) == 1000
    for member in members:
        chat.hub.leave(member)
    assert chat.hub.people_count == 0
    assert not chat.hub.lobby.members


# --- counters ---


def test_what_is_said_and_delivered_is_counted() -> None:
    chat = Chat()
    ann, bob, cleo = (chat.enter(nick, "#lobby") for nick in ("ann", "bob", "cleo"))
    counters = chat.hub.counters
    assert (counters.entered, chat.hub.people_count, chat.hub.room_count) == (3, 3, 1)
    before = counters.deliveries
    chat.hub.say(ann, "#lobby", "hello")  # to the two others
    chat.hub.tell(bob, "cleo", "psst")
    chat.hub.leave(cleo)  # two are told
    assert (counters.messages, counters.private_messages) == (1, 1)
    assert counters.deliveries - before == 2 + 1 + 2
    assert counters.dropped == 0
    chat.hub.drop(bob)
    assert counters.dropped == 1


def test_what_is_held_goes_out_in_one_piece_in_the_same_order() -> None:
    """'Let what is said wait until release, so that all of it goes out in one piece.'"""
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    chat.news(bob)
    chat.hub.fanout.hold()
    for text in ("one", "two", "three"):
        assert chat.hub.say(ann, "#tea", text) is None
    assert not bob.outbox.chunks
    chat.hub.fanout.release()
    assert len(bob.outbox.chunks) == 1
    assert [event.text for event in chat.news(bob) if isinstance(event, RoomMessage)] == [
        "one",
        "two",
        "three",
    ]
    room = chat.hub.room("#tea")
    assert room is not None
    assert [event.text for event in chat.kept(room.key)] == ["one", "two", "three"]
    assert chat.hub.counters.messages == 3


def test_anything_else_is_delivered_at_once_with_what_was_held_before_it() -> None:
    """'Anything but what is said in rooms is still delivered at once, with what waits before
    it.'"""
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    chat.news(bob)
    chat.hub.fanout.hold()
    chat.hub.say(ann, "#tea", "one")
    chat.hub.say(bob, "#tea", "two")
    chat.hub.say(ann, "#tea", "three")
    chat.hub.part(ann, "#tea")
    assert not ann.rooms
    assert [type(event) for event in chat.news(bob)] == [RoomMessage, RoomMessage, Parted]
    chat.hub.say(bob, "#tea", "four")
    chat.hub.fanout.settle()
    room = chat.hub.room("#tea")
    assert room is not None
    assert [event.text for event in chat.kept(room.key)] == ["one", "two", "three", "four"]
    chat.hub.fanout.release()


def test_what_is_held_drops_nobody_whom_it_would_not_drop_one_by_one() -> None:
    """A reader is slow only if the transport has enough, however much comes in one piece."""
    chat = Chat(outbox=16384)
    ann, bob, cid = (chat.enter(nick, "#tea") for nick in ("ann", "bob", "cid"))
    chat.turn()
    cid.outbox.pause()
    chat.hub.fanout.hold()
    for _ in range(2000):
        chat.hub.say(ann, "#tea", "x")
    chat.hub.fanout.release()
    assert not bob.gone
    assert len([event for event in chat.seen(bob) if isinstance(event, RoomMessage)]) == 2000
    assert cid.gone
