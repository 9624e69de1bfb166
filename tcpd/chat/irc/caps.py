"""Table of capabilities, and their negotiation.

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
CHATHISTORY = "draft/chathistory"
RELAYMSG = "draft/relaymsg"
STS = "sts"

#: Separator in names of draft/relaymsg; no nickname contains it.
RELAY_SEPARATOR = "/"


@dataclass(frozen=True, slots=True)
class Capability:
    """Row of the capability table.

    :ivar name: as clients request it.
    :ivar value: the value for clients of version 302; values that depend on settings come from
        :meth:`tcpd.chat.irc.server.IrcServer.capabilities`.
    :ivar renders: it changes how events are rendered (:mod:`tcpd.chat.irc.render`).
    :ivar flag: attribute of :class:`tcpd.chat.people.Client` that is true while it is enabled;
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
    Capability(CHATHISTORY),
    Capability(RELAYMSG, RELAY_SEPARATOR, renders=True),
)

#: Capabilities by name, in the order of CAP LS.
CAPABILITIES: Mapping[str, Capability] = {each.name: each for each in _TABLE}

#: Capabilities that change how events are rendered.
RENDERING = frozenset(each.name for each in _TABLE if each.renders)

#: Attributes of clients with the capabilities that set them.
FLAGS = tuple((each.flag, each.name) for each in _TABLE if each.flag)

NONE: frozenset[str] = frozenset()

#: Capabilities that labeled-response and draft/multiline depend on.
LABELS = frozenset({LABELED_RESPONSE, BATCH})
LINES = frozenset({MULTILINE, BATCH})

#: A client with any of these gets no NAMES after JOIN. The specification is final since 2026;
#: clients still request it by its draft name.
NAMELESS = frozenset({NO_IMPLICIT_NAMES, NO_IMPLICIT_NAMES_DRAFT})


def requested(
    words: Iterable[str], enabled: frozenset[str], known: Iterable[str]
) -> frozenset[str] | None:
    """Return the enabled capabilities after CAP REQ.

    :param words: names; ``-`` before a name disables it.
    :param enabled: the capabilities before.
    :param known: names of all capabilities.
    :return: ``None``, and no change, if a name is unknown or cannot be requested.
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
