"""ChatState: the same on every node that applies the same events in the same order."""

from __future__ import annotations

from typing import Any

import pytest
from chat.doubles import Chat, change_modes, kinds, set_mode, snapshot
from chat.irc_chat import IrcChat, plain

from tcpd.chat.refused import Code
from tcpd.chat.state import ChatState
from tcpd.events.chat import (
    AwayChanged,
    Change,
    Entered,
    Event,
    EventId,
    Identity,
    Invited,
    Joined,
    Kicked,
    Killed,
    Kind,
    Mode,
    ModesChanged,
    NickChanged,
    Parted,
    PrivateMessage,
    Quit,
    Redacted,
    RoomMessage,
    RoomRenamed,
    TopicChanged,
    UserModesChanged,
)


def remote(nick: str, number: int = 1, node: str = "other") -> Identity:
    return Identity(f"{node}-b-m{number}", nick, "~far", "far.example")


class Node:
    """Delivers events of people on another node."""

    def __init__(self, chat: Any) -> None:
        self.deliver = chat.hub.deliver
        self._count = 0

    def __call__(self, cls: type[Event], who: Identity, *values: Any) -> Event:
        self._count += 1
        event = cls(EventId("other", "b", self._count), 1_000_000.0 + self._count, who, *values)
        self.deliver(event)
        return event


def test_person_of_another_node() -> None:
    """docs/decisions/0016: events change people and rooms, whatever node appends them."""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    node = Node(chat)
    zoe = remote("zoe")
    node(Entered, zoe, "Zoe", "192.0.2.9")
    node(Joined, zoe, "#TEA", True)
    said = node(RoomMessage, zoe, "#tea", "hello from afar", Kind.MESSAGE)
    joined, delivered = chat.new_events(ann)[-2:]
    assert isinstance(joined, Joined)
    assert (joined.room, joined.opened) == ("#tea", False), "the room existed"
    assert delivered == said
    assert chat.kept_messages("#tea") == [said]
    assert chat.hub.send_private(ann, "zoe", "psst") is None
    node(PrivateMessage, zoe, ann.identity, "psst yourself", Kind.MESSAGE)
    assert kinds(chat.new_events(ann)) == [PrivateMessage]
    node(NickChanged, zoe, "zelda")
    assert chat.hub.person("zoe") is None
    # the other node had not applied the nick change yet
    node(RoomMessage, zoe, "#tea", "still me", Kind.MESSAGE)
    renamed, again = chat.new_events(ann)
    assert isinstance(renamed, NickChanged)
    assert again.actor.nick == "zelda", "the current nickname"
    assert chat.hub.kick(ann, "#tea", "zelda", "enough") is None
    assert chat.hub.ban(ann, "#tea", "zelda") is None
    node(Joined, zoe, "#tea", False)
    events = chat.new_events(ann)
    assert kinds(events) == [Kicked, ModesChanged]
    room = chat.hub.room("#tea")
    assert room is not None
    assert list(room.members) == [ann.who], "every node refuses the banned person"
    node(Quit, zoe, "bye")
    assert chat.hub.person("zelda") is None
    assert chat.new_events(ann) == []
    assert chat.hub.people_count == 1


def test_forbidden_events_change_nothing() -> None:
    """docs/decisions/0016: apply decides again what depends on the order."""
    chat = Chat()
    ann, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    node, zoe = Node(chat), remote("zoe")
    node(Entered, zoe, "Zoe")
    for client in (ann, bob):
        chat.new_events(client)
    before = snapshot(chat.hub.state)
    node(Entered, remote("ann", 2), "Another")
    node(RoomMessage, zoe, "#tea", "outside", Kind.MESSAGE)
    node(TopicChanged, zoe, "#tea", "mine")
    node(Kicked, zoe, "#tea", bob.identity, "")
    node(ModesChanged, zoe, "#tea", (Change(True, Mode.OPERATOR, target=zoe),))
    node(ModesChanged, bob.identity, "#tea", (Change(True, Mode.OPERATOR, target=bob.identity),))
    node(Parted, zoe, "#tea", "")
    node(Killed, zoe, ann.identity, "no", "Killed (zoe (no))")
    node(NickChanged, zoe, "bob")
    stranger = remote("nobody", 99)
    node(Joined, stranger, "#tea", False)
    node(Parted, stranger, "#tea", "")
    node(RoomMessage, stranger, "#tea", "x", Kind.MESSAGE)
    node(Quit, stranger, "")
    assert chat.new_events(ann) == chat.new_events(bob) == []
    assert snapshot(chat.hub.state) == before


def test_rank_and_membership_are_checked_when_applied() -> None:
    """docs/decisions/0016: apply decides again what depends on the order."""
    chat = Chat(lobby="#lobby")
    ann = chat.enter("ann", "#tea", "#lobby")
    zoe, room = remote("zoe"), chat.hub.room("#tea")
    node = Node(chat)
    node(Entered, zoe, "Zoe")
    assert chat.hub.say(ann, "#tea", "hello") is None
    said = chat.kept_messages("#tea")[0]
    set_mode(chat.hub, ann, "o")
    chat.new_events(ann)
    node(Redacted, zoe, "#tea", str(said.id), "", zoe.id)
    node(Invited, zoe, "#tea", ann.identity)
    node(RoomRenamed, ann.identity, "#lobby", "#pot", "")
    node(Joined, zoe, "#tea", False)
    assert kinds(chat.new_events(ann)) == [Joined]
    node(Redacted, zoe, "#tea", str(said.id), "", ann.identity.id)
    change_modes(chat.hub, ann, "#tea", [Change(True, Mode.INVITE_ONLY)])
    bob = chat.enter("bob")
    node(Invited, zoe, "#tea", bob.identity)
    assert kinds(chat.new_events(ann)) == [ModesChanged]
    assert chat.new_events(bob) == []
    assert chat.kept_messages("#tea") == [said]
    node(Redacted, zoe, "#tea", str(said.id), "", zoe.id)
    assert kinds(chat.new_events(ann)) == [Redacted]
    assert room is not None
    assert chat.kept_messages("#tea") == ()


def test_two_clients_of_one_person() -> None:
    """Both receive the room's messages; a message of one is sent to the other."""
    chat = Chat()
    phone = chat.enter("ann", "#tea")
    laptop = chat.client()
    chat.hub.attach(laptop, phone.who)
    bob = chat.enter("bob", "#tea")
    for client in (phone, laptop, bob):
        chat.new_events(client)
    chat.hub.say(bob, "#tea", "to both")
    chat.hub.say(phone, "#tea", "from one")
    chat.hub.send_private(bob, "ann", "psst")
    chat.hub.send_private(laptop, "bob", "psst, too")
    texts = {
        client: [event.text for event in chat.new_events(client)]  # type: ignore[attr-defined]
        for client in (phone, laptop, bob)
    }
    assert texts == {
        phone: ["to both", "psst", "psst, too"],
        laptop: ["to both", "from one", "psst"],
        bob: ["from one", "psst, too"],
    }
    chat.hub.send_private(phone, "ann", "a note")
    assert len(chat.new_events(phone)) == len(chat.new_events(laptop)) == 1
    chat.hub.join(laptop, "#pot")
    assert kinds(phone.own[-1:]) == [Joined], "the other client is notified"
    chat.hub.leave(phone)
    assert chat.hub.person("ann") is laptop.who
    chat.hub.say(bob, "#tea", "still here?")
    assert [event.text for event in chat.new_events(laptop) if isinstance(event, RoomMessage)]
    assert chat.new_events(bob) == [], "the person stays"
    chat.hub.leave(laptop, "gone")
    assert kinds(chat.new_events(bob)) == [Quit]


def test_dropped_client_does_not_remove_its_person() -> None:
    chat = Chat(outbox=16384)
    phone, bob = chat.enter("ann", "#tea"), chat.enter("bob", "#tea")
    laptop = chat.client()
    chat.hub.attach(laptop, phone.who)
    chat.new_events(bob)
    phone.outbox.pause()
    phone.outbox.put(b"\n" * 16384)
    chat.hub.say(bob, "#tea", "x" * 100)
    assert phone.gone
    assert phone.drops == 1
    assert not laptop.gone
    assert chat.new_events(bob) == []


def test_two_irc_clients_of_one_person() -> None:
    """The second client of the person receives JOIN, topic and names."""
    chat = IrcChat()
    phone = chat.irc_client("ann", joined="#tea")
    laptop = chat.irc_client()
    client, person = laptop.session, chat.hub.person("ann")
    assert client is not None
    assert person is not None
    client.registered()  # type: ignore[attr-defined]
    chat.hub.attach(client, person)  # type: ignore[arg-type]
    phone.send("JOIN #pot")
    assert [line.split(" ")[1] for line in laptop.lines()] == ["JOIN", "353", "366"]
    laptop.send("PRIVMSG #pot :from the laptop")
    assert [plain(line) for line in phone.lines()] == [
        ":ann!~ann@localhost PRIVMSG #pot :from the laptop"
    ]
    laptop.send("NICK annie")
    assert phone.lines() == [":ann!~ann@localhost NICK annie"]
    laptop.send("QUIT")
    assert chat.hub.person("annie") is person
    assert not phone.closed


def test_kill_of_a_client_that_has_left() -> None:
    chat = Chat()
    root, bob = chat.enter("root"), chat.enter("bob")
    set_mode(chat.hub, root, "o")
    target = bob.who
    chat.hub.leave(bob)
    assert chat.hub.kill(root, target, "late") is None
    assert bob.ended == []


@pytest.mark.parametrize("mode", [Mode.LIMIT, Mode.INVITE_ONLY])
def test_join_is_refused_if_the_room_filled_up_meanwhile(mode: Mode) -> None:
    """docs/decisions/0016. The key was checked before, and is not in the log."""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    assert change_modes(chat.hub, ann, "#tea", [Change(True, mode, "1")]) == []
    node, zoe = Node(chat), remote("zoe")
    node(Entered, zoe, "Zoe")
    node(Joined, zoe, "#tea", False)
    room = chat.hub.room("#tea")
    assert room is not None
    assert list(room.members) == [ann.who]
    chat.hub.invite(ann, "#tea", "zoe")
    node(Joined, zoe, "#tea", False)
    assert len(room.members) == 2, "an invitation permits one join"


def test_same_events_give_equal_states() -> None:
    """docs/decisions/0016: the same events give the same state on every node."""
    one, other = (ChatState("#lobby", "hi", 1.0) for _ in range(2))
    zoe, bob = remote("zoe"), remote("bob", 2, "third")
    ids = iter(range(1, 100))

    def event(cls: type[Event], who: Identity, *values: Any) -> Event:
        number = next(ids)
        return cls(EventId("n", "b", number), float(number), who, *values)

    events = [
        event(Entered, zoe, "Zoe", "192.0.2.9", True),
        event(Entered, bob, "Bob"),
        event(Joined, zoe, "#tea", True),
        event(Joined, bob, "#tea", True),
        event(NickChanged, bob, "ZOE"),
        event(ModesChanged, zoe, "#tea", (Change(True, Mode.VOICE, target=bob),)),
        event(UserModesChanged, bob, "iB", ""),
        event(AwayChanged, bob, "lunch"),
        event(Invited, zoe, "#pot", bob),
        event(Kicked, bob, "#tea", zoe, "no"),
        event(Quit, zoe, "bye"),
    ]
    outcomes = [[state.apply(each) for each in events] for state in (one, other)]
    refused = [[outcome.refused for outcome in run] for run in outcomes]
    assert refused[0] == refused[1]
    assert [each.code for each in refused[0] if each] == [Code.NICK_TAKEN, Code.NOT_OPERATOR]
    assert [outcome.event for outcome in outcomes[0]] == [outcome.event for outcome in outcomes[1]]
    assert snapshot(one) == snapshot(other)
