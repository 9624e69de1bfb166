"""``[metrics]`` as an internal service."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certificates
import pytest
from daemon.harness import DaemonHarness, figures, service, settings
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tcpd.config.errors import ConfigError
from tcpd.config.show import show_config
from tcpd.daemon.compose import SECTIONS
from tcpd.daemon.internal import CONNECTIONS, DRAIN
from tcpd.net.listeners import ListenError
from tcpd.policy.reasons import Refusal

SITE = "[metrics]\nlisten = 127.0.0.1:9\n"


def ask(harness: DaemonHarness, path: str, method: str = "GET") -> str:
    """Request a page, and close the connection."""
    connection, transport = harness.connect(9)
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    connection.dataReceived(head.encode())
    harness.reactor.advance(0)
    assert transport.disconnecting
    connection.connectionLost(Failure(ConnectionDone()))
    return transport.value().decode()


def test_site_is_off_by_default() -> None:
    assert DaemonHarness(service("a", "1")).open == {"tcp 127.0.0.1:1"}


def test_built_in_sample_has_a_site_on_loopback() -> None:
    text = Path(__file__).parents[2].joinpath("etc", "tcpd.ini").read_text()
    assert str(settings(text).sections["metrics"].listen[0]) == "127.0.0.1:7910"


def test_pages_of_the_site() -> None:
    harness = DaemonHarness(service("a", "1") + SITE)
    assert ask(harness, "/healthz").endswith("\r\n\r\nok\n")
    assert ask(harness, "/readyz").endswith("\r\n\r\nready\n")
    response = ask(harness, "/metrics")
    assert response.startswith("HTTP/1.1 200 ")
    assert '\ntcpd_connections_open{service="a"} 0.0\n' in response
    assert '\ntcpd_connections_open{service="metrics"} 1.0\n' in response, "it counts itself"
    assert '\ntcpd_connections_accepted_total{service="metrics"} 3.0\n' in response


def test_ready_page() -> None:
    harness = DaemonHarness(service("a", "1", "chargen") + SITE, start=False)
    harness.daemon.privilegedStartService()
    response = ask(harness, "/readyz")
    assert response.startswith("HTTP/1.1 503 ")
    assert response.endswith("\r\n\r\nstarting: not all listeners are open\n")
    harness.daemon.startService()
    assert ask(harness, "/readyz").startswith("HTTP/1.1 200 ")
    connection, _ = harness.connect(1)
    ended: list[object] = []
    harness.daemon.stopService().addBoth(ended.append)
    assert harness.open == {"tcp 127.0.0.1:9"}, "it can be watched how the others drain"
    response = ask(harness, "/readyz")
    assert response.startswith("HTTP/1.1 503 ")
    assert response.endswith("\r\n\r\nstopping: connections are being drained\n")
    assert ask(harness, "/healthz").startswith("HTTP/1.1 200 ")
    assert "\ntcpd_ready 0.0\n" in ask(harness, "/metrics")
    assert not ended
    connection.connectionLost(Failure(ConnectionDone()))
    assert ended
    assert harness.open == set()
    assert harness.reactor.getDelayedCalls() == []


def test_open_connection_of_the_site_does_not_delay_a_stop() -> None:
    harness = DaemonHarness(service("a", "1") + SITE)
    connection, transport = harness.connect(9)
    transport.abortConnection = lambda: connection.connectionLost(  # type: ignore[method-assign]
        Failure(ConnectionDone())
    )
    ended: list[object] = []
    harness.daemon.stopService().addBoth(ended.append)
    assert not ended
    harness.reactor.advance(DRAIN)
    assert ended


def test_reload_opens_moves_and_closes_the_site() -> None:
    harness = DaemonHarness(service("a", "1"))
    assert harness.reload(service("a", "1") + SITE) == ["service metrics: added"]
    assert harness.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:9"}
    assert harness.reload(service("a", "1") + SITE.replace(":9", ":8")) == [
        "service metrics: stopped listening on 127.0.0.1:9",
        "service metrics: listening on 127.0.0.1:8",
    ]
    assert harness.reload(
        service("a", "1") + SITE.replace(":9", ":8") + "policy = p\n[policy:p]\nper_address = 1\n"
    ) == ["service metrics: policy swapped"]
    assert harness.reload(service("a", "1")) == ["service metrics: removed"]
    assert harness.open == {"tcp 127.0.0.1:1"}


def test_unavailable_port_of_the_site_changes_nothing() -> None:
    harness = DaemonHarness(service("a", "1"))
    harness.reactor.ports["tcp", "127.0.0.1", 9] = harness.reactor.ports["tcp", "127.0.0.1", 1]
    with pytest.raises(ListenError, match=r"service metrics cannot listen on 127\.0\.0\.1:9"):
        harness.reload(service("a", "1, 2") + SITE)
    assert harness.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:9"}


def test_site_with_tls_and_a_policy(tmp_path: Path) -> None:
    certificates.make(tmp_path, "one")
    harness = DaemonHarness(
        service("a", "1")
        + "[tls:t]\ncertificate = one.pem\nkey = one-key.pem\n[policy:p]\nallow = 10.0.0.0/8\n"
        + "[metrics]\nlisten = 127.0.0.1:9 tls=t\npolicy = p\n",
        tmp_path,
    )
    unit = harness.services.units["metrics"]
    assert [str(each) for each in unit.listening] == ["127.0.0.1:9 tls=t"]
    assert unit.layer.admission.admit(ip_address("192.0.2.1")) == "denied"


def test_site_is_not_in_the_directory_and_has_its_own_limit() -> None:
    """An operator must be able to connect when the daemon is full."""
    harness = DaemonHarness("[tcpd]\nconnections = 1\n" + service("a", "1") + SITE)
    assert [entry.name for entry in harness.services.directory()] == ["a"]
    harness.connect(1)
    _, refused = harness.connect(1)
    assert refused.value().startswith(b"421 ")
    assert ask(harness, "/metrics").startswith("HTTP/1.1 200 ")
    assert harness.daemon.components.connection_count.count == 1
    held = [harness.connect(9) for _ in range(CONNECTIONS)]
    assert len(held) == CONNECTIONS
    _, refused = harness.connect(9)
    assert refused.value().startswith(b"HTTP/1.1 503 ")
    counters = harness.services.by_name()["metrics"].layer.counters
    assert counters.refused == {Refusal.SERVICE_FULL: 1}, "by its own limit: the daemon's is full"


PEER: Any = StringTransport().getPeer()


def test_removed_service_is_exposed_while_it_drains() -> None:
    harness = DaemonHarness(service("a", "1") + SITE)
    connection, _ = harness.connect(1)
    harness.reload(service("b", "2") + SITE)
    assert figures(harness.daemon).services["a"].open == 1
    connection.connectionLost(Failure(ConnectionDone()))
    assert list(figures(harness.daemon).services) == ["b", "metrics"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[metrics]\nlisten = 127.0.0.1:7 udp\n",
            "x.ini:5: [metrics] listen: 'udp' is not for this protocol",
        ),
        (
            "[metrics]\nlisten = 127.0.0.1:7 starttls=t\n",
            "x.ini:5: [metrics] listen: 'starttls' is not for this protocol",
        ),
        ("[metrics]\nlisten =\n  127.0.0.1:7\n  *:8 tls=t\n", "there is no [tls:t]"),
        ("[metrics]\npolicy = defalt\n", "there is no [policy:defalt]; did you mean default?"),
        (
            "[metrics]\nlisten = 127.0.0.1:1\n",
            "x.ini:5: [metrics] listen: 127.0.0.1:1 is already taken by [service:a]",
        ),
        (
            "[metrics]\nlisten =\n  127.0.0.1:2\n  127.0.0.1:2\n",
            "x.ini:7: [metrics] listen: 127.0.0.1:2 is already taken by [metrics]",
        ),
        (
            "[service:metrics]\nprotocol = echo\nlisten = *:2\n",
            "x.ini:4: [service:metrics]: metrics is the name of an internal service; "
            "choose another name",
        ),
    ],
)
def test_errors_have_file_and_line(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings("[service:a]\nprotocol = line\nlisten = 127.0.0.1:1\n" + text)
    (line,) = caught.value.lines
    assert sentence in line


def test_show_config_round_trips() -> None:
    one = settings(service("a", "1") + "[metrics]\nlisten =\n  127.0.0.1:8\n  127.0.0.1:9\n")
    assert settings(show_config(one)) == one
    assert "metrics" in SECTIONS
