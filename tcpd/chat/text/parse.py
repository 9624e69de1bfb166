"""Parses the lines of the text frontend: what to say, and commands."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TextCommand:
    """One command, as ``/help`` shows it.

    :ivar name: the name, without the slash.
    :ivar usage: the arguments.
    :ivar help: the description, at most 50 characters.
    :ivar aliases: other names, not shown in the list.
    :ivar more: further sentences for ``/help NAME``, each at most 76 characters.
    """

    name: str
    usage: str
    help: str
    aliases: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


_IN_ROOM = "For another room, put its name first: /{} #tea ..."

COMMANDS = (
    TextCommand("help", "[COMMAND]", "list the commands, or describe one", ("h", "?")),
    TextCommand("nick", "NAME", "change your nickname", ("name",)),
    TextCommand(
        "join",
        "#ROOM [KEY]",
        "join a room, and send messages to it",
        ("j",),
        (
            "The first member opens the room, and is its operator.",
            "If you are a member, your messages go to this room from now on.",
        ),
    ),
    TextCommand("part", "[#ROOM] [REASON]", "leave a room", ("leave",)),
    TextCommand("rooms", "", "list the rooms", ("list",)),
    TextCommand(
        "who",
        "[#ROOM]",
        "list the members of a room",
        ("names", "w"),
        ("Operators are marked with @.",),
    ),
    TextCommand(
        "msg",
        "NAME TEXT",
        "send a private message",
        ("m", "tell", "query"),
        (
            "Private messages are not kept.",
            "/msg #tea hello sends a message to a room.",
        ),
    ),
    TextCommand("me", "TEXT", "describe an action: * ann waves"),
    TextCommand("history", "[NUMBER] [#ROOM]", "show the latest messages", ("last",)),
    TextCommand(
        "topic",
        "[#ROOM] [TEXT]",
        "show the topic, or set it (operators)",
        ("t",),
        ("/topic - removes it.",),
    ),
    TextCommand(
        "handshake",
        "[layers]",
        "draw your connection's TCP handshake",
        (),
        ("/handshake layers shows the connection by layers. Only you see it.",),
    ),
    TextCommand("op", "NAME", "grant operator status", (), (_IN_ROOM.format("op"),)),
    TextCommand("deop", "NAME", "revoke operator status", (), (_IN_ROOM.format("deop"),)),
    TextCommand(
        "kick", "NAME [REASON]", "remove a member from the room", (), (_IN_ROOM.format("kick"),)
    ),
    TextCommand(
        "ban",
        "[NAME]",
        "ban and kick; without a name, list the bans",
        (),
        (
            "Bans the nickname, and the address of its user, if not on this machine.",
            _IN_ROOM.format("ban"),
        ),
    ),
    TextCommand("unban", "NAME", "lift a ban", (), (_IN_ROOM.format("unban"),)),
    TextCommand("quit", "[REASON]", "disconnect", ("exit", "bye", "q")),
)

_BY_WORD = {word: command for command in COMMANDS for word in (command.name, *command.aliases)}

#: A room name that is typed where the frontend asks for one.
JOIN = _BY_WORD["join"]


@dataclass(frozen=True, slots=True)
class Call:
    """A command.

    :ivar command: the command.
    :ivar rest: the arguments, without surrounding spaces.
    """

    command: TextCommand
    rest: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """An unknown command.

    :ivar word: the word, without the slash.
    :ivar nearest: the most similar command.
    """

    word: str
    nearest: str | None


def parse(text: str) -> str | Call | Unknown | None:
    """Parse a line.

    :param text: a line without its line end.
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
    """Find a command by name or alias, ignoring case, with or without slash."""
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
    """Split off a room that is the first argument; ``None`` if there is none."""
    if not text.startswith("#"):
        return None, text
    return cut_word(text)
