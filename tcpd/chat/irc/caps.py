"""Capabilities: what a client may ask for beyond plain IRC, and how it does.

Source: https://ircv3.net/specs/extensions/capability-negotiation
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MESSAGE_TAGS = "message-tags"
SERVER_TIME = "server-time"
BATCH = "batch"
LABELED_RESPONSE = "labeled-response"
ECHO_MESSAGE = "echo-message"
MULTI_PREFIX = "multi-prefix"
USERHOST_IN_NAMES = "userhost-in-names"
AWAY_NOTIFY = "away-notify"
CAP_NOTIFY = "cap-notify"
CHGHOST = "chghost"
EXTENDED_JOIN = "extended-join"
EXTENDED_MONITOR = "extended-monitor"
INVITE_NOTIFY = "invite-notify"
SETNAME = "setname"
STANDARD_REPLIES = "standard-replies"
NO_IMPLICIT_NAMES = "no-implicit-names"
NO_IMPLICIT_NAMES_DRAFT = "draft/no-implicit-names"
EXTENDED_ISUPPORT = "draft/extended-isupport"
PRE_AWAY = "draft/pre-away"
MULTILINE = "draft/multiline"
MESSAGE_REDACTION = "draft/message-redaction"
CHANNEL_RENAME = "draft/channel-rename"
RELAYMSG = "draft/relaymsg"
STS = "sts"

#: What must be in the name that draft/relaymsg speaks in, and in no nickname.
RELAY_SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class Capability:
    """A row of the table of capabilities.

    :ivar name: as clients request it.
    :ivar value: for clients of version 302. A server fills in what its settings say
        (:meth:`tcpd.chat.irc.server.IrcServer.capabilities`).
    :ivar renders: events are written otherwise for clients that have it
        (:mod:`tcpd.chat.irc.render`).
    :ivar flag: the attribute of :class:`tcpd.chat.people.Client` that is set while it is enabled;
        empty for none.
    """

    name: str
    value: str = ""
    renders: bool = False
    flag: str = ""


_TABLE = (
    Capability(MESSAGE_TAGS, renders=True),
    Capability(SERVER_TIME, renders=True),
    Capability(BATCH, renders=True),
    Capability(LABELED_RESPONSE),
    Capability(ECHO_MESSAGE, flag="echo"),
    Capability(MULTI_PREFIX),
    Capability(USERHOST_IN_NAMES),
    Capability(AWAY_NOTIFY, renders=True),
    Capability(CAP_NOTIFY),
    Capability(CHGHOST, renders=True),
    Capability(EXTENDED_JOIN, renders=True),
    Capability(EXTENDED_MONITOR, flag="extended_monitor"),
    Capability(INVITE_NOTIFY, renders=True),
    Capability(SETNAME, renders=True),
    Capability(STANDARD_REPLIES),
    Capability(NO_IMPLICIT_NAMES),
    Capability(NO_IMPLICIT_NAMES_DRAFT),
    Capability(EXTENDED_ISUPPORT),
    Capability(PRE_AWAY),
    Capability(MULTILINE, renders=True),
    Capability(MESSAGE_REDACTION, renders=True),
    Capability(CHANNEL_RENAME, renders=True),
    Capability(RELAYMSG, RELAY_SEPARATOR, renders=True),
)

#: By name, in the order in which they are listed.
CAPABILITIES: Mapping[str, Capability] = {each.name: each for each in _TABLE}

#: Those by which events are written otherwise.
RENDERING = frozenset(each.name for each in _TABLE if each.renders)

#: Attributes of clients, and the capabilities that set them.
FLAGS = tuple((each.flag, each.name) for each in _TABLE if each.flag)

NONE: frozenset[str] = frozenset()

#: What answers are labelled by, and what a message of several lines is sent by: both of them each.
LABELS = frozenset({LABELED_RESPONSE, BATCH})
LINES = frozenset({MULTILINE, BATCH})

#: With any of these a client that comes into a room is not told who is there. The specification is
#: final since 2026, and clients still ask for it by the name it had before.
NAMELESS = frozenset({NO_IMPLICIT_NAMES, NO_IMPLICIT_NAMES_DRAFT})


def requested(
    words: Iterable[str], enabled: frozenset[str], known: Iterable[str]
) -> frozenset[str] | None:
    """What is enabled after a REQ, all of which is taken over or nothing.

    :param words: names, with a ``-`` before those that are to be switched off.
    :param enabled: before.
    :param known: all names.
    :return: ``None`` if any of them is unknown, or cannot be asked for.
    """
    known = set(known) - {STS}  # "Clients MUST NOT request this capability with CAP REQ."
    wanted = set(enabled)
    for word in words:
        name = word.removeprefix("-")
        if name not in known:
            return None
        if word == name:
            wanted.add(name)
        else:
            wanted.discard(name)
    return frozenset(wanted)


def listed(words: Iterable[str], room: int) -> list[str]:
    """Names as they stand in LS, LIST and ACK, cut into pieces that fit a line.

    :param words: with their values, if they are to be told.
    :param room: bytes that a piece may have.
    :return: one empty piece for none.
    """
    pieces = [""]
    for word in words:
        if pieces[-1] and len(pieces[-1]) + 1 + len(word) > room:
            pieces.append("")
        pieces[-1] += f" {word}" if pieces[-1] else word
    return pieces
