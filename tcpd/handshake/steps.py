"""The report by handshake step: SYN, SYN-ACK and ACK."""

from __future__ import annotations

from collections.abc import Iterator

from tcpd.handshake.derive import (
    NO_INFO,
    EcnSetup,
    Handshake,
    after,
    ecn_setup,
    peer_name,
    window_unknown,
)
from tcpd.handshake.facts import Endpoint, Facts, Transport
from tcpd.handshake.network import network_values, ttl_label
from tcpd.handshake.p0f import p0f_signature
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
    SackPermitted,
    TCPOption,
    Timestamps,
    WindowScale,
)
from tcpd.handshake.values import Section, Value, derived, known, seen, unavailable

_BY_INFO = "from the options in TCP_INFO"
_INVALID = "the option is present but has an invalid length, so receivers ignore it"

_ECN_SETUP = {
    EcnSetup.NONE: "not requested",
    EcnSetup.CLASSIC: "requested (ECE and CWR)",
    EcnSetup.ACCURATE: "accurate ECN requested (AE, CWR and ECE)",
    EcnSetup.OTHER: "undefined combination of flags",
}


def steps(facts: Facts, handshake: Handshake) -> tuple[Section, ...]:
    """Build the three sections; if there was no TCP handshake, they have a note and no values."""
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
    far = peer_name(facts)
    return (
        ("syn", f"SYN, from {far} to server"),
        ("syn_ack", f"SYN-ACK, from server to {far}"),
        ("ack", f"ACK, from {far} to server"),
    )


def _note(facts: Facts) -> str:
    if facts.transport is Transport.UNIX:
        peer = "" if facts.proxy is None else ", and the peer is a proxy, not the client"
        return f"a UNIX socket has no handshake: the kernel connects both ends at once{peer}"
    if facts.transport is not Transport.TCP:
        return "not a TCP connection of this kernel"
    if facts.proxy is not None:
        return (
            "the connection comes from a proxy: this is the handshake between the proxy and this "
            "server, not the client's"
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
        why=f"the {peer_name(facts)}'s ISN",
    )
    yield _relative("sequence", 0, peer_name(facts))
    yield seen("flags", "flags", _flags(syn))
    yield seen("window", "window", header.window, "bytes", why="never scaled in a SYN")
    yield from _syn_options(syn)
    yield seen("ecn_setup", "ECN", str(ecn_setup(syn)), text=_ECN_SETUP[ecn_setup(syn)])
    yield seen("data_length", "data in the SYN", syn.data_length, "bytes")
    yield from network_values(syn)
    yield derived("p0f", "p0f signature", p0f_signature(syn), why="p0f's raw form")


def _syn_options(syn: SavedSyn) -> Iterator[Value]:
    header = syn.transport
    mss = header.option(MaximumSegmentSize)
    scale = header.option(WindowScale)
    stamps = header.option(Timestamps)
    fast_open = header.option(FastOpen)
    mptcp = header.option(Mptcp)
    invalid = {option.kind for option in header.options if option.invalid_length}

    def remark(found: TCPOption | None, kind: int) -> str:
        return _INVALID if found is None and kind in invalid else ""

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
        yield seen("fast_open_cookie", "Fast Open", cookie, text=cookie or "cookie request")
    if mptcp is not None:
        yield seen("mptcp", "multipath TCP", mptcp.shown)
    yield seen("options", "options in order", tuple(option.name for option in header.options))


def _syn_not_kept(facts: Facts, handshake: Handshake) -> Iterator[Value]:
    why = _no_syn(facts)
    yield unavailable("sequence_number", "sequence number", why)
    yield _relative("sequence", 0, peer_name(facts))
    for name, label in (("window", "window"), ("mss", "MSS"), ("ttl", ttl_label(facts))):
        yield unavailable(name, label, "no saved SYN")
    if handshake.negotiated is not None:
        # only negotiated options are certain: the SYN may have offered more
        if handshake.client_scale is not None:
            yield derived(
                "window_scale",
                "window scale",
                handshake.client_scale,
                "bits",
                why=_BY_INFO,
                text=_scale(handshake.client_scale),
            )
        for name, label, bit in _NEGOTIATED:
            if bit in handshake.negotiated:
                yield derived(name, label, True, why=_BY_INFO)


_NEGOTIATED = (
    ("sack_permitted", "SACK permitted", InfoOptions.SACK),
    ("timestamps", "timestamps", InfoOptions.TIMESTAMPS),
)


_ACKNOWLEDGMENT = "acknowledgment number"


def _syn_ack(facts: Facts, handshake: Handshake) -> Iterator[Value]:
    syn = facts.saved_syn
    yield from _ends(facts.local, facts.remote)
    yield _server_isn(facts, "sequence_number", "sequence number", 0)
    yield _relative("sequence", 0, "server")
    by = handshake.acknowledged
    if syn is None:
        yield unavailable("acknowledgment_number", _ACKNOWLEDGMENT, "no saved SYN")
    else:
        yield derived(
            "acknowledgment_number",
            _ACKNOWLEDGMENT,
            after(syn.transport.sequence_number, by),
            why=f"the {peer_name(facts)}'s ISN + {by}"
            + ("" if by == 1 else ", with the data in the SYN"),
        )
    yield _relative("acknowledgment", by, peer_name(facts))
    yield from _negotiated_options(facts, handshake)
    if handshake.server_window is None:
        yield unavailable("window", "window", handshake.no_server_window)
    else:
        why = "tcpi_rcv_wnd before any data; not scaled"
        yield derived("window", "window", handshake.server_window, "bytes", why=why)
    if handshake.retransmissions is None:
        yield unavailable("retransmissions", "retransmitted", handshake.no_retransmissions)
    else:
        yield seen(
            "retransmissions",
            "retransmitted",
            handshake.retransmissions,
            "times",
            why="SYN-ACKs; a lost SYN is not visible to the server",
        )


def _negotiated_options(facts: Facts, handshake: Handshake) -> Iterator[Value]:
    negotiated, syn = handshake.negotiated, facts.saved_syn
    if negotiated is None:
        for name, label in (("mss", "MSS"), ("window_scale", "window scale"), *_LABELS):
            yield unavailable(name, label, NO_INFO)
        return
    yield derived(
        "mss", "MSS", handshake.server_mss, "bytes", why="tcpi_advmss plus the timestamps option"
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
    yield derived("sack_permitted", "SACK permitted", InfoOptions.SACK in negotiated, why=_BY_INFO)
    stamped = InfoOptions.TIMESTAMPS in negotiated
    yield derived("timestamps", "timestamps", stamped, why=_BY_INFO)
    offered = syn and syn.transport.option(Timestamps)
    if stamped and offered:
        yield derived(
            "timestamp_echo_reply",
            "timestamp (TSecr)",
            offered.value,
            why="the SYN's TSval, RFC 7323",
        )
    yield derived("ecn", "ECN negotiated", InfoOptions.ECN in negotiated, why=_BY_INFO)


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
    yield _relative("sequence", by, peer_name(facts))
    yield _server_isn(facts, "acknowledgment_number", _ACKNOWLEDGMENT, 1)
    yield _relative("acknowledgment", 1, "server")
    if handshake.client_window is None:
        yield unavailable("window", "window", window_unknown(facts, "snd_wnd"))
    else:
        why = "tcpi_snd_wnd before any data, after scaling"
        yield derived("window", "window", handshake.client_window, "bytes", why=why)
    if handshake.rtt is None:
        yield unavailable("round_trip_time", "RTT", handshake.no_rtt)
    else:
        yield seen("round_trip_time", "RTT", handshake.rtt, "us", why=_rtt_remark(handshake))


def _rtt_remark(handshake: Handshake) -> str:
    if handshake.retransmissions:
        return (
            "tcpi_rtt, from SYN-ACK to ACK; measured by timestamps because the SYN-ACK was "
            "retransmitted: mostly in whole milliseconds, at least one"
        )
    return "tcpi_rtt, from SYN-ACK to ACK"


def _relative(which: str, number: int, whose: str) -> Value:
    return derived(
        f"relative_{which}_number", "- relative", number, why=f"counted from the {whose}'s ISN"
    )


def _server_isn(facts: Facts, name: str, label: str, by: int) -> Value:
    if facts.server_isn is None:
        reason = facts.no_server_isn
        why = "the server's ISN is unknown" if reason is None else reason.why
        return unavailable(name, label, why)
    why = "TCP_QUEUE_SEQ - 1, read before the first byte was sent"
    return derived(
        name, label, after(facts.server_isn, by), why=why if by == 0 else "the server's ISN + 1"
    )


def _scale(shift: int) -> str:
    # RFC 7323 section 2.3: a shift of more than 14 is used as 14
    return f"{shift}, times {1 << min(shift, 14)}"


def _flags(syn: SavedSyn) -> str:
    # from the low bit up: the reverse of the order in RFC 9293 and RFC 9768
    return " ".join(flag.name or "" for flag in TcpFlags if flag in syn.transport.flags)


def _ends(source: Endpoint | None, destination: Endpoint | None) -> Iterator[Value]:
    for label, end in (("source", source), ("destination", destination)):
        yield known(
            label, label, None if end is None else str(end), why="the socket has no address"
        )
