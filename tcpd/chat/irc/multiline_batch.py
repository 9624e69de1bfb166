"""A message of several lines, while a client sends it."""

from __future__ import annotations

from tcpd.events.chat import Line, Tags


class Batch:
    """One message of several lines, as far as it was received.

    :ivar name: the client's for it.
    :ivar target: its target, as written.
    :ivar label: the client's label for the reply to all of it; ``None`` for none, or once used.
    :ivar tags: client-only tags that are sent with it.
    :ivar since: when its last line was taken, by the clock of the server.
    :ivar lines: so far.
    :ivar size: of them, in bytes, with the line feeds between them.
    :ivar failed: the client was sent what is wrong with it.
    """

    __slots__ = ("failed", "label", "lines", "name", "since", "size", "tags", "target")

    def __init__(self, name: str, target: str, label: str | None, tags: Tags, since: float) -> None:
        self.name = name
        self.target = target
        self.label = label
        self.tags = tags
        self.since = since
        self.lines: list[Line] = []
        self.size = 0
        self.failed = False
