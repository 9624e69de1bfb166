"""The hub's rules, with recording clients."""

from __future__ import annotations

import dataclasses

import pytest
from chat.doubles import SLOW, Chat, RecordingClient, RecordingFormat, kinds, refusal_code
from chat.event_logs import HeldLog
from twisted.internet.task import Clock

from tcpd.chat.hub import Hub
from tcpd.chat.people import Profile
from tcpd.chat.refused import Code
from tcpd.chat.reply import ChatReply
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


def test_two_people_talk() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#lobby"), chat.enter("bob", "#lobby")
    assert chat.hub.say(ann, "#lobby", "hello") is None
    assert chat.hub.say(bob, "#LOBBY", "waves", Kind.ACTION) is None
    *_, said = chat.all_events(bob)
    assert isinstance(said, RoomMessage)
    assert (said.actor, said.room, said.text, said.kind) == (
        ann.identity,
        "#lobby",
        "hello",
        Kind.MESSAGE,
    )
    assert said.time == chat.now
    assert kinds(chat.all_events(ann)) == [Joined, Joined, RoomMessage]


def test_message_is_echoed_only_to_clients_that_request_echo() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby", echo=True)
    bob = chat.enter("bob", "#lobby")
    chat.hub.say(ann, "#lobby", "hello")
    chat.hub.say(bob, "#lobby", "hello")
    assert kinds(chat.all_events(ann)) == [Joined, Joined, RoomMessage, RoomMessage]
    assert kinds(chat.all_events(bob)) == [Joined, RoomMessage]


def test_event_is_rendered_once_per_format() -> None:
    """docs/explanation/life-of-a-line.rst: one rendering per format, not one per member."""
    chat = Chat()
    members = [chat.enter(f"m{number}", "#lobby") for number in range(10)]
    other = RecordingFormat()
    for member in members[::2]:
        chat.hub.equip(member, other)
    chat.format.rendered.clear()
    chat.hub.say(members[0], "#lobby", "hello")
    assert kinds(chat.format.rendered) == [RoomMessage]
    assert kinds(other.rendered) == [RoomMessage]


def test_event_ids_increase() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby")
    for _ in range(3):
        chat.hub.say(ann, "#lobby", "x")
    # entering and joining take the first two ids
    assert [str(event.id) for event in chat.kept_messages("#lobby")] == [
        "node-boot-3",
        "node-boot-4",
        "node-boot-5",
    ]


@pytest.mark.parametrize(
    ("node", "shown"),
    [("a.b", "a.b"), ("", "-"), ("Ann's host", "Ann-s-host"), ("tür", "t-r"), ("n" * 33, "n" * 32)],
)
def test_node_name_is_sanitized_for_msgids(node: str, shown: str) -> None:
    chat = Chat(node=node)
    ann = chat.enter("ann", "#lobby")
    assert str(chat.all_events(ann)[0].id) == f"{shown}-boot-2"


@pytest.mark.parametrize("boot", ["", "b" * 13, "a b"])
def test_invalid_boot_id_is_rejected(boot: str) -> None:
    with pytest.raises(ValueError, match="is no boot id"):
        ChatService(ChatSettings(), "node", boot, lambda: 0.0, Clock())


# --- nicknames ---


@pytest.mark.parametrize("nick", ["ann", "ANN", "Ann"])
def test_nickname_in_use_is_refused(nick: str) -> None:
    """docs/reference/chat.rst: names that are equal after folding are the same in all frontends."""
    chat = Chat()
    chat.enter("ann")
    bob = chat.enter("bob")
    assert refusal_code(chat.hub.rename(bob, nick)) is Code.NICK_TAKEN
    assert refusal_code(chat.hub.enter(chat.client(), nick, Profile())) is Code.NICK_TAKEN


def test_nick_change() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby", "#tea")
    bob = chat.enter("bob", "#lobby", "#tea")
    chat.new_events(bob)
    assert chat.hub.rename(ann, "Annie") is None
    (event,) = chat.new_events(bob)
    assert isinstance(event, NickChanged), "one event, although they share two rooms"
    assert (event.actor.nick, event.nick, event.actor.id) == ("ann", "Annie", ann.id)
    assert chat.hub.person("annie") is ann.who
    assert chat.hub.person("ann") is None
    assert chat.hub.rename(bob, "ann") is None, "the old nickname is free"
    assert refusal_code(chat.hub.rename(bob, "a b")) is Code.BAD_NICK


def test_nick_change_in_case_only() -> None:
    chat = Chat()
    ann = chat.enter("ann")
    assert chat.hub.rename(ann, "ANN") is None
    assert ann.nick == "ANN"
    assert chat.hub.person("ann") is ann.who
    assert kinds(chat.new_events(ann)) == [NickChanged], "also without a room"
    assert chat.hub.rename(ann, "ANN") is None
    assert chat.new_events(ann) == []


# --- rooms ---


def test_lobby_has_no_operators_and_is_permanent() -> None:
    """docs/reference/chat.rst, Rooms: the lobby is permanent and has no operators."""
    chat = Chat()
    ann, bob = chat.enter("ann", "#lobby"), chat.enter("bob", "#lobby")
    joined = chat.all_events(ann)[0]
    assert isinstance(joined, Joined)
    assert not joined.opened
    for answer in (
        chat.hub.set_topic(ann, "#lobby", "mine"),
        chat.hub.kick(ann, "#lobby", "bob"),
        chat.hub.ban(ann, "#lobby", "bob"),
        chat.hub.set_operator(ann, "#lobby", "ann", True),
    ):
        assert refusal_code(answer) is Code.NO_OPERATORS
    chat.hub.part(ann, "#lobby")
    chat.hub.part(bob, "#lobby")
    assert list(chat.hub.rooms) == [chat.hub.lobby]
    chat.hub.join(ann, "#lobby")
    assert not chat.hub.lobby.operators


def test_founder_of_a_room_is_its_operator() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#Tea"), chat.enter("bob", "#TEA")
    room = chat.hub.room("#tea")
    assert room is not None
    assert room.name == "#Tea"
    assert room.operators == {ann.who}
    assert list(room.members) == [ann.who, bob.who]


def test_empty_room_is_removed_with_its_bans() -> None:
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


def test_second_join_has_no_effect() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    chat.new_events(ann)
    assert chat.hub.join(ann, "#tea") is None
    assert chat.new_events(ann) == []


def test_parted_member_receives_the_part_and_nothing_later() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    chat.hub.part(bob, "#tea", "bye")
    chat.hub.say(ann, "#tea", "gone?")
    parted = chat.all_events(bob)[-1]
    assert isinstance(parted, Parted)
    assert parted.reason == "bye"
    assert refusal_code(chat.hub.part(bob, "#tea")) is Code.NOT_IN_ROOM
    assert refusal_code(chat.hub.say(bob, "#tea", "x")) is Code.NOT_IN_ROOM
    assert refusal_code(chat.hub.say(bob, "#nowhere", "x")) is Code.NO_SUCH_ROOM


def test_quit_is_delivered_once_to_each_neighbour() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby", "#tea")
    bob = chat.enter("bob", "#lobby", "#tea")
    eve = chat.enter("eve", "#other")
    for member in (bob, eve):
        chat.new_events(member)
    chat.hub.leave(ann, "bye")
    chat.hub.leave(ann, "bye")
    assert kinds(chat.new_events(bob)) == [Quit]
    assert chat.new_events(eve) == []
    assert chat.hub.person("ann") is None
    assert chat.hub.people_count == 2
    assert chat.enter("ann")


def test_no_quits_are_broadcast_after_close() -> None:
    chat = Chat()
    members = [chat.enter(f"m{number}", "#lobby", "#tea") for number in range(10)]
    chat.new_events(members[-1])
    chat.hub.close()
    for member in members:
        chat.hub.leave(member, "the server is shutting down")
    assert chat.new_events(members[-1]) == []
    assert chat.hub.people_count == 0
    assert list(chat.hub.rooms) == [chat.hub.lobby]
    assert not chat.hub.lobby.members


# --- operators ---


def test_operators_are_promoted_and_demoted() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    assert refusal_code(chat.hub.set_operator(bob, "#tea", "bob", True)) is Code.NOT_OPERATOR
    assert chat.hub.set_operator(ann, "#tea", "bob", True) is None
    assert chat.hub.set_operator(ann, "#tea", "bob", True) is None
    assert chat.hub.set_operator(bob, "#tea", "ann", False) is None
    room = chat.hub.room("#tea")
    assert room is not None
    assert room.operators == {bob.who}
    assert kinds(chat.all_events(bob)) == [Joined, ModesChanged, ModesChanged]
    chat.enter("eve")
    assert refusal_code(chat.hub.set_operator(bob, "#tea", "eve", True)) is Code.NOT_IN_SAME_ROOM
    assert refusal_code(chat.hub.set_operator(bob, "#tea", "zoe", True)) is Code.NO_SUCH_NICK


def test_operator_who_rejoins_is_no_operator() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    room = chat.hub.room("#tea")
    assert room is not None
    chat.hub.part(ann, "#tea")
    assert room.operators == set()
    chat.hub.join(ann, "#tea")
    assert refusal_code(chat.hub.kick(ann, "#tea", "bob")) is Code.NOT_OPERATOR
    assert refusal_code(chat.hub.kick(bob, "#tea", "ann")) is Code.NOT_OPERATOR


def test_topic_is_set_by_operators_only() -> None:
    """docs/reference/chat.rst, Rooms: ``lobby_topic`` is the topic of the lobby; elsewhere
    operators set it."""
    chat = Chat(lobby_topic="hi")
    assert chat.hub.lobby.topic is not None
    assert chat.hub.lobby.topic.text == "hi"
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    assert refusal_code(chat.hub.set_topic(bob, "#tea", "coffee")) is Code.NOT_OPERATOR
    assert refusal_code(chat.hub.set_topic(ann, "#tea", "x" * (TOPIC_BYTES + 1))) is Code.TOO_LONG
    assert chat.hub.set_topic(ann, "#tea", "tea\r\nQUIT") is None
    room = chat.hub.room("#tea")
    assert room is not None
    assert room.topic is not None
    assert room.topic.text == "tea\ufffd\ufffdQUIT", "line ends are replaced"
    chat.hub.set_topic(ann, "#tea", "")
    assert room.topic is None
    assert kinds(chat.all_events(bob))[1:] == [TopicChanged, TopicChanged]


def test_kick() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    assert refusal_code(chat.hub.kick(bob, "#tea", "ann")) is Code.NOT_OPERATOR
    assert chat.hub.kick(ann, "#tea", "bob", "x" * 1000) is None
    kicked = chat.all_events(bob)[-1]
    assert isinstance(kicked, Kicked)
    assert len(kicked.reason) == REASON_BYTES
    assert bob.own[-1] is kicked
    assert not bob.rooms
    assert chat.hub.join(bob, "#tea") is None, "a kick is no ban"
    assert refusal_code(chat.hub.kick(ann, "#tea", "zoe")) is Code.NO_SUCH_NICK


def test_ban_by_nickname() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea", address="127.0.0.1")
    assert chat.hub.ban(ann, "#tea", "BOB") is None
    assert refusal_code(chat.hub.say(bob, "#tea", "still here")) is Code.BANNED
    chat.hub.kick(ann, "#tea", "bob")
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.BANNED
    chat.hub.leave(bob)
    again = chat.enter("Bob", address="192.0.2.1")
    assert refusal_code(chat.hub.join(again, "#tea")) is Code.BANNED
    assert chat.hub.unban(ann, "#tea", "bob") is None
    assert chat.hub.join(again, "#tea") is None
    assert refusal_code(chat.hub.unban(ann, "#tea", "bob")) is Code.NOT_LISTED
    assert kinds(chat.all_events(ann)) == [
        Joined,
        Joined,
        ModesChanged,
        Kicked,
        ModesChanged,
        Joined,
    ]


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
def test_ban_by_address(banned: str | None, other: str | None, kept_out: bool) -> None:
    """docs/reference/chat.rst, Kicks and bans: a ban of a person who is present covers the address,
    for IPv6 its /64, unless it is a loopback address."""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    chat.enter("bob", "#tea", address=banned)
    chat.hub.ban(ann, "#tea", "bob")
    eve = chat.enter("eve", address=other)
    answer = chat.hub.join(eve, "#tea")
    assert (answer is not None) is kept_out
    if kept_out:
        assert refusal_code(answer) is Code.BANNED
        assert chat.hub.unban(ann, "#tea", "bob") is None
        assert chat.hub.join(eve, "#tea") is None


def test_ban_of_an_absent_person_is_by_nickname() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    assert chat.hub.ban(ann, "#tea", "bob") is None
    assert refusal_code(chat.hub.join(chat.enter("bob"), "#tea")) is Code.BANNED
    assert refusal_code(chat.hub.ban(ann, "#tea", "a*")) is Code.BAD_NICK


# --- private ---


def test_private_message() -> None:
    """docs/reference/chat.rst, Rooms: private messages are not kept."""
    chat = Chat()
    ann, bob = chat.enter("ann", "#lobby"), chat.enter("bob", "#lobby")
    eve = chat.enter("eve", "#lobby")
    for member in (ann, bob, eve):
        chat.new_events(member)
    assert chat.hub.send_private(ann, "BOB", "psst") is None
    (event,) = chat.new_events(bob)
    assert isinstance(event, PrivateMessage)
    assert (event.actor.nick, event.target.nick, event.text) == ("ann", "bob", "psst")
    assert chat.new_events(ann) == chat.new_events(eve) == []
    assert ann.own[-1] is event
    assert not chat.kept_messages("#lobby")
    assert refusal_code(chat.hub.send_private(ann, "zoe", "psst")) is Code.NO_SUCH_NICK
    assert refusal_code(chat.hub.send_private(ann, "bob", "x" * 490)) is Code.TOO_LONG


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
    assert refusal_code(chat.hub.join(ann, "#b")) is Code.OWN_ROOMS_FULL
    bob = chat.enter("bob", "#b")
    assert refusal_code(chat.hub.join(bob, "#c")) is Code.ROOMS_FULL
    chat.hub.ban(ann, "#a", "x")
    assert refusal_code(chat.hub.ban(ann, "#a", "y")) is Code.LIST_FULL
    assert chat.hub.ban(ann, "#a", "X") is None
    for text in "123":
        chat.hub.say(ann, "#a", text)
    room = chat.hub.room("#a")
    assert room is not None
    assert [said.text for said in chat.kept_messages(room.key)] == ["2", "3"]
    chat.enter("eve")
    assert refusal_code(chat.hub.enter(chat.client(), "zoe", Profile())) is Code.HUB_FULL


@pytest.mark.parametrize(
    ("text", "code"), [("", Code.EMPTY), ("x" * 490, Code.TOO_LONG), ("é" * 245, Code.TOO_LONG)]
)
def test_invalid_message_is_refused(text: str, code: Code) -> None:
    chat = Chat()
    ann = chat.enter("ann", "#lobby")
    assert refusal_code(chat.hub.say(ann, "#lobby", text)) is code


def test_message_length_is_bounded_by_a_line_of_irc() -> None:
    """RFC 1459 section 2.3: a message is at most 512 bytes with its line end."""
    chat = Chat()
    ann = chat.enter("ann", "#lobby")
    room = room_for(ann, "#lobby")
    assert room == 512 - len(f":{ann.identity} PRIVMSG #lobby :\r\n")
    assert chat.hub.say(ann, "#lobby", "x" * room) is None
    assert refusal_code(chat.hub.say(ann, "#lobby", "x" * (room + 1))) is Code.TOO_LONG
    assert refusal_code(chat.hub.say(ann, "#lobby", "x" * room, Kind.ACTION)) is Code.TOO_LONG
    assert chat.hub.say(ann, "#lobby", "x" * (room + 1), Kind.NOTICE) is None


# --- slow readers ---


def test_slow_reader_is_dropped_without_effect_on_others() -> None:
    """docs/reference/chat.rst, Bounds: a client whose outbox is full is dropped; nobody's messages
    are lost or late for it."""
    chat = Chat(outbox=16384)
    ann, slow = chat.enter("ann", "#lobby"), chat.enter("slow", "#lobby")
    others = [chat.enter(f"m{number}", "#lobby") for number in range(5)]
    slow.outbox.pause()
    rounds = 0
    while not slow.gone:
        rounds += 1
        assert slow.outbox.size <= 16384
        chat.hub.say(ann, "#lobby", f"{rounds}")
        chat.flush()
    assert rounds > 500
    assert slow.drops == 1
    assert slow.outbox.size == 0
    assert chat.sent[slow] == [], "nothing is written to a paused transport"
    assert chat.hub.person("slow") is None
    chat.hub.say(ann, "#lobby", "after")
    for other in others:
        texts = [event.text for event in chat.all_events(other) if isinstance(event, RoomMessage)]
        assert texts == [*(str(number) for number in range(1, rounds + 1)), "after"]
        (left,) = [event for event in chat.all_events(other) if isinstance(event, Quit)]
        assert (left.actor.nick, left.reason) == ("slow", SLOW)


def test_a_thousand_clients_are_dropped_at_once() -> None:
    """A client dropped in the middle of a delivery neither disturbs its iteration nor recurses."""
    chat = Chat(outbox=16384)
    ann = chat.enter("ann", "#lobby")
    slow = [chat.enter(f"m{number}", "#lobby") for number in range(1000)]
    for member in slow:
        member.outbox.pause()
        member.outbox.size = member.outbox.limit
    chat.new_events(ann)
    chat.hub.say(ann, "#lobby", "hello")
    assert all(member.gone for member in slow)
    assert kinds(chat.new_events(ann)) == [Quit] * 1000
    assert chat.hub.people_count == 1
    assert list(chat.hub.lobby.members) == [ann.who]


def test_sender_is_not_dropped_for_a_message_without_echo() -> None:
    chat = Chat(outbox=16384)
    ann = chat.enter("ann", "#lobby")
    ann.outbox.pause()
    ann.outbox.size = ann.outbox.limit
    assert chat.hub.say(ann, "#lobby", "hello") is None
    assert not ann.gone


# --- order ---


def test_events_appended_during_a_delivery_are_delivered_after_it() -> None:
    """:class:`tcpd.eventlog.log.EventLog`: events are delivered one after the other, never within
    the delivery of another."""
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
    chat.new_events(bob)
    chat.hub.send_private(ann, "bob", "one")
    assert kinds(chat.new_events(bob)) == [PrivateMessage, RoomMessage, NickChanged, Parted]
    assert during == [True], "nothing is applied within the delivery"


def test_state_changes_at_delivery() -> None:
    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    assert chat.hub.enter(ann, "ann", Profile()) is None
    assert ann.person is None
    log.deliver_all()
    assert chat.hub.join(ann, "#tea") is None
    assert chat.hub.room("#tea") is None
    log.deliver_all()
    assert list(ann.rooms) == ["#tea"]


def enter_all(chat: Chat, log: HeldLog, *nicks: str) -> list[RecordingClient]:
    """Clients that have entered, on a held log."""
    clients = [chat.client() for _ in nicks]
    for client, nick in zip(clients, nicks, strict=True):
        assert chat.hub.enter(client, nick, Profile()) is None
    log.deliver_all()
    return clients


def test_concurrent_joins_create_a_room_once() -> None:
    """docs/decisions/0016: whatever depends on the order of events is decided when they are
    applied."""
    log = HeldLog()
    chat = Chat(log)
    ann, bob = enter_all(chat, log, "ann", "bob")
    for client in (ann, bob):
        assert chat.hub.join(client, "#tea") is None
    log.deliver_all()
    room = chat.hub.room("#tea")
    assert room is not None
    assert list(room.members) == [ann.who, bob.who]
    assert room.operators == {ann.who}, "the first in the log"
    assert [event.opened for event in chat.all_events(bob) if isinstance(event, Joined)] == [False]


def test_concurrent_joins_of_one_client_join_once() -> None:
    log = HeldLog()
    chat = Chat(log)
    [ann] = enter_all(chat, log, "ann")
    for _ in range(2):
        assert chat.hub.join(ann, "#tea") is None
    log.deliver_all()
    assert kinds(chat.all_events(ann)) == [Joined]
    room = chat.hub.room("#tea")
    assert room is not None
    assert room.operators == {ann.who}


def test_concurrent_nick_changes_are_decided_in_log_order() -> None:
    """docs/decisions/0016: the later one is refused, and the origin node replies to its client."""
    log = HeldLog()
    chat = Chat(log)
    ann, bob = enter_all(chat, log, "ann", "bob")
    replies = [RenamingReply(client) for client in (ann, bob)]
    for reply in replies:
        reply.rename(chat.hub, "zoe")
    log.deliver_all()
    assert (ann.nick, bob.nick) == ("zoe", "bob")
    assert [reply.refusals for reply in replies] == [[], [Code.NICK_TAKEN]]
    assert all(reply.is_complete for reply in replies)


class RenamingReply(ChatReply):
    """A reply that records refusals."""

    def __init__(self, client: RecordingClient) -> None:
        super().__init__(client)
        self.refusals: list[Code] = []

    def rename(self, hub: Hub, nick: str) -> None:
        self.ask(
            hub.rename,
            nick,
            refused=lambda refused: self.refusals.append(refused.code),
        )
        self.end()


def test_sender_is_notified_if_a_message_sent_ahead_is_refused() -> None:
    log = HeldLog()
    chat = Chat(log)
    ann, bob = enter_all(chat, log, "ann", "bob")
    for client in (ann, bob):
        chat.hub.join(client, "#tea")
        log.deliver_all()
    chat.hub.kick(ann, "#tea", "bob")
    assert chat.hub.say(bob, "#tea", "too late") is None
    assert bob.ahead == 1
    log.deliver_all()
    assert bob.ahead == 0
    [(event, why)] = bob.refusals
    assert isinstance(event, RoomMessage)
    assert why.code is Code.NOT_IN_ROOM


def test_requests_that_race_with_a_quit() -> None:
    log = HeldLog()
    chat = Chat(log)
    ann, bob = enter_all(chat, log, "ann", "bob")
    for client in (ann, bob):
        chat.hub.join(client, "#tea")
        log.deliver_all()
    chat.hub.leave(bob)
    for answer in (
        chat.hub.kick(ann, "#tea", "bob"),
        chat.hub.set_operator(ann, "#tea", "bob", True),
        chat.hub.send_private(ann, "bob", "psst"),
    ):
        assert answer is None
    log.deliver_all()
    assert chat.hub.people_count == 1
    assert kinds(chat.all_events(ann)) == [Joined, Joined, Quit]
    assert enter_all(chat, log, "bob", "zoe")


def test_leaving_while_entering() -> None:
    log = HeldLog()
    chat = Chat(log)
    ann = chat.client()
    chat.hub.enter(ann, "ann", Profile())
    chat.hub.leave(ann)
    log.deliver_all()
    assert chat.hub.people_count == 0


def test_reloaded_bounds_apply_to_new_requests() -> None:
    chat = Chat()
    ann = chat.enter("ann", "#a", "#b", "#c")
    chat.hub.settings = dataclasses.replace(chat.hub.settings, rooms_per_member=2)
    assert refusal_code(chat.hub.join(ann, "#d")) is Code.OWN_ROOMS_FULL
    assert len(ann.rooms) == 3


def test_a_thousand_members_join() -> None:
    chat = Chat()
    members = [chat.enter(f"m{number}", "#lobby") for number in range(1000)]
    chat.flush()
    assert len(chat.hub.lobby.members) == 1000
    assert kinds(chat.all_events(members[-1])) == [Joined]
    assert len(chat.all_events(members[0])) == 1000
    for member in members:
        chat.hub.leave(member)
    assert chat.hub.people_count == 0
    assert not chat.hub.lobby.members


# --- counters ---


def test_messages_and_deliveries_are_counted() -> None:
    chat = Chat()
    ann, bob, cleo = (chat.enter(nick, "#lobby") for nick in ("ann", "bob", "cleo"))
    counters = chat.hub.counters
    assert (counters.entered, chat.hub.people_count, chat.hub.room_count) == (3, 3, 1)
    before = counters.deliveries
    chat.hub.say(ann, "#lobby", "hello")  # two others
    chat.hub.send_private(bob, "cleo", "psst")
    chat.hub.leave(cleo)  # two neighbours
    assert (counters.messages, counters.private_messages) == (1, 1)
    assert counters.deliveries - before == 2 + 1 + 2
    assert counters.dropped == 0
    chat.hub.drop(bob)
    assert counters.dropped == 1


def test_held_messages_are_sent_together_in_order() -> None:
    """:meth:`tcpd.chat.fanout.Fanout.hold`"""
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    chat.new_events(bob)
    chat.hub.fanout.hold()
    for text in ("one", "two", "three"):
        assert chat.hub.say(ann, "#tea", text) is None
    assert not bob.outbox.chunks
    chat.hub.fanout.release()
    assert len(bob.outbox.chunks) == 1
    assert [event.text for event in chat.new_events(bob) if isinstance(event, RoomMessage)] == [
        "one",
        "two",
        "three",
    ]
    room = chat.hub.room("#tea")
    assert room is not None
    assert [event.text for event in chat.kept_messages(room.key)] == ["one", "two", "three"]
    assert chat.hub.counters.messages == 3


def test_other_events_are_delivered_at_once_after_held_messages() -> None:
    """:meth:`tcpd.chat.fanout.Fanout.hold`: only messages to rooms are held back."""
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    chat.new_events(bob)
    chat.hub.fanout.hold()
    chat.hub.say(ann, "#tea", "one")
    chat.hub.say(bob, "#tea", "two")
    chat.hub.say(ann, "#tea", "three")
    chat.hub.part(ann, "#tea")
    assert not ann.rooms
    assert kinds(chat.new_events(bob)) == [RoomMessage, RoomMessage, Parted]
    chat.hub.say(bob, "#tea", "four")
    chat.hub.fanout.flush_held()
    room = chat.hub.room("#tea")
    assert room is not None
    assert [event.text for event in chat.kept_messages(room.key)] == ["one", "two", "three", "four"]
    chat.hub.fanout.release()


def test_held_messages_drop_only_paused_readers() -> None:
    """A client is slow only if its transport is paused, however much is sent in one turn."""
    chat = Chat(outbox=16384)
    ann, bob, cid = (chat.enter(nick, "#tea") for nick in ("ann", "bob", "cid"))
    chat.flush()
    cid.outbox.pause()
    chat.hub.fanout.hold()
    for _ in range(2000):
        chat.hub.say(ann, "#tea", "x")
    chat.hub.fanout.release()
    assert not bob.gone
    assert len([event for event in chat.all_events(bob) if isinstance(event, RoomMessage)]) == 2000
    assert cid.gone
