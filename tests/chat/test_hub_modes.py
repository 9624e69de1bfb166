"""What the hub makes of modes, ranks, lists, invitations and renamed rooms, whatever the door."""

from __future__ import annotations

from typing import Any

import pytest
from chat.doubles import Chat, RecordingClient, change_modes, set_mode
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.masks import BadMask, Mask
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Rank, Room
from tcpd.events.chat import (
    AwayChanged,
    Change,
    HostChanged,
    Invited,
    Joined,
    Kind,
    Line,
    Mode,
    ModesChanged,
    RealNameChanged,
    RoomMessage,
    RoomRenamed,
)


def code(answer: object) -> Code | None:
    """What was refused, if anything was."""
    if isinstance(answer, list):
        (answer,) = answer or [None]
    return answer.code if isinstance(answer, Refused) else None


def set_modes(chat: Chat, member: RecordingClient, name: str, *words: str) -> list[Code]:
    """Change modes as ``+o ann``, each by itself; what was refused."""
    changes = []
    for word in words:
        modes, _, argument = word.partition(" ")
        changes.append(Change(modes[0] == "+", Mode(modes[1]), argument))
    answer = change_modes(chat.hub, member, name, changes)
    assert isinstance(answer, list), answer
    assert [refused.about in changes for refused in answer] == [True] * len(answer)
    return [refused.code for refused in answer]


def made(chat: Chat, member: RecordingClient) -> list[str]:
    """The changes that a member was told of since the last time."""
    told = [event for event in chat.news(member) if isinstance(event, ModesChanged)]
    return [
        f"{'+' if change.adding else '-'}{change.mode}"
        f" {change.argument if change.target is None else change.target.nick}".rstrip()
        for event in told
        for change in event.changes
    ]


def tea(chat: Chat) -> Room:
    room = chat.hub.room("#tea")
    assert room is not None
    return room


def opened(*more: str, **bounds: Any) -> tuple[Chat, RecordingClient, list[RecordingClient]]:
    """A room, who opened it, and others in it."""
    chat = Chat(**bounds)
    ann = chat.enter("ann", "#tea")
    others = [chat.enter(nick, "#tea") for nick in more]
    for member in (ann, *others):
        chat.news(member)
    return chat, ann, others


# --- modes of a room ---


def test_a_new_room_keeps_outsiders_out_and_its_topic_safe() -> None:
    """Modern IRC: 'newly-created channels have then protected topic "+t" and no external messages
    "+n" modes enabled'."""
    chat, _, _ = opened()
    assert tea(chat).modes.flags == {Mode.NO_OUTSIDERS, Mode.TOPIC_PROTECTED}


def test_what_changes_nothing_is_not_told() -> None:
    chat, ann, (bob,) = opened("bob")
    assert set_modes(chat, ann, "#tea", "+n", "-i", "-k x", "-l", "-v bob", "+o ann") == []
    assert chat.news(bob) == []
    assert set_modes(chat, ann, "#tea", "+n", "+m") == []
    assert made(chat, bob) == ["+m"]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["+i", "-i"], ["+i", "-i"]),
        (["-n", "+n"], ["-n", "+n"]),
        (["+v bob", "-v bob"], ["+v bob", "-v bob"]),
        (["+b x", "-b X"], ["+b x!*@*", "-b x!*@*"]),
        (["+b x", "+b X!*@*"], ["+b x!*@*"]),
        (["+b x", "-b x", "+b x"], ["+b x!*@*", "-b x!*@*", "+b x!*@*"]),
        (["+k a", "+k a", "-k"], ["+k a", "-k a"]),
        (["+l 5", "+l 05", "-l", "-l"], ["+l 5", "-l"]),
    ],
)
def test_changes_made_at_once_are_made_one_after_the_other(
    asked: list[str], told: list[str]
) -> None:
    """What comes later in a list of changes is judged by what came before it."""
    chat, ann, (bob,) = opened("bob")
    before = (tea(chat).modes.flags, tea(chat).modes.key, tea(chat).modes.limit)
    assert set_modes(chat, ann, "#tea", *asked) == []
    assert made(chat, bob) == told
    if told[-1][0] == "-":
        assert (tea(chat).modes.flags, tea(chat).modes.key, tea(chat).modes.limit) == before
        assert tea(chat).bans == {}
        assert tea(chat).rank(bob.who) is Rank.NONE


def test_one_bad_change_spoils_no_other() -> None:
    chat, ann, (bob,) = opened("bob")
    answer = change_modes(
        chat.hub,
        ann,
        "#tea",
        [
            Change(True, Mode.INVITE_ONLY),
            Change(True, Mode.LIMIT, "many"),
            Change(True, Mode.VOICE, "nobody"),
            Change(True, Mode.VOICE, "bob"),
        ],
    )
    assert isinstance(answer, list)
    assert [refused.code for refused in answer] == [Code.BAD_ARGUMENT, Code.NO_SUCH_NICK]
    assert [refused.about for refused in answer] == [
        Change(True, Mode.LIMIT, "many"),
        Change(True, Mode.VOICE, "nobody"),
    ]
    assert made(chat, bob) == ["+i", "+v bob"]


@pytest.mark.parametrize("limit", ["0", "-1", "", "abc", "1.5", "٣", "1" * 10])
def test_a_limit_is_a_number_from_1_on(limit: str) -> None:
    chat, ann, _ = opened()
    assert set_modes(chat, ann, "#tea", f"+l {limit}") == [Code.BAD_ARGUMENT]
    assert tea(chat).modes.limit is None


@pytest.mark.parametrize("key", ["", "a b", "a,b", ":a", "a" * 33, "ä" * 17, "a\x01"])
def test_a_key_that_no_join_could_carry(key: str) -> None:
    chat, ann, _ = opened()
    assert set_modes(chat, ann, "#tea", f"+k {key}") == [Code.BAD_ARGUMENT]
    assert tea(chat).modes.key == ""


def test_a_key_is_in_no_repr() -> None:
    chat, ann, _ = opened()
    set_modes(chat, ann, "#tea", "+k sesame")
    assert "sesame" not in repr(tea(chat).modes)


def test_key_limit_and_invitation_keep_out() -> None:
    chat, ann, _ = opened()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+k sesame", "+l 1", "+i")
    assert code(chat.hub.join(bob, "#tea", "sesame")) is Code.NEEDS_INVITATION
    set_modes(chat, ann, "#tea", "-i")
    assert code(chat.hub.join(bob, "#tea", "Sesame")) is Code.NEEDS_KEY
    assert code(chat.hub.join(bob, "#tea", "sésame")) is Code.NEEDS_KEY
    assert code(chat.hub.join(bob, "#tea", "sesame")) is Code.ROOM_FULL
    set_modes(chat, ann, "#tea", "+l 2")
    assert chat.hub.join(bob, "#tea", "sesame") is None
    set_modes(chat, ann, "#tea", "+l 1")
    assert bob.who in tea(chat).members, "a lower limit puts nobody out"


def test_moderated() -> None:
    """Modern IRC: 'If this mode is set on a channel, only users who have channel privileges may
    send messages to that channel.'"""
    chat, ann, (bob, carol) = opened("bob", "carol")
    set_modes(chat, ann, "#tea", "+m", "+v carol")
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.MODERATED
    assert chat.hub.say(carol, "#tea", "hello") is None
    assert chat.hub.say(ann, "#tea", "hello") is None


def test_outsiders() -> None:
    chat, ann, _ = opened()
    bob = chat.enter("bob")
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.NOT_IN_ROOM
    set_modes(chat, ann, "#tea", "-n")
    assert chat.hub.say(bob, "#tea", "hello") is None
    set_modes(chat, ann, "#tea", "+m")
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.OUTSIDER


def test_a_topic_that_anybody_may_set() -> None:
    """Modern IRC: 'In a channel that does not have this mode enabled, anyone may set the topic'."""
    chat, ann, (bob,) = opened("bob")
    assert code(chat.hub.set_topic(bob, "#tea", "mine")) is Code.NOT_OPERATOR
    set_modes(chat, ann, "#tea", "-t")
    assert chat.hub.set_topic(bob, "#tea", "mine") is None
    carol = chat.enter("carol")
    assert code(chat.hub.set_topic(carol, "#tea", "hers")) is Code.NOT_IN_ROOM


# --- ranks ---


def test_ranks_are_kept_beside_each_other() -> None:
    chat, ann, (bob,) = opened("bob")
    set_modes(chat, ann, "#tea", "+v bob", "+h bob", "+o bob")
    assert tea(chat).rank(bob.who) is Rank.OPERATOR
    set_modes(chat, ann, "#tea", "-o bob")
    assert tea(chat).rank(bob.who) is Rank.HALF_OPERATOR
    set_modes(chat, ann, "#tea", "-h bob")
    assert tea(chat).rank(bob.who) is Rank.VOICE


def test_what_half_operators_may() -> None:
    chat, ann, (bob, _, dave) = opened("bob", "carol", "dave")
    set_modes(chat, ann, "#tea", "+h bob", "+h carol", "+v dave")
    assert set_modes(chat, bob, "#tea", "+m", "+b x", "-v dave", "+k y", "+l 9") == []
    assert (
        set_modes(chat, bob, "#tea", "+o bob", "-o ann", "+h dave", "-h carol")
        == [Code.NOT_OPERATOR] * 4
    )
    for nick in ("ann", "carol", "bob"):
        assert code(chat.hub.kick(bob, "#tea", nick)) is Code.NOT_OPERATOR
    assert chat.hub.kick(bob, "#tea", "dave") is None
    assert code(chat.hub.rename_room(bob, "#tea", "#coffee")) is Code.NOT_OPERATOR
    assert chat.hub.set_topic(bob, "#tea", "hot") is None
    assert dave not in tea(chat).members


def test_the_voiced_may_nothing_of_that() -> None:
    chat, ann, (bob,) = opened("bob")
    set_modes(chat, ann, "#tea", "+v bob")
    assert code(change_modes(chat.hub, bob, "#tea", [])) is Code.NOT_OPERATOR
    assert code(chat.hub.kick(bob, "#tea", "ann")) is Code.NOT_OPERATOR


def test_the_house_is_looked_after_by_operators_of_the_daemon() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#lobby"), chat.enter("bob")
    assert code(change_modes(chat.hub, ann, "#lobby", [])) is Code.NO_OPERATORS
    set_mode(chat.hub, bob, "o", True)
    assert set_modes(chat, bob, "#lobby", "+m") == [], "wherever they are"
    assert set_modes(chat, bob, "#lobby", "+v ann") == []
    assert made(chat, ann) == ["+m", "+v ann"]
    assert set_modes(chat, bob, "#lobby", "+o ann", "+h ann") == [Code.NO_OPERATORS] * 2
    assert code(chat.hub.rename_room(bob, "#lobby", "#hall")) is Code.NO_OPERATORS
    chat.enter("carol", "#tea")
    assert code(change_modes(chat.hub, bob, "#tea", [])) is Code.NOT_IN_ROOM, "but no other room"


# --- lists ---


def test_what_is_no_mask_is_not_banned_from_the_house_either() -> None:
    """The daemon's operators look after the house's rooms from outside."""
    chat = Chat()
    root = chat.enter("root")
    set_mode(chat.hub, root, "o", True)
    assert code(chat.hub.unban(root, "#lobby", "a b")) is Code.NOT_LISTED


def test_exempt_from_bans() -> None:
    """Modern IRC: 'they will not be blocked from joining due to the ban mode'."""
    chat, ann, _ = opened()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+b b*!*@*")
    assert code(chat.hub.join(bob, "#tea")) is Code.BANNED
    set_modes(chat, ann, "#tea", "+e BOB")
    assert chat.hub.join(bob, "#tea") is None
    assert chat.hub.say(bob, "#tea", "hello") is None
    set_modes(chat, ann, "#tea", "-e bob!*@*")
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.BANNED


def test_a_ban_follows_who_takes_another_name_or_host() -> None:
    chat, ann, (bob,) = opened("bob")
    set_modes(chat, ann, "#tea", "+b rob", "+b *.example.net")
    assert chat.hub.say(bob, "#tea", "hello") is None
    assert chat.hub.rename(bob, "Rob") is None
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.BANNED
    assert chat.hub.rename(bob, "bob") is None
    assert chat.hub.say(bob, "#tea", "hello") is None
    chat.hub.set_host(bob, "b.example.net")
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.BANNED


def test_a_mute_lets_in_and_hears_nothing() -> None:
    """As Ergo and InspIRCd have ``+b m:mask``: who has a rank is heard, and so is who is exempt by
    ``+e m:mask``; a plain exemption is about bans."""
    chat, ann, _ = opened()
    set_modes(chat, ann, "#tea", "+b m:BOB")
    bob = chat.enter("bob", "#tea", user="bee")
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.MUTED
    assert code(chat.hub.say_more(bob, "#tea", (), Kind.TAGS)) is Code.MUTED
    assert code(chat.hub.say_more(bob, "#tea", [Line("a")], least=Mode.OPERATOR)) is Code.MUTED
    set_modes(chat, ann, "#tea", "+v bob")
    assert chat.hub.say(bob, "#tea", "hello") is None
    set_modes(chat, ann, "#tea", "-v bob", "+e *!bee@*")
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.MUTED
    set_modes(chat, ann, "#tea", "+e m:*!bee@*")
    assert chat.hub.say(bob, "#tea", "hello") is None
    set_modes(chat, ann, "#tea", "-e m:*!bee@*", "-b m:bob")
    assert chat.hub.say(bob, "#tea", "hello") is None
    assert set_modes(chat, ann, "#tea", "+I m:bob") == [Code.BAD_ARGUMENT]


def test_an_exemption_from_mutes_lifts_no_ban() -> None:
    chat, ann, _ = opened()
    set_modes(chat, ann, "#tea", "+b bob", "+b m:bob", "+e m:bob")
    bob = chat.enter("bob")
    assert code(chat.hub.join(bob, "#tea")) is Code.BANNED
    set_modes(chat, ann, "#tea", "-n", "-b bob")
    assert chat.hub.say(bob, "#tea", "from outside") is None
    set_modes(chat, ann, "#tea", "-e m:bob")
    assert code(chat.hub.say(bob, "#tea", "from outside")) is Code.MUTED


def test_a_mute_takes_back_no_invitation() -> None:
    chat, ann, _ = opened()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+i")
    chat.hub.invite(ann, "#tea", "bob")
    set_modes(chat, ann, "#tea", "+b m:bob")
    assert chat.hub.join(bob, "#tea") is None


def test_a_mute_follows_who_takes_another_name() -> None:
    chat, ann, (bob,) = opened("bob")
    set_modes(chat, ann, "#tea", "+b m:troll")
    assert chat.hub.say(bob, "#tea", "hello") is None
    chat.hub.rename(bob, "troll")
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.MUTED
    chat.hub.rename(bob, "bob")
    assert chat.hub.say(bob, "#tea", "hello") is None


def test_verdicts_of_strangers_are_remembered_to_a_bound() -> None:
    """Whoever asks to come in costs a look at all masks once; what is remembered is bounded."""
    chat, ann, _ = opened()
    set_modes(chat, ann, "#tea", "+b nobody")
    bob = chat.enter("bob")
    for number in range(200):
        chat.hub.rename(bob, f"bob{number}")
        assert chat.hub.join(bob, "#tea") is None
        chat.hub.part(bob, "#tea")
    assert len(tea(chat)._verdicts) <= 65


@pytest.mark.parametrize("kind", [Kind.MESSAGE, Kind.NOTICE])
@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("\x01VERSION\x01", False),
        ("\x01PING 1", False),
        ("\x01ACTION\x01", False),
        ("\x01ACTION waves\x01", True),
        ("words \x01VERSION\x01", True),
        ("words", True),
    ],
)
def test_a_room_that_takes_no_ctcp(kind: Kind, text: str, taken: bool) -> None:
    """irctest, no_ctcp.py: +C refuses PING and lets ACTION through. A NOTICE is a reply by CTCP."""
    chat, ann, (bob,) = opened("bob")
    set_modes(chat, ann, "#tea", "+C")
    for member in (ann, bob):
        assert (chat.hub.say(member, "#tea", text, kind) is None) is taken
        lines = [Line("first"), Line(text)]
        assert (chat.hub.say_more(member, "#tea", lines, kind) is None) is taken
    assert chat.hub.tell(bob, "ann", text, kind) is None
    assert chat.hub.say(ann, "#tea", "waves", Kind.ACTION) is None
    assert code(chat.hub.say(ann, "#tea", "\x01PING\x01", Kind.ACTION)) is Code.NO_CTCP
    more = chat.hub.say_more(ann, "#tea", [Line(text)], kind, speaker="x/y")
    assert (more is None) is taken
    set_modes(chat, ann, "#tea", "-C")
    assert chat.hub.say(bob, "#tea", text, kind) is None


def test_invited_by_mask() -> None:
    """Modern IRC: 'they do not need to require an INVITE in order to join the channel'."""
    chat, ann, _ = opened()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+i", "+I b?b", "+k sesame")
    assert code(chat.hub.join(bob, "#tea")) is Code.NEEDS_KEY, "it stands for +i alone"
    assert chat.hub.join(bob, "#tea", "sesame") is None


@pytest.mark.parametrize("mode", ["b", "e", "I"])
def test_lists_are_bounded(mode: str) -> None:
    chat, ann, _ = opened(bans_per_room=2)
    assert set_modes(chat, ann, "#tea", f"+{mode} x", f"+{mode} y", f"+{mode} z") == [
        Code.LIST_FULL
    ]
    assert set_modes(chat, ann, "#tea", f"-{mode} x", f"+{mode} z") == [], "there is place again"
    assert list(tea(chat).lists[Mode(mode)]) == ["y!*@*", "z!*@*"]
    assert set_modes(chat, ann, "#tea", f"-{mode} x") == [Code.NOT_LISTED]


def test_lists_of_all_rooms_are_bounded_together() -> None:
    """bans_in_all: 'A room that has fewer than 10 may always have another.'"""
    chat = Chat(bans_in_all=15)
    ann = chat.enter("ann", "#a", "#b")
    assert set_modes(chat, ann, "#a", *(f"+{'beI'[n % 3]} a{n}" for n in range(15))) == []
    assert set_modes(chat, ann, "#a", "+e more") == [Code.LIST_FULL]
    assert set_modes(chat, ann, "#b", *(f"+b b{n}" for n in range(9))) == []
    assert set_modes(chat, ann, "#b", "+b one", "+b two") == [Code.LIST_FULL]
    assert set_modes(chat, ann, "#b", "+b one") == [], "it is there already"
    assert set_modes(chat, ann, "#b", "-b b1", "+b two", "+b three") == [Code.LIST_FULL]
    assert set_modes(chat, ann, "#a", *(f"-b a{n}" for n in range(0, 15, 3))) == []
    assert chat.hub.state.listed == 10 + 10
    for room in ("#a", "#b"):
        chat.hub.part(ann, room)
    assert chat.hub.state.listed == 0


@given(st.text(max_size=30))
def test_a_mask_in_full_is_the_same_mask(text: str) -> None:
    """What one node has checked, another makes true from the text in the event."""
    try:
        mask = Mask.of(text)
    except BadMask:
        return
    assert Mask.of(mask.text) == mask
    assert Mask.of(mask.text).text == mask.text


# --- invitations ---


def test_an_invitation_lets_in_once() -> None:
    chat, ann, _ = opened()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+i", "+k sesame", "+l 1")
    assert chat.hub.invite(ann, "#tea", "bob") is None
    assert [type(event) for event in _own(bob)] == [Invited]
    assert chat.hub.join(bob, "#tea") is None
    chat.hub.kick(ann, "#tea", "bob")
    assert code(chat.hub.join(bob, "#tea")) is Code.NEEDS_INVITATION


def test_an_invitation_lets_in_a_banned_member_once() -> None:
    """As Ergo and InspIRCd (``invitebypassmodes``) have it, and irctest's testInviteExemptsFromBan:
    the invitation of an operator is the later word."""
    chat, ann, _ = opened()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+b bob")
    assert code(chat.hub.join(bob, "#tea")) is Code.BANNED
    chat.hub.invite(ann, "#tea", "bob")
    assert chat.hub.join(bob, "#tea") is None
    assert code(chat.hub.say(bob, "#tea", "hello")) is Code.BANNED, "and does not let them speak"
    chat.hub.kick(ann, "#tea", "bob")
    assert code(chat.hub.join(bob, "#tea")) is Code.BANNED


def test_a_later_ban_takes_back_an_invitation() -> None:
    """Modern IRC: 'If they match one of these banned masks, they will receive an
    ERR_BANNEDFROMCHAN reply and the JOIN command will fail.'"""
    chat, ann, _ = opened()
    bob, carol = chat.enter("bob"), chat.enter("carol")
    dave = chat.enter("dave")
    for whom in (bob, carol, dave):
        chat.hub.invite(ann, "#tea", whom.nick)
    chat.hub.leave(dave)
    set_modes(chat, ann, "#tea", "+i", "+b bob")
    assert code(chat.hub.join(bob, "#tea")) is Code.BANNED
    assert list(tea(chat).invited) == [carol.id], "who has left is forgotten with it"
    assert chat.hub.join(carol, "#tea") is None


def test_the_invitation_of_who_is_no_operator_does_not_lift_a_ban() -> None:
    chat, ann, (carol,) = opened("carol")
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+b bob")
    assert chat.hub.invite(carol, "#tea", "bob") is None
    assert code(chat.hub.join(bob, "#tea")) is Code.BANNED


def test_an_invitation_into_a_room_that_does_not_exist_is_passed_on() -> None:
    """RFC 2812 section 3.2.7: 'There is no requirement that the channel the target user is being
    invited to must exist or be a valid channel.' It is no more than a message."""
    chat, ann, _ = opened()
    bob = chat.enter("bob")
    assert chat.hub.invite(ann, "#nowhere", "bob") is None
    assert [type(event) for event in _own(bob)] == [Invited]
    assert chat.hub.room("#nowhere") is None
    carol = chat.enter("carol", "#nowhere")
    set_modes(chat, carol, "#nowhere", "+i")
    assert code(chat.hub.join(bob, "#nowhere")) is Code.NEEDS_INVITATION
    assert code(chat.hub.invite(ann, "nowhere", "bob")) is Code.BAD_ROOM
    assert code(chat.hub.invite(ann, "#later", "nobody")) is Code.NO_SUCH_NICK


def test_an_invitation_by_just_anybody_opens_no_lock() -> None:
    chat, ann, (carol,) = opened("carol")
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+l 1")
    assert chat.hub.invite(carol, "#tea", "bob") is None
    assert [type(event) for event in _own(bob)] == [Invited], "they are told all the same"
    assert code(chat.hub.join(bob, "#tea")) is Code.ROOM_FULL
    set_modes(chat, ann, "#tea", "-l", "+i")
    assert code(chat.hub.join(bob, "#tea")) is Code.NEEDS_INVITATION
    assert code(chat.hub.invite(carol, "#tea", "bob")) is Code.NOT_OPERATOR


def test_who_cannot_be_invited_and_who_cannot_invite() -> None:
    chat, ann, (carol,) = opened("carol")
    bob = chat.enter("bob")
    assert code(chat.hub.invite(bob, "#tea", "bob")) is Code.NOT_IN_ROOM
    assert code(chat.hub.invite(ann, "#tea", "nobody")) is Code.NO_SUCH_NICK
    assert code(chat.hub.invite(ann, "#tea", "CAROL")) is Code.ALREADY_THERE
    assert carol.id not in tea(chat).invited


def test_invitations_are_bounded_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpd.chat.state._INVITATIONS", 2)
    chat, ann, _ = opened()
    others = [chat.enter(nick) for nick in ("bob", "carol", "dave")]
    for other in (others[0], *others):
        chat.hub.invite(ann, "#tea", other.nick)
    assert list(tea(chat).invited) == [others[1].id, others[2].id]


def test_those_who_may_invite_are_told_of_it_but_not_who_did() -> None:
    chat, ann, (carol, dave) = opened("carol", "dave")
    chat.enter("bob")
    set_modes(chat, ann, "#tea", "+h carol")
    for member in (ann, carol, dave):
        chat.news(member)
    chat.hub.invite(ann, "#tea", "bob")
    assert [type(event) for event in chat.news(carol)] == [Invited]
    assert chat.news(ann) == chat.news(dave) == []
    assert [type(event) for event in _own(ann)][-1] is Invited


def _own(client: RecordingClient) -> list[Any]:
    return client.own


# --- rooms that get another name ---


def test_a_renamed_room_is_the_same_room() -> None:
    """draft/channel-rename: 'A channel rename preserves all channel state, such as membership,
    mode and topic.'"""
    chat, ann, (bob,) = opened("bob")
    chat.hub.set_topic(ann, "#tea", "hot")
    set_modes(chat, ann, "#tea", "+b x", "+v bob")
    room = tea(chat)
    chat.news(bob)
    assert chat.hub.rename_room(ann, "#TEA", "#Coffee", "tastes better") is None
    (event,) = chat.news(bob)
    assert isinstance(event, RoomRenamed)
    assert (event.room, event.name, event.reason) == ("#tea", "#Coffee", "tastes better")
    assert chat.hub.room("#coffee") is room
    assert chat.hub.room("#tea") is None
    assert room.name == "#Coffee"
    assert room.topic is not None
    assert list(room.bans) == ["x!*@*"]
    assert list(ann.rooms) == list(bob.rooms) == ["#coffee"]
    assert next(iter(chat.hub.rooms)) is chat.hub.lobby
    assert chat.hub.say(bob, "#coffee", "hello") is None
    assert chat.hub.part(bob, "#coffee") is None
    assert chat.hub.part(ann, "#coffee") is None
    assert chat.hub.room("#coffee") is None
    assert chat.enter("carol", "#tea").who in tea(chat).operators, "the old name is free"


def test_names_that_a_room_cannot_get() -> None:
    chat, ann, (bob,) = opened("bob")
    chat.enter("carol", "#coffee")
    assert code(chat.hub.rename_room(ann, "#tea", "#COFFEE")) is Code.ROOM_TAKEN
    assert code(chat.hub.rename_room(ann, "#tea", "tea")) is Code.BAD_ROOM
    assert code(chat.hub.rename_room(bob, "#tea", "#x")) is Code.NOT_OPERATOR
    assert code(chat.hub.rename_room(ann, "#coffee", "#x")) is Code.NOT_IN_ROOM
    chat.news(bob)
    assert chat.hub.rename_room(ann, "#tea", "#tea") is None
    assert chat.news(bob) == [], "there is nothing to tell"
    assert chat.hub.rename_room(ann, "#tea", "#TEA") is None
    assert tea(chat).name == "#TEA"


# --- away, real names, hosts ---


def test_being_away_is_told_to_neighbours_once_and_at_joining() -> None:
    chat, ann, (bob,) = opened("bob")
    chat.hub.set_away(ann, "lunch")
    chat.hub.set_away(ann, "lunch")
    assert [type(event) for event in chat.news(bob)] == [AwayChanged]
    assert chat.news(ann) == [], "their door answers them"
    chat.enter("carol", "#x")
    chat.hub.join(ann, "#x")
    (event,) = [event for event in chat.news(ann) if isinstance(event, Joined)]
    assert event.away == "lunch"
    chat.hub.set_away(ann, "")
    (back,) = [event for event in chat.news(bob) if isinstance(event, AwayChanged)]
    assert back.message == ""


def test_real_names_and_hosts() -> None:
    chat, ann, (bob,) = opened("bob")
    assert chat.hub.set_real_name(ann, "Ann Other") is None
    assert code(chat.hub.set_real_name(ann, "")) is Code.EMPTY
    assert code(chat.hub.set_real_name(ann, "x" * 151)) is Code.TOO_LONG
    chat.hub.set_host(ann, "ann.example.net")
    chat.hub.set_host(ann, "ann.example.net")
    first, second = chat.news(bob)
    assert isinstance(first, RealNameChanged)
    assert isinstance(second, HostChanged)
    assert (second.actor.host, second.host) == ("localhost", "ann.example.net")
    assert ann.identity.host == "ann.example.net"


@pytest.mark.parametrize(
    ("address", "host"), [(None, "localhost"), ("127.0.0.1", "localhost"), ("::1", "localhost")]
)
def test_the_host_of_who_is_here(address: str | None, host: str) -> None:
    assert Chat().enter("ann", address=address).host == host


def test_a_hidden_host_is_the_subscribers_and_tells_no_address() -> None:
    chat = Chat()
    hosts = [
        chat.enter(f"m{number}", address=address).host
        for number, address in enumerate(
            ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::"]
        )
    ]
    assert hosts[0] == hosts[1] != hosts[2]
    assert hosts[3] == hosts[4] != hosts[5]
    assert all(host.endswith(".hidden") and "192" not in host for host in hosts)
    shown = Chat(hosts="address")
    assert shown.enter("ann", address="192.0.2.1").host == "192.0.2.1"


# --- those who watch, and the past ---


def test_watching() -> None:
    chat = Chat(watched=2)
    ann = chat.enter("ann")
    assert chat.hub.monitor(ann, "BOB") is None
    assert chat.hub.monitor(ann, "bob") is None, "one is watched once"
    assert chat.hub.monitor(ann, "rob") is None
    assert code(chat.hub.monitor(ann, "carol")) is Code.TOO_MANY_WATCHED
    bob = chat.enter("bob")
    chat.hub.rename(bob, "Bob")
    chat.hub.rename(bob, "rob")
    chat.hub.leave(bob)
    assert ann.presence == ["+bob", "-Bob", "+rob", "-rob"]
    chat.hub.unmonitor(ann, "bob")
    chat.enter("bob")
    assert ann.presence == ["+bob", "-Bob", "+rob", "-rob"]


def test_what_all_watch_is_bounded_together() -> None:
    """watched_in_all: 'Who watches fewer than 10 may always watch another.'"""
    chat = Chat(watched_in_all=15)
    ann, bob = chat.enter("ann"), chat.enter("bob")
    for number in range(15):
        assert chat.hub.monitor(ann, f"a{number}") is None
    assert code(chat.hub.monitor(ann, "more")) is Code.TOO_MANY_WATCHED
    assert chat.hub.monitor(ann, "A1") is None, "it is watched already"
    for number in range(10):
        assert chat.hub.monitor(bob, f"b{number}") is None
    assert code(chat.hub.monitor(bob, "more")) is Code.TOO_MANY_WATCHED
    chat.hub.leave(ann)
    assert chat.hub.monitor(bob, "more") is None
    chat.hub.unmonitor(bob, "MORE")
    chat.hub.unmonitor(bob, "nobody")
    assert chat.hub._monitor.count == 10


def test_who_leaves_watches_nobody() -> None:
    chat = Chat()
    ann = chat.enter("ann")
    chat.hub.monitor(ann, "bob")
    chat.hub.leave(ann)
    chat.enter("bob")
    assert ann.presence == []
    assert chat.hub._monitor.count == 0


def test_those_who_watch_from_afar_are_told_more_if_they_want() -> None:
    chat = Chat()
    ann, bob, carol = (chat.enter(nick) for nick in ("ann", "bob", "carol"))
    ann.extended_monitor = True
    for watcher in (ann, carol):
        chat.hub.monitor(watcher, "bob")
    chat.hub.set_away(bob, "lunch")
    assert [type(event) for event in chat.news(ann)] == [AwayChanged]
    assert chat.news(carol) == []


def test_the_past_remembers_nicknames_that_were_given_up() -> None:
    chat = Chat()
    ann = chat.enter("ann", address="192.0.2.1", real_name="Ann")
    chat.hub.rename(ann, "annie")
    chat.hub.leave(ann)
    chat.enter("ANN")
    (gone,) = chat.hub.state.whowas.of("Ann")
    assert (gone.who.nick, gone.real_name, str(gone.address)) == ("ann", "Ann", "192.0.2.1")
    assert [gone.who.nick for gone in chat.hub.state.whowas.of("annie")] == ["annie"]
    for number in range(7):
        bob = chat.enter("bob")
        chat.hub.set_real_name(bob, str(number))
        chat.hub.leave(bob)
    assert [gone.real_name for gone in chat.hub.state.whowas.of("bob")] == ["6", "5", "4", "3", "2"]


# --- operators of the daemon ---


def test_who_is_put_out() -> None:
    chat, ann, (bob,) = opened("bob")
    set_mode(chat.hub, ann, "o")
    chat.news(ann)
    chat.hub.kill(ann, bob.who, "spam")
    chat.hub.kill(ann, bob.who, "spam")
    assert bob.gone
    assert bob.ended == ["Killed (ann (spam))"]
    (event,) = chat.news(ann)
    assert getattr(event, "reason", "") == "Killed (ann (spam))"
    assert bob.who not in tea(chat).members


def test_the_invisible_and_the_operators_are_counted() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann"), chat.enter("bob")
    for member in (ann, bob):
        set_mode(chat.hub, member, "i", True)
        set_mode(chat.hub, member, "i", True)
        set_mode(chat.hub, member, "o", True)
    assert (chat.hub.state.invisible, chat.hub.state.server_operators) == (2, 2)
    chat.hub.leave(bob)
    set_mode(chat.hub, ann, "i", False)
    assert (chat.hub.state.invisible, chat.hub.state.server_operators) == (0, 1)


@pytest.mark.parametrize("lobby", [False, True])
def test_who_has_a_rank_is_found_among_all(lobby: bool) -> None:
    """:meth:`Room.ranked` is :meth:`Room.rank`, asked of everybody at once."""
    chat = Chat()
    room = chat.hub.lobby if lobby else Room("#tea", 0.0)
    for ranks in range(8):
        for operator in (False, True):
            member = chat.enter(f"m{ranks}{operator:d}")
            set_mode(chat.hub, member, "o", operator)
            room.members[member.who] = ranks
    for least in (Rank.VOICE, Rank.HALF_OPERATOR, Rank.OPERATOR):
        assert room.ranked(least) == [each for each in room.members if room.rank(each) >= least]


def test_that_somebody_types_is_nothing_that_they_say() -> None:
    """WHOIS tells for how long somebody has said nothing."""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    chat.now += 60
    typing = (("+typing", "active"),)
    assert chat.hub.say_more(ann, "#tea", (), Kind.TAGS, tags=typing) is None
    assert ann.spoke == chat.now - 60
    assert chat.hub.say_more(ann, "#tea", (Line("hi"),), tags=typing) is None
    assert ann.spoke == chat.now


def test_tags_are_not_kept_with_what_was_said() -> None:
    """Each message may have 4 KB of them."""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    assert chat.hub.say_more(ann, "#tea", (Line("hi"),), tags=(("+x", "y"),)) is None
    (said,) = chat.kept("#tea")
    assert isinstance(said, RoomMessage)
    assert (said.text, said.tags) == ("hi", ())
