"""The rows of the command table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tcpd.chat.irc.message import Message
from tcpd.chat.irc.reply import IrcReply


@dataclass(frozen=True, slots=True)
class IrcCommand:
    """Row of the command table.

    :ivar call: runs the command.
    :ivar min_params: the number of parameters that it needs; fewer get ERR_NEEDMOREPARAMS (461).
    :ivar before_registration: an unregistered client, whose ``person`` is ``None``, may send it.
    :ivar may_run_ahead: it may run ahead of the event log: without a label it has no reply.
    :ivar help: lines for HELP: the syntax, and a description.
    """

    call: Callable[[IrcReply, Message], None]
    min_params: int = 0
    before_registration: bool = False
    may_run_ahead: bool = False
    help: tuple[str, ...] = ()
