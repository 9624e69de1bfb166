"""What all clients of one text service share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tcpd.chat.format import Format
from tcpd.chat.hub import Hub
from tcpd.net.directory import ServiceEntry


@dataclass(frozen=True, slots=True)
class TextServer:
    """One service, as its clients know it.

    :ivar hub: the rooms.
    :ivar format: how events are written.
    :ivar name: what the daemon calls itself.
    :ivar count: raised by a word: ``messages``, ``private``, ``commands``, ``bad-lines``,
        ``dropped``.
    :ivar directory: lists what the daemon serves.
    """

    hub: Hub
    format: Format
    name: str
    count: Counter[str]
    directory: Callable[[], Sequence[ServiceEntry]] = list
