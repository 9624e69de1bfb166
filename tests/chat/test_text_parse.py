"""Parsing of typed lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpd.chat.text.parse import COMMANDS, Call, Unknown, cut_room, find_command, parse


def call(name: str, rest: str) -> Call:
    command = find_command(name)
    assert command is not None
    return Call(command, rest)


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("hello", "hello"),
        ("  hello \t", "  hello"),
        ("", None),
        ("   ", None),
        ("//etc/passwd", "/etc/passwd"),
        ("/join #tea", call("join", "#tea")),
        ("/JOIN   #tea  ", call("join", "#tea")),
        ("/j #tea", call("join", "#tea")),
        ("/quit", call("quit", "")),
        ("/msg bob  hi  there", call("msg", "bob  hi  there")),
        ("/jion #tea", Unknown("jion", "join")),
        ("/", Unknown("", None)),
        ("/xyzzy", Unknown("xyzzy", None)),
        (" /quit", " /quit"),
    ],
)
def test_parse(line: str, meaning: object) -> None:
    assert parse(line) == meaning


def test_command_names_are_unambiguous() -> None:
    words = [word for command in COMMANDS for word in (command.name, *command.aliases)]
    assert len(set(words)) == len(words)


@given(st.text())
def test_any_text_is_parsed(text: str) -> None:
    meaning = parse(text)
    assert (meaning is None) == (not text.rstrip())


def test_room_argument() -> None:
    assert cut_room("#tea bob  be nice") == ("#tea", "bob  be nice")
    assert cut_room("bob") == (None, "bob")
