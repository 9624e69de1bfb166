"""An open multiline batch of a client."""

from __future__ import annotations

from tcpd.events.chat import Line, Tags


class Batch:
    """Open multiline batch of a client.

    :ivar name: the client's reference tag of the batch.
    :ivar target: as the client wrote it.
    :ivar label: label for the reply; ``None`` if there is none, or it was used.
    :ivar tags: client-only tags to relay.
    :ivar since: the time of its last line, in seconds of the server's clock.
    :ivar lines: the lines received so far.
    :ivar size: bytes of ``lines``, with the line feeds between them.
    :ivar failed: it was refused; further lines are ignored.
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
