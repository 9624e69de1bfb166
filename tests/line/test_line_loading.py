"""Loading of commands, from this package and from entry points."""

from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint

import pytest
from zope.interface import implementer

from tcpd.config.errors import SettingError
from tcpd.interfaces import ILineCommand
from tcpd.line.builtin import ping
from tcpd.line.command import Command
from tcpd.line.loading import BUILT_IN, GROUP, load_commands

PING_TOO = Command("PING", "", "Another PING.", lambda request: "")
GREET = Command("GREET", "", "Greets.", lambda request: "hello")


@pytest.fixture(autouse=True)
def theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("theirs")
    vars(module).update(
        greet=GREET,
        ping=PING_TOO,
        greet_too=Command("GREET", "", "Also greets.", lambda request: "hi"),
        no_command="just text",
        bad_name=_Loose("no name"),
        half=_Half(),
        whole_but=_LacksHelp(),
    )
    monkeypatch.setitem(sys.modules, "theirs", module)


class _Half:
    """Has a name and nothing else."""

    name = "HALF"


@implementer(ILineCommand)
class _LacksHelp:
    """Claims to provide ILineCommand, but lacks help."""

    name = "LACKING"
    usage = ""

    def call(self, request: object) -> str:
        return ""


@implementer(ILineCommand)
class _Loose:
    """Provides the interface without being a Command."""

    usage = ""
    help = "Help."

    def __init__(self, name: str) -> None:
        self.name = name

    def call(self, request: object) -> str:
        return ""


def point(value: str) -> EntryPoint:
    return EntryPoint(value.rpartition(":")[2], value, GROUP)


def test_built_in_commands_are_loaded_by_name() -> None:
    table = load_commands(points=())
    assert len(table.names) == len(BUILT_IN)
    assert table.find("PiNg") is ping


def test_entry_point_commands_are_added() -> None:
    table = load_commands(points=[point("theirs:greet")])
    assert table.find("greet") is GREET


def test_extra_commands_are_added() -> None:
    assert load_commands([GREET], points=()).find("GREET") is GREET
    assert load_commands(points=()).find("GREET") is None


def test_package_on_two_paths_is_no_conflict() -> None:
    assert load_commands(points=[point("theirs:greet")] * 2).find("GREET") is GREET


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            ["theirs:ping"],
            "the command PING is defined twice, by tcpd.line.builtin:ping and by theirs:ping",
        ),
        (
            ["theirs:greet", "theirs:greet_too"],
            "the command GREET is defined twice, by theirs:greet and by theirs:greet_too",
        ),
        (
            ["nowhere.at.all:greet"],
            "the command of nowhere.at.all:greet cannot be loaded: "
            "ModuleNotFoundError: No module named 'nowhere'",
        ),
        (
            ["theirs:nothing"],
            "the command of theirs:nothing cannot be loaded: "
            "AttributeError: module 'theirs' has no attribute 'nothing'",
        ),
        (
            ["theirs:bad_name"],
            "theirs:bad_name is not a line command: 'no name' is not a command's name; use "
            "upper-case ASCII letters, digits and '-', starting with a letter",
        ),
    ],
)
def test_invalid_commands_stop_the_start(values: list[str], sentence: str) -> None:
    """For duplicate names the error has both places; invalid entry points fail, too."""
    with pytest.raises(SettingError) as caught:
        load_commands(points=[point(value) for value in values])
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("theirs:no_command", "it is a str and does not provide ILineCommand$"),
        ("theirs:half", "it is a _Half and does not provide ILineCommand$"),
        ("theirs:whole_but", ".*ILineCommand.help attribute was not provided"),
    ],
)
def test_invalid_provider_is_rejected(value: str, why: str) -> None:
    with pytest.raises(SettingError, match=f"^{value} is not a line command: {why}") as caught:
        load_commands(points=[point(value)])
    assert "\n" not in str(caught.value)
