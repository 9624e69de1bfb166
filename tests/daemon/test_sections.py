"""Sections of the ini file that kinds of other packages declare, in a running daemon."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest
from daemon.harness import DaemonHarness, service

from tcpd.config.errors import ConfigError
from tcpd.daemon.registry import GROUP, KindError, Kinds

KINDS = Kinds(
    EntryPoint(name, f"daemon.sharing:{name}", GROUP) for name in ("restarted", "patient")
)
BOTH = service("r", "1", "restarted") + service("p", "2", "patient")


class SectionHarness(DaemonHarness):
    """A running daemon with these kinds."""

    def __init__(self, text: str) -> None:
        super().__init__(text, kinds=KINDS)

    def factory(self, name: str) -> Any:
        return self.daemon.running_services.units[name].layer.factory

    def greeting(self, port: int) -> bytes:
        """Connect to a port, and return the greeting."""
        _, transport = self.connect(port)
        greeting: bytes = transport.value()
        return greeting


def test_context_has_the_declared_section() -> None:
    """IContext.sections: "the settings of the sections that the kind declares, by title" """
    harness = SectionHarness(BOTH + service("e", "3", "echo") + "[shared]\nword = hi\n")
    assert (harness.greeting(1), harness.greeting(2)) == (b"hi", b"hi")
    contexts = harness.daemon.running_services.contexts
    assert contexts["e"].sections == {}
    assert list(contexts["p"].sections) == ["shared"]
    assert SectionHarness(BOTH).greeting(1) == b"hello"


def test_changed_section_is_passed_to_all_its_services() -> None:
    """IContext.sections: "A reload that changes them replaces the mapping and then calls
    IReconfigurable.reconfigure()"; a factory that cannot take it over is replaced."""
    harness = SectionHarness(BOTH)
    restarted, patient = harness.factory("r"), harness.factory("p")
    assert harness.reload(BOTH + "[shared]\nword = hi\n") == [
        "service r: [shared] word changed: restarted",
        "shared: word swapped",
    ]
    assert harness.factory("r") is not restarted
    assert harness.factory("p") is patient
    assert patient.reconfigured == 1
    assert (harness.greeting(1), harness.greeting(2)) == (b"hi", b"hi")


def test_rejected_section_changes_nothing() -> None:
    harness = SectionHarness(BOTH)
    with pytest.raises(ConfigError, match="the shared word is wrong"):
        harness.reload(BOTH + "[shared]\nword = wrong\n")
    assert (harness.greeting(1), harness.greeting(2)) == (b"hello", b"hello")


def test_section_key_may_require_a_restart() -> None:
    harness = SectionHarness(BOTH)
    assert harness.reload(BOTH + "[shared]\nfixed = x\n") == ["shared: fixed needs a restart"]


def test_changed_section_applies_to_datagrams() -> None:
    text = service("p", "2, 2 udp", "patient")
    harness = SectionHarness(text)
    harness.reload(text + "[shared]\nword = hi\n")
    server = harness.reactor.ports["udp", "127.0.0.1", 2].factory
    assert server.received(b"", ("192.0.2.1", 4711)) == b"hi"
    harness.reload(text + "[shared]\nword = ho\n")
    assert server.received(b"", ("192.0.2.1", 4711)) == b"ho"


def test_section_is_added_and_removed_with_its_services() -> None:
    other = service("e", "3", "echo")
    harness = SectionHarness(other)
    assert harness.reload(other + BOTH + "[shared]\nword = hi\n") == [
        "service r: added",
        "service p: added",
    ]
    assert harness.greeting(2) == b"hi"
    assert harness.reload(other) == ["service r: removed", "service p: removed"]


@pytest.mark.parametrize("title", ["tls", "service", "Shared", "a:b", ""])
def test_invalid_section_title_is_rejected(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from daemon.sharing import SayingKind, SharedSection

    monkeypatch.setattr(SayingKind, "sections", {title: SharedSection})
    with pytest.raises(KindError, match=f"its section '{title}' needs another title"):
        Kinds([EntryPoint("patient", "daemon.sharing:patient", GROUP)])["patient"]
