"""Capabilities: what a client may ask for beyond plain IRC, and how it does.

Source: https://ircv3.net/specs/extensions/capability-negotiation
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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

#: By name, in the order in which they are listed; with their values, for clients of version 302. A
#: server fills in what its settings say (:meth:`tcpd.chat.irc.server.IrcServer.capabilities`).
CAPABILITIES: Mapping[str, str] = {
    MESSAGE_TAGS: "",
    SERVER_TIME: "",
    BATCH: "",
    LABELED_RESPONSE: "",
    ECHO_MESSAGE: "",
    MULTI_PREFIX: "",
    USERHOST_IN_NAMES: "",
    AWAY_NOTIFY: "",
    CAP_NOTIFY: "",
    CHGHOST: "",
    EXTENDED_JOIN: "",
    EXTENDED_MONITOR: "",
    INVITE_NOTIFY: "",
    SETNAME: "",
    STANDARD_REPLIES: "",
    NO_IMPLICIT_NAMES: "",
    NO_IMPLICIT_NAMES_DRAFT: "",
    EXTENDED_ISUPPORT: "",
    PRE_AWAY: "",
    MULTILINE: "",
    MESSAGE_REDACTION: "",
    CHANNEL_RENAME: "",
    RELAYMSG: RELAY_SEPARATOR,
}

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
