"""Commands of the control service."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from amounts import examples
from conftest import LoggedFailures
from hypothesis import given, settings
from hypothesis import strategies as st
from operating import NOW, OperatedDaemon
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs, globalLogPublisher
from twisted.python.failure import Failure

from tcpd.config.listen import PrivateSocket
from tcpd.config.settings import TcpdSettings
from tcpd.daemon.banfile import BanFile, BanFileError
from tcpd.daemon.control.access import Peer, may_operate
from tcpd.daemon.control.command import table
from tcpd.daemon.control.connections import end_gently
from tcpd.daemon.control.server import control
from tcpd.daemon.startup_environment import StartupEnvironment
from tcpd.line.command import CommandTable
from tcpd.policy.bans import Bans
from tcpd.policy.reasons import End

CONFIG = (
    "[service:line]\nprotocol = line\nlisten = 127.0.0.1:1\n"
    "[service:chat]\nprotocol = chat\nlisten = 127.0.0.1:2\n"
)


@pytest.fixture
def harness() -> OperatedDaemon:
    return OperatedDaemon(CONFIG)


def test_commands_of_the_control_service(harness: OperatedDaemon) -> None:
    """CommandTable of OPERATOR commands only plus HELP, PING, QUIT."""
    operator = harness.operator()
    assert operator.greeting.startswith("220 ")
    names = re.findall(r"^214[- ]([A-Z]+)", operator.ask("HELP"), re.M)
    assert " ".join(names) == (
        "BAN BANS CHECK CONNECTION CONNECTIONS DRAIN EVENTS HANDSHAKE HELP KICK LIMITS LOG "
        "PING QUIT RELOAD REOPEN RESUME ROOMS SERVICES STATUS UNBAN"
    )
    assert operator.ask("PING x") == "250 PONG x"
    assert operator.ask("ECHO x").startswith("500 ")
    for name in names:
        assert operator.ask(f"HELP {name}").startswith("214-")


def test_status(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    harness.connect(1)
    harness.reactor.advance(90)
    harness.now -= 3600  # a step of the wall clock changes no duration
    status = operator.json("STATUS")
    assert (status["connections"], status["services"], status["uptime"]) == (1, 2, 90.0)
    assert status["ready"] is True
    assert "running        1m30s, since" in operator.ask("STATUS")


def test_json_argument_is_first_or_last(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    assert operator.ask("BANS json") == operator.ask("bans JSON")
    assert operator.ask("CONNECTIONS LIMIT=1 json").startswith('250 {"total"')
    # but a reason is verbatim
    reply = operator.json("BAN 192.0.2.1 sends me json")
    assert reply["ban"]["reason"] == "sends me json"


def test_services_show_state_and_counters(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    harness.connect(1)
    line, chat = operator.json("SERVICES")["services"]
    assert (line["name"], line["state"], line["connections"]) == ("line", "open", 1)
    assert chat["listeners"] == ["127.0.0.1:2"]
    assert operator.ask("SERVICES").splitlines()[0] == (
        "250-SERVICE  PROTOCOL  STATE  OPEN  ACCEPTED  REFUSED  LISTENERS"
    )


def test_connections_limit_sort_and_filter(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    for number in range(1, 5):
        harness.connect(1, f"192.0.2.{number}")
        harness.reactor.advance(10)
    busy, _ = harness.connect(2, "198.51.100.1")
    busy.dataReceived(b"ann\n")

    def ids(asked: str) -> list[str]:
        return [each["id"] for each in operator.json(f"CONNECTIONS {asked}")["connections"]]

    assert ids("") == ["1", "2", "3", "4", "5"]
    assert ids("SORT=new LIMIT=2") == ["5", "4"]
    assert ids("SORT=in LIMIT=1") == ["5"]
    assert ids("service=line address=192.0.2.2/31") == ["2", "3"]
    assert ids("ADDRESS=203.0.113.0/24") == []
    assert operator.json("CONNECTIONS LIMIT=1")["total"] == 5
    assert "1 of 5 connections, LIMIT= shows more" in operator.ask("CONNECTIONS LIMIT=1")
    assert operator.ask("CONNECTIONS SERVICE=gone").startswith("550 there is no service gone")
    for wrong in ("SORT=x", "LIMIT=0", "LIMIT=1001", "LIMIT=-1", "COLOUR=red", "x", "ADDRESS=x"):
        assert operator.ask(f"CONNECTIONS {wrong}").startswith("501-")


def test_one_connection(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    harness.connect(1)
    harness.reactor.pump([37.5, 37.5])  # an eighth of `stalled` each
    found = operator.json("CONNECTION 1")["connection"]
    assert (found["peer"], found["seconds"], found["quiet"]) == ("192.0.2.1:4711", 75.0, 75.0)
    assert found["policy"] == "default"
    assert operator.ask("CONNECTION 9") == "550 there is no connection 9; it may have ended"


def test_kicked_client_gets_a_message_of_its_protocol(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    _, transport = harness.connect(1)
    assert operator.ask("KICK 1 far too loud") == "250 1 connection ended"
    harness.reactor.turn()
    assert transport.value().endswith(b" an operator ended the connection\r\n")
    assert transport.disconnecting


def test_kick_of_a_network_is_split_into_batches(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    transports = [harness.connect(1, f"192.0.2.{number}")[1] for number in range(90)]
    _, other = harness.connect(1, "198.51.100.1")
    assert operator.json("KICK 192.0.2.0/24") == {"ended": 90}
    assert not any(transport.disconnecting for transport in transports)
    harness.reactor.turn()
    assert all(transport.disconnecting for transport in transports)
    assert not other.disconnecting
    assert operator.ask("KICK 203.0.113.1").startswith("550 ")


def test_mass_kick_is_spread_over_reactor_turns() -> None:
    """An operator command costs under 10 ms of reactor time."""
    later: list[Any] = []
    ended: list[End] = []

    class Clock:
        def callLater(self, seconds: float, function: Any, *arguments: Any) -> None:
            later.append((function, arguments))

    class Connection:
        def end(self, reason: End) -> None:
            ended.append(reason)

    everybody: Any = [Connection() for _ in range(120)]
    clock: Any = Clock()
    end_gently(clock, everybody, End.KICKED)
    counts = []
    while later:
        function, arguments = later.pop()
        function(*arguments)
        counts.append(len(ended))
    assert counts == [50, 100, 120]
    end_gently(clock, [], End.KICKED)
    assert not later


# --- bans ---


def test_ban_closes_and_refuses_connections_until_it_expires(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    connection, transport = harness.connect(1)
    reply = operator.ask("BAN 192.0.2.0/24 1h far too loud")
    assert reply == (
        "250-192.0.2.0/24 is banned until 2026-05-28T21:26:40Z; 1 connection ended\n"
        "250 it will not survive a restart: there is no [tcpd] state"
    )
    harness.reactor.turn()
    assert transport.value().endswith(b" your address is banned\r\n")
    connection.connectionLost(Failure(ConnectionDone()))
    _, late = harness.connect(1)
    assert late.value().endswith(b" your address is banned\r\n")
    counters = harness.services.units["line"].layer.counters
    assert (counters.refused["banned"], counters.ended[End.BANNED]) == (1, 1)
    (ban,) = operator.json("BANS")["bans"]
    assert (ban["network"], ban["reason"]) == ("192.0.2.0/24", "far too loud")
    assert "59m" not in operator.ask("BANS")
    harness.now += 3600
    assert operator.ask("BANS") == "250 no bans"
    assert harness.connect(1)[1].value().startswith(b"220 ")


@pytest.mark.parametrize("slip", ["1week", "99999999999d", "1.5", "3x too loud"])
def test_invalid_duration_of_a_ban_is_rejected(harness: OperatedDaemon, slip: str) -> None:
    """BAN network [duration] [reason]: without a duration the ban would be permanent."""
    operator = harness.operator()
    assert operator.ask(f"BAN 192.0.2.1 {slip}").startswith("501-")
    assert operator.ask("BANS") == "250 no bans"
    assert "permanently" in operator.ask("BAN 192.0.2.1 0 3x too loud")


def test_bans_survive_a_restart(tmp_path: Path) -> None:
    first = OperatedDaemon(CONFIG, tmp_path / "state").operator()
    assert first.json("BAN 192.0.2.1 in the way")["kept"] is True
    first.ask("BAN 198.51.100.0/24 1d")
    first.ask("BAN 203.0.113.1 1s")
    assert first.ask("UNBAN 198.51.100.0/24") == "250 198.51.100.0/24 is no longer banned"
    again = OperatedDaemon(CONFIG, tmp_path / "state")
    again.now += 5
    (ban,) = again.operator().json("BANS")["bans"]
    assert (ban["network"], ban["until"], ban["reason"]) == ("192.0.2.1/32", None, "in the way")
    assert again.connect(1)[1].value().startswith(b"421 ")
    file = tmp_path / "state" / "bans.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_unban_needs_the_banned_network(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    operator.ask("BAN 192.0.2.0/24")
    assert operator.ask("UNBAN 192.0.2.1") == (
        "550 192.0.2.1/32 is not banned, but 192.0.2.0/24 is, which holds it"
    )
    assert operator.ask("UNBAN 198.51.100.1").startswith("550 198.51.100.1/32 is not banned; BANS")
    for wrong in ("", "x", "192.0.2.1/24", "192.0.2.1,192.0.2.2"):
        assert operator.ask(f"BAN {wrong}").startswith("501"), wrong


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"version": 2, "bans": []}',
        '{"version":1}',
        '{"version":1,"bans":[{"network":"192.0.2.1","since":0,"until":1e15}]}',
        '{"version":1,"bans":[{"network":"192.0.2.1","since":NaN,"until":null}]}',
    ],
)
def test_unreadable_bans_stop_the_start(tmp_path: Path, text: str) -> None:
    """Banned clients must not be accepted because of an error."""
    (tmp_path / "bans.json").write_text(text)
    with pytest.raises(BanFileError, match="cannot be read"):
        OperatedDaemon(CONFIG, tmp_path)


def test_ban_that_cannot_be_saved_applies(tmp_path: Path, logged_failures: LoggedFailures) -> None:
    harness = OperatedDaemon(CONFIG, tmp_path / "state")
    (tmp_path / "state" / "bans.json.new").mkdir()
    reply = harness.operator().ask("BAN 192.0.2.1")
    assert "it will not survive a restart" in reply
    assert harness.connect(1)[1].value().startswith(b"421 ")
    logged_failures.expect("could not be written")


def test_missing_ban_file_means_no_bans(tmp_path: Path) -> None:
    bans = Bans(lambda: NOW)
    BanFile(str(tmp_path), None).load(bans)
    assert len(bans) == 0


# --- reload, log, drain ---


def test_reload_replies_with_the_lines_of_the_log(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    assert operator.ask("RELOAD") == "250 nothing has changed"
    harness.text = CONFIG + "[policy:default]\nper_address = 3\n"
    assert operator.ask("RELOAD") == (
        "250-service line: policy swapped\n250 service chat: policy swapped"
    )


def test_refused_reload_reports_all_errors(
    harness: OperatedDaemon, logged_failures: LoggedFailures
) -> None:
    operator = harness.operator()
    harness.text = CONFIG + "[policy:default]\nper_address = 0\nunsent = x\n"
    reply = operator.ask("RELOAD").splitlines()
    assert reply[0] == "550-refused, nothing has changed:"
    assert reply[1].startswith("550-/etc/x.ini:10: [policy:default] per_address: ")
    assert reply[2].startswith("550 /etc/x.ini:11: [policy:default] unsent: ")
    reply = operator.ask("RELOAD json")
    assert reply.startswith('550 {"ok":false,"lines":["/etc/x.ini:10')
    logged_failures.expect("reload refused", 4)


def test_check_changes_nothing(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    assert operator.ask("CHECK") == "250 nothing is wrong"
    harness.text = CONFIG + "[tls:a]\ncertificate = /gone.pem\n"
    assert operator.ask("CHECK").startswith("550 /etc/x.ini:10: [tls:a] certificate: /gone.pem ")
    harness.text = CONFIG.replace(":1", ":9")
    assert operator.ask("CHECK") == "250 nothing is wrong"
    assert harness.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:2"}


def test_the_log_level(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    assert operator.ask("LOG") == "250 the log level is info"
    assert operator.ask("LOG debug") == "250 the log level is debug"
    assert operator.ask("LOG json") == '250 {"log_level":"debug"}'
    assert operator.ask("LOG loud").startswith("501-'loud' is not a log level")


def test_drained_service_is_closed_until_resumed(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    connection, transport = harness.connect(1)
    assert operator.ask("DRAIN line") == (
        "250 service line: ports closed, 1 connection to end within 10 seconds"
    )
    assert transport.disconnecting
    states = {each["name"]: each["state"] for each in operator.json("SERVICES")["services"]}
    assert states == {"chat": "open", "line": "draining"}
    connection.connectionLost(Failure(ConnectionDone()))
    assert operator.json("SERVICES")["services"][1]["state"] == "drained"
    assert operator.json("STATUS")["drained"] == ["line"]
    # a reload does not bring it back
    harness.text = CONFIG + "[policy:default]\nper_address = 3\n"
    assert operator.ask("RELOAD") == (
        "250-service chat: policy swapped\n250 service line: stays drained"
    )
    assert operator.ask("DRAIN line") == "550 service line is drained already"
    assert operator.ask("RESUME line") == "250 service line: listening on 127.0.0.1:1"
    assert harness.connect(1)[1].value().startswith(b"220 ")
    line = operator.json("SERVICES")["services"][-1]
    # counters survive drain and resume
    assert (line["name"], line["accepted"]) == ("line", 2)
    assert harness.services.units["line"].layer.policy.per_address == 3
    assert operator.ask("RESUME line").startswith("550 service line is not drained")
    assert operator.ask("DRAIN gone").startswith("550 there is no service gone")


def test_reload_may_remove_a_drained_service(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    operator.ask("DRAIN line")
    harness.text = CONFIG[CONFIG.index("[service:chat]") :]
    assert operator.ask("RELOAD") == "250 nothing has changed"
    assert [each["name"] for each in operator.json("SERVICES")["services"]] == ["chat"]
    harness.text = CONFIG
    assert operator.ask("RELOAD") == "250 service line: added"


def test_rooms_and_limits(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    ann, _ = harness.connect(2)
    ann.dataReceived(b"ann\n/join #tea\n/topic \x1b[2Jhot\n")
    rooms = {room["name"]: room for room in operator.json("ROOMS")["rooms"]}
    assert rooms["#tea"]["members"] == 1
    assert "\x1b" not in operator.ask("ROOMS")
    limits = operator.json("LIMITS")
    assert (limits["connections"], limits["connections_limit"]) == (1, 10000)
    assert limits["services"][1]["busiest_address"] == 1
    assert "BUSIEST" in operator.ask("LIMITS")


# --- events ---


def test_events_are_sent_until_the_client_sends_anything(harness: OperatedDaemon) -> None:
    operator = harness.operator()
    other = harness.operator()
    assert operator.ask("EVENTS").startswith("250-events follow")
    other.ask("KICK 999")
    other.ask("BAN 192.0.2.7 tea\x1btime")
    line = operator.received()
    assert line.startswith("250-{")
    event = json.loads(line[4:])
    assert event["event"] == "operator.command"
    assert event["fields"]["command"] == "BAN 192.0.2.7/32 tea\\x1btime"
    assert operator.ask("PING") == "250 1 event\n250 PONG"
    other.ask("BAN 192.0.2.8")
    assert operator.received() == ""


def test_follower_that_does_not_read_does_not_affect_others(harness: OperatedDaemon) -> None:
    stuck = harness.operator()
    stuck.ask("EVENTS")
    stuck.protocol.pauseProducing()
    other = harness.operator()
    for number in range(3000):
        other.ask(f"LOG {'debug' if number % 2 else 'info'}")
    assert stuck.received() == ""
    stuck.protocol.resumeProducing()
    lines = stuck.received().splitlines()
    assert len(lines) <= 1001
    assert '"event":"events.dropped"' in lines[-1]
    assert stuck.ask("PING").endswith("missed\n250 PONG")
    # a closed connection is no follower
    stuck.ask("EVENTS")
    stuck.protocol.connectionLost(Failure(ConnectionDone()))
    assert len(harness.daemon.followers) == 0


# --- authorization ---


def test_changes_are_logged_with_the_operator(harness: OperatedDaemon) -> None:
    seen: list[Any] = []

    def observe(event: Any) -> None:
        if event.get("event_id") == "operator.command":
            seen.append(event)

    globalLogPublisher.addObserver(observe)
    try:
        operator = harness.operator()
        for line in ("STATUS", "RELOAD", "DRAIN line", "RESUME line", "UNBAN 192.0.2.1"):
            operator.ask(line)
    finally:
        globalLogPublisher.removeObserver(observe)
    assert [event["command"] for event in seen] == ["RELOAD", "DRAIN line", "RESUME line"]
    assert re.fullmatch(r"uid \d+ pid \d+", seen[0]["operator"])


def test_peer_credentials_are_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """peer credentials checked: root, the daemon's own uid, and members of the group."""
    monkeypatch.setattr("os.geteuid", lambda: 500)
    monkeypatch.setattr("os.getegid", lambda: 600)
    none: frozenset[int] = frozenset()
    assert may_operate(Peer(1, 0, none), "")
    assert may_operate(Peer(1, 500, none), "")
    assert may_operate(Peer(1, 7, frozenset({8, 600})), "")
    assert not may_operate(Peer(1, 7, frozenset({8})), "")
    assert may_operate(Peer(1, 7, frozenset({8})), "8")
    assert not may_operate(Peer(1, 7, frozenset({600})), "8")
    assert not may_operate(Peer(1, 7, frozenset({600})), "no-such-group")
    assert may_operate(None, "")


def test_refused_peer_gets_a_message_and_is_counted(
    harness: OperatedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcpd.daemon.control.server.may_operate", lambda peer, group: False)
    stranger = harness.operator()
    assert stranger.greeting.startswith("421 ")
    assert "may not operate this daemon" in stranger.greeting
    assert stranger.transport.half_closed
    assert not stranger.transport.disconnecting, "or what it sends would reset the words"
    stranger.protocol.writeConnectionLost()
    assert stranger.ask("STATUS") == ""
    assert stranger.context.counters.refused["denied"] == 1
    stranger.protocol.readConnectionLost()
    assert stranger.transport.disconnecting
    stranger.protocol.connectionLost(Failure(ConnectionDone()))
    slow = harness.operator()
    harness.reactor.advance(1.9)
    assert not slow.transport.disconnecting
    harness.reactor.advance(0.1)
    assert slow.transport.disconnecting, "nobody is waited for without end"
    slow.protocol.connectionLost(Failure(ConnectionDone()))


def test_refused_connections_are_limited(
    harness: OperatedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unauthorized peers cannot fill the socket, even if the file's mode allows them to connect."""
    monkeypatch.setattr("tcpd.daemon.control.server.may_operate", lambda peer, group: False)
    with capturedLogs() as logged:
        strangers = [first := harness.operator(), *(harness.operator(first) for _ in range(99))]
    assert all(each.greeting.startswith("421 ") for each in strangers)
    assert [each for each in strangers if not each.transport.disconnecting] == strangers[-32:]
    refused = [event for event in logged if event.get("event_id") == "connection.refused"]
    assert len(refused) == 1, "one line a burst for each user"
    for each in strangers:
        each.protocol.connectionLost(Failure(ConnectionDone()))


# --- random input ---

ANY = (
    "BAN BANS UNBAN CHECK CONNECTION CONNECTIONS DRAIN RESUME EVENTS HELP KICK LIMITS LOG PING "
    "ROOMS SERVICES STATUS RELOAD json 192.0.2.1 192.0.2.0/24 ::1 ::/0 1h 0 -1 line chat gone "
    "SERVICE=line SORT=age SORT=x LIMIT=3 ADDRESS=::/0 ADDRESS= = debug 1 2 99999999999999999999 "
    "\u202e \U0001f600"
)
WORDS = st.sampled_from(ANY.split())


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(
        st.one_of(
            st.lists(WORDS, max_size=5).map(lambda words: " ".join(words).encode()), st.binary()
        ),
        max_size=8,
    )
)
def test_random_input_does_not_stop_the_daemon(lines: list[bytes]) -> None:
    harness = OperatedDaemon(CONFIG)
    operator = harness.operator()
    harness.connect(1)
    operator.protocol.dataReceived(b"\n".join(lines) + b"\n")
    harness.reactor.turn(3)
    reply = operator.received()
    assert " failed, reference" not in reply
    assert all(re.match(r"[2-5]\d\d[ -]", line) for line in reply.splitlines())
    assert harness.operator().ask("PING") == "250 PONG"


# --- small things ---


def test_tables() -> None:
    assert table(["A", ">B"], [("long", 1), ("x", 22)]) == "A      B\nlong   1\nx     22"


def test_control_socket_belongs_to_the_daemons_user(harness: OperatedDaemon) -> None:
    """reference/control.rst: it belongs to the daemon's user and group."""
    environment = StartupEnvironment({}, 0, owner=123, group=456)
    for group, wanted in (("", "456"), ("adm", "adm")):
        tcpd = TcpdSettings(control="/run/x", control_group=group)
        (listener,) = control(tcpd, environment, CommandTable).listen(harness.services.settings)
        assert isinstance(listener.bind, PrivateSocket)
        assert (listener.bind.owner, listener.bind.group) == ("123", wanted)
