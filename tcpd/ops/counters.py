"""Counters: plain integers, raised where things happen, read by whoever asks."""

from __future__ import annotations

from collections import Counter


class ServiceCounters:
    """What one service counts. All of it only grows, but for :attr:`open`.

    :ivar open: connections now.
    :ivar accepted: connections let in.
    :ivar refused: by :class:`tcpd.policy.reasons.Refusal`, clients not let in.
    :ivar ended: by :class:`tcpd.policy.reasons.End`, connections that ended.
    :ivar bytes_in: bytes received on the wire, those of TLS included.
    :ivar bytes_out: bytes handed to the transport, those of TLS included.
    :ivar datagrams_in: datagrams received.
    :ivar datagrams_out: datagrams sent.
    :ivar datagrams_dropped: by reason (a word), datagrams received and not answered.
    :ivar events: by a word of the kind's choice, what else the kind counts (replies by code,
        messages).
    """

    __slots__ = (
        "accepted",
        "bytes_in",
        "bytes_out",
        "datagrams_dropped",
        "datagrams_in",
        "datagrams_out",
        "ended",
        "events",
        "open",
        "refused",
    )

    def __init__(self) -> None:
        self.open = 0
        self.accepted = 0
        self.refused: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.bytes_in = 0
        self.bytes_out = 0
        self.datagrams_in = 0
        self.datagrams_out = 0
        self.datagrams_dropped: Counter[str] = Counter()
        self.events: Counter[str] = Counter()
