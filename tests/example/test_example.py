"""The example package: its commands, its protocol, and the how-to pages that show it."""

from __future__ import annotations

import ast
import configparser
import inspect
import re
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import over_websocket
import pytest
from docs.commands import Page
from example.installed import installed
from twisted.internet.testing import StringTransport
from zope.interface.interface import InterfaceClass
from zope.interface.verify import verifyObject

import tcpd.api
from tcpd.api import IKind, MemoryContext, SettingError, make_request
from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.fields import options_of
from tcpd.config.show import sample, show_config
from tcpd.daemon.compose import SECTIONS
from tcpd.daemon.registry import Kinds
from tcpd.line.kind import kind as line_kind
from tcpd.line.loading import load_commands
from tcpd.line.settings import LineSettings

HERE = Path(__file__).parent


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory on ``sys.path`` with the example installed."""
    for path in reversed(installed(tmp_path)):
        monkeypatch.syspath_prepend(path)
    for name in [name for name in sys.modules if name.split(".")[0] == "tcpd_example"]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def shown_by(page: str, file: str) -> str:
    """Return the content of a file on a page."""
    (text,) = [block.text for block in Page(f"docs/howto/{page}").blocks if block.file == file]
    return text


@pytest.mark.parametrize(
    ("page", "file"),
    [
        ("add-a-command.rst", "tcpd_example/commands.py"),
        ("add-a-command.rst", "pyproject.toml"),
        ("add-a-protocol.rst", "tcpd_example/shout.py"),
        ("add-a-protocol.rst", "pyproject.toml"),
    ],
)
def test_pages_show_the_files_of_the_example(page: str, file: str) -> None:
    assert shown_by(page, file) == (HERE / file).read_text()


@pytest.mark.parametrize("page", ["add-a-command.rst", "add-a-protocol.rst"])
def test_pages_show_their_part_of_setup_cfg(page: str) -> None:
    ours, shown = configparser.ConfigParser(), configparser.ConfigParser()
    ours.read(HERE / "setup.cfg")
    shown.read_string(shown_by(page, "setup.cfg"))
    assert shown["options"] == ours["options"]
    assert {*shown["metadata"]} == {*ours["metadata"]}
    (group,) = shown["options.entry_points"].items()
    assert group in ours["options.entry_points"].items()


def test_page_shows_the_websocket_factory() -> None:
    page = Page("docs/howto/add-a-protocol.rst")
    (shown,) = [block.text for block in page.blocks if "IWebSocketFactory" in block.text]
    classes = (over_websocket.MuchSettings, over_websocket.MuchFactory)
    assert shown == "\n\n".join(map(inspect.getsource, classes))


def test_conversation_of_the_how_to(site: Path) -> None:
    """docs/howto/add-a-command.rst, except for the random number."""
    commands = Page("docs/howto/add-a-command.rst").commands
    (shown,) = [command.shown for command in commands if command.text.startswith("nc ")]
    context = MemoryContext()
    protocol = line_kind.make_factory(LineSettings(), context).buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    for line in shown:
        if not re.match(r"\d{3}[ -]", line):
            protocol.dataReceived(f"{line}\r\n".encode())
            context.clock.advance(30)
    replies = transport.value().decode().splitlines()
    expected = [line for line in shown if re.match(r"\d{3}[ -]", line)]
    assert [re.sub(r"^250 \d$", "250 N", line) for line in replies] == [
        re.sub(r"^250 \d$", "250 N", line).replace("debian", "example.net") for line in expected
    ]


def test_roll_is_within_its_sides(site: Path) -> None:
    roll: Any = load_commands().find("ROLL")
    assert {roll.call(make_request("2")) for _ in range(100)} == {"1", "2"}
    assert {int(roll.call(make_request())) for _ in range(300)} == set(range(1, 7))


def test_duplicate_command_names_both_packages(site: Path) -> None:
    """ "A duplicate name is refused at start" """
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
    [point] = entry_points(group="tcpd.protocols", name="shout")
    shout = point.load()
    assert verifyObject(IKind, shout)
    assert [option.name for option in options_of(shout.settings)] == ["emphasis"]
    shared = shout.sections["shout"](greeting="welcome")
    context = MemoryContext(sections={"shout": shared})
    factory = shout.make_factory(shout.settings(emphasis=2), context)
    transport = StringTransport()
    protocol = factory.buildProtocol(None)
    protocol.makeConnection(transport)
    protocol.dataReceived(b"hello\nwor")
    protocol.dataReceived(b"ld\n")
    assert transport.value() == b"WELCOME!!\nHELLO!!\nWORLD!!\n"


def test_shout_has_a_section(site: Path) -> None:
    """IKind.sections: read, checked, and shown by --show-config and --print-config."""
    kinds = Kinds()
    document, _ = ini.read("x.ini", "[shout]\ngreeting = hi\n" + SERVICE)
    settings = build(document, kinds, SECTIONS)
    assert settings.sections["shout"].greeting == "hi"
    assert "[shout]\n# x.ini:2\ngreeting = hi\n" in show_config(settings)
    printed = sample(kinds.built_in(), SECTIONS, kinds.of_other_packages())
    assert "#[shout]\n# Common to all services of the kind.\n" in printed
    assert "#[service:shout]\n" in printed


SERVICE = "[service:shout]\nprotocol = shout\nlisten = *:1\n"


def imported_by(source: str) -> set[str]:
    """Return the modules of tcpd that Python source imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return {name for name in found if name.partition(".")[0] == "tcpd"}


@pytest.mark.parametrize("file", sorted(HERE.glob("tcpd_example/*.py")), ids=lambda file: file.stem)
def test_example_imports_only_tcpd_api(file: Path) -> None:
    assert imported_by(file.read_text()) <= {"tcpd.api"}


def test_example_imports_tcpd_api() -> None:
    assert {"tcpd.api"} == imported_by((HERE / "tcpd_example" / "shout.py").read_text())


@pytest.mark.parametrize("page", ["add-a-command.rst", "add-a-protocol.rst"])
def test_how_to_pages_import_only_tcpd_api(page: str) -> None:
    blocks = "\n".join(block.text for block in Page(f"docs/howto/{page}").blocks)
    found = re.findall(r"^ *(?:from|import) (tcpd[\w.]*)", blocks, re.MULTILINE)
    assert {each for each in found if each.partition(".")[0] == "tcpd"} == {"tcpd.api"}


@pytest.mark.parametrize("name", tcpd.api.__all__)
def test_names_of_the_api_are_documented(name: str) -> None:
    """By a docstring, except for constants, and in docs/reference/interfaces.rst."""
    value = getattr(tcpd.api, name)
    assert value.__doc__ or name.isupper()
    if not isinstance(value, InterfaceClass):
        assert re.search(rf"\b{name}\b", Page("docs/reference/interfaces.rst").text)


def test_all_of_the_api_lists_its_imports() -> None:
    tree = ast.parse(Path(tcpd.api.__file__).read_text())
    names = [
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    ]
    assert sorted(names) == sorted(tcpd.api.__all__)
