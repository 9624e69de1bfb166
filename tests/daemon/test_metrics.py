"""``[metrics]`` as a service of the daemon's own."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certificates
import pytest
from daemon.house import House, figures, service, settings
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


def ask(house: House, path: str, method: str = "GET") -> str:
    """Ask the site for a page; the connection is closed behind it."""
    connection, transport = house.connect(9)
    connection.dataReceived(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    house.reactor.advance(0)
    assert transport.disconnecting
    connection.connectionLost(Failure(ConnectionDone()))
    return transport.value().decode()


def test_there_is_no_site_unless_it_is_asked_for() -> None:
    assert House(service("a", "1")).open == {"tcp 127.0.0.1:1"}


def test_the_built_in_sample_has_one_on_loopback() -> None:
    text = Path(__file__).parents[2].joinpath("etc", "tcpd.ini").read_text()
    assert str(settings(text).sections["metrics"].listen[0]) == "127.0.0.1:7910"


def test_the_pages() -> None:
    house = House(service("a", "1") + SITE)
    assert ask(house, "/healthz").endswith("\r\n\r\nok\n")
    assert ask(house, "/readyz").endswith("\r\n\r\nready\n")
    said = ask(house, "/metrics")
    assert said.startswith("HTTP/1.1 200 ")
    assert '\ntcpd_connections_open{service="a"} 0.0\n' in said
    assert '\ntcpd_connections_open{service="metrics"} 1.0\n' in said, "it counts itself"
    assert '\ntcpd_connections_accepted_total{service="metrics"} 3.0\n' in said


def test_ready_only_when_all_listeners_are_open_and_until_it_stops() -> None:
    house = House(service("a", "1", "chargen") + SITE, start=False)
    house.daemon.privilegedStartService()
    said = ask(house, "/readyz")
    assert said.startswith("HTTP/1.1 503 ")
    assert said.endswith("\r\n\r\nstarting: not all listeners are open\n")
    house.daemon.startService()
    assert ask(house, "/readyz").startswith("HTTP/1.1 200 ")
    connection, _ = house.connect(1)
    ended: list[object] = []
    house.daemon.stopService().addBoth(ended.append)
    assert house.open == {"tcp 127.0.0.1:9"}, "it can be watched how the others drain"
    said = ask(house, "/readyz")
    assert said.startswith("HTTP/1.1 503 ")
    assert said.endswith("\r\n\r\nstopping: connections are being drained\n")
    assert ask(house, "/healthz").startswith("HTTP/1.1 200 ")
    assert "\ntcpd_ready 0.0\n" in ask(house, "/metrics")
    assert not ended
    connection.connectionLost(Failure(ConnectionDone()))
    assert ended
    assert house.open == set()
    assert house.reactor.getDelayedCalls() == []


def test_a_client_of_the_site_holds_up_a_stop_for_a_moment_at_most() -> None:
    house = House(service("a", "1") + SITE)
    connection, transport = house.connect(9)
    transport.abortConnection = lambda: connection.connectionLost(  # type: ignore[method-assign]
        Failure(ConnectionDone())
    )
    ended: list[object] = []
    house.daemon.stopService().addBoth(ended.append)
    assert not ended
    house.reactor.advance(DRAIN)
    assert ended


def test_a_reload_opens_moves_and_closes_it_and_tells_so_once() -> None:
    house = House(service("a", "1"))
    assert house.reload(service("a", "1") + SITE) == ["service metrics: added"]
    assert house.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:9"}
    assert house.reload(service("a", "1") + SITE.replace(":9", ":8")) == [
        "service metrics: listens on 127.0.0.1:9 no more",
        "service metrics: listening on 127.0.0.1:8",
    ]
    assert house.reload(
        service("a", "1") + SITE.replace(":9", ":8") + "policy = p\n[policy:p]\nper_address = 1\n"
    ) == ["service metrics: policy swapped"]
    assert house.reload(service("a", "1")) == ["service metrics: removed"]
    assert house.open == {"tcp 127.0.0.1:1"}


def test_a_port_that_it_cannot_have_leaves_all_as_it_was() -> None:
    house = House(service("a", "1"))
    house.reactor.ports["tcp", "127.0.0.1", 9] = house.reactor.ports["tcp", "127.0.0.1", 1]
    with pytest.raises(ListenError, match=r"service metrics cannot listen on 127\.0\.0\.1:9"):
        house.reload(service("a", "1, 2") + SITE)
    assert house.open == {"tcp 127.0.0.1:1", "tcp 127.0.0.1:9"}


def test_it_can_have_tls_and_a_policy(tmp_path: Path) -> None:
    certificates.make(tmp_path, "one")
    house = House(
        service("a", "1")
        + "[tls:t]\ncertificate = one.pem\nkey = one-key.pem\n[policy:p]\nallow = 10.0.0.0/8\n"
        + "[metrics]\nlisten = 127.0.0.1:9 tls=t\npolicy = p\n",
        tmp_path,
    )
    unit = house.services.units["metrics"]
    assert [str(each) for each in unit.listening] == ["127.0.0.1:9 tls=t"]
    assert unit.layer._admission.admit(ip_address("192.0.2.1")) == "denied"


def test_clients_do_not_see_it_in_the_directory_nor_take_its_place() -> None:
    """An operator has to get in just when the daemon is full."""
    house = House("[tcpd]\nconnections = 1\n" + service("a", "1") + SITE)
    assert [entry.name for entry in house.services.directory()] == ["a"]
    house.connect(1)
    _, refused = house.connect(1)
    assert refused.value().startswith(b"421 ")
    assert ask(house, "/metrics").startswith("HTTP/1.1 200 ")
    assert house.daemon.components.connection_count.count == 1
    held = [house.connect(9) for _ in range(CONNECTIONS)]
    assert len(held) == CONNECTIONS
    assert house.reactor.ports["tcp", "127.0.0.1", 9].factory.buildProtocol(PEER) is None
    counters = house.services.by_name()["metrics"].layer.counters
    assert counters.refused == {Refusal.SERVICE_FULL: 1}, "by its own limit: the daemon's is full"


PEER: Any = StringTransport().getPeer()


def test_what_a_removed_service_has_counted_is_told_until_it_is_gone() -> None:
    house = House(service("a", "1") + SITE)
    connection, _ = house.connect(1)
    house.reload(service("b", "2") + SITE)
    assert figures(house.daemon).services["a"].open == 1
    connection.connectionLost(Failure(ConnectionDone()))
    assert list(figures(house.daemon).services) == ["b", "metrics"]


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
def test_what_is_wrong_is_told_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings("[service:a]\nprotocol = line\nlisten = 127.0.0.1:1\n" + text)
    (line,) = caught.value.lines
    assert sentence in line


def test_show_config_reads_back_as_the_same() -> None:
    one = settings(service("a", "1") + "[metrics]\nlisten =\n  127.0.0.1:8\n  127.0.0.1:9\n")
    assert settings(show_config(one)) == one
    assert "metrics" in SECTIONS
