"""What a row of the table of commands has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :ivar call: does it.
    :ivar least: how many parameters it needs: fewer get numeric 461.
    :ivar early: a client that is not registered may use it. In those alone ``reply.client.person``
        may be ``None``.
    :ivar ahead: it may run ahead of the event log: without a label it has no reply of its own.
    :ivar help: lines for HELP: how it is written, and what it does.
    """

    call: Callable[[IrcReply, Message], None]
    least: int = 0
    early: bool = False
    ahead: bool = False
    help: tuple[str, ...] = ()
