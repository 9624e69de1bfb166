"""docs/reference/chat.rst against the code."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from chat.text_chat import TextChat, TextTestClient

from tcpd.chat.settings import ChatSettings
from tcpd.chat.text.parse import COMMANDS, TextCommand
from tcpd.chat.text.settings import TextSettings

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "chat.rst").read_text()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_commands_are_documented(command: TextCommand) -> None:
    assert f"``/{command.name} {command.usage}".rstrip() + "``" in PAGE


@pytest.mark.parametrize(
    "key",
    [
        field.name
        for cls in (ChatSettings, TextSettings)
        for field in dataclasses.fields(cls)
        if field.name != "lobby"
    ],
)
def test_keys_are_documented(key: str) -> None:
    assert f"``{key}``" in PAGE


def test_transcript() -> None:
    """Each client types the lines after '>' and sees the others."""
    chat = TextChat()
    chat.factory.server_name = "chat.example.net"
    blocks = re.findall(r"::\n\n((?:    .*\n|\n)+)", PAGE)[:2]
    scripts = [[line[4:] for line in block.rstrip().split("\n")] for block in blocks]
    scripts[0].pop(0)  # the shell's line
    ann, bob = (ScriptedClient(chat.text_client(), script) for script in scripts)
    for _ in range(100):
        # Ann types as long as her screen permits, then Bob types one line
        if not ann.type_next():
            bob.type_next()
    assert ann.screen == ann.script
    assert bob.screen == bob.script


class ScriptedClient:
    """A client that types the next line of a script when its screen shows all lines before it."""

    def __init__(self, client: TextTestClient, script: list[str]) -> None:
        self.client = client
        self.script = script
        self.screen: list[str] = []

    def type_next(self) -> bool:
        self.screen += self.client.screen()
        typed = [n for n, line in enumerate(self.script) if line.startswith("> ")]
        if not typed or self.screen != self.script[: typed[0]]:
            return False
        line = self.script[typed[0]].removeprefix("> ")
        del self.script[: typed[0] + 1]
        self.screen.clear()
        self.client.send(line.encode() + b"\n")
        return True
