"""The report by layers of the OSI model (ISO/IEC 7498-1)."""

from __future__ import annotations

from collections.abc import Iterator

from tcpd.handshake.derive import NO_INFO, path_mtu, peer_name
from tcpd.handshake.facts import Facts, Transport
from tcpd.handshake.network import ip_header_values, network_values, ttl_label
from tcpd.handshake.packet import SavedSyn
from tcpd.handshake.tcp_info import NO_MIN_RTT, NO_THRESHOLD, InfoOptions, TcpInfo, unit_of
from tcpd.handshake.tls_values import tls_session_values, tls_values
from tcpd.handshake.values import Section, Value, derived, known, seen, unavailable

#: Only the service knows these; a report for an operator is made without it.
_NOT_REPORTED = "not reported by the service"
_NO_ADDRESS = "the socket has no address"
_NOT_READ = "not available from the kernel"

#: The fields of :class:`TcpInfo` that describe the path.
_TRANSPORT = (
    ("rtt", "RTT, smoothed"),
    ("rttvar", "RTT variation"),
    ("min_rtt", "minimum RTT"),
    ("rto", "RTO"),
    ("snd_mss", "send MSS"),
    ("snd_cwnd", "cwnd"),
    ("snd_wnd", "{peer}'s window"),
    ("rcv_wnd", "server's window"),
    ("total_retrans", "retransmitted segments"),
    ("lost", "lost segments"),
    ("segs_in", "segments received"),
    ("segs_out", "segments sent"),
    ("bytes_received", "bytes received"),
    ("bytes_acked", "bytes acknowledged"),
    ("delivery_rate", "delivery rate"),
)


def layers(facts: Facts) -> tuple[Section, ...]:
    """Build the seven sections, from layer 1 on."""
    no_tcp = facts.transport is not Transport.TCP
    note = "" if facts.proxy is None else "between the proxy and this server"
    if facts.transport is Transport.UNIX:
        ends = "both ends are" if facts.proxy is None else "the proxy and this server are both"
        note = f"a UNIX socket: {ends} on this machine"
    elif facts.transport is Transport.OTHER:
        note = "not a TCP connection of this kernel"
    lower: tuple[tuple[str, str, Iterator[Value]], ...] = (
        ("physical", "Layer 1, physical", _physical(facts)),
        ("link", "Layer 2, link", _link(facts)),
        ("network", "Layer 3, network", _network(facts)),
        ("transport", "Layer 4, transport", _transport(facts)),
    )
    upper = (
        ("session", "Layer 5, session", _session(facts)),
        ("presentation", "Layer 6, presentation", _presentation(facts)),
        ("application", "Layer 7, application", _application(facts)),
    )
    return (
        *(
            Section(name, title, () if no_tcp else tuple(values), note)
            for name, title, values in lower
        ),
        *(Section(name, title, tuple(values)) for name, title, values in upper),
    )


def _physical(facts: Facts) -> Iterator[Value]:
    if facts.interface is None:
        yield unavailable("interface", "interface", "not looked up")
    else:
        yield derived("interface", "interface", facts.interface, why="by the route to this address")
    if facts.interface == "lo" or (facts.remote is not None and facts.remote.address.is_loopback):
        # Linux delivers to any local address over lo
        yield derived("medium", "medium", "none", why="loopback interface")
    else:
        yield unavailable("medium", "medium", "a socket does not know its medium")


def _link(facts: Facts) -> Iterator[Value]:
    syn = facts.saved_syn
    if syn is not None and syn.link is not None:
        link = syn.link
        yield seen(
            "source",
            "source MAC",
            link.source,
            why=f"of the {peer_name(facts)} or the last router",
        )
        yield seen("destination", "destination MAC", link.destination)
        yield seen("ethertype", "type", link.ethertype, text=f"{link.ethertype:#06x}")
        if link.vlans:
            numbers = tuple(str(tag.number) for tag in link.vlans)
            yield seen("vlans", "VLAN", numbers)
    else:
        why = _no_link(facts, syn)
        for name, label in (("source", "source MAC"), ("destination", "destination MAC")):
            yield unavailable(name, label, why)
    yield known("mtu", "MTU of the interface", facts.interface_mtu, "bytes", why="not looked up")


def _no_link(facts: Facts, syn: SavedSyn | None) -> str:
    if syn is None:
        return _no_syn(facts)
    if not facts.link_layer:
        return "this kernel saves the SYN without its link-layer header"
    return "the interface has no link-layer header, such as a tunnel"


def _no_syn(facts: Facts) -> str:
    return "no saved SYN" if facts.no_saved_syn is None else facts.no_saved_syn.why


def _network(facts: Facts) -> Iterator[Value]:
    remote, local = facts.remote, facts.local
    version = None if remote is None else f"IPv{remote.address.version}"
    yield known("version", "protocol", version, why=_NO_ADDRESS)
    for name, end in (("source", remote), ("destination", local)):
        yield known(name, name, None if end is None else str(end.address), why=_NO_ADDRESS)
    if facts.saved_syn is None:
        yield unavailable("ttl", ttl_label(facts), _no_syn(facts))
    else:
        yield from network_values(facts.saved_syn)
        yield from ip_header_values(facts.saved_syn)
    yield known("path_mtu", "path MTU", path_mtu(facts), "bytes", why=NO_INFO)


def _transport(facts: Facts) -> Iterator[Value]:
    yield seen("protocol", "protocol", "TCP")
    for name, label, end in (
        ("source_port", "source port", facts.remote),
        ("destination_port", "destination port", facts.local),
    ):
        yield known(name, label, None if end is None else end.port, why=_NO_ADDRESS)
    yield known("congestion_control", "congestion control", facts.congestion, why=_NOT_READ)
    yield known("max_segment", "TCP_MAXSEG", facts.max_segment, "bytes", why=_NOT_READ)
    info = facts.now or facts.accepted
    if info is None:
        yield unavailable("state", "state", NO_INFO)
    else:
        yield from _tcp_info(info, peer_name(facts))


def _tcp_info(info: TcpInfo, peer: str) -> Iterator[Value]:
    yield seen("state", "state", info.state_name)
    used = tuple(name for bit, name in _OPTIONS if bit in info.negotiated)
    yield seen("options", "options in use", used)
    yield seen("congestion_state", "congestion state", info.ca_state_name)
    for name, label in _TRANSPORT:
        number: int | None = getattr(info, name)
        if name == "min_rtt" and number == NO_MIN_RTT:
            number = None
        why = "not reported by this kernel, or not yet"
        yield known(name, label.format(peer=peer), number, unit_of(name), why=why)
    if info.snd_ssthresh >= NO_THRESHOLD:
        yield seen("snd_ssthresh", "ssthresh", None, why="no loss yet", text="not set")
    else:
        yield seen("snd_ssthresh", "ssthresh", info.snd_ssthresh, "segments")


_OPTIONS = (
    (InfoOptions.TIMESTAMPS, "timestamps"),
    (InfoOptions.SACK, "SACK"),
    (InfoOptions.WINDOW_SCALE, "window scale"),
    (InfoOptions.ECN, "ECN"),
    (InfoOptions.SYN_DATA, "Fast Open"),
)


def _session(facts: Facts) -> Iterator[Value]:
    yield known("age", "age of the connection", facts.age, "s", why="not reported")
    yield from tls_session_values(facts.tls)
    proxy = facts.proxy
    if proxy is None:
        yield seen("proxy", "PROXY header", None)
        return
    local = ", LOCAL (the proxy's own connection)" if proxy.local else ""
    yield seen("proxy", "PROXY header", f"version {proxy.version}{local}")
    for name, label, value in (
        ("client", "client", None if proxy.client is None else str(proxy.client)),
        ("host", "connected to", None if proxy.host is None else str(proxy.host)),
        ("tls_version", "TLS version", proxy.tls_version),
        ("tls_cipher", "cipher suite", proxy.tls_cipher),
        ("server_name", "server name (SNI)", proxy.server_name),
        ("alpn", "ALPN", proxy.alpn),
    ):
        yield known(f"proxy_{name}", f"- {label}", value, why="not in the PROXY header")


def _presentation(facts: Facts) -> Iterator[Value]:
    yield from tls_values(facts.tls)
    yield known("encoding", "character encoding", facts.encoding, why=_NOT_REPORTED)
    why = f"{_NOT_REPORTED}, or no line received yet"
    yield known("line_ending", "line ending in use", facts.line_ending, why=why)


def _application(facts: Facts) -> Iterator[Value]:
    yield known("service", "service", facts.service, why="not reported")
    yield known("protocol", "protocol", facts.protocol, why="not reported")
    yield known("commands", "commands so far", facts.commands, why=_NOT_REPORTED)
    yield known("account", "account", facts.account, why=f"{_NOT_REPORTED}, or not logged in")
    yield _count("bytes_in", "bytes from the client", facts.bytes_in, facts)
    yield _count("bytes_out", "bytes to the client", facts.bytes_out, facts)


def _count(name: str, label: str, number: int | None, facts: Facts) -> Value:
    if number is None:
        return unavailable(name, label, "not counted")
    overhead = [
        *(["PROXY header"] if facts.proxy is not None and name == "bytes_in" else []),
        *(["TLS overhead"] if facts.tls is not None else []),
    ]
    why = f"on the wire, with {' and '.join(overhead)}" if overhead else ""
    return seen(name, label, number, "bytes", why=why)
