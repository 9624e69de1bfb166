"""The hub: modes, ranks, lists, invitations, renamed rooms, away, MONITOR and WHOWAS."""

from __future__ import annotations

from typing import Any

import pytest
from chat.doubles import Chat, RecordingClient, change_modes, kinds, refusal_code, set_mode
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.masks import BadMask, Mask
from tcpd.chat.refused import Code
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


def set_modes(chat: Chat, member: RecordingClient, name: str, *words: str) -> list[Code]:
    """Change modes such as ``+o ann``, one event each. Return the codes of the refusals."""
    changes = []
    for word in words:
        modes, _, argument = word.partition(" ")
        changes.append(Change(modes[0] == "+", Mode(modes[1]), argument))
    answer = change_modes(chat.hub, member, name, changes)
    assert isinstance(answer, list), answer
    assert [refused.about in changes for refused in answer] == [True] * len(answer)
    return [refused.code for refused in answer]


def mode_changes(chat: Chat, member: RecordingClient) -> list[str]:
    """The mode changes that a member received since the last call."""
    changed = [event for event in chat.new_events(member) if isinstance(event, ModesChanged)]
    return [
        f"{'+' if change.adding else '-'}{change.mode}"
        f" {change.argument if change.target is None else change.target.nick}".rstrip()
        for event in changed
        for change in event.changes
    ]


def tea(chat: Chat) -> Room:
    room = chat.hub.room("#tea")
    assert room is not None
    return room


def open_tea(*more: str, **bounds: Any) -> tuple[Chat, RecordingClient, list[RecordingClient]]:
    """A chat, the founder of #tea, and more members of #tea."""
    chat = Chat(**bounds)
    ann = chat.enter("ann", "#tea")
    others = [chat.enter(nick, "#tea") for nick in more]
    for member in (ann, *others):
        chat.new_events(member)
    return chat, ann, others


# --- modes of a room ---


def test_new_room_has_modes_n_and_t() -> None:
    """Modern IRC: 'newly-created channels have then protected topic "+t" and no external messages
    "+n" modes enabled'."""
    chat, _, _ = open_tea()
    assert tea(chat).modes.flags == {Mode.NO_OUTSIDERS, Mode.TOPIC_PROTECTED}


def test_mode_changes_without_effect_are_not_sent() -> None:
    chat, ann, (bob,) = open_tea("bob")
    assert set_modes(chat, ann, "#tea", "+n", "-i", "-k x", "-l", "-v bob", "+o ann") == []
    assert chat.new_events(bob) == []
    assert set_modes(chat, ann, "#tea", "+n", "+m") == []
    assert mode_changes(chat, bob) == ["+m"]


@pytest.mark.parametrize(
    ("requested", "sent"),
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
def test_mode_changes_are_applied_in_order(requested: list[str], sent: list[str]) -> None:
    """A change is checked against the state that the earlier ones leave."""
    chat, ann, (bob,) = open_tea("bob")
    before = (tea(chat).modes.flags, tea(chat).modes.key, tea(chat).modes.limit)
    assert set_modes(chat, ann, "#tea", *requested) == []
    assert mode_changes(chat, bob) == sent
    if sent[-1][0] == "-":
        assert (tea(chat).modes.flags, tea(chat).modes.key, tea(chat).modes.limit) == before
        assert tea(chat).bans == {}
        assert tea(chat).rank(bob.who) is Rank.NONE


def test_refused_change_does_not_affect_the_others() -> None:
    chat, ann, (bob,) = open_tea("bob")
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
    assert mode_changes(chat, bob) == ["+i", "+v bob"]


@pytest.mark.parametrize("limit", ["0", "-1", "", "abc", "1.5", "٣", "1" * 10])
def test_limit_must_be_a_positive_number(limit: str) -> None:
    chat, ann, _ = open_tea()
    assert set_modes(chat, ann, "#tea", f"+l {limit}") == [Code.BAD_ARGUMENT]
    assert tea(chat).modes.limit is None


@pytest.mark.parametrize("key", ["", "a b", "a,b", ":a", "a" * 33, "ä" * 17, "a\x01"])
def test_key_that_join_cannot_carry_is_refused(key: str) -> None:
    chat, ann, _ = open_tea()
    assert set_modes(chat, ann, "#tea", f"+k {key}") == [Code.BAD_ARGUMENT]
    assert tea(chat).modes.key == ""


def test_repr_does_not_contain_the_key() -> None:
    chat, ann, _ = open_tea()
    set_modes(chat, ann, "#tea", "+k sesame")
    assert "sesame" not in repr(tea(chat).modes)


def test_key_limit_and_invite_only_refuse_a_join() -> None:
    chat, ann, _ = open_tea()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+k sesame", "+l 1", "+i")
    assert refusal_code(chat.hub.join(bob, "#tea", "sesame")) is Code.NEEDS_INVITATION
    set_modes(chat, ann, "#tea", "-i")
    assert refusal_code(chat.hub.join(bob, "#tea", "Sesame")) is Code.NEEDS_KEY
    assert refusal_code(chat.hub.join(bob, "#tea", "sésame")) is Code.NEEDS_KEY
    assert refusal_code(chat.hub.join(bob, "#tea", "sesame")) is Code.ROOM_FULL
    set_modes(chat, ann, "#tea", "+l 2")
    assert chat.hub.join(bob, "#tea", "sesame") is None
    set_modes(chat, ann, "#tea", "+l 1")
    assert bob.who in tea(chat).members, "a lower limit removes nobody"


def test_moderated_room() -> None:
    """Modern IRC: 'If this mode is set on a channel, only users who have channel privileges may
    send messages to that channel.'"""
    chat, ann, (bob, carol) = open_tea("bob", "carol")
    set_modes(chat, ann, "#tea", "+m", "+v carol")
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.MODERATED
    assert chat.hub.say(carol, "#tea", "hello") is None
    assert chat.hub.say(ann, "#tea", "hello") is None


def test_messages_from_outside() -> None:
    chat, ann, _ = open_tea()
    bob = chat.enter("bob")
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.NOT_IN_ROOM
    set_modes(chat, ann, "#tea", "-n")
    assert chat.hub.say(bob, "#tea", "hello") is None
    set_modes(chat, ann, "#tea", "+m")
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.OUTSIDER


def test_topic_without_protection() -> None:
    """Modern IRC: 'In a channel that does not have this mode enabled, anyone may set the topic'."""
    chat, ann, (bob,) = open_tea("bob")
    assert refusal_code(chat.hub.set_topic(bob, "#tea", "mine")) is Code.NOT_OPERATOR
    set_modes(chat, ann, "#tea", "-t")
    assert chat.hub.set_topic(bob, "#tea", "mine") is None
    carol = chat.enter("carol")
    assert refusal_code(chat.hub.set_topic(carol, "#tea", "hers")) is Code.NOT_IN_ROOM


# --- ranks ---


def test_ranks_are_independent() -> None:
    chat, ann, (bob,) = open_tea("bob")
    set_modes(chat, ann, "#tea", "+v bob", "+h bob", "+o bob")
    assert tea(chat).rank(bob.who) is Rank.OPERATOR
    set_modes(chat, ann, "#tea", "-o bob")
    assert tea(chat).rank(bob.who) is Rank.HALF_OPERATOR
    set_modes(chat, ann, "#tea", "-h bob")
    assert tea(chat).rank(bob.who) is Rank.VOICE


def test_permissions_of_half_operators() -> None:
    chat, ann, (bob, _, dave) = open_tea("bob", "carol", "dave")
    set_modes(chat, ann, "#tea", "+h bob", "+h carol", "+v dave")
    assert set_modes(chat, bob, "#tea", "+m", "+b x", "-v dave", "+k y", "+l 9") == []
    assert (
        set_modes(chat, bob, "#tea", "+o bob", "-o ann", "+h dave", "-h carol")
        == [Code.NOT_OPERATOR] * 4
    )
    for nick in ("ann", "carol", "bob"):
        assert refusal_code(chat.hub.kick(bob, "#tea", nick)) is Code.NOT_OPERATOR
    assert chat.hub.kick(bob, "#tea", "dave") is None
    assert refusal_code(chat.hub.rename_room(bob, "#tea", "#coffee")) is Code.NOT_OPERATOR
    assert chat.hub.set_topic(bob, "#tea", "hot") is None
    assert dave not in tea(chat).members


def test_voice_gives_no_permissions_of_operators() -> None:
    chat, ann, (bob,) = open_tea("bob")
    set_modes(chat, ann, "#tea", "+v bob")
    assert refusal_code(change_modes(chat.hub, bob, "#tea", [])) is Code.NOT_OPERATOR
    assert refusal_code(chat.hub.kick(bob, "#tea", "ann")) is Code.NOT_OPERATOR


def test_server_operators_operate_the_lobby() -> None:
    chat = Chat()
    ann, bob = chat.enter("ann", "#lobby"), chat.enter("bob")
    assert refusal_code(change_modes(chat.hub, ann, "#lobby", [])) is Code.NO_OPERATORS
    set_mode(chat.hub, bob, "o", True)
    assert set_modes(chat, bob, "#lobby", "+m") == [], "also from outside the room"
    assert set_modes(chat, bob, "#lobby", "+v ann") == []
    assert mode_changes(chat, ann) == ["+m", "+v ann"]
    assert set_modes(chat, bob, "#lobby", "+o ann", "+h ann") == [Code.NO_OPERATORS] * 2
    assert refusal_code(chat.hub.rename_room(bob, "#lobby", "#hall")) is Code.NO_OPERATORS
    chat.enter("carol", "#tea")
    assert refusal_code(change_modes(chat.hub, bob, "#tea", [])) is Code.NOT_IN_ROOM, (
        "the lobby only"
    )


# --- lists ---


def test_unban_with_an_invalid_mask_in_the_lobby() -> None:
    """Server operators operate the lobby from outside."""
    chat = Chat()
    root = chat.enter("root")
    set_mode(chat.hub, root, "o", True)
    assert refusal_code(chat.hub.unban(root, "#lobby", "a b")) is Code.NOT_LISTED


def test_ban_exemption() -> None:
    """Modern IRC: 'they will not be blocked from joining due to the ban mode'."""
    chat, ann, _ = open_tea()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+b b*!*@*")
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.BANNED
    set_modes(chat, ann, "#tea", "+e BOB")
    assert chat.hub.join(bob, "#tea") is None
    assert chat.hub.say(bob, "#tea", "hello") is None
    set_modes(chat, ann, "#tea", "-e bob!*@*")
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.BANNED


def test_ban_applies_after_a_change_of_nick_or_host() -> None:
    chat, ann, (bob,) = open_tea("bob")
    set_modes(chat, ann, "#tea", "+b rob", "+b *.example.net")
    assert chat.hub.say(bob, "#tea", "hello") is None
    assert chat.hub.rename(bob, "Rob") is None
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.BANNED
    assert chat.hub.rename(bob, "bob") is None
    assert chat.hub.say(bob, "#tea", "hello") is None
    chat.hub.set_host(bob, "b.example.net")
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.BANNED


def test_mute_refuses_messages_but_no_join() -> None:
    """``+b m:mask`` and ``+e m:mask`` as in Ergo and InspIRCd: members with a rank may speak, and a
    plain exemption lifts bans only."""
    chat, ann, _ = open_tea()
    set_modes(chat, ann, "#tea", "+b m:BOB")
    bob = chat.enter("bob", "#tea", user="bee")
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.MUTED
    assert refusal_code(chat.hub.say_more(bob, "#tea", (), Kind.TAGS)) is Code.MUTED
    assert (
        refusal_code(chat.hub.say_more(bob, "#tea", [Line("a")], least=Mode.OPERATOR)) is Code.MUTED
    )
    set_modes(chat, ann, "#tea", "+v bob")
    assert chat.hub.say(bob, "#tea", "hello") is None
    set_modes(chat, ann, "#tea", "-v bob", "+e *!bee@*")
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.MUTED
    set_modes(chat, ann, "#tea", "+e m:*!bee@*")
    assert chat.hub.say(bob, "#tea", "hello") is None
    set_modes(chat, ann, "#tea", "-e m:*!bee@*", "-b m:bob")
    assert chat.hub.say(bob, "#tea", "hello") is None
    assert set_modes(chat, ann, "#tea", "+I m:bob") == [Code.BAD_ARGUMENT]


def test_mute_exemption_does_not_lift_a_ban() -> None:
    chat, ann, _ = open_tea()
    set_modes(chat, ann, "#tea", "+b bob", "+b m:bob", "+e m:bob")
    bob = chat.enter("bob")
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.BANNED
    set_modes(chat, ann, "#tea", "-n", "-b bob")
    assert chat.hub.say(bob, "#tea", "from outside") is None
    set_modes(chat, ann, "#tea", "-e m:bob")
    assert refusal_code(chat.hub.say(bob, "#tea", "from outside")) is Code.MUTED


def test_mute_does_not_revoke_an_invitation() -> None:
    chat, ann, _ = open_tea()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+i")
    chat.hub.invite(ann, "#tea", "bob")
    set_modes(chat, ann, "#tea", "+b m:bob")
    assert chat.hub.join(bob, "#tea") is None


def test_mute_applies_after_a_nick_change() -> None:
    chat, ann, (bob,) = open_tea("bob")
    set_modes(chat, ann, "#tea", "+b m:troll")
    assert chat.hub.say(bob, "#tea", "hello") is None
    chat.hub.rename(bob, "troll")
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.MUTED
    chat.hub.rename(bob, "bob")
    assert chat.hub.say(bob, "#tea", "hello") is None


def test_cache_of_ban_verdicts_is_bounded() -> None:
    """A join costs a match of all masks once; the cache of the results is bounded."""
    chat, ann, _ = open_tea()
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
def test_room_without_ctcp(kind: Kind, text: str, taken: bool) -> None:
    """irctest, no_ctcp.py: +C refuses PING and permits ACTION. A NOTICE with CTCP is a reply."""
    chat, ann, (bob,) = open_tea("bob")
    set_modes(chat, ann, "#tea", "+C")
    for member in (ann, bob):
        assert (chat.hub.say(member, "#tea", text, kind) is None) is taken
        lines = [Line("first"), Line(text)]
        assert (chat.hub.say_more(member, "#tea", lines, kind) is None) is taken
    assert chat.hub.send_private(bob, "ann", text, kind) is None
    assert chat.hub.say(ann, "#tea", "waves", Kind.ACTION) is None
    assert refusal_code(chat.hub.say(ann, "#tea", "\x01PING\x01", Kind.ACTION)) is Code.NO_CTCP
    more = chat.hub.say_more(ann, "#tea", [Line(text)], kind, speaker="x/y")
    assert (more is None) is taken
    set_modes(chat, ann, "#tea", "-C")
    assert chat.hub.say(bob, "#tea", text, kind) is None


def test_invite_exception_mask() -> None:
    """Modern IRC: 'they do not need to require an INVITE in order to join the channel'."""
    chat, ann, _ = open_tea()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+i", "+I b?b", "+k sesame")
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.NEEDS_KEY, (
        "+I replaces an invitation only"
    )
    assert chat.hub.join(bob, "#tea", "sesame") is None


@pytest.mark.parametrize("mode", ["b", "e", "I"])
def test_lists_are_bounded(mode: str) -> None:
    chat, ann, _ = open_tea(bans_per_room=2)
    assert set_modes(chat, ann, "#tea", f"+{mode} x", f"+{mode} y", f"+{mode} z") == [
        Code.LIST_FULL
    ]
    assert set_modes(chat, ann, "#tea", f"-{mode} x", f"+{mode} z") == [], "one is free again"
    assert list(tea(chat).lists[Mode(mode)]) == ["y!*@*", "z!*@*"]
    assert set_modes(chat, ann, "#tea", f"-{mode} x") == [Code.NOT_LISTED]


def test_lists_of_all_rooms_are_bounded_in_total() -> None:
    """docs/reference/chat.rst, Bounds, ``bans_in_all``: a room may always have 10."""
    chat = Chat(bans_in_all=15)
    ann = chat.enter("ann", "#a", "#b")
    assert set_modes(chat, ann, "#a", *(f"+{'beI'[n % 3]} a{n}" for n in range(15))) == []
    assert set_modes(chat, ann, "#a", "+e more") == [Code.LIST_FULL]
    assert set_modes(chat, ann, "#b", *(f"+b b{n}" for n in range(9))) == []
    assert set_modes(chat, ann, "#b", "+b one", "+b two") == [Code.LIST_FULL]
    assert set_modes(chat, ann, "#b", "+b one") == [], "already listed"
    assert set_modes(chat, ann, "#b", "-b b1", "+b two", "+b three") == [Code.LIST_FULL]
    assert set_modes(chat, ann, "#a", *(f"-b a{n}" for n in range(0, 15, 3))) == []
    assert chat.hub.state.listed == 10 + 10
    for room in ("#a", "#b"):
        chat.hub.part(ann, room)
    assert chat.hub.state.listed == 0


@given(st.text(max_size=30))
def test_mask_round_trip(text: str) -> None:
    """Each node parses the mask again from the text in the event."""
    try:
        mask = Mask.of(text)
    except BadMask:
        return
    assert Mask.of(mask.text) == mask
    assert Mask.of(mask.text).text == mask.text


# --- invitations ---


def test_invitation_permits_one_join() -> None:
    chat, ann, _ = open_tea()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+i", "+k sesame", "+l 1")
    assert chat.hub.invite(ann, "#tea", "bob") is None
    assert kinds(bob.own) == [Invited]
    assert chat.hub.join(bob, "#tea") is None
    chat.hub.kick(ann, "#tea", "bob")
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.NEEDS_INVITATION


def test_invitation_by_an_operator_overrides_a_ban_once() -> None:
    """As in Ergo and InspIRCd (``invitebypassmodes``); irctest, testInviteExemptsFromBan."""
    chat, ann, _ = open_tea()
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+b bob")
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.BANNED
    chat.hub.invite(ann, "#tea", "bob")
    assert chat.hub.join(bob, "#tea") is None
    assert refusal_code(chat.hub.say(bob, "#tea", "hello")) is Code.BANNED, "the join only"
    chat.hub.kick(ann, "#tea", "bob")
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.BANNED


def test_later_ban_revokes_an_invitation() -> None:
    """Modern IRC: 'If they match one of these banned masks, they will receive an
    ERR_BANNEDFROMCHAN reply and the JOIN command will fail.'"""
    chat, ann, _ = open_tea()
    bob, carol = chat.enter("bob"), chat.enter("carol")
    dave = chat.enter("dave")
    for person in (bob, carol, dave):
        chat.hub.invite(ann, "#tea", person.nick)
    chat.hub.leave(dave)
    set_modes(chat, ann, "#tea", "+i", "+b bob")
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.BANNED
    assert list(tea(chat).invited) == [carol.id], "the invitation of who left is removed too"
    assert chat.hub.join(carol, "#tea") is None


def test_invitation_by_a_member_without_rank_does_not_lift_a_ban() -> None:
    chat, ann, (carol,) = open_tea("carol")
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+b bob")
    assert chat.hub.invite(carol, "#tea", "bob") is None
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.BANNED


def test_invitation_to_a_nonexistent_room_is_forwarded() -> None:
    """RFC 2812 section 3.2.7: 'There is no requirement that the channel the target user is being
    invited to must exist or be a valid channel.'"""
    chat, ann, _ = open_tea()
    bob = chat.enter("bob")
    assert chat.hub.invite(ann, "#nowhere", "bob") is None
    assert kinds(bob.own) == [Invited]
    assert chat.hub.room("#nowhere") is None
    carol = chat.enter("carol", "#nowhere")
    set_modes(chat, carol, "#nowhere", "+i")
    assert refusal_code(chat.hub.join(bob, "#nowhere")) is Code.NEEDS_INVITATION
    assert refusal_code(chat.hub.invite(ann, "nowhere", "bob")) is Code.BAD_ROOM
    assert refusal_code(chat.hub.invite(ann, "#later", "nobody")) is Code.NO_SUCH_NICK


def test_invitation_by_a_member_without_rank_overrides_no_mode() -> None:
    chat, ann, (carol,) = open_tea("carol")
    bob = chat.enter("bob")
    set_modes(chat, ann, "#tea", "+l 1")
    assert chat.hub.invite(carol, "#tea", "bob") is None
    assert kinds(bob.own) == [Invited], "delivered nevertheless"
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.ROOM_FULL
    set_modes(chat, ann, "#tea", "-l", "+i")
    assert refusal_code(chat.hub.join(bob, "#tea")) is Code.NEEDS_INVITATION
    assert refusal_code(chat.hub.invite(carol, "#tea", "bob")) is Code.NOT_OPERATOR


def test_invalid_invitations_are_refused() -> None:
    chat, ann, (carol,) = open_tea("carol")
    bob = chat.enter("bob")
    assert refusal_code(chat.hub.invite(bob, "#tea", "bob")) is Code.NOT_IN_ROOM
    assert refusal_code(chat.hub.invite(ann, "#tea", "nobody")) is Code.NO_SUCH_NICK
    assert refusal_code(chat.hub.invite(ann, "#tea", "CAROL")) is Code.ALREADY_THERE
    assert carol.id not in tea(chat).invited


def test_invitations_of_a_room_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcpd.chat.state._INVITATIONS", 2)
    chat, ann, _ = open_tea()
    others = [chat.enter(nick) for nick in ("bob", "carol", "dave")]
    for other in (others[0], *others):
        chat.hub.invite(ann, "#tea", other.nick)
    assert list(tea(chat).invited) == [others[1].id, others[2].id]


def test_invitation_is_sent_to_members_who_may_invite() -> None:
    chat, ann, (carol, dave) = open_tea("carol", "dave")
    chat.enter("bob")
    set_modes(chat, ann, "#tea", "+h carol")
    for member in (ann, carol, dave):
        chat.new_events(member)
    chat.hub.invite(ann, "#tea", "bob")
    assert kinds(chat.new_events(carol)) == [Invited]
    assert chat.new_events(ann) == chat.new_events(dave) == []
    assert kinds(ann.own)[-1] is Invited


# --- rooms that get another name ---


def test_room_rename_preserves_its_state() -> None:
    """draft/channel-rename: 'A channel rename preserves all channel state, such as membership,
    mode and topic.'"""
    chat, ann, (bob,) = open_tea("bob")
    chat.hub.set_topic(ann, "#tea", "hot")
    set_modes(chat, ann, "#tea", "+b x", "+v bob")
    room = tea(chat)
    chat.new_events(bob)
    assert chat.hub.rename_room(ann, "#TEA", "#Coffee", "tastes better") is None
    (event,) = chat.new_events(bob)
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


def test_invalid_room_renames_are_refused() -> None:
    chat, ann, (bob,) = open_tea("bob")
    chat.enter("carol", "#coffee")
    assert refusal_code(chat.hub.rename_room(ann, "#tea", "#COFFEE")) is Code.ROOM_TAKEN
    assert refusal_code(chat.hub.rename_room(ann, "#tea", "tea")) is Code.BAD_ROOM
    assert refusal_code(chat.hub.rename_room(bob, "#tea", "#x")) is Code.NOT_OPERATOR
    assert refusal_code(chat.hub.rename_room(ann, "#coffee", "#x")) is Code.NOT_IN_ROOM
    chat.new_events(bob)
    assert chat.hub.rename_room(ann, "#tea", "#tea") is None
    assert chat.new_events(bob) == [], "nothing changed"
    assert chat.hub.rename_room(ann, "#tea", "#TEA") is None
    assert tea(chat).name == "#TEA"


# --- away, real names, hosts ---


def test_away_is_sent_to_neighbours_and_with_a_join() -> None:
    chat, ann, (bob,) = open_tea("bob")
    chat.hub.set_away(ann, "lunch")
    chat.hub.set_away(ann, "lunch")
    assert kinds(chat.new_events(bob)) == [AwayChanged]
    assert chat.new_events(ann) == [], "the frontend replies"
    chat.enter("carol", "#x")
    chat.hub.join(ann, "#x")
    (event,) = [event for event in chat.new_events(ann) if isinstance(event, Joined)]
    assert event.away == "lunch"
    chat.hub.set_away(ann, "")
    (back,) = [event for event in chat.new_events(bob) if isinstance(event, AwayChanged)]
    assert back.message == ""


def test_changes_of_real_name_and_host() -> None:
    chat, ann, (bob,) = open_tea("bob")
    assert chat.hub.set_real_name(ann, "Ann Other") is None
    assert refusal_code(chat.hub.set_real_name(ann, "")) is Code.EMPTY
    assert refusal_code(chat.hub.set_real_name(ann, "x" * 151)) is Code.TOO_LONG
    chat.hub.set_host(ann, "ann.example.net")
    chat.hub.set_host(ann, "ann.example.net")
    first, second = chat.new_events(bob)
    assert isinstance(first, RealNameChanged)
    assert isinstance(second, HostChanged)
    assert (second.actor.host, second.host) == ("localhost", "ann.example.net")
    assert ann.identity.host == "ann.example.net"


@pytest.mark.parametrize(
    ("address", "host"), [(None, "localhost"), ("127.0.0.1", "localhost"), ("::1", "localhost")]
)
def test_host_of_a_local_client(address: str | None, host: str) -> None:
    assert Chat().enter("ann", address=address).host == host


def test_hidden_host_depends_on_the_subscriber_and_hides_the_address() -> None:
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


# --- MONITOR and WHOWAS ---


def test_monitor() -> None:
    chat = Chat(watched=2)
    ann = chat.enter("ann")
    assert chat.hub.monitor(ann, "BOB") is None
    assert chat.hub.monitor(ann, "bob") is None, "already monitored"
    assert chat.hub.monitor(ann, "rob") is None
    assert refusal_code(chat.hub.monitor(ann, "carol")) is Code.TOO_MANY_WATCHED
    bob = chat.enter("bob")
    chat.hub.rename(bob, "Bob")
    chat.hub.rename(bob, "rob")
    chat.hub.leave(bob)
    assert ann.presence == ["+bob", "-Bob", "+rob", "-rob"]
    chat.hub.unmonitor(ann, "bob")
    chat.enter("bob")
    assert ann.presence == ["+bob", "-Bob", "+rob", "-rob"]


def test_monitored_nicknames_are_bounded_in_total() -> None:
    """docs/reference/chat.rst, Bounds, ``watched_in_all``: a client may always monitor 10."""
    chat = Chat(watched_in_all=15)
    ann, bob = chat.enter("ann"), chat.enter("bob")
    for number in range(15):
        assert chat.hub.monitor(ann, f"a{number}") is None
    assert refusal_code(chat.hub.monitor(ann, "more")) is Code.TOO_MANY_WATCHED
    assert chat.hub.monitor(ann, "A1") is None, "already monitored"
    for number in range(10):
        assert chat.hub.monitor(bob, f"b{number}") is None
    assert refusal_code(chat.hub.monitor(bob, "more")) is Code.TOO_MANY_WATCHED
    chat.hub.leave(ann)
    assert chat.hub.monitor(bob, "more") is None
    chat.hub.unmonitor(bob, "MORE")
    chat.hub.unmonitor(bob, "nobody")
    for number in range(5):
        assert chat.hub.monitor(bob, f"c{number}") is None
    assert refusal_code(chat.hub.monitor(bob, "c5")) is Code.TOO_MANY_WATCHED


def test_leaving_ends_monitoring() -> None:
    chat = Chat()
    ann = chat.enter("ann")
    chat.hub.monitor(ann, "bob")
    chat.hub.leave(ann)
    chat.enter("bob")
    assert ann.presence == []


def test_extended_monitor() -> None:
    chat = Chat()
    ann, bob, carol = (chat.enter(nick) for nick in ("ann", "bob", "carol"))
    ann.extended_monitor = True
    for watcher in (ann, carol):
        chat.hub.monitor(watcher, "bob")
    chat.hub.set_away(bob, "lunch")
    assert kinds(chat.new_events(ann)) == [AwayChanged]
    assert chat.new_events(carol) == []


def test_whowas_keeps_the_last_five_of_a_nickname() -> None:
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


# --- server operators ---


def test_kill() -> None:
    chat, ann, (bob,) = open_tea("bob")
    set_mode(chat.hub, ann, "o")
    chat.new_events(ann)
    chat.hub.kill(ann, bob.who, "spam")
    chat.hub.kill(ann, bob.who, "spam")
    assert bob.gone
    assert bob.ended == ["Killed (ann (spam))"]
    (event,) = chat.new_events(ann)
    assert getattr(event, "reason", "") == "Killed (ann (spam))"
    assert bob.who not in tea(chat).members


def test_counts_of_invisible_people_and_server_operators() -> None:
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
def test_ranked_members(lobby: bool) -> None:
    """:meth:`Room.ranked` agrees with :meth:`Room.rank` for each member."""
    chat = Chat()
    room = chat.hub.lobby if lobby else Room("#tea", 0.0)
    for ranks in range(8):
        for operator in (False, True):
            member = chat.enter(f"m{ranks}{operator:d}")
            set_mode(chat.hub, member, "o", operator)
            room.members[member.who] = ranks
    for least in (Rank.VOICE, Rank.HALF_OPERATOR, Rank.OPERATOR):
        assert room.ranked(least) == [each for each in room.members if room.rank(each) >= least]


def test_typing_notification_does_not_end_idleness() -> None:
    """RFC 1459 section 6.2, RPL_WHOISIDLE: '<nick> <integer> :seconds idle'."""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    chat.now += 60
    typing = (("+typing", "active"),)
    assert chat.hub.say_more(ann, "#tea", (), Kind.TAGS, tags=typing) is None
    assert ann.spoke == chat.now - 60
    assert chat.hub.say_more(ann, "#tea", (Line("hi"),), tags=typing) is None
    assert ann.spoke == chat.now


def test_tags_are_not_kept_in_history() -> None:
    """The tags of a message may take 4 KB."""
    chat = Chat()
    ann = chat.enter("ann", "#tea")
    assert chat.hub.say_more(ann, "#tea", (Line("hi"),), tags=(("+x", "y"),)) is None
    (said,) = chat.kept_messages("#tea")
    assert isinstance(said, RoomMessage)
    assert (said.text, said.tags) == ("hi", ())
