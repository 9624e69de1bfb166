"""docs/reference/irc.rst against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chat.irc_chat import IrcChat, command

import tcpd.chat.irc
from tcpd.chat.irc import caps
from tcpd.chat.irc.commands.multiline import BATCH_TIMEOUT
from tcpd.chat.irc.commands.table import COMMANDS
from tcpd.chat.irc.registration import MAX_LINES
from tcpd.chat.irc.reply import LABEL_BYTES
from tcpd.chat.irc.settings import IrcSettings
from tcpd.policy.checks import CONCURRENT, QUEUED, QUEUED_PER_ADDRESS, TIMEOUT

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "irc.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_commands_are_documented(name: str) -> None:
    usage, *meaning = COMMANDS[name].help
    entry = f"``{usage}``\n    {' '.join(meaning)}"
    assert f"\n``{usage}``\n    " in PAGE, f"docs/reference/irc.rst, Commands, lacks\n\n{entry}\n"


@pytest.mark.parametrize("name", [*caps.CAPABILITIES, caps.STS])
def test_capabilities_are_documented(name: str) -> None:
    value = IrcChat().irc.server.capabilities(None).get(name)
    word = f"{name}={value}" if value else name
    section = PAGE.partition("\nCapabilities\n---")[2].partition("\nNumerics\n---")[0]
    assert re.search(rf"^(``\S+``, )?``{re.escape(word)}``", section, re.MULTILINE)


def test_counters_are_documented() -> None:
    sources = (Path(tcpd.chat.irc.__file__).parent).rglob("*.py")
    code = "".join(source.read_text(encoding="utf-8") for source in sources)
    words = set(re.findall(r'count\["(\S+?)"\]', code))
    assert words
    section = PAGE.partition("\nCounters\n---")[2].partition("\nNot supported")[0]
    assert words == set(re.findall(r"``([a-z-]+)``", section))


def test_documented_capabilities_exist() -> None:
    section = PAGE.partition("\nCapabilities\n---")[2].partition("\nMultiline messages")[0]
    names = {
        word.partition("=")[0]
        for line in re.findall(r"^``\S+``.*$", section, re.MULTILINE)
        for word in re.findall(r"``(\S+?)``", line)
    }
    assert names == {*caps.CAPABILITIES, caps.STS}


@pytest.mark.parametrize(
    "words",
    [
        f"lines before registration {MAX_LINES};",
        f"a label {LABEL_BYTES} bytes",
        f"32 lines, {IrcSettings().multiline_bytes} bytes",
        f"{CONCURRENT}; {QUEUED_PER_ADDRESS} of an address wait and {QUEUED} of all, "
        f"{TIMEOUT:.0f} seconds",
        f"One batch may be open, and its next line may take {BATCH_TIMEOUT:.0f} seconds",
    ],
)
def test_documented_limits(words: str) -> None:
    assert words in " ".join(PAGE.split())


def test_transcript() -> None:
    """The client sends the lines after '>', and receives the others, except for the burst."""
    chat = IrcChat(network="example")
    chat.irc.server.name = "irc.example.net"
    client = chat.irc_client()
    pending: list[str] = []
    blocks = re.findall(r"::\n\n((?:    .*\n)+)", PAGE)[:2]
    lines = [line.removeprefix("    ") for line in "".join(blocks).splitlines()]
    for line in lines:
        if line.startswith("> "):
            assert pending == []
            pending = [each for each in client.send(line[2:]) if command(each) not in _BURST]
        else:
            assert pending.pop(0) == line
    assert pending == []
    assert client.closed


#: Numerics after 001, which the page omits.
_BURST = {f"{number:03}" for number in (*range(2, 6), *range(251, 267), 422)}
