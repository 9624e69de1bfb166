"""Hints for clients that typed something else than they meant."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tcpd.net.directory import ServiceEntry, stream_port

_QUIT = "to leave, type /quit"
_HELP = "for help, type /help"

# not accepted as first nicknames: a user who types these expects a command
_AT_PROMPT = {
    **dict.fromkeys(("quit", "exit", "bye", "logout", "logoff", ":q", ":q!", ":wq"), _QUIT),
    **dict.fromkeys(("help", "?", "usage", "commands"), _HELP),
}

# names of commands that are unlikely as messages
_COMMANDS = {
    "who": "/who",
    "names": "/who",
    "users": "/who",
    "list": "/rooms",
    "rooms": "/rooms",
    "channels": "/rooms",
    "ls": "/rooms",
    "join": "/join #ROOM",
    "part": "/part",
    "leave": "/part",
    "nick": "/nick NAME",
    "msg": "/msg NAME TEXT",
}

_IN_ROOM = {
    **_AT_PROMPT,
    "q": _QUIT,
    "h": _HELP,
    **{word: f"commands begin with a slash, as {usage}" for word, usage in _COMMANDS.items()},
}

# commands that register a client or a server (RFC 1459 section 4.1, RFC 2812 section 3.1, IRCv3),
# behind tags and a source; "nick" in lower case may be a nickname
_REGISTERING = re.compile(
    r"(?:@\S+ +)?(?::\S+ +)?(?:STARTTLS$|NICK +\S|(?i:USER +\S+ +\S+ +\S"
    r"|CAP +(?:LS|LIST|REQ|END|CLEAR)\b|(?:PASS|AUTHENTICATE|WEBIRC|PROTOCTL|SERVER|SERVICE) +\S))"
)


def at_prompt(text: str) -> str | None:
    """Return the hint for a word at the nickname prompt; ``None`` if it may be a nickname."""
    return _AT_PROMPT.get(text.lower())


def in_room(text: str) -> str | None:
    """Return the hint for text that looks like a command without its slash; otherwise ``None``."""
    word, _, rest = text.partition(" ")
    hint = _IN_ROOM.get(word.lower())
    if rest and hint is not None and not (word.lower() in _COMMANDS and rest.startswith("#")):
        return None
    return hint


def is_irc(line: str) -> bool:
    """Whether a client at the nickname prompt speaks IRC."""
    return _REGISTERING.match(line) is not None


def where_irc_is(services: Sequence[ServiceEntry]) -> str:
    """Return where the IRC service listens, as a clause."""
    clear = stream_port(services, "irc", tls=False)
    secure = stream_port(services, "irc", tls=True)
    if clear and secure:
        return f"IRC is at port {clear}, and with TLS at port {secure}"
    if clear or secure:
        return f"IRC is at port {clear}" if clear else f"IRC is at port {secure}, with TLS"
    return "this server has no port for IRC"
