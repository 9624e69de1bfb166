"""Explains the values of the three packets: a short label and one sentence each."""

from __future__ import annotations

from typing import NamedTuple

from tcpd.handshake.report import Report
from tcpd.handshake.values import Section, Source, Value, shown


class Term(NamedTuple):
    """A value of a packet, as the diagram labels and explains it.

    :ivar label: the label, short enough for the diagram.
    :ivar sentence: what the value means.
    """

    label: str
    sentence: str


#: By the names of the values in the report (``docs/reference/handshake.rst``), in the diagram's
#: order. A value without a term is not in the diagram.
TERMS = {
    "mss": Term(
        "MSS",
        "Maximum segment size: the most data that the sender of this packet accepts in one "
        "segment, without the IP and TCP headers.",
    ),
    "window": Term(
        "window",
        "Free space in the receive buffer: the other end may have at most this many bytes in "
        "flight.",
    ),
    "window_scale": Term(
        "scale",
        "Window scale: later windows of this sender are multiplied by this number, because the "
        "field itself ends at 65535.",
    ),
    "sack_permitted": Term(
        "SACK",
        "Selective acknowledgment: after a loss, only the lost segments are retransmitted.",
    ),
    "timestamps": Term(
        "timestamps",
        "Each segment carries a clock value that the other end echoes: this measures the round "
        "trip and rejects old segments.",
    ),
    "ttl": Term(
        "TTL",
        "Each router on the path subtracts 1. Most systems start at 64, 128 or 255, so the rest "
        "shows the number of hops.",
    ),
    "ecn_setup": Term(
        "ECN",
        "Explicit congestion notification: a congested router marks packets and need not drop "
        "them. The SYN requests it.",
    ),
    "ecn": Term(
        "ECN",
        "Explicit congestion notification: a congested router marks packets and need not drop "
        "them. It is used if both ends agree.",
    ),
    "data_length": Term("data", "Bytes of data in the SYN itself: Fast Open saves one round trip."),
    "fast_open_cookie": Term(
        "Fast Open",
        "The SYN requests or shows a cookie, with which later connections may send data in the "
        "SYN.",
    ),
    "mptcp": Term(
        "multipath TCP",
        "The client can use several paths, such as Wi-Fi and mobile data, for one connection.",
    ),
    "retransmissions": Term(
        "retransmitted",
        "How many times the server had to retransmit its SYN-ACK before the ACK arrived.",
    ),
}

SEQUENCE = Term(
    "seq",
    "Sequence number: the number of this packet's first byte. It begins at a random number, so "
    "that nobody can guess it.",
)
ACKNOWLEDGMENT = Term(
    "ack",
    "Acknowledgment number: the next sequence number that the sender of this packet expects. The "
    "SYN counts as one byte, hence plus 1.",
)

#: Values that are shown only where they are not zero.
_ONLY_IF_SET = frozenset({"data_length", "retransmissions"})

_ECN = {"none": "no", "rfc3168": "yes", "accecn": "accurate", "other": "undefined"}


class Chip(NamedTuple):
    """A value of a packet in the diagram.

    :ivar step: ``syn``, ``syn_ack`` or ``ack``.
    :ivar value: the value in the report.
    :ivar label: its short label.
    :ivar text: the value in short, ``unknown`` if unavailable.
    :ivar sentence: what it means.
    :ivar origin: where it comes from, or why it is unknown.
    """

    step: str
    value: Value
    label: str
    text: str
    sentence: str
    origin: str

    @property
    def id(self) -> str:
        """An id for links, such as ``syn-window-scale``."""
        return f"{self.step}-{self.value.name}".replace("_", "-")


def chips(section: Section) -> list[Chip]:
    """Return the values of one packet that the diagram shows, in its order."""
    found = []
    for name, term in TERMS.items():
        value = section.value(name)
        if value is None or (name in _ONLY_IF_SET and not value.value):
            continue
        label = value.label if name == "ttl" else term.label
        found.append(
            Chip(section.name, value, label, in_short(value), term.sentence, origin(value))
        )
    return found


def numbers(section: Section) -> list[Chip]:
    """Return the sequence and the acknowledgment number of one packet."""
    found = []
    for name, term in (("sequence_number", SEQUENCE), ("acknowledgment_number", ACKNOWLEDGMENT)):
        value = section.value(name)
        if value is not None:
            found.append(
                Chip(section.name, value, term.label, in_short(value), term.sentence, origin(value))
            )
    return found


def in_short(value: Value) -> str:
    """Format a value for the diagram: without its unit, ``unknown`` if unavailable."""
    if value.source is Source.UNAVAILABLE:
        return "unknown"
    match value.value:
        case None:
            return "none"
        case bool() as yes:
            return "yes" if yes else "no"
        case int() as shift if value.name == "window_scale":
            # RFC 7323 section 2.3: a shift of more than 14 is used as 14
            return f"{shift} (×{1 << min(shift, 14)})"
        case str() as setup if value.name == "ecn_setup":
            return _ECN.get(setup, setup)
        case str() if value.name == "fast_open_cookie":
            return "cookie" if value.value else "requested"
        case int() | str() as plain:
            return str(plain)
        case _:
            return shown(value)


def origin(value: Value) -> str:
    """Say where a value comes from, in one sentence."""
    why = value.why
    if value.source is Source.UNAVAILABLE:
        return f"Unknown: {why}."
    if value.source is Source.DERIVED:
        return f"Derived: {why}."
    return f"Seen: {why}." if why else "Seen."


def missing(report: Report) -> list[str]:
    """Say what is unknown and why, one sentence each; empty if nothing is."""
    facts = report.facts
    sentences = []
    if facts.saved_syn is None:
        why = "" if facts.no_saved_syn is None else f": {facts.no_saved_syn.why}"
        sentences.append(f"There is no saved SYN{why}. All values are derived from TCP_INFO.")
    if facts.server_isn is None:
        why = "" if facts.no_server_isn is None else f": {facts.no_server_isn.why}"
        sentences.append(f"The server's initial sequence number is unknown{why}.")
    return sentences


def micro(text: str) -> str:
    """Replace ``us`` by ``µs`` in a duration."""
    return f"{text[:-3]} µs" if text.endswith(" us") else text
