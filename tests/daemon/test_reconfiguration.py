"""Reconfiguration of a running daemon: all changes or none."""

from __future__ import annotations

from pathlib import Path

import certificates
import pytest
from daemon.harness import DaemonHarness, MemoryPort, service
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.python.failure import Failure

from tcpd.config.errors import ConfigError
from tcpd.net.listeners import ListenError
from tcpd.policy.reasons import End


def test_equal_configuration_changes_nothing() -> None:
    harness = DaemonHarness(service("a", "1"))
    port = dict(harness.reactor.ports)
    assert harness.reload(service("a", "1")) == []
    assert harness.reactor.ports == port


def test_service_is_added_and_removed() -> None:
    harness = DaemonHarness(service("a", "1"))
    connection, transport = harness.connect(1)
    transport.clear()
    report = harness.reload(service("b", "2"))
    assert report == ["service a: removed", "service b: added"]
    assert harness.open == {"tcp 127.0.0.1:2"}
    assert transport.value().startswith(b"421 ")
    assert [entry.name for entry in harness.services.directory()] == ["b"]
    connection.connectionLost(Failure(ConnectionDone()))
    stopped = harness.daemon.stopService()
    assert stopped.called


def test_stop_waits_for_removed_services() -> None:
    harness = DaemonHarness(service("a", "1"))
    connection, _ = harness.connect(1)
    harness.reload(service("b", "2"))
    stopped = harness.daemon.stopService()
    assert not stopped.called
    connection.connectionLost(Failure(ConnectionDone()))
    assert stopped.called


def test_listeners_change_without_disconnects() -> None:
    harness = DaemonHarness(service("a", "1, 2"))
    kept = harness.reactor.ports["tcp", "127.0.0.1", 2]
    connections = [harness.connect(1), harness.connect(2)]
    report = harness.reload(service("a", "2, 3"))
    assert report == [
        "service a: stopped listening on 127.0.0.1:1",
        "service a: listening on 127.0.0.1:3",
    ]
    assert harness.open == {"tcp 127.0.0.1:2", "tcp 127.0.0.1:3"}
    assert harness.reactor.ports["tcp", "127.0.0.1", 2] is kept
    for _, transport in connections:
        assert not transport.disconnecting


def test_new_options_apply_to_new_connections() -> None:
    harness = DaemonHarness(service("a", "1", more="max_line = 64"))
    old, old_transport = harness.connect(1)
    assert harness.reload(service("a", "1", more="max_line = 128")) == [
        "service a: max_line swapped"
    ]
    new, new_transport = harness.connect(1)
    for connection, transport, code in ((old, old_transport, b"500"), (new, new_transport, b"250")):
        transport.clear()
        connection.dataReceived(b"ECHO " + b"x" * 100 + b"\r\n")
        assert transport.value().startswith(code)


def test_new_policy_applies_to_open_connections() -> None:
    harness = DaemonHarness(service("a", "1"))
    _, transport = harness.connect(1)
    assert harness.reload(service("a", "1") + "[policy:default]\nidle = 8s\nper_address = 1\n") == [
        "service a: policy swapped"
    ]
    _, refused = harness.connect(1)
    assert refused.value().startswith(b"421 ")
    for _ in range(9):
        harness.reactor.advance(1)
    assert transport.disconnecting


def test_changed_protocol_keeps_the_port() -> None:
    harness = DaemonHarness(service("a", "1"))
    port = harness.reactor.ports["tcp", "127.0.0.1", 1]
    _, transport = harness.connect(1)
    transport.clear()
    assert harness.reload(service("a", "1", "echo")) == ["service a: protocol changed: restarted"]
    assert harness.reactor.ports["tcp", "127.0.0.1", 1] is port, "it was never closed"
    assert transport.value().startswith(b"421 ")
    connection, echo = harness.connect(1)
    connection.dataReceived(b"hi")
    assert echo.value() == b"hi"
    assert harness.services.units["a"].layer.counters.accepted == 2, "counters outlive a restart"


def test_port_moves_between_services_without_closing() -> None:
    harness = DaemonHarness(service("a", "1, 2") + service("b", "3", "echo"))
    ports = dict(harness.reactor.ports)
    harness.reload(service("a", "1") + service("b", "2, 3", "echo"))
    assert harness.reactor.ports == ports
    connection, transport = harness.connect(2)
    connection.dataReceived(b"hi")
    assert transport.value() == b"hi"


def test_renamed_service_keeps_its_port() -> None:
    harness = DaemonHarness(service("a", "1"))
    ports = dict(harness.reactor.ports)
    harness.reload(service("b", "1"))
    assert harness.reactor.ports == ports


def test_new_options_apply_to_datagrams() -> None:
    harness = DaemonHarness(service("a", "1 udp", "echo", "udp_rate = none"))
    port = harness.reactor.ports["udp", "127.0.0.1", 1]
    harness.reload(service("a", "1 udp", "echo", "udp_rate = 1/s burst 1"))
    assert harness.reactor.ports["udp", "127.0.0.1", 1] is port
    client = ("192.0.2.1", 4711)
    assert port.factory.received(b"x", client) == b"x"
    assert port.factory.received(b"x", client) is None, "above the rate"


@pytest.mark.parametrize("protocol", ["echo", "discard", "chargen", "line", "chat"])
def test_changed_options_keep_connections(protocol: str) -> None:
    """For protocols with long connections."""
    more = {"line": "max_line = 128", "chat": "rate = none", "discard": ""}
    harness = DaemonHarness(service("a", "1", protocol))
    _, transport = harness.connect(1)
    option = more.get(protocol, "udp_rate = none")
    report = harness.reload(service("a", "1", protocol, option))
    assert report == ([f"service a: {option.split()[0]} swapped"] if option else [])
    assert not transport.disconnecting


def test_changed_sections_and_keys_that_require_a_restart() -> None:
    harness = DaemonHarness(service("a", "1"))
    report = harness.reload(
        "[tcpd]\nconnections = 7\ndrain = 3s\nserver_name = other\n[chat]\noutbox = 32KiB\n"
        + service("a", "1")
    )
    assert report == [
        "tcpd: connections, drain swapped",
        "chat: outbox swapped",
        "tcpd: server_name needs a restart",
    ]
    assert harness.daemon.components.connection_count.limit == 7
    assert harness.services.units["a"].drain == 3.0
    assert harness.daemon.components.chat.hub.settings.outbox == 32768


# --- all or nothing ---


def test_unavailable_port_changes_nothing() -> None:
    harness = DaemonHarness(service("a", "1"))
    _, transport = harness.connect(1)
    harness.reactor.ports["tcp", "127.0.0.1", 9] = MemoryPort(harness.reactor, None, ("x", "y", 9))
    before = dict(harness.reactor.ports)
    with pytest.raises(ListenError, match=r"service b cannot listen on 127\.0\.0\.1:9: Address"):
        harness.reload(
            "[policy:default]\nper_address = 1\n" + service("a", "1, 2") + service("b", "3, 9")
        )
    assert harness.reactor.ports == before
    assert not transport.disconnecting
    harness.connect(1)
    assert harness.services.settings.policies["default"].per_address == 100
    assert harness.services.units["a"].layer.policy.per_address == 100
    assert harness.reload(service("a", "1, 2")) == ["service a: listening on 127.0.0.1:2"]


def at(*listeners: str) -> str:
    return "[service:a]\nprotocol = line\nlisten =\n" + "".join(f"  {each}\n" for each in listeners)


def test_address_is_widened_and_narrowed() -> None:
    harness = DaemonHarness(at("127.0.0.1:1"))
    assert harness.reload(at("0.0.0.0:1")) == [
        "service a: stopped listening on 127.0.0.1:1",
        "service a: listening on 0.0.0.0:1",
    ]
    assert harness.open == {"tcp 0.0.0.0:1"}
    harness.reload(at("127.0.0.1:1", "127.0.0.2:1"))
    assert harness.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.2:1"}


def test_port_is_kept_if_its_replacement_needs_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without root a port below 1024 cannot be opened again, so it is kept open."""
    harness = DaemonHarness(at("127.0.0.1:1"))
    before = dict(harness.reactor.ports)

    def refuse(*_: object) -> None:
        raise CannotListenError("", 1, PermissionError(13, "Permission denied"))

    monkeypatch.setattr(harness.reactor, "open_port", refuse)
    with pytest.raises(ListenError, match="Permission denied"):
        harness.reload(at("0.0.0.0:1"))
    assert harness.reactor.ports == before
    monkeypatch.undo()
    assert harness.reload(at("0.0.0.0:1"))


def test_port_that_cannot_be_reopened_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another process may bind the address while it is free."""
    harness = DaemonHarness(at("127.0.0.1:1", "127.0.0.1:3"))
    opens = harness.reactor.open_port

    def snatch(kind: str, number: int, factory: object, interface: str) -> object:
        if (number, interface) == (1, "127.0.0.1") or number == 2:
            raise CannotListenError(interface, number, OSError(98, "Address already in use"))
        return opens(kind, number, factory, interface)

    monkeypatch.setattr(harness.reactor, "open_port", snatch)
    with pytest.raises(ListenError) as caught:
        harness.reload(at("0.0.0.0:1", "127.0.0.1:2"))
    assert str(caught.value) == (
        "service a cannot listen on 127.0.0.1:2: Address already in use; and service a cannot "
        "listen on 127.0.0.1:1: Address already in use"
    )
    assert harness.open == {"tcp 127.0.0.1:3"}
    assert [str(each) for each in harness.services.units["a"].listening] == ["127.0.0.1:3"]
    monkeypatch.undo()
    assert harness.reload(at("127.0.0.1:1", "127.0.0.1:3")) == [
        "service a: listening on 127.0.0.1:1"
    ]
    assert harness.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:3"}


def test_unusable_file_changes_nothing(tmp_path: Path) -> None:
    certificates.make(tmp_path, "one")
    tls = "[tls:t]\ncertificate = one.pem\nkey = one-key.pem\n"
    harness = DaemonHarness(service("a", "1 tls=t") + service("q", "2", "qotd") + tls, tmp_path)
    in_use = harness.daemon.components.certificates.in_use
    pairs = in_use["t"].pairs
    (tmp_path / "one.pem").write_text("broken")
    with pytest.raises(ConfigError) as caught:
        harness.reload(service("a", "1 tls=t") + service("q", "2", "qotd", "quotes = gone") + tls)
    first, second = caught.value.lines
    assert "[tls:t] certificate:" in first
    assert "[service:q] quotes:" in second
    assert in_use["t"].pairs is pairs
    certificates.make(tmp_path, "one")
    harness.reload(service("a", "1 tls=t") + service("q", "2", "qotd") + tls)
    assert in_use["t"].pairs is not pairs, "reread each time"


def test_files_of_options_are_reread(tmp_path: Path) -> None:
    """docs: the MOTD file is 'read at the start and at each reload'."""
    motd = tmp_path / "motd.txt"
    motd.write_text("tea")
    same = service("i", "1", "irc", f"motd = {motd}")
    harness = DaemonHarness(same, tmp_path)
    factory = harness.services.units["i"].layer.factory
    assert harness.reload(same) == []
    motd.write_text("coffee")
    assert harness.reload(same) == ["service i: files reread"]
    assert harness.services.units["i"].layer.factory is factory
    assert factory.server.motd == ("coffee",)
    motd.unlink()
    with pytest.raises(ConfigError) as caught:
        harness.reload(same)
    assert "[service:i] motd: cannot read" in caught.value.lines[0]
    assert factory.server.motd == ("coffee",)


def test_new_tls_section_and_its_listener(tmp_path: Path) -> None:
    certificates.make(tmp_path, "one")
    harness = DaemonHarness(service("a", "1"), tmp_path)
    report = harness.reload(
        service("a", "1 tls=t") + "[tls:t]\ncertificate = one.pem\nkey = one-key.pem\n"
    )
    assert report == [
        "service a: stopped listening on 127.0.0.1:1",
        "service a: listening on 127.0.0.1:1 tls=t",
    ]
    assert harness.open == {"tcp 127.0.0.1:1"}


def test_many_reloads_do_not_leak() -> None:
    harness = DaemonHarness(service("a", "1"))
    connection, transport = harness.connect(1)
    texts = [
        service("a", "1, 2"),
        service("a", "1", more="max_line = 99"),
        service("a", "1") + service("b", "3", "echo"),
        service("a", "1") + "[policy:default]\nidle = 3s\n",
    ]
    for turn in range(100):
        harness.reload(texts[turn % len(texts)])
    harness.reload(service("a", "1"))
    assert harness.open == {"tcp 127.0.0.1:1"}
    assert not transport.disconnecting
    assert list(harness.services.by_name()) == ["a"]
    calls = len(harness.reactor.getDelayedCalls())
    assert calls == 3, "the one sweeper, and the looks at how late the reactor is and at files"
    assert list(harness.services) == [harness.services.units["a"]]
    connection.connectionLost(Failure(ConnectionDone()))
    assert harness.services.units["a"].layer.counters.ended == {End.CLIENT: 1}
