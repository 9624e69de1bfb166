"""A running daemon takes over another configuration: all of it, or nothing."""

from __future__ import annotations

from pathlib import Path

import certificates
import pytest
from daemon.house import House, Port, service
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.python.failure import Failure

from tcpd.config.errors import ConfigError
from tcpd.net.listeners import ListenError
from tcpd.policy.reasons import End


def test_nothing_changes_where_nothing_differs() -> None:
    house = House(service("a", "1"))
    port = dict(house.reactor.ports)
    assert house.reload(service("a", "1")) == []
    assert house.reactor.ports == port


def test_a_service_is_added_and_one_removed_says_farewell() -> None:
    house = House(service("a", "1"))
    connection, transport = house.connect(1)
    transport.clear()
    report = house.reload(service("b", "2"))
    assert report == ["service a: removed", "service b: added"]
    assert house.open == {"tcp 127.0.0.1:2"}
    assert transport.value().startswith(b"421 ")
    assert [entry.name for entry in house.services.directory()] == ["b"]
    connection.connectionLost(Failure(ConnectionDone()))
    stopped = house.daemon.stopService()
    assert stopped.called


def test_a_stop_waits_for_what_a_reload_took_out() -> None:
    house = House(service("a", "1"))
    connection, _ = house.connect(1)
    house.reload(service("b", "2"))
    stopped = house.daemon.stopService()
    assert not stopped.called
    connection.connectionLost(Failure(ConnectionDone()))
    assert stopped.called


def test_listeners_come_and_go_and_nobody_is_disconnected() -> None:
    house = House(service("a", "1, 2"))
    kept = house.reactor.ports["tcp", "127.0.0.1", 2]
    connections = [house.connect(1), house.connect(2)]
    report = house.reload(service("a", "2, 3"))
    assert report == [
        "service a: listens on 127.0.0.1:1 no more",
        "service a: listening on 127.0.0.1:3",
    ]
    assert house.open == {"tcp 127.0.0.1:2", "tcp 127.0.0.1:3"}
    assert house.reactor.ports["tcp", "127.0.0.1", 2] is kept
    for _, transport in connections:
        assert not transport.disconnecting


def test_options_are_swapped_and_conversations_under_way_keep_the_old() -> None:
    house = House(service("a", "1", more="max_line = 64"))
    old, old_transport = house.connect(1)
    assert house.reload(service("a", "1", more="max_line = 128")) == ["service a: max_line swapped"]
    new, new_transport = house.connect(1)
    for connection, transport, code in ((old, old_transport, b"500"), (new, new_transport, b"250")):
        transport.clear()
        connection.dataReceived(b"ECHO " + b"x" * 100 + b"\r\n")
        assert transport.value().startswith(code)


def test_a_policy_is_swapped_and_holds_for_those_who_are_there() -> None:
    house = House(service("a", "1"))
    _, transport = house.connect(1)
    assert house.reload(service("a", "1") + "[policy:default]\nidle = 8s\nper_address = 1\n") == [
        "service a: policy swapped"
    ]
    _, refused = house.connect(1)
    assert refused.value().startswith(b"421 ")
    for _ in range(9):
        house.reactor.advance(1)
    assert transport.disconnecting


def test_another_protocol_takes_the_port_over_and_the_old_one_says_farewell() -> None:
    house = House(service("a", "1"))
    port = house.reactor.ports["tcp", "127.0.0.1", 1]
    _, transport = house.connect(1)
    transport.clear()
    assert house.reload(service("a", "1", "echo")) == ["service a: protocol changed: restarted"]
    assert house.reactor.ports["tcp", "127.0.0.1", 1] is port, "it was never closed"
    assert transport.value().startswith(b"421 ")
    connection, echo = house.connect(1)
    connection.dataReceived(b"hi")
    assert echo.value() == b"hi"
    assert house.services.units["a"].layer.counters.accepted == 2, "counters outlive a restart"


def test_a_port_moves_from_one_service_to_another_without_being_closed() -> None:
    house = House(service("a", "1, 2") + service("b", "3", "echo"))
    ports = dict(house.reactor.ports)
    house.reload(service("a", "1") + service("b", "2, 3", "echo"))
    assert house.reactor.ports == ports
    connection, transport = house.connect(2)
    connection.dataReceived(b"hi")
    assert transport.value() == b"hi"


def test_a_renamed_service_keeps_its_port() -> None:
    house = House(service("a", "1"))
    ports = dict(house.reactor.ports)
    house.reload(service("b", "1"))
    assert house.reactor.ports == ports


def test_datagrams_are_answered_by_the_new_options() -> None:
    house = House(service("a", "1 udp", "echo", "udp_rate = none"))
    port = house.reactor.ports["udp", "127.0.0.1", 1]
    house.reload(service("a", "1 udp", "echo", "udp_rate = 1/s burst 1"))
    assert house.reactor.ports["udp", "127.0.0.1", 1] is port
    assert port.factory._buckets is not None


@pytest.mark.parametrize("protocol", ["echo", "discard", "chargen", "line", "chat"])
def test_connections_survive_a_change_of_any_option(protocol: str) -> None:
    """Those whose conversations last: a change of options does not end them."""
    more = {"line": "max_line = 128", "chat": "rate = none", "discard": ""}
    house = House(service("a", "1", protocol))
    _, transport = house.connect(1)
    option = more.get(protocol, "udp_rate = none")
    report = house.reload(service("a", "1", protocol, option))
    assert report == ([f"service a: {option.split()[0]} swapped"] if option else [])
    assert not transport.disconnecting


def test_sections_are_swapped_and_what_takes_a_restart_is_told() -> None:
    house = House(service("a", "1"))
    report = house.reload(
        "[tcpd]\nconnections = 7\ndrain = 3s\nserver_name = other\n[chat]\noutbox = 32KiB\n"
        + service("a", "1")
    )
    assert report == [
        "tcpd: connections, drain swapped",
        "chat: outbox swapped",
        "tcpd: server_name needs a restart",
    ]
    assert house.daemon.components.connection_count.limit == 7
    assert house.services.units["a"].drain == 3.0
    assert house.daemon.components.chat.hub.settings.outbox == 32768


# --- all or nothing ---


def test_a_port_that_cannot_be_opened_leaves_all_as_it_was() -> None:
    house = House(service("a", "1"))
    _, transport = house.connect(1)
    house.reactor.ports["tcp", "127.0.0.1", 9] = Port(house.reactor, None, ("x", "y", 9))
    before = dict(house.reactor.ports)
    with pytest.raises(ListenError, match=r"service b cannot listen on 127\.0\.0\.1:9: Address"):
        house.reload(
            "[policy:default]\nper_address = 1\n" + service("a", "1, 2") + service("b", "3, 9")
        )
    assert house.reactor.ports == before
    assert not transport.disconnecting
    house.connect(1)
    assert house.services.settings.policies["default"].per_address == 100
    assert house.services.units["a"].layer.policy.per_address == 100
    assert house.reload(service("a", "1, 2")) == ["service a: listening on 127.0.0.1:2"]


def at(*listeners: str) -> str:
    return "[service:a]\nprotocol = line\nlisten =\n" + "".join(f"  {each}\n" for each in listeners)


def test_an_address_is_widened_and_narrowed() -> None:
    house = House(at("127.0.0.1:1"))
    assert house.reload(at("0.0.0.0:1")) == [
        "service a: listens on 127.0.0.1:1 no more",
        "service a: listening on 0.0.0.0:1",
    ]
    assert house.open == {"tcp 0.0.0.0:1"}
    house.reload(at("127.0.0.1:1", "127.0.0.2:1"))
    assert house.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.2:1"}


def test_a_port_is_not_closed_for_one_that_may_not_be_opened_anyway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who gave up root cannot open a port below 1024 again: the one that is open is kept."""
    house = House(at("127.0.0.1:1"))
    before = dict(house.reactor.ports)

    def refuse(*_: object) -> None:
        raise CannotListenError("", 1, PermissionError(13, "Permission denied"))

    monkeypatch.setattr(house.reactor, "_open", refuse)
    with pytest.raises(ListenError, match="Permission denied"):
        house.reload(at("0.0.0.0:1"))
    assert house.reactor.ports == before
    monkeypatch.undo()
    assert house.reload(at("0.0.0.0:1"))


def test_a_port_that_cannot_be_opened_again_is_told_and_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Somebody else may take an address in the moment that it is free."""
    house = House(at("127.0.0.1:1", "127.0.0.1:3"))
    opens = house.reactor._open

    def snatch(kind: str, number: int, factory: object, interface: str) -> object:
        if (number, interface) == (1, "127.0.0.1") or number == 2:
            raise CannotListenError(interface, number, OSError(98, "Address already in use"))
        return opens(kind, number, factory, interface)

    monkeypatch.setattr(house.reactor, "_open", snatch)
    with pytest.raises(ListenError) as caught:
        house.reload(at("0.0.0.0:1", "127.0.0.1:2"))
    assert str(caught.value) == (
        "service a cannot listen on 127.0.0.1:2: Address already in use; and service a cannot "
        "listen on 127.0.0.1:1: Address already in use"
    )
    assert house.open == {"tcp 127.0.0.1:3"}
    assert [str(each) for each in house.services.units["a"].listening] == ["127.0.0.1:3"]
    monkeypatch.undo()
    assert house.reload(at("127.0.0.1:1", "127.0.0.1:3")) == ["service a: listening on 127.0.0.1:1"]
    assert house.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:3"}


def test_a_file_that_cannot_be_used_leaves_all_as_it_was(tmp_path: Path) -> None:
    certificates.make(tmp_path, "one")
    tls = "[tls:t]\ncertificate = one.pem\nkey = one-key.pem\n"
    house = House(service("a", "1 tls=t") + service("q", "2", "qotd") + tls, tmp_path)
    in_use = house.daemon.components.certificates.in_use
    context = in_use["t"]._context
    (tmp_path / "one.pem").write_text("broken")
    with pytest.raises(ConfigError) as caught:
        house.reload(service("a", "1 tls=t") + service("q", "2", "qotd", "quotes = gone") + tls)
    first, second = caught.value.lines
    assert "[tls:t] certificate:" in first
    assert "[service:q] quotes:" in second
    assert in_use["t"]._context is context
    certificates.make(tmp_path, "one")
    house.reload(service("a", "1 tls=t") + service("q", "2", "qotd") + tls)
    assert in_use["t"]._context is not context, "reread each time"


def test_files_that_options_name_are_reread(tmp_path: Path) -> None:
    """The message of the day, 'read at the start and at each reload'."""
    motd = tmp_path / "motd.txt"
    motd.write_text("tea")
    same = service("i", "1", "irc", f"motd = {motd}")
    house = House(same, tmp_path)
    factory = house.services.units["i"].layer.factory
    assert house.reload(same) == []
    motd.write_text("coffee")
    assert house.reload(same) == ["service i: files reread"]
    assert house.services.units["i"].layer.factory is factory
    assert factory.server.motd == ("coffee",)
    motd.unlink()
    with pytest.raises(ConfigError) as caught:
        house.reload(same)
    assert "[service:i] motd: cannot read" in caught.value.lines[0]
    assert factory.server.motd == ("coffee",)


def test_a_new_certificate_name_can_be_used_at_once(tmp_path: Path) -> None:
    certificates.make(tmp_path, "one")
    house = House(service("a", "1"), tmp_path)
    report = house.reload(
        service("a", "1 tls=t") + "[tls:t]\ncertificate = one.pem\nkey = one-key.pem\n"
    )
    assert report == [
        "service a: listens on 127.0.0.1:1 no more",
        "service a: listening on 127.0.0.1:1 tls=t",
    ]
    assert house.open == {"tcp 127.0.0.1:1"}


def test_many_reloads_leave_nothing_behind() -> None:
    house = House(service("a", "1"))
    connection, transport = house.connect(1)
    texts = [
        service("a", "1, 2"),
        service("a", "1", more="max_line = 99"),
        service("a", "1") + service("b", "3", "echo"),
        service("a", "1") + "[policy:default]\nidle = 3s\n",
    ]
    for turn in range(100):
        house.reload(texts[turn % len(texts)])
    house.reload(service("a", "1"))
    assert house.open == {"tcp 127.0.0.1:1"}
    assert not transport.disconnecting
    assert house.services._retiring == {}
    calls = len(house.reactor.getDelayedCalls())
    assert calls == 3, "the one sweeper, and the looks at how late the reactor is and at files"
    assert list(house.services) == [house.services.units["a"]]
    connection.connectionLost(Failure(ConnectionDone()))
    assert house.services.units["a"].layer.counters.ended == {End.CLIENT: 1}
