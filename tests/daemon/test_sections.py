"""Sections of the ini file that kinds of other packages declare, in a running daemon."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from daemon.house import Reactor, service
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.errors import ConfigError
from tcpd.config.settings import Settings
from tcpd.daemon.compose import SECTIONS, make_daemon
from tcpd.daemon.registry import GROUP, KindError, Kinds

KINDS = Kinds(
    EntryPoint(name, f"daemon.sharing:{name}", GROUP) for name in ("restarted", "patient")
)
BOTH = service("r", "1", "restarted") + service("p", "2", "patient")


def settings(text: str) -> Settings:
    document, errors = ini.read("/etc/x.ini", text)
    assert not errors
    return build(document, KINDS, SECTIONS)


class House:
    """A running daemon with these kinds."""

    def __init__(self, text: str) -> None:
        self.reactor = Reactor()
        self.daemon = make_daemon(settings(text), KINDS, self.reactor, lambda: 0.0)
        self.daemon.privilegedStartService()
        self.daemon.startService()

    def reload(self, text: str) -> list[str]:
        return self.daemon.configuration.reconfigure(settings(text))

    def factory(self, name: str) -> Any:
        return self.daemon.running_services.units[name].layer.factory

    def said(self, port: int) -> bytes:
        """What a client hears that connects now."""
        address = IPv4Address("TCP", "192.0.2.1", 4711)
        protocol = self.reactor.ports["tcp", "127.0.0.1", port].factory.buildProtocol(address)
        transport = StringTransport(peerAddress=address)
        protocol.makeConnection(transport)
        return transport.value()


def test_a_kind_gets_its_section_in_its_context() -> None:
    """IContext.sections: "the settings of the sections that the kind declares, by title" """
    house = House(BOTH + service("e", "3", "echo") + "[shared]\nword = hi\n")
    assert (house.said(1), house.said(2)) == (b"hi", b"hi")
    contexts = house.daemon.running_services.contexts
    assert contexts["e"].sections == {}
    assert list(contexts["p"].sections) == ["shared"]
    assert House(BOTH).said(1) == b"hello"


def test_a_reload_hands_a_changed_section_to_all_services_that_share_it() -> None:
    """IContext.sections: "A reload that changes them replaces the mapping and then calls
    IReconfigurable.reconfigure()"; a factory that cannot take it over is replaced."""
    house = House(BOTH)
    restarted, patient = house.factory("r"), house.factory("p")
    assert house.reload(BOTH + "[shared]\nword = hi\n") == [
        "service r: [shared] word changed: restarted",
        "shared: word swapped",
    ]
    assert house.factory("r") is not restarted
    assert house.factory("p") is patient
    assert patient.reconfigured == 1
    assert (house.said(1), house.said(2)) == (b"hi", b"hi")


def test_what_a_kind_refuses_in_a_section_changes_nothing() -> None:
    house = House(BOTH)
    with pytest.raises(ConfigError, match="the shared word is wrong"):
        house.reload(BOTH + "[shared]\nword = wrong\n")
    assert (house.said(1), house.said(2)) == (b"hello", b"hello")


def test_a_key_of_a_section_may_take_a_restart() -> None:
    house = House(BOTH)
    assert house.reload(BOTH + "[shared]\nfixed = x\n") == ["shared: fixed needs a restart"]


def test_datagrams_are_answered_by_the_section_as_it_is() -> None:
    text = service("p", "2, 2 udp", "patient")
    house = House(text)
    house.reload(text + "[shared]\nword = hi\n")
    server = house.reactor.ports["udp", "127.0.0.1", 2].factory
    assert server._responder(b"") == b"hi"
    house.reload(text + "[shared]\nword = ho\n")
    assert server._responder(b"") == b"ho"


def test_a_section_comes_and_goes_with_its_services() -> None:
    other = service("e", "3", "echo")
    house = House(other)
    assert house.reload(other + BOTH + "[shared]\nword = hi\n") == [
        "service r: added",
        "service p: added",
    ]
    assert house.said(2) == b"hi"
    assert house.reload(other) == ["service r: removed", "service p: removed"]


@pytest.mark.parametrize("title", ["tls", "service", "Shared", "a:b", ""])
def test_a_title_that_no_section_can_have_is_refused(
    title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from daemon.sharing import SayingKind, Shared

    monkeypatch.setattr(SayingKind, "sections", {title: Shared})
    with pytest.raises(KindError, match=f"its section '{title}' needs another title"):
        Kinds([EntryPoint("patient", "daemon.sharing:patient", GROUP)])["patient"]
