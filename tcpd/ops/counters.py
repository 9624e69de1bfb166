"""Counters: plain integers, incremented by services, read by metrics and status commands."""

from __future__ import annotations

from collections import Counter, defaultdict


class ServiceCounters:
    """The counters of one service. All but :attr:`open` only increase.

    :ivar open: open connections.
    :ivar accepted: accepted connections.
    :ivar refused: refused clients, by :class:`tcpd.policy.reasons.Refusal`.
    :ivar ended: ended connections, by :class:`tcpd.policy.reasons.End`.
    :ivar bytes_in: received bytes, TLS overhead included.
    :ivar bytes_out: bytes passed to the transport, TLS overhead included.
    :ivar datagrams_in: received datagrams.
    :ivar datagrams_out: sent datagrams.
    :ivar datagrams_dropped: received datagrams without a reply, by reason.
    :ivar tls: completed TLS handshakes, by version (``TLSv1.3``).
    :ivar commands: executed commands, by name; only known names, never a client's word.
    :ivar replies: replies to commands, by code.
    :ivar events: other counters of the kind, by a name of the kind, never a client's word.
    """

    __slots__ = (
        "accepted",
        "bytes_in",
        "bytes_out",
        "commands",
        "datagrams_dropped",
        "datagrams_in",
        "datagrams_out",
        "ended",
        "events",
        "open",
        "refused",
        "replies",
        "tls",
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
        self.tls: Counter[str] = Counter()
        # incremented for every line; a Counter would take more than twice as long
        self.commands: dict[str, int] = defaultdict(int)
        self.replies: dict[int, int] = defaultdict(int)
        self.events: Counter[str] = Counter()


class ChatCounters:
    """The counters of chat, for all frontends. They only increase.

    :ivar entered: people who entered.
    :ivar messages: messages to rooms.
    :ivar private_messages: messages to one person.
    :ivar deliveries: events put into outboxes, counted once for each recipient.
    :ivar dropped: clients disconnected because they read too slowly.
    :ivar forgotten: messages dropped from the history, by limit: ``room`` or ``all``.
    :ivar undecodable: entries of the event log that could not be decoded and were skipped.
    """

    __slots__ = (
        "deliveries",
        "dropped",
        "entered",
        "forgotten",
        "messages",
        "private_messages",
        "undecodable",
    )

    def __init__(self) -> None:
        self.entered = 0
        self.messages = 0
        self.private_messages = 0
        self.deliveries = 0
        self.dropped = 0
        self.forgotten = {"room": 0, "all": 0}
        self.undecodable = 0


class DaemonCounters:
    """The counters of the daemon.

    :ivar reloads: reloads, by outcome: ``ok`` or ``refused``.
    :ivar certificates: changes of certificate files, by outcome: ``ok`` if the new files are in
        use, ``refused`` if not.
    """

    __slots__ = ("certificates", "reloads")

    def __init__(self) -> None:
        self.certificates: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter()
