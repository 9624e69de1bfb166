"""State that all clients of one text service share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tcpd.chat.format import Format
from tcpd.chat.hub import Hub
from tcpd.net.directory import ServiceEntry


@dataclass(frozen=True, slots=True)
class TextServer:
    """One text service, as its clients use it.

    :ivar hub: the rooms.
    :ivar format: the format of events.
    :ivar name: the server's name.
    :ivar count: increments a counter by name: ``messages``, ``private``, ``commands``,
        ``bad-lines``, ``dropped``.
    :ivar directory: lists the daemon's services.
    """

    hub: Hub
    format: Format
    name: str
    count: Counter[str]
    directory: Callable[[], Sequence[ServiceEntry]] = list
