"""What a command is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcpd.chat.irc.message import Message

if TYPE_CHECKING:
    from tcpd.chat.irc.session import Session


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    :ivar call: does it.
    :ivar least: how many parameters it has at least: with fewer it is answered with 461.
    :ivar early: whether a client that has not registered yet may use it. ``Session.member`` may be
        ``None`` in those alone.
    :ivar help: lines for HELP: how it is written, and what it does.
    """

    call: Callable[[Session, Message], None]
    least: int = 0
    early: bool = False
    help: tuple[str, ...] = ()
