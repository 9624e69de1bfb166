"""What the hub's first step has in common: who and what is meant, and whether it is there."""

from __future__ import annotations

import re
from collections.abc import Callable

from tcpd.chat.delivery import Delivery
from tcpd.chat.member import Member
from tcpd.chat.names import NICK_CHARACTERS, ROOM_CHARACTERS, fold
from tcpd.chat.refused import Code, Refused
from tcpd.chat.room import Rank, Room
from tcpd.events import Event, EventId, Who

_NODE_BYTES = 32
_NOT_IN_NODE = re.compile(r"[^A-Za-z0-9._-]", re.ASCII)
_BOOT = re.compile(r"[A-Za-z0-9._-]{1,12}", re.ASCII)


class Accepting:
    """Makes events of what members ask for, and has them ordered.

    :param state: what there is.
    :param node: this node's name; see :class:`tcpd.chat.hub.Hub`.
    :param boot: differs in each run of the node.
    :param wall_clock: seconds since 1970 UTC.
    :param clock: seconds of a clock that nobody sets, for durations.
    :param order: given each accepted event and :meth:`deliver`.
    :raise ValueError: for a boot that breaks its rule.
    """

    def __init__(
        self,
        state: Delivery,
        node: str,
        boot: str,
        wall_clock: Callable[[], float],
        clock: Callable[[], float],
        order: Callable[[Event, Callable[[Event], None]], None],
    ) -> None:
        if not _BOOT.fullmatch(boot):
            raise ValueError(f"{boot!r} is no boot id")
        self.wall_clock = wall_clock
        self.clock = clock
        self._state = state
        self._node = _NOT_IN_NODE.sub("-", node[:_NODE_BYTES]) or "-"
        self._boot = boot
        self._order = order
        self._events = 0

    def deliver(self, event: Event) -> None:
        """Make an event true, and tell those whom it concerns. Called by the order of events."""
        self._state.deliver(event)

    def _accept(self, event: Event) -> Refused | None:
        """:return: ``None``, for who asked."""
        self._order(event, self.deliver)
        return None

    def _head(self, member: Member) -> tuple[EventId, float, Who]:
        self._events += 1
        return EventId(self._node, self._boot, self._events), self.wall_clock(), member.who

    def _present(self, nick: str) -> Member | Refused:
        member = self._state.nicks.get(fold(nick))
        if member is None:
            return Refused(Code.NO_SUCH_NICK, f"nobody here is called {nick[:NICK_CHARACTERS]}")
        return member

    def _own_room(self, member: Member, name: str) -> Room | Refused:
        room = member.rooms.get(fold(name))
        if room is not None:
            return room
        room = self._state.rooms.get(fold(name))
        if room is None:
            return Refused(Code.NO_SUCH_ROOM, f"there is no room {name[:ROOM_CHARACTERS]}")
        return Refused(Code.NOT_IN_ROOM, f"you are not in {room.name}")

    def _operated_room(
        self, member: Member, name: str, least: Rank = Rank.HALF_OPERATOR
    ) -> Room | Refused:
        """A room in which a member has a rank, or a higher one."""
        room = self._own_room(member, name)
        if isinstance(room, Refused) and member.server_operator:
            # the house's rooms are the daemon's operators' to look after, wherever they are
            room = self._state.rooms.get(fold(name)) or room
            if isinstance(room, Room) and not room.house:
                return Refused(Code.NOT_IN_ROOM, f"you are not in {room.name}")
        if isinstance(room, Refused) or room.rank(member) >= least:
            return room
        if room.house:
            return Refused(Code.NO_OPERATORS, f"{room.name} belongs to everybody, not to operators")
        return Refused(Code.NOT_OPERATOR, f"you are not an operator of {room.name}")

    def _operated_on(self, member: Member, name: str, nick: str) -> tuple[Room, Member] | Refused:
        """Such a room, and somebody in it."""
        room = self._operated_room(member, name)
        if isinstance(room, Refused):
            return room
        return self._in_room(room, nick)

    def _in_room(self, room: Room, nick: str) -> tuple[Room, Member] | Refused:
        whom = self._present(nick)
        if isinstance(whom, Refused):
            return whom
        if whom not in room.members:
            return Refused(Code.NOT_IN_SAME_ROOM, f"{whom.nick} is not in {room.name}")
        return room, whom
