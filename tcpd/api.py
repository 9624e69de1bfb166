"""The public API of tcpd, for kinds of services and for line commands of other packages.

A kind provides :class:`IKind` and is named by an entry point of the group ``tcpd.protocols``. A
line command is made by :func:`command` and named by an entry point of the group
``tcpd.line.commands``. A change of a name in ``__all__`` is announced in NEWS.rst. The other
modules of tcpd may change at any time.
"""

from __future__ import annotations

from tcpd.config.errors import SettingError
from tcpd.config.fields import option
from tcpd.config.values import (
    BOOLEAN,
    DURATION,
    FILE,
    FILES,
    NETWORKS,
    PATH,
    RATE,
    SIZE,
    TEXT,
    Rate,
    Type,
    at_least,
    between,
    choice,
    or_word,
    whole_number,
)
from tcpd.interfaces import (
    IAbortable,
    IBusy,
    IConnection,
    IContext,
    IDatagramKind,
    IFarewell,
    IFinishing,
    IKind,
    ILineCommand,
    IReconfigurable,
    IRefusing,
    IRereading,
    IWebSocketFactory,
)
from tcpd.line.command import Command, CommandTable, Request, command
from tcpd.line.reply import CommandError, Reply, Then, WrongArguments
from tcpd.line.stream import Stream
from tcpd.line.testing import MemoryContext, make_request
from tcpd.net.credentials import Credentials
from tcpd.net.directory import ServiceEntry
from tcpd.net.websocket_settings import (
    IRCV3,
    Frames,
    WebSocketOptions,
    origins_option,
    ping_option,
)
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.reasons import End, Refusal
from tcpd.policy.workqueue import WorkQueue
from tcpd.wire.safe_text import escape_controls, visible

__all__ = [
    "BOOLEAN",
    "DURATION",
    "FILE",
    "FILES",
    "IRCV3",
    "NETWORKS",
    "PATH",
    "RATE",
    "SIZE",
    "TEXT",
    "Command",
    "CommandError",
    "CommandTable",
    "Credentials",
    "End",
    "Frames",
    "IAbortable",
    "IBusy",
    "IConnection",
    "IContext",
    "IDatagramKind",
    "IFarewell",
    "IFinishing",
    "IKind",
    "ILineCommand",
    "IReconfigurable",
    "IRefusing",
    "IRereading",
    "IWebSocketFactory",
    "MemoryContext",
    "Rate",
    "Refusal",
    "Reply",
    "Request",
    "ServiceCounters",
    "ServiceEntry",
    "SettingError",
    "Stream",
    "Then",
    "Type",
    "WebSocketOptions",
    "WorkQueue",
    "WrongArguments",
    "at_least",
    "between",
    "choice",
    "command",
    "escape_controls",
    "make_request",
    "option",
    "or_word",
    "origins_option",
    "ping_option",
    "visible",
    "whole_number",
]
