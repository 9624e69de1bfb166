"""The report by handshake step: SYN, SYN-ACK and ACK."""

from __future__ import annotations

from collections.abc import Iterator

from tcpd.handshake.derive import NO_INFO, EcnSetup, Handshake, after, ecn_setup, far_end, no_window
from tcpd.handshake.facts import End, Facts, Transport
from tcpd.handshake.network import network_values, ttl_label
from tcpd.handshake.packet import SavedSyn, TcpFlags
from tcpd.handshake.tcp_info import InfoOptions
from tcpd.handshake.tcp_options import (
    MSS,
    SACK_PERMITTED,
    TIMESTAMPS,
    WINDOW_SCALE,
    FastOpen,
    MaximumSegmentSize,
    Mptcp,
    Option,
    SackPermitted,
    Timestamps,
    WindowScale,
)
from tcpd.handshake.values import Section, Value, derived, known, seen, unavailable

_NOT_KEPT = "the kernel keeps the SYN only, not this packet"
_BY_INFO = "TCP_INFO tells what is in use"
_SPOILT = "the option is there, of a length that it cannot have, so that it counts for nothing"

_ECN_SETUP = {
    EcnSetup.NONE: "not asked for",
    EcnSetup.CLASSIC: "asked for (ECE and CWR)",
    EcnSetup.ACCURATE: "accurate ECN asked for (AE, CWR and ECE)",
    EcnSetup.OTHER: "an unusual combination of flags",
}


def steps(facts: Facts, handshake: Handshake) -> tuple[Section, ...]:
    """The three sections; without values, and with a note, where there was no handshake of TCP."""
    note = _note(facts)
    if facts.transport is not Transport.TCP:
        empty: tuple[Value, ...] = ()
        return tuple(Section(name, title, empty, note) for name, title in _titles(facts))
    parts = (_syn(facts, handshake), _syn_ack(facts, handshake), _ack(facts, handshake))
    return tuple(
        Section(name, title, tuple(values), note if name == "syn" else "")
        for (name, title), values in zip(_titles(facts), parts, strict=True)
    )


def _titles(facts: Facts) -> tuple[tuple[str, str], ...]:
    far = far_end(facts)
    return (
        ("syn", f"SYN, from {far} to server"),
        ("syn_ack", f"SYN-ACK, from server to {far}"),
        ("ack", f"ACK, from {far} to server"),
    )


def _note(facts: Facts) -> str:
    if facts.transport is Transport.UNIX:
        whose = "" if facts.proxy is None else ", and this one leads to a proxy, not to the client"
        return f"a UNIX socket has no handshake: the kernel joins both ends at once{whose}"
    if facts.transport is not Transport.TCP:
        return "this is no TCP connection that the kernel could tell about"
    if facts.proxy is not None:
        return (
            "the connection comes from a proxy: this is the proxy's handshake with this server, "
            "not the client's with the proxy"
        )
    return ""


def _no_syn(facts: Facts) -> str:
    return "no saved SYN" if facts.no_saved_syn is None else facts.no_saved_syn.why


def _syn(facts: Facts, handshake: Handshake) -> Iterator[Value]:
    yield from _ends(facts.remote, facts.local)
    if facts.saved_syn is None:
        yield from _syn_not_kept(facts, handshake)
        return
    syn = facts.saved_syn
    header = syn.transport
    yield seen(
        "sequence_number",
        "sequence number",
        header.sequence_number,
        why=f"the {far_end(facts)}'s ISN",
    )
    yield _relative("sequence", 0, far_end(facts))
    yield seen("flags", "flags", _flags(syn))
    yield seen("window", "window", header.window, "bytes", why="a SYN's is never scaled")
    yield from _syn_options(syn)
    yield seen("ecn_setup", "ECN", str(ecn_setup(syn)), text=_ECN_SETUP[ecn_setup(syn)])
    yield seen("data_length", "data in the SYN", syn.data_length, "bytes")
    yield from network_values(syn)


def _syn_options(syn: SavedSyn) -> Iterator[Value]:
    header = syn.transport
    mss = header.option(MaximumSegmentSize)
    scale = header.option(WindowScale)
    stamps = header.option(Timestamps)
    fast_open = header.option(FastOpen)
    mptcp = header.option(Mptcp)
    spoilt = {option.kind for option in header.options if option.spoilt}

    def remark(found: Option | None, kind: int) -> str:
        return _SPOILT if found is None and kind in spoilt else ""

    yield seen(
        "mss",
        "MSS",
        None if mss is None else mss.value,
        "bytes" if mss else "",
        why=remark(mss, MSS),
    )
    yield seen(
        "window_scale",
        "window scale",
        None if scale is None else scale.shift,
        "bits" if scale else "",
        why=remark(scale, WINDOW_SCALE),
        text=_scale(scale.shift) if scale else "none",
    )
    sack = header.option(SackPermitted)
    yield seen(
        "sack_permitted", "SACK permitted", sack is not None, why=remark(sack, SACK_PERMITTED)
    )
    yield seen("timestamps", "timestamps", stamps is not None, why=remark(stamps, TIMESTAMPS))
    if stamps is not None:
        yield seen("timestamp_value", "timestamp (TSval)", stamps.value)
    if fast_open is not None:
        cookie = fast_open.cookie.hex()
        yield seen("fast_open_cookie", "fast open", cookie, text=cookie or "asks for a cookie")
    if mptcp is not None:
        yield seen("mptcp", "multipath TCP", mptcp.shown)
    yield seen("options", "options in order", tuple(option.name for option in header.options))


def _syn_not_kept(facts: Facts, handshake: Handshake) -> Iterator[Value]:
    why = _no_syn(facts)
    yield unavailable("sequence_number", "sequence number", why)
    yield _relative("sequence", 0, far_end(facts))
    for name, label in (("window", "window"), ("mss", "MSS"), ("ttl", ttl_label(facts))):
        yield unavailable(name, label, "no saved SYN")
    if handshake.agreed is not None:
        # only what is agreed on is certain: an end that is not answered may still have offered
        if handshake.client_scale is not None:
            yield derived(
                "window_scale",
                "window scale",
                handshake.client_scale,
                "bits",
                why=_BY_INFO,
                text=_scale(handshake.client_scale),
            )
        for name, label, bit in _AGREED:
            if bit in handshake.agreed:
                yield derived(name, label, True, why=_BY_INFO)


_AGREED = (
    ("sack_permitted", "SACK permitted", InfoOptions.SACK),
    ("timestamps", "timestamps", InfoOptions.TIMESTAMPS),
)


def _syn_ack(facts: Facts, handshake: Handshake) -> Iterator[Value]:
    syn = facts.saved_syn
    yield from _ends(facts.local, facts.remote)
    yield _server_isn(facts, "sequence_number", "sequence number", 0)
    yield _relative("sequence", 0, "server")
    by = handshake.acknowledged
    if syn is None:
        yield unavailable("acknowledgment_number", "acknowledges", "no saved SYN")
    else:
        yield derived(
            "acknowledgment_number",
            "acknowledges",
            after(syn.transport.sequence_number, by),
            why=f"the {far_end(facts)}'s ISN + {by}"
            + ("" if by == 1 else ", with the data in the SYN"),
        )
    yield _relative("acknowledgment", by, far_end(facts))
    yield from _agreed_values(facts, handshake)
    if handshake.server_window is None:
        yield unavailable("window", "window", handshake.no_server_window)
    else:
        why = "tcpi_rcv_wnd before data came; it is not scaled"
        yield derived("window", "window", handshake.server_window, "bytes", why=why)
    if handshake.repeated is None:
        yield unavailable("retransmissions", "sent again", handshake.no_repeated)
    else:
        yield seen(
            "retransmissions",
            "sent again",
            handshake.repeated,
            "times",
            why="SYN-ACKs; a SYN that never arrived leaves no trace here",
        )


def _agreed_values(facts: Facts, handshake: Handshake) -> Iterator[Value]:
    agreed, syn = handshake.agreed, facts.saved_syn
    if agreed is None:
        for name, label in (("mss", "MSS"), ("window_scale", "window scale"), *_LABELS):
            yield unavailable(name, label, NO_INFO)
        return
    yield derived(
        "mss", "MSS", handshake.server_mss, "bytes", why="tcpi_advmss, and what timestamps take"
    )
    scale = handshake.server_scale
    yield derived(
        "window_scale",
        "window scale",
        scale,
        "" if scale is None else "bits",
        why=_BY_INFO,
        text="none" if scale is None else _scale(scale),
    )
    yield derived("sack_permitted", "SACK permitted", InfoOptions.SACK in agreed, why=_BY_INFO)
    stamped = InfoOptions.TIMESTAMPS in agreed
    yield derived("timestamps", "timestamps", stamped, why=_BY_INFO)
    offered = syn and syn.transport.option(Timestamps)
    if stamped and offered:
        yield derived(
            "timestamp_echo_reply",
            "timestamp (TSecr)",
            offered.value,
            why="the SYN's TSval, RFC 7323",
        )
    yield derived("ecn", "ECN agreed on", InfoOptions.ECN in agreed, why=_BY_INFO)


_LABELS = (("sack_permitted", "SACK permitted"), ("timestamps", "timestamps"), ("ecn", "ECN"))


def _ack(facts: Facts, handshake: Handshake) -> Iterator[Value]:
    syn = facts.saved_syn
    yield from _ends(facts.remote, facts.local)
    by = handshake.acknowledged
    if syn is None:
        yield unavailable("sequence_number", "sequence number", "no saved SYN")
    else:
        yield derived(
            "sequence_number",
            "sequence number",
            after(syn.transport.sequence_number, by),
            why="what the SYN-ACK acknowledges",
        )
    yield _relative("sequence", by, far_end(facts))
    yield _server_isn(facts, "acknowledgment_number", "acknowledges", 1)
    yield _relative("acknowledgment", 1, "server")
    if handshake.client_window is None:
        yield unavailable("window", "window", no_window(facts, "snd_wnd"))
    else:
        why = "tcpi_snd_wnd before data came, after scaling"
        yield derived("window", "window", handshake.client_window, "bytes", why=why)
    if handshake.rtt is None:
        yield unavailable("round_trip_time", "round trip", handshake.no_rtt)
    else:
        yield seen("round_trip_time", "round trip", handshake.rtt, "us", why=_rtt_remark(handshake))


def _rtt_remark(handshake: Handshake) -> str:
    if handshake.repeated:
        return (
            "from SYN-ACK to ACK, tcpi_rtt: it was sent again, so by timestamps, which mostly "
            "count milliseconds, and never less than one"
        )
    return "from SYN-ACK to ACK: tcpi_rtt before anything else was measured"


def _relative(which: str, number: int, whose: str) -> Value:
    return derived(
        f"relative_{which}_number", "- relative", number, why=f"counted from the {whose}'s ISN"
    )


def _server_isn(facts: Facts, name: str, label: str, by: int) -> Value:
    if facts.server_isn is None:
        reason = facts.no_server_isn
        why = "the server's ISN is not known" if reason is None else reason.why
        return unavailable(name, label, why)
    why = "TCP_QUEUE_SEQ - 1, read before anything was sent"
    return derived(
        name, label, after(facts.server_isn, by), why=why if by == 0 else "the server's ISN + 1"
    )


def _scale(shift: int) -> str:
    # RFC 7323 section 2.3: a shift of more than 14 is used as 14
    return f"{shift}, times {1 << min(shift, 14)}"


def _flags(syn: SavedSyn) -> str:
    # the order in which RFC 9293 and RFC 9768 draw them, the other way round
    return " ".join(flag.name or "" for flag in TcpFlags if flag in syn.transport.flags)


def _ends(source: End | None, destination: End | None) -> Iterator[Value]:
    for label, end in (("source", source), ("destination", destination)):
        yield known(
            label, label, None if end is None else str(end), why="the socket does not tell it"
        )
