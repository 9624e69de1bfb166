"""The tree of Services, on a reactor in memory."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certificates
import pytest
from daemon.harness import DaemonReactor
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, globalLogPublisher

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.errors import ConfigError
from tcpd.daemon.compose import SECTIONS, make_daemon
from tcpd.daemon.daemon import Daemon
from tcpd.daemon.registry import Kinds
from tcpd.daemon.unused_sockets import warn_of_unused_sockets
from tcpd.net.service import ListeningService
from tcpd.policy.reasons import Refusal

KINDS = Kinds([])


def composed(text: str, reactor: Any = None, directory: Path = Path("/etc")) -> Daemon:
    document, errors = ini.read(str(directory / "x.ini"), text)
    assert not errors
    settings = build(document, KINDS, SECTIONS)
    return make_daemon(settings, KINDS, reactor or MemoryReactorClock(), lambda: 0.0)


def test_listeners_open_before_privileges_are_dropped() -> None:
    reactor = DaemonReactor()
    daemon = composed(
        "[service:a]\nprotocol = echo\nlisten =\n  127.0.0.1:7\n  [::1]:7\n  unix:/run/a\n"
        "  127.0.0.1:7 udp\n[service:b]\nprotocol = line\nlisten = 127.0.0.1:8\n",
        reactor,
    )
    assert not reactor.ports
    daemon.privilegedStartService()
    assert list(reactor.ports) == [
        ("tcp", "127.0.0.1", 7),
        ("tcp", "::1", 7),
        ("udp", "127.0.0.1", 7),
        ("tcp", "127.0.0.1", 8),
    ]
    assert reactor.unixServers[0][0] == "/run/a"


def test_idle_timeout_of_policy_or_kind() -> None:
    daemon = composed(
        "[policy:short]\nidle = 5s\n"
        "[service:a]\nprotocol = echo\nlisten = *:1\n"
        "[service:b]\nprotocol = chat\nlisten = *:2\n"
        "[service:c]\nprotocol = chat\nlisten = *:3\npolicy = short\n"
    )
    idle = {}
    for name in "abc":
        service = daemon.running_services.getServiceNamed(name)
        assert isinstance(service, ListeningService)
        idle[name] = service.layer.idle
    assert idle == {"a": 600.0, "b": 0.0, "c": 5.0}


def test_all_unusable_settings_are_reported_with_file_and_line(tmp_path: Path) -> None:
    certificates.make(tmp_path, "one")
    with pytest.raises(ConfigError) as caught:
        composed(
            "[tls:a]\ncertificate = gone.pem\n"
            "[tls:b]\ncertificate = one.pem\n"
            "[service:q]\nprotocol = qotd\nlisten = *:1\nquotes = gone.txt\n",
            directory=tmp_path,
        )
    first, second, third = caught.value.lines
    assert first.startswith(f"{tmp_path}/x.ini:2: [tls:a] certificate: {tmp_path}/gone.pem cannot")
    assert second.startswith(f"{tmp_path}/x.ini:4: [tls:b] certificate: {tmp_path}/one.pem has no")
    assert third.startswith(f"{tmp_path}/x.ini:8: [service:q] quotes: ")


def test_services_share_the_connection_count() -> None:
    daemon = composed(
        "[tcpd]\nconnections = 1\n[service:a]\nprotocol = echo\nlisten = *:1\n"
        "[service:b]\nprotocol = echo\nlisten = *:2\n"
    )
    one, other = (daemon.running_services.units[name].layer.admission for name in "ab")
    client = ip_address("192.0.2.1")
    assert one.admit(client) is None
    assert other.admit(client) is Refusal.DAEMON_FULL
    one.release(client)
    assert other.admit(client) is None


def test_unused_systemd_socket_is_logged() -> None:
    """Clients of an unused socket wait in the kernel's backlog without an error."""
    unused: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("event_id") == "daemon.socket-unused":
            unused.append(event["name"])

    daemon = composed("[service:a]\nprotocol = echo\nlisten =\n  systemd:a\n  systemd:b\n")
    globalLogPublisher.addObserver(observe)
    try:
        warn_of_unused_sockets(daemon.components.systemd, daemon.running_services)
        assert unused == []
        daemon.components.systemd.update({"b": [3], "d": [4, 5], "c": [6]})
        warn_of_unused_sockets(daemon.components.systemd, daemon.running_services)
        assert unused == ["c", "d"]
        daemon.configuration.draining.drain("a")
        warn_of_unused_sockets(daemon.components.systemd, daemon.running_services)
        assert unused == ["c", "d"] * 2, "a drained service may be resumed"
    finally:
        globalLogPublisher.removeObserver(observe)
