"""The example package: what the how-to pages show is what happens."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from example.installed import installed
from twisted.internet.testing import StringTransport
from zope.interface.verify import verifyObject

from tcpd.config.errors import SettingError
from tcpd.config.fields import options_of
from tcpd.interfaces import IKind
from tcpd.line.factory import LineSettings
from tcpd.line.kind import kind as line_kind
from tcpd.line.loading import load_commands
from tcpd.line.testing import MemoryContext

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the example installed in it."""
    for path in reversed(installed(tmp_path)):
        monkeypatch.syspath_prepend(path)
    for name in [name for name in sys.modules if name.split(".")[0] == "tcpd_example"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def conversation(context: MemoryContext, *lines: str) -> str:
    """What a client sees, with what it sends, as the how-to page shows it."""
    protocol = line_kind.make_factory(LineSettings(), context).buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    shown = f"S: {transport.value().decode()}"
    for line in lines:
        transport.clear()
        protocol.dataReceived(f"{line}\r\n".encode())
        context.clock.advance(30)
        said = transport.value().decode().splitlines()
        shown += f"C: {line}\n" + "".join(f"S: {each}\n" for each in said)
    return shown.replace("\r\n", "\n")


def test_the_conversation_of_the_how_to(site: Path) -> None:
    """docs/howto/add-a-command.rst shows this conversation, but for the luck of the dice."""
    page = (ROOT / "docs/howto/add-a-command.rst").read_text()
    block = page.split("S: 220")[1].split("\n\n")[0]
    expected = ["S: 220" + block.splitlines()[0]]
    expected += [line.strip() for line in block.splitlines()[1:]]
    sent = [line.removeprefix("C: ") for line in expected if line.startswith("C: ")]
    context = MemoryContext()
    said = conversation(context, *sent).splitlines()
    rolled = said.index("C: ROLL") + 1
    assert said[rolled].removeprefix("S: 250 ") in "123456"
    said[rolled] = "S: 250 4"
    assert said == expected


def test_roll_keeps_to_its_sides(site: Path) -> None:
    roll: Any = load_commands().find("ROLL")
    from tcpd.line.testing import make_request

    assert {roll.call(make_request("2")) for _ in range(100)} == {"1", "2"}
    assert {int(roll.call(make_request())) for _ in range(300)} == set(range(1, 7))


def test_two_packages_with_one_command_are_named(site: Path) -> None:
    """ "A duplicate name is refused at start", in a sentence that names both."""
    other = site / "other-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[tcpd.line.commands]\nroll = other:roll\n")
    (site / "other.py").write_text("from tcpd_example.commands import roll\n")
    with pytest.raises(SettingError) as caught:
        load_commands()
    sentence = str(caught.value)
    assert sentence.startswith("the command ROLL is defined twice, by ")
    assert "tcpd_example.commands:roll of the package tcpd-example" in sentence
    assert "other:roll of the package other" in sentence


def test_shout(site: Path) -> None:
    """A protocol of another package: found by its entry point, a kind, and loud."""
    [point] = entry_points(group="tcpd.protocols", name="shout")
    shout = point.load()
    assert verifyObject(IKind, shout)
    assert [option.name for option in options_of(shout.settings)] == ["emphasis"]
    factory = shout.make_factory(shout.settings(emphasis=2), MemoryContext())
    transport = StringTransport()
    protocol = factory.buildProtocol(None)
    protocol.makeConnection(transport)
    protocol.dataReceived(b"hello\nwor")
    protocol.dataReceived(b"ld\n")
    assert transport.value() == b"HELLO!!\nWORLD!!\n"
