"""What those do who look after a room: its topic and modes, who comes in, and who has to go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tcpd.chat.accepting import Accepting
from tcpd.chat.masks import BadMask, Mask
from tcpd.chat.member import Member
from tcpd.chat.names import NICK_CHARACTERS, BadName, fold, nickname, room_name
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Rank, Room
from tcpd.chat.settings import ALWAYS, KEY_BYTES, REASON_BYTES
from tcpd.chat.split import carried, is_longer, room_for_topic, tidied
from tcpd.events import (
    LISTS,
    Change,
    Invited,
    Kicked,
    Mode,
    ModesChanged,
    RoomRenamed,
    TopicSet,
)

#: Modes that give a rank.
RANKS = (Mode.OPERATOR, Mode.HALF_OPERATOR, Mode.VOICE)

#: Those that only an operator changes, not a half-operator.
_FOR_OPERATORS = (Mode.OPERATOR, Mode.HALF_OPERATOR)

# what JOIN can carry as a key: a parameter in the middle of a line, one of a list with commas
_KEY = re.compile(r"[^\x00-\x20,:\x7f][^\x00-\x20,\x7f]*")
_LIMIT = re.compile(r"0*[1-9][0-9]{0,8}", re.ASCII)


class Moderating(Accepting):
    """The part of the hub that rooms are looked after by."""

    def set_topic(self, member: Member, name: str, topic: str) -> Refused | None:
        """Give a room a topic, or take it away with an empty one.

        For operators and half-operators where the topic is protected, as it is at first.
        """
        room = self._own_room(member, name)
        if isinstance(room, Refused) or room.has(Mode.TOPIC_PROTECTED):
            room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        most = room_for_topic(room.name)
        if is_longer(topic, most):
            return Refused(Code.TOO_LONG, f"a topic of {room.name} has at most {most} bytes")
        return self._accept(TopicSet(*self._head(member), room.name, carried(topic)))

    def change_modes(
        self, member: Member, name: str, asked: Sequence[Change]
    ) -> list[Refused] | Refused:
        """Change modes of a room: what may be is done, the rest is refused one by one.

        For operators, and all but making and unmaking operators for half-operators.

        :param asked: ``argument`` as typed; for a rank a nickname, whose ``whom`` is left out.
        :return: a single ``Refused`` if nothing at all may be changed there; else those of single
            changes, their ``about`` being the change as it was asked for.
        """
        room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        refused = []
        changes: list[Change] = []
        for change in asked:
            checked = self._checked(member, room, change, changes)
            if isinstance(checked, Refused):
                refused.append(replace(checked, about=change))
            elif checked is not None:
                changes.append(checked)
        if changes:
            self._accept(ModesChanged(*self._head(member), room.name, tuple(changes)))
        return refused

    def set_operator(self, member: Member, name: str, nick: str, operator: bool) -> Refused | None:
        """Make somebody in the room an operator, or one no longer. For operators."""
        return self._change_one(member, name, Change(operator, Mode.OPERATOR, nick))

    def ban(self, member: Member, name: str, nick: str) -> Refused | None:
        """Keep a nickname out of a room, and the address of who has it now. For operators.

        It puts nobody out; but who is banned and still in the room cannot speak there.
        """
        room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        whom = self._state.nicks.get(fold(nick))
        try:
            banned = whom.nick if whom is not None else nickname(nick)
        except BadName as error:
            return Refused(Code.BAD_NICK, str(error))
        network = whom.network if whom is not None else None
        change = Change(True, Mode.BAN, f"{banned}!*@*", network=network)
        return self._change_one(member, name, change)

    def unban(self, member: Member, name: str, nick: str) -> Refused | None:
        """Lift a ban, that of the address included. For operators.

        :param nick: a nickname, or a mask.
        """
        refused = self._change_one(member, name, Change(False, Mode.BAN, nick))
        if refused is not None and refused.code is Code.BAD_ARGUMENT:
            room = self._operated_room(member, name)
            if isinstance(room, Room):
                return _not_listed(Change(False, Mode.BAN, nick), room)
        return refused

    def kick(self, member: Member, name: str, nick: str, reason: str = "") -> Refused | None:
        """Put somebody out of a room; they may come back.

        For operators; half-operators put out who is neither.
        """
        found = self._operated_on(member, name, nick)
        if isinstance(found, Refused):
            return found
        room, whom = found
        if Rank.OPERATOR > room.rank(member) <= room.rank(whom):
            return Refused(Code.NOT_OPERATOR, f"you are not an operator of {room.name}")
        return self._accept(
            Kicked(*self._head(member), room.name, whom.who, tidied(reason, REASON_BYTES))
        )

    def invite(self, member: Member, name: str, nick: str) -> Refused | None:
        """Ask somebody into a room one is in. For operators and half-operators where it is ``+i``.

        An invitation by one of these lets in once, whatever bars the way; from others it is only a
        message. So is one into a room that does not exist (RFC 2812 section 3.2.7).
        """
        room = self._own_room(member, name)
        if isinstance(room, Refused):
            if room.code is not Code.NO_SUCH_ROOM:
                return room
            try:
                shown = room_name(name)
            except BadName as error:
                return Refused(Code.BAD_ROOM, str(error))
        else:
            shown = room.name
            if room.has(Mode.INVITE_ONLY) and room.rank(member) < Rank.HALF_OPERATOR:
                return Refused(Code.NOT_OPERATOR, f"you are not an operator of {shown}")
        whom = self._present(nick)
        if isinstance(whom, Refused):
            return whom
        if isinstance(room, Room) and whom in room.members:
            return Refused(Code.ALREADY_THERE, f"{whom.nick} is in {shown} already")
        return self._accept(Invited(*self._head(member), shown, whom.who))

    def rename_room(self, member: Member, name: str, new: str, reason: str = "") -> Refused | None:
        """Give a room another name. For operators."""
        room = self._operated_room(member, name, Rank.OPERATOR)
        if isinstance(room, Refused):
            return room
        if room.house:
            return Refused(Code.NO_OPERATORS, f"{room.name} keeps its name")
        try:
            checked = room_name(new)
        except BadName as error:
            return Refused(Code.BAD_ROOM, str(error))
        if checked == room.name:
            return None
        if self._state.rooms.get(fold(checked), room) is not room:
            return Refused(Code.ROOM_TAKEN, f"there is a room {checked} already")
        return self._accept(
            RoomRenamed(*self._head(member), room.name, checked, tidied(reason, REASON_BYTES))
        )

    def _change_one(self, member: Member, name: str, change: Change) -> Refused | None:
        refused = self.change_modes(member, name, (change,))
        if isinstance(refused, Refused):
            return refused
        return refused[0] if refused else None

    def _checked(
        self, member: Member, room: Room, change: Change, before: Sequence[Change]
    ) -> Change | Refused | None:
        """A change as it can be made; ``None`` where it would change nothing.

        :param before: those that are made with it, before it.
        """
        mode = change.mode
        if mode in _FOR_OPERATORS and room.rank(member) < Rank.OPERATOR:
            return Refused(Code.NOT_OPERATOR, f"you are not an operator of {room.name}")
        if mode in _FOR_OPERATORS and room.house and change.adding:
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
        found = self._in_room(room, change.argument)
        if isinstance(found, Refused):
            return found
        _, whom = found
        last = _last(before, change.mode, whom.id)
        has = bool(room.members[whom] & Rank.of(change.mode)) if last is None else last.adding
        return None if has is change.adding else Change(change.adding, change.mode, whom=whom.who)

    def _list_change(
        self, room: Room, change: Change, before: Sequence[Change]
    ) -> Change | Refused | None:
        try:
            mask = Mask.of(change.argument)
        except BadMask as error:
            return Refused(Code.BAD_ARGUMENT, str(error))
        mode = change.mode
        if mask.mutes and mode is Mode.INVITED:
            return Refused(Code.BAD_ARGUMENT, "a mute stands among bans and exemptions alone")
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
        settings = self._state.settings
        if size >= settings.bans_per_room:
            return Refused(
                Code.LIST_FULL, f"{room.name} has {size} {_LISTED[mode]}, take away one first"
            )
        more = sum(1 if each.adding else -1 for each in before if each.mode in LISTS)
        if self._state.listed + more >= settings.bans_in_all and room.listed + more >= ALWAYS:
            return Refused(Code.LIST_FULL, "there are too many bans in all rooms together")
        return replace(change, argument=mask.text)


_LISTED = {Mode.BAN: "bans", Mode.EXEMPT: "exemptions", Mode.INVITED: "standing invitations"}


def _last(before: Sequence[Change], mode: Mode, about: str = "") -> Change | None:
    """The last of some changes that is of this mode, and about this person or mask.

    :param about: a member's id or a folded mask; empty for modes of the room itself.
    """
    for change in reversed(before):
        if change.mode is mode and _about(change) == about:
            return change
    return None


def _about(change: Change) -> str:
    if change.whom is not None:
        return change.whom.id
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
    :param now: the key that there is; empty for none.
    :param last: what is made of it before.
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
    :param now: the limit that there is; ``None`` for none.
    :param last: what is made of it before.
    """
    if last is not None:
        now = int(last.argument) if last.adding else None
    if not change.adding:
        return Change(False, Mode.LIMIT) if now is not None else None
    if not _LIMIT.fullmatch(change.argument):
        return Refused(Code.BAD_ARGUMENT, "a limit is a number from 1 on")
    limit = int(change.argument)
    return None if limit == now else Change(True, Mode.LIMIT, str(limit))
