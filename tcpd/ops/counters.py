"""Counters: plain integers, raised where things happen, read by whoever asks."""

from __future__ import annotations

from collections import Counter, defaultdict


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
    :ivar tls: by version (``TLSv1.3``), TLS handshakes completed.
    :ivar commands: by name, commands called, of a kind that has commands. Only names that the
        program knows, never a word that a client made up.
    :ivar replies: by code, replies to them.
    :ivar events: by a word of the kind's choice, what else the kind counts. Words of the program,
        never a client's.
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
        # raised for every line; to add to a Counter takes more than twice as long
        self.commands: dict[str, int] = defaultdict(int)
        self.replies: dict[int, int] = defaultdict(int)
        self.events: Counter[str] = Counter()


class ChatCounters:
    """What the rooms count, for all frontends. All of it only grows.

    :ivar entered: people who came in.
    :ivar messages: said in rooms.
    :ivar private_messages: said to one person.
    :ivar deliveries: events put into somebody's outbox: one message to a room of ten makes up to
        ten.
    :ivar dropped: people put out because they did not read what was sent.
    :ivar forgotten: by bound, ``room`` or ``all``, messages of rooms that were dropped from memory
        for their size.
    :ivar undecodable: entries of the event log that this node could not decode, and skipped.
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
    """What the daemon as a whole counts.

    :ivar reloads: by outcome, ``ok`` or ``refused``, reloads that were asked for.
    :ivar certificates: by outcome, as often as files of certificates were found to have changed:
        ``ok`` if they are in use, ``refused`` if they could not be used.
    """

    __slots__ = ("certificates", "reloads")

    def __init__(self) -> None:
        self.certificates: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter()
