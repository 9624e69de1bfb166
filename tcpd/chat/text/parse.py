"""Parses the lines of the text frontend: what to say, and commands."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextCommand:
    """One command, as ``/help`` shows it.

    :ivar name: without the slash.
    :ivar usage: its arguments.
    :ivar help: its description, at most 50 characters.
    :ivar aliases: other names, not shown in the list.
    :ivar more: further sentences for ``/help NAME``, each at most 76 characters.
    """

    name: str
    usage: str
    help: str
    aliases: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


_IN_ROOM = "Put another room's name first, as in /{} #tea ..., to do it there."

COMMANDS = (
    TextCommand("help", "[COMMAND]", "this list, or more about one command", ("h", "?")),
    TextCommand("nick", "NAME", "change your nickname", ("name",)),
    TextCommand(
        "join",
        "#ROOM [KEY]",
        "come into a room and talk there",
        ("j",),
        (
            "A room that nobody is in is opened by it, and you are its operator.",
            "If you are in it already, what you type goes there from now on.",
        ),
    ),
    TextCommand("part", "[#ROOM] [REASON]", "leave a room", ("leave",)),
    TextCommand("rooms", "", "which rooms there are", ("list",)),
    TextCommand(
        "who", "[#ROOM]", "who is in a room", ("names", "w"), ("Operators have a @ in front.",)
    ),
    TextCommand(
        "msg",
        "NAME TEXT",
        "say something to one person alone",
        ("m", "tell", "query"),
        (
            "It is kept in no history.",
            "With the name of a room, as in /msg #tea hello, it is said to all in there.",
        ),
    ),
    TextCommand("me", "TEXT", "say what you do: * ann waves"),
    TextCommand("history", "[NUMBER] [#ROOM]", "what was said last", ("last",)),
    TextCommand(
        "topic",
        "[#ROOM] [TEXT]",
        "show the topic, or set it (operators)",
        ("t",),
        ("/topic - takes it away.",),
    ),
    TextCommand(
        "handshake",
        "[layers]",
        "your connection's TCP handshake, drawn",
        (),
        ("/handshake layers shows it layer by layer. Only you see it.",),
    ),
    TextCommand("op", "NAME", "make somebody an operator", (), (_IN_ROOM.format("op"),)),
    TextCommand(
        "deop", "NAME", "make somebody an operator no longer", (), (_IN_ROOM.format("deop"),)
    ),
    TextCommand(
        "kick", "NAME [REASON]", "put somebody out of the room", (), (_IN_ROOM.format("kick"),)
    ),
    TextCommand(
        "ban",
        "[NAME]",
        "put somebody out and keep them out",
        (),
        (
            "By nickname, and by address if they are here and not on this machine.",
            "Alone it lists who is banned.",
            _IN_ROOM.format("ban"),
        ),
    ),
    TextCommand("unban", "NAME", "let somebody in again", (), (_IN_ROOM.format("unban"),)),
    TextCommand("quit", "[REASON]", "say goodbye", ("exit", "bye", "q")),
)

_BY_WORD = {word: command for command in COMMANDS for word in (command.name, *command.aliases)}

#: A room name that is typed where the frontend asks for one.
JOIN = _BY_WORD["join"]


@dataclass(frozen=True, slots=True)
class Call:
    """A command.

    :ivar command: the command.
    :ivar rest: its arguments, without surrounding spaces.
    """

    command: TextCommand
    rest: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """An unknown command.

    :ivar word: without the slash.
    :ivar nearest: the most similar command.
    """

    word: str
    nearest: str | None


def parse(text: str) -> str | Call | Unknown | None:
    """Parse a line.

    :param text: without its line end.
    :return: a string is text for the current room; ``None`` is a blank line.
    """
    text = text.rstrip()
    if not text:
        return None
    if not text.startswith("/"):
        return text
    if text.startswith("//"):
        return text[1:]
    word, rest = cut_word(text[1:])
    command = find_command(word)
    return Call(command, rest) if command is not None else Unknown(word, nearest_command(word))


def find_command(word: str) -> TextCommand | None:
    """Find a command by name or alias, in any case, with or without slash."""
    return _BY_WORD.get(word.removeprefix("/").lower())


def nearest_command(word: str) -> str | None:
    """Find the command with the name or alias most similar to a word."""
    # bounded: the comparison takes quadratic time
    near = difflib.get_close_matches(word[:20].lower(), _BY_WORD, n=1)
    return _BY_WORD[near[0]].name if near else None


def cut_word(text: str) -> tuple[str, str]:
    """Split off the first word."""
    word, _, rest = text.partition(" ")
    return word, rest.strip()


def cut_room(text: str) -> tuple[str | None, str]:
    """Split off the room in the first place of the arguments; ``None`` if there is none."""
    if not text.startswith("#"):
        return None, text
    return cut_word(text)
