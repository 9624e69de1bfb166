"""Verbs of operators: topic, modes, bans, kicks, invitations, renaming."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from tcpd.chat.masks import BadMask, Mask
from tcpd.chat.names import NICK_CHARACTERS, ROOM_CHARACTERS, BadName, fold, nickname, room_name
from tcpd.chat.people import Client, Person
from tcpd.chat.permissions import not_invitable, not_kickable, not_renamable, not_topical
from tcpd.chat.refused import Code, Refused
from tcpd.chat.reply import Completion
from tcpd.chat.room import Rank, Room
from tcpd.chat.settings import ALWAYS, KEY_BYTES, REASON_BYTES
from tcpd.chat.split import carried, is_longer, room_for_topic, tidied
from tcpd.chat.state import FOR_OPERATORS, already_there, no_room, room_taken
from tcpd.chat.verbs import Verbs
from tcpd.events.chat import (
    LISTS,
    RANKS,
    Change,
    Invited,
    Kicked,
    Mode,
    ModesChanged,
    RoomRenamed,
    TopicChanged,
)

# JOIN carries a key as a middle parameter, in a list with commas
_KEY = re.compile(r"[^\x00-\x20,:\x7f][^\x00-\x20,\x7f]*")
_LIMIT = re.compile(r"0*[1-9][0-9]{0,8}", re.ASCII)


class Moderating(Verbs):
    """See the head of this module."""

    def set_topic(
        self, client: Client, name: str, topic: str, *, completion: Completion | None = None
    ) -> Refused | None:
        """Set the topic of a room; an empty one removes it. The same topic again changes nothing.

        For operators and half-operators if the topic is protected (+t), as in new rooms.
        """
        person = self._person(client)
        room = self.state.rooms.get(fold(name))
        if room is None:
            return no_room(name[:ROOM_CHARACTERS])
        refused = not_topical(room, person)
        if refused is not None:
            return refused
        most = room_for_topic(room.name)
        if is_longer(topic, most):
            return Refused(Code.TOO_LONG, f"a topic of {room.name} has at most {most} bytes")
        text = carried(topic)
        if text != ("" if room.topic is None else room.topic.text):
            self._append(TopicChanged(*self._head(person), room.name, text), completion)
        return None

    def change_modes(
        self,
        client: Client,
        name: str,
        asked: Sequence[Change],
        *,
        refusals: list[Refused],
        completion: Completion | None = None,
    ) -> Refused | None:
        """Change modes of a room: apply the allowed changes, refuse the others one by one.

        For operators. Half-operators cannot change the ranks of operators and half-operators.

        :param asked: ``argument`` as typed; for a rank a nickname, and no ``target``.
        :param refusals: the refusals of single changes are added to it; the ``about`` of each is
            the change as it was asked for.
        :return: the refusal, if the client may change no mode there.
        """
        person = self._person(client)
        room = self._operated_room(person, name)
        if isinstance(room, Refused):
            return room
        changes: list[Change] = []
        for change in asked:
            checked = self._checked(person, room, change, changes)
            if isinstance(checked, Refused):
                refusals.append(replace(checked, about=change))
            elif checked is not None:
                changes.append(checked)
        if changes:
            event = ModesChanged(*self._head(person), room.name, tuple(changes))
            self._append(event, completion)
        return None

    def set_operator(
        self,
        client: Client,
        name: str,
        nick: str,
        operator: bool,
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Make a member an operator, or revoke it. For operators."""
        return self._change_one(client, name, Change(operator, Mode.OPERATOR, nick), completion)

    def ban(
        self, client: Client, name: str, nick: str, *, completion: Completion | None = None
    ) -> Refused | None:
        """Ban a nickname, and the current address of its person. For operators.

        A ban does not kick; a banned member cannot speak.
        """
        person = self._person(client)
        room = self._operated_room(person, name)
        if isinstance(room, Refused):
            return room
        target = self.state.nicks.get(fold(nick))
        try:
            banned = target.nick if target is not None else nickname(nick)
        except BadName as error:
            return Refused(Code.BAD_NICK, str(error))
        network = target.network if target is not None else None
        change = Change(True, Mode.BAN, f"{banned}!*@*", network=network)
        return self._change_one(client, name, change, completion)

    def unban(
        self, client: Client, name: str, nick: str, *, completion: Completion | None = None
    ) -> Refused | None:
        """Remove a ban, including its address. For operators.

        :param nick: a nickname, or a mask.
        """
        change = Change(False, Mode.BAN, nick)
        refused = self._change_one(client, name, change, completion)
        if refused is not None and refused.code is Code.BAD_ARGUMENT:
            room = self._operated_room(self._person(client), name)
            if isinstance(room, Room):
                return _not_listed(change, room)
        return refused

    def kick(
        self,
        client: Client,
        name: str,
        nick: str,
        reason: str = "",
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Kick a member, who may join again.

        For operators. Half-operators kick members of a lower rank.
        """
        person = self._person(client)
        room = self._operated_room(person, name)
        if isinstance(room, Refused):
            return room
        target = self._in_room(room, nick)
        if isinstance(target, Refused):
            return target
        refused = not_kickable(room, person, target)
        if refused is not None:
            return refused
        text = tidied(reason, REASON_BYTES)
        self._append(Kicked(*self._head(person), room.name, target.identity, text), completion)
        return None

    def invite(
        self, client: Client, name: str, nick: str, *, completion: Completion | None = None
    ) -> Refused | None:
        """Invite a person into a room that the client is in. If it is ``+i``: for operators and
        half-operators.

        An invitation by an operator admits once, whatever modes and bans say. Others only send a
        message; so does an invitation to a room that does not exist (RFC 2812 section 3.2.7).
        """
        person = self._person(client)
        room = self._own_room(person, name)
        if isinstance(room, Refused):
            if room.code is not Code.NO_SUCH_ROOM:
                return room
            try:
                shown = room_name(name)
            except BadName as error:
                return Refused(Code.BAD_ROOM, str(error))
        else:
            shown = room.name
            refused = not_invitable(room, person)
            if refused is not None:
                return refused
        target = self._present(nick)
        if isinstance(target, Refused):
            return target
        if isinstance(room, Room) and target in room.members:
            return already_there(target, room)
        self._append(Invited(*self._head(person), shown, target.identity), completion)
        return None

    def rename_room(
        self,
        client: Client,
        name: str,
        new: str,
        reason: str = "",
        *,
        completion: Completion | None = None,
    ) -> Refused | None:
        """Rename a room. For operators."""
        person = self._person(client)
        room = self._operated_room(person, name, Rank.OPERATOR)
        if isinstance(room, Refused):
            return room
        refused = not_renamable(room, person)
        if refused is not None:
            return refused
        try:
            checked = room_name(new)
        except BadName as error:
            return Refused(Code.BAD_ROOM, str(error))
        if checked == room.name:
            return None
        if self.state.rooms.get(fold(checked), room) is not room:
            return room_taken(checked)
        text = tidied(reason, REASON_BYTES)
        self._append(RoomRenamed(*self._head(person), room.name, checked, text), completion)
        return None

    def _change_one(
        self, client: Client, name: str, change: Change, completion: Completion | None
    ) -> Refused | None:
        refusals: list[Refused] = []
        refused = self.change_modes(
            client, name, (change,), refusals=refusals, completion=completion
        )
        if refused is None and refusals:
            return refusals[0]
        return refused

    def _checked(
        self, person: Person, room: Room, change: Change, before: Sequence[Change]
    ) -> Change | Refused | None:
        """Validate a change; ``None`` if it would change nothing.

        :param before: the changes before it in the same request.
        """
        mode = change.mode
        if mode in FOR_OPERATORS and room.rank(person) < Rank.OPERATOR:
            return Refused(Code.NOT_OPERATOR, f"you are not an operator of {room.name}")
        if mode in FOR_OPERATORS and room.is_lobby and change.adding:
            return Refused(Code.NO_OPERATORS, f"{room.name} has no operators but the daemon's")
        if mode in RANKS:
            return self._rank_change(room, change, before)
        if mode in LISTS:
            return self._list_change(room, change, before)
        last = _last(before, mode)
        if mode is Mode.KEY:
            return _key_change(change, room.modes.key, last)
        if mode is Mode.LIMIT:
            return _limit_change(change, room.modes.limit, last)
        is_set = room.has(mode) if last is None else last.adding
        return None if is_set is change.adding else Change(change.adding, mode)

    def _rank_change(
        self, room: Room, change: Change, before: Sequence[Change]
    ) -> Change | Refused | None:
        target = self._in_room(room, change.argument)
        if isinstance(target, Refused):
            return target
        last = _last(before, change.mode, target.id)
        has = bool(room.members[target] & Rank.of(change.mode)) if last is None else last.adding
        if has is change.adding:
            return None
        return Change(change.adding, change.mode, target=target.identity)

    def _list_change(
        self, room: Room, change: Change, before: Sequence[Change]
    ) -> Change | Refused | None:
        try:
            mask = Mask.of(change.argument)
        except BadMask as error:
            return Refused(Code.BAD_ARGUMENT, str(error))
        mode = change.mode
        if mask.mutes and mode is Mode.INVITED:
            return Refused(Code.BAD_ARGUMENT, "a mute is valid in bans and exemptions only")
        listed = room.lists[mode]
        last = _last(before, mode, mask.key)
        is_listed = mask.key in listed if last is None else last.adding
        if not change.adding:
            if not is_listed:
                return _not_listed(change, room)
            text = listed[mask.key].mask.text if last is None else last.argument
            return replace(change, argument=text)
        if is_listed:
            return None if change.network is None else replace(change, argument=mask.text)
        size = len(listed) + sum(1 if each.adding else -1 for each in before if each.mode is mode)
        settings = self.settings
        if size >= settings.bans_per_room:
            return Refused(
                Code.LIST_FULL, f"{room.name} has {size} {_LISTED[mode]}, remove one first"
            )
        more = sum(1 if each.adding else -1 for each in before if each.mode in LISTS)
        if self.state.listed + more >= settings.bans_in_all and room.listed + more >= ALWAYS:
            return Refused(Code.LIST_FULL, "there are too many bans in all rooms together")
        return replace(change, argument=mask.text)


_LISTED = {Mode.BAN: "bans", Mode.EXEMPT: "exemptions", Mode.INVITED: "standing invitations"}


def _last(before: Sequence[Change], mode: Mode, about: str = "") -> Change | None:
    """Find the last of some changes of this mode, for this member or mask.

    :param about: a member's id or a folded mask; empty for modes of the room itself.
    """
    for change in reversed(before):
        if change.mode is mode and _about(change) == about:
            return change
    return None


def _about(change: Change) -> str:
    if change.target is not None:
        return change.target.id
    return fold(change.argument) if change.mode in LISTS else ""


def _not_listed(change: Change, room: Room) -> Refused:
    mask = change.argument[:NICK_CHARACTERS]
    if change.mode is Mode.BAN:
        return Refused(Code.NOT_LISTED, f"{mask} is not banned from {room.name}")
    return Refused(
        Code.NOT_LISTED, f"{mask} is not among the {_LISTED[change.mode]} of {room.name}"
    )


def _key_change(change: Change, now: str, last: Change | None) -> Change | Refused | None:
    """
    :param now: the current key; empty for none.
    :param last: an earlier change of it in the same request; ``None`` without one.
    """
    if last is not None:
        now = last.argument if last.adding else ""
    if not change.adding:
        return Change(False, Mode.KEY, now) if now else None
    key = change.argument
    if not _KEY.fullmatch(key) or is_longer(key, KEY_BYTES):
        return Refused(
            Code.BAD_ARGUMENT,
            f"a key has 1 to {KEY_BYTES} bytes, no space or comma, and no colon at its beginning",
        )
    return None if key == now else Change(True, Mode.KEY, key)


def _limit_change(change: Change, now: int | None, last: Change | None) -> Change | Refused | None:
    """
    :param now: the current limit; ``None`` for none.
    :param last: an earlier change of it in the same request; ``None`` without one.
    """
    if last is not None:
        now = int(last.argument) if last.adding else None
    if not change.adding:
        return Change(False, Mode.LIMIT) if now is not None else None
    if not _LIMIT.fullmatch(change.argument):
        return Refused(Code.BAD_ARGUMENT, "a limit is a whole number of 1 or more")
    limit = int(change.argument)
    return None if limit == now else Change(True, Mode.LIMIT, str(limit))
