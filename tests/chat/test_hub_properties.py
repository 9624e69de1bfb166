"""Properties of the hub in any sequence of requests: a state machine of Hypothesis."""

from __future__ import annotations

from typing import Any

from amounts import examples
from chat.doubles import Chat, RecordingClient, change_modes, set_mode, snapshot
from chat.event_logs import RecordingLog
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tcpd.chat.names import fold
from tcpd.chat.recipients import Recipients
from tcpd.chat.refused import Refused
from tcpd.chat.room import Rank
from tcpd.chat.state import ChatState
from tcpd.events.chat import LISTS, Change, Event, Line, Mode
from tcpd.events.codec import decode, encode

NICKS = st.sampled_from(["ann", "bob", "ANN", "Ольга", "оЛЬГА", "a b"])
ROOMS = st.sampled_from(["#tea", "#lobby", "#TEA", "#чай", "#x", "#a b"])
CHANGES = st.one_of(
    st.builds(
        Change,
        st.booleans(),
        st.sampled_from(Mode),
        st.sampled_from(["ann", "bob", "оЛЬГА", "1", "2", "sesame", ""]),
    ),
    st.builds(
        Change,
        st.booleans(),
        st.sampled_from(LISTS),
        st.sampled_from(["ann", "a?n!*@*", "*.hidden", "*!*@*", "*!text@*"]),
    ),
)
KEYS = st.sampled_from(["", "sesame"])
BOUNDS = {
    "watched": 2,
    "max_members": 5,
    "max_rooms": 3,
    "rooms_per_member": 2,
    "bans_per_room": 2,
    "history_kept": 3,
    "history_bytes": 1500,
    "history_in_all": 2500,
    "outbox": 16384,
}


class HubMachine(RuleBasedStateMachine):
    """Members of a small hub, some of which are paused."""

    def __init__(self) -> None:
        super().__init__()
        self.log = RecordingLog()
        self.chat = Chat(self.log, **BOUNDS)
        self.hub = self.chat.hub
        self.members: list[RecordingClient] = []
        self.logs: dict[RecordingClient, list[Event]] = {}

    @property
    def here(self) -> list[RecordingClient]:
        return [member for member in self.members if not member.gone]

    def draw_member(self, data: Any) -> RecordingClient:
        member = data.draw(st.sampled_from(self.members))
        assert isinstance(member, RecordingClient)
        return member

    @initialize(joined=st.booleans())
    def begin(self, joined: bool) -> None:
        """Start with two members of a room, or with none."""
        for nick in ("ann", "bob") if joined else ():
            self.members.append(self.chat.enter(nick, "#tea"))

    @rule(nick=NICKS, address=st.sampled_from([None, "127.0.0.1", "192.0.2.1", "2001:db8::1"]))
    def enter(self, nick: str, address: str | None) -> None:
        try:
            member = self.chat.enter(nick, address=address)
        except AssertionError:  # refused
            return
        self.members.append(member)

    @precondition(lambda self: self.members)
    @rule(data=st.data(), name=ROOMS)
    def join(self, data: Any, name: str) -> None:
        member = self.draw_member(data)
        if self.hub.join(member, name, data.draw(KEYS)) is None and not member.gone:
            assert fold(name) in member.rooms

    @precondition(lambda self: self.members)
    @rule(data=st.data(), name=ROOMS)
    def part(self, data: Any, name: str) -> None:
        member = self.draw_member(data)
        if self.hub.part(member, name, "bye") is None:
            assert fold(name) not in member.rooms

    @precondition(lambda self: self.members)
    @rule(data=st.data(), name=ROOMS, text=st.text(max_size=450))
    def say(self, data: Any, name: str, text: str) -> None:
        self.hub.say(self.draw_member(data), name, text)

    @rule(held=st.booleans())
    def hold(self, held: bool) -> None:
        if held:
            self.hub.fanout.hold()
        else:
            self.hub.fanout.release()

    @precondition(lambda self: self.members)
    @rule(data=st.data(), nick=NICKS)
    def send_private(self, data: Any, nick: str) -> None:
        self.hub.send_private(self.draw_member(data), nick, "psst")

    @precondition(lambda self: self.members)
    @rule(data=st.data(), nick=NICKS)
    def rename(self, data: Any, nick: str) -> None:
        self.hub.rename(self.draw_member(data), nick)

    @precondition(lambda self: self.members)
    @rule(
        data=st.data(),
        name=ROOMS,
        nick=NICKS,
        what=st.sampled_from(["op", "deop", "kick", "ban", "unban", "topic", "rename"]),
    )
    def operate(self, data: Any, name: str, nick: str, what: str) -> None:
        hub = self.hub
        member = self.draw_member(data)
        room = hub.room(name)
        least = Rank.OPERATOR if what in ("op", "deop", "rename") else Rank.HALF_OPERATOR
        may = room is not None and room.rank(member.who) >= least
        if what == "topic" and room is not None and not room.has(Mode.TOPIC_PROTECTED):
            may = may or member.who in room.members
        answer = {
            "op": lambda: hub.set_operator(member, name, nick, True),
            "deop": lambda: hub.set_operator(member, name, nick, False),
            "kick": lambda: hub.kick(member, name, nick),
            "ban": lambda: hub.ban(member, name, nick),
            "unban": lambda: hub.unban(member, name, nick),
            "topic": lambda: hub.set_topic(member, name, nick),
            "rename": lambda: hub.rename_room(member, name, f"#{nick}"),
        }[what]()
        assert may or isinstance(answer, Refused), "only operators may"

    @precondition(lambda self: self.members)
    @rule(data=st.data(), changes=st.lists(CHANGES, max_size=6))
    def change_modes(self, data: Any, changes: list[Change]) -> None:
        able = [
            (client, room.name)
            for room in self.hub.rooms
            for each in room.operators
            for client in each.clients
        ]
        member, name = data.draw(st.sampled_from([*able, (self.members[0], "#tea")]))
        room = self.hub.room(name)
        rank = Rank.NONE if room is None else room.rank(member.who)
        answer = change_modes(self.hub, member, name, changes)
        assert isinstance(answer, Refused) is (rank < Rank.HALF_OPERATOR)
        if not isinstance(answer, Refused):
            assert all(refused.about in changes for refused in answer)

    @precondition(lambda self: self.members)
    @rule(data=st.data(), name=ROOMS, nick=NICKS)
    def invite(self, data: Any, name: str, nick: str) -> None:
        member = self.draw_member(data)
        room = self.hub.room(name)
        if self.hub.invite(member, name, nick) is None and not member.gone:
            invited = self.hub.person(nick)
            if (
                room is not None
                and invited is not None
                and room.rank(member.who) >= Rank.HALF_OPERATOR
            ):
                assert invited.id in room.invited

    @precondition(lambda self: self.members)
    @rule(data=st.data(), name=ROOMS, least=st.sampled_from([None, Mode.OPERATOR, Mode.VOICE]))
    def say_to_some(self, data: Any, name: str, least: Mode | None) -> None:
        self.hub.say_more(self.draw_member(data), name, [Line("a"), Line("b")], least=least)

    @precondition(lambda self: self.members)
    @rule(data=st.data(), nick=NICKS, watched=st.booleans(), distant=st.booleans())
    def watch(self, data: Any, nick: str, watched: bool, distant: bool) -> None:
        member = self.draw_member(data)
        member.extended_monitor = distant
        if watched:
            self.hub.monitor(member, nick)
        else:
            self.hub.unmonitor(member, nick)

    @precondition(lambda self: self.members)
    @rule(
        data=st.data(),
        what=st.sampled_from(["away", "real name", "host", "invisible", "operator", "put out"]),
        yes=st.booleans(),
    )
    def change_person(self, data: Any, what: str, yes: bool) -> None:
        hub = self.hub
        member = self.draw_member(data)
        {
            "away": lambda: hub.set_away(member, "lunch" if yes else ""),
            "real name": lambda: hub.set_real_name(member, "Ann" if yes else "Other"),
            "host": lambda: hub.set_host(member, "x.hidden" if yes else "localhost"),
            "invisible": lambda: set_mode(hub, member, "i", yes),
            "operator": lambda: set_mode(hub, member, "o", yes),
            "put out": lambda: hub.kill(member, self.draw_member(data).who, "enough"),
        }[what]()

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        self.hub.leave(self.draw_member(data), "bye")

    @precondition(lambda self: self.members)
    @rule(data=st.data(), paused=st.booleans())
    def read(self, data: Any, paused: bool) -> None:
        member = self.draw_member(data)
        if paused:
            member.outbox.pause()
        else:
            member.outbox.resume()

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def fill_up(self, data: Any) -> None:
        outbox = self.draw_member(data).outbox
        if outbox.paused and not outbox.closed:
            outbox.put(b"\n" * (outbox.limit - outbox.size))

    @invariant()
    def clients_that_left_are_removed(self) -> None:
        self.chat.flush()
        self.members = [member for member in self.members if not member.gone]
        assert self.hub.people_count == len(self.members)

    @invariant()
    def membership_is_symmetrical(self) -> None:
        rooms = {room.key: room for room in self.hub.rooms}
        for room in rooms.values():
            assert self.hub.room(room.name) is room
            assert room.operators <= set(room.members)
            for person in room.members:
                assert self.hub.state.is_here(person)
                assert room.key in person.rooms
        for member in self.members:
            assert member.who.clients == (member,)
            for key in member.rooms:
                assert member.who in rooms[key].members

    @invariant()
    def names_are_unique_under_fold(self) -> None:
        keys = [fold(member.nick) for member in self.members]
        assert len(set(keys)) == len(keys)
        for member in self.members:
            assert self.hub.person(member.nick) is member.who

    @invariant()
    def bounds_hold(self) -> None:
        rooms = list(self.hub.rooms)
        assert len(self.members) <= BOUNDS["max_members"]
        assert len(rooms) <= BOUNDS["max_rooms"]
        for room in rooms:
            assert room.is_lobby or room.members, "an empty room is removed"
            for listed in room.lists.values():
                assert len(listed) <= BOUNDS["bans_per_room"]
            assert len(self.chat.kept_messages(room.key)) <= BOUNDS["history_kept"]
            assert not (room.is_lobby and room.operators)
        for member in self.members:
            assert len(member.rooms) <= BOUNDS["rooms_per_member"]
            assert member.outbox.size <= BOUNDS["outbox"]
            assert member.outbox.size == sum(map(len, member.outbox.chunks))

    @invariant()
    def recipients_are_the_clients_of_the_members(self) -> None:
        """A room caches the outboxes of its members, by the formats of their clients."""
        for room in self.hub.rooms:
            if room.recipients is not None:
                fresh = Recipients(room.members).groups
                assert room.recipients.groups == fresh
                assert sum(map(len, fresh.values())) == sum(len(p.clients) for p in room.members)

    @invariant()
    def cached_bans_agree_with_the_lists(self) -> None:
        for room in self.hub.rooms:
            for mode in LISTS:
                assert all(mask.key == key for key, mask in self.masks(room.lists[mode]))
            for member in self.here:
                banned = room.is_listed(Mode.BAN, member.who)
                exempt = room.is_listed(Mode.EXEMPT, member.who)
                assert room.is_banned(member.who) is (banned and not exempt)

    @staticmethod
    def masks(listed: Any) -> list[Any]:
        return [(key, each.mask) for key, each in listed.items()]

    @invariant()
    def monitor_and_clients_agree(self) -> None:
        monitor = self.hub._monitor
        of_clients = {(key, member) for member in self.here for key in member.monitored or ()}
        assert {(key, each) for key, of in monitor._by_nick.items() for each in of} == of_clients
        assert all(monitor._by_nick.values()), "no empty entry is kept"
        assert monitor.count == len(of_clients)
        for member in self.here:
            assert len(member.monitored or ()) <= BOUNDS["watched"]

    @invariant()
    def counters_agree(self) -> None:
        state = self.hub.state
        assert state.invisible == sum(each.invisible for each in self.here)
        assert state.server_operators == sum(each.server_operator for each in self.here)
        assert state.listed == sum(room.listed for room in self.hub.rooms)
        assert self.chat.history.size <= BOUNDS["history_in_all"]

    @invariant()
    def all_members_receive_events_in_log_order(self) -> None:
        for written in self.chat.sent.values():
            data = b"".join(written).replace(b"\n\n", b"\n")
            lines = [line for line in data.split(b"\n") if line]
            numbers = [self.chat.format.events[line + b"\n"].id.sequence for line in lines]
            assert numbers == sorted(set(numbers))

    def teardown(self) -> None:
        """Replay all events, through the codec, into a fresh state, which must be equal."""
        lobby = self.hub.lobby
        assert lobby is not None
        topic = "" if lobby.topic is None else lobby.topic.text
        fresh = ChatState(lobby.name, topic, lobby.created)
        for event in self.log.events:
            fresh.apply(decode(encode(event)))
        assert snapshot(fresh) == snapshot(self.hub.state)


TestHub = HubMachine.TestCase
TestHub.settings = settings(max_examples=examples(150), stateful_step_count=40, deadline=None)
