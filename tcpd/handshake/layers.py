"""The report by layers of the OSI model, ISO/IEC 7498-1: what of each can be known."""

from __future__ import annotations

from collections.abc import Iterator

from tcpd.handshake.derive import NO_INFO, far_end, path_mtu
from tcpd.handshake.facts import Facts, Tls, Transport
from tcpd.handshake.network import more_network_values, network_values, ttl_label
from tcpd.handshake.packet import SavedSyn
from tcpd.handshake.tcp_info import NO_MIN_RTT, NO_THRESHOLD, InfoOptions, TcpInfo, unit_of
from tcpd.handshake.values import Section, Value, derived, known, seen, unavailable

_NOT_PUBLIC = "the TLS library tells it by no public means"
#: Only a service knows, and is not asked where an operator asks for a client's connection.
_NOT_TOLD = "the service did not tell it"
_NO_TLS = "there is no TLS on this connection"

#: In the order of :class:`TcpInfo`, those that tell of the way and not of the kernel's affairs.
_TRANSPORT = (
    ("rtt", "round trip, smoothed"),
    ("rttvar", "round trip, variation"),
    ("min_rtt", "round trip, least"),
    ("rto", "retransmission timeout"),
    ("snd_mss", "segments to the {far}"),
    ("snd_cwnd", "congestion window"),
    ("snd_wnd", "{far}'s window"),
    ("rcv_wnd", "server's window"),
    ("total_retrans", "segments sent again"),
    ("lost", "segments thought lost"),
    ("segs_in", "segments received"),
    ("segs_out", "segments sent"),
    ("bytes_received", "bytes received"),
    ("bytes_acked", "bytes acknowledged"),
    ("delivery_rate", "delivery rate"),
)


def layers(facts: Facts) -> tuple[Section, ...]:
    """Seven sections, from layer 1 on."""
    nothing = facts.transport is not Transport.TCP
    below = "" if facts.proxy is None else "of the way between the proxy and this server"
    if facts.transport is Transport.UNIX:
        whose = "both ends are" if facts.proxy is None else "the proxy and this server are both"
        below = f"a UNIX socket: {whose} in this machine's memory"
    elif facts.transport is Transport.OTHER:
        below = "this is no TCP connection that the kernel could tell about"
    wire: tuple[tuple[str, str, Iterator[Value]], ...] = (
        ("physical", "Layer 1, physical", _physical(facts)),
        ("link", "Layer 2, link", _link(facts)),
        ("network", "Layer 3, network", _network(facts)),
        ("transport", "Layer 4, transport", _transport(facts)),
    )
    above = (
        ("session", "Layer 5, session", _session(facts)),
        ("presentation", "Layer 6, presentation", _presentation(facts)),
        ("application", "Layer 7, application", _application(facts)),
    )
    return (
        *(
            Section(name, title, () if nothing else tuple(values), below)
            for name, title, values in wire
        ),
        *(Section(name, title, tuple(values)) for name, title, values in above),
    )


def _physical(facts: Facts) -> Iterator[Value]:
    if facts.interface is None:
        yield unavailable("interface", "interface", "it was not looked up")
    else:
        yield derived("interface", "interface", facts.interface, why="by the route to this address")
    if facts.interface == "lo" or (facts.remote is not None and facts.remote.address.is_loopback):
        # an address of the machine's own is reached by lo, whatever interface has it
        yield derived("medium", "medium", "none", why="the loopback interface has no wire")
    else:
        yield unavailable(
            "medium", "medium", "a socket does not tell whether copper, glass or radio"
        )


def _link(facts: Facts) -> Iterator[Value]:
    syn = facts.saved_syn
    if syn is not None and syn.link is not None:
        link = syn.link
        yield seen(
            "source", "source MAC", link.source, why=f"the {far_end(facts)}'s or the last router's"
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
    yield known(
        "mtu", "MTU of the interface", facts.interface_mtu, "bytes", why="it was not looked up"
    )


def _no_link(facts: Facts, syn: SavedSyn | None) -> str:
    if syn is None:
        return _no_syn(facts)
    if not facts.link_layer:
        return "this kernel keeps the SYN from IP on"
    return "the interface has no link-layer header, as with a tunnel"


def _no_syn(facts: Facts) -> str:
    return "no saved SYN" if facts.no_saved_syn is None else facts.no_saved_syn.why


def _network(facts: Facts) -> Iterator[Value]:
    remote, local = facts.remote, facts.local
    why = "the socket does not tell it"
    version = None if remote is None else f"IPv{remote.address.version}"
    yield known("version", "protocol", version, why=why)
    for name, end in (("source", remote), ("destination", local)):
        yield known(name, name, None if end is None else str(end.address), why=why)
    if facts.saved_syn is None:
        yield unavailable("ttl", ttl_label(facts), _no_syn(facts))
    else:
        yield from network_values(facts.saved_syn)
        yield from more_network_values(facts.saved_syn)
    yield known("path_mtu", "path MTU", path_mtu(facts), "bytes", why=NO_INFO)


def _transport(facts: Facts) -> Iterator[Value]:
    yield seen("protocol", "protocol", "TCP")
    why = "the socket does not tell it"
    for name, label, end in (
        ("source_port", "source port", facts.remote),
        ("destination_port", "destination port", facts.local),
    ):
        yield known(name, label, None if end is None else end.port, why=why)
    yield known("congestion_control", "congestion control", facts.congestion, why="not told")
    yield known("max_segment", "TCP_MAXSEG", facts.max_segment, "bytes", why="not told")
    info = facts.now or facts.accepted
    if info is None:
        yield unavailable("state", "state", NO_INFO)
    else:
        yield from _told(info, far_end(facts))


def _told(info: TcpInfo, far: str) -> Iterator[Value]:
    yield seen("state", "state", info.state_name)
    used = tuple(name for bit, name in _OPTIONS if bit in info.agreed)
    yield seen("options", "options in use", used)
    yield seen("congestion_state", "congestion state", info.ca_state_name)
    for name, label in _TRANSPORT:
        number: int | None = getattr(info, name)
        if name == "min_rtt" and number == NO_MIN_RTT:
            number = None
        why = "this kernel does not tell it, or not yet"
        yield known(name, label.format(far=far), number, unit_of(name), why=why)
    if info.snd_ssthresh >= NO_THRESHOLD:
        yield seen("snd_ssthresh", "slow start ends at", None, why="not set: nothing was lost yet")
    else:
        yield seen("snd_ssthresh", "slow start ends at", info.snd_ssthresh, "segments")


_OPTIONS = (
    (InfoOptions.TIMESTAMPS, "timestamps"),
    (InfoOptions.SACK, "SACK"),
    (InfoOptions.WINDOW_SCALE, "window scale"),
    (InfoOptions.ECN, "ECN"),
    (InfoOptions.SYN_DATA, "fast open"),
)


def _session(facts: Facts) -> Iterator[Value]:
    yield known("age", "age of the connection", facts.age, "s", why="it was not told")
    resumed = None if facts.tls is None else facts.tls.resumed
    why = _NO_TLS if facts.tls is None else _NOT_PUBLIC
    yield known("tls_resumed", "TLS session resumed", resumed, why=why)
    proxy = facts.proxy
    if proxy is None:
        yield seen("proxy", "PROXY header", None)
        return
    local = ", of the proxy's own" if proxy.local else ""
    yield seen("proxy", "PROXY header", f"version {proxy.version}{local}")
    not_told = "the proxy did not tell it"
    client = None if proxy.client is None else str(proxy.client)
    host = None if proxy.host is None else str(proxy.host)
    yield known("proxy_client", "- client", client, why=not_told)
    yield known("proxy_host", "- connected to", host, why=not_told)
    yield known("proxy_tls_version", "- its TLS", proxy.tls_version, why=not_told)
    yield known("proxy_tls_cipher", "- its cipher", proxy.tls_cipher, why=not_told)
    yield known("proxy_server_name", "- its server name", proxy.server_name, why=not_told)
    yield known("proxy_alpn", "- its ALPN", proxy.alpn, why=not_told)


_TLS = (
    ("version", "TLS version"),
    ("cipher", "cipher suite"),
    ("group", "key exchange"),
    ("alpn", "ALPN"),
    ("server_name", "server name (SNI)"),
    ("client", "client certificate"),
)


def _presentation(facts: Facts) -> Iterator[Value]:
    if facts.tls is None:
        yield seen("tls", "TLS", False)
    else:
        yield seen("tls", "TLS", True)
        yield from _tls(facts.tls)
    yield known("encoding", "character encoding", facts.encoding, why=_NOT_TOLD)
    why = f"{_NOT_TOLD}, or no line has come yet"
    yield known("line_ending", "line ending in use", facts.line_ending, why=why)


def _tls(tls: Tls) -> Iterator[Value]:
    for name, label in _TLS:
        told: str | None = getattr(tls, name)
        # empty: there is none, and that is known
        value = known(f"tls_{name}", label, told, why=_NOT_PUBLIC)
        yield value if told != "" else seen(f"tls_{name}", label, None)


def _application(facts: Facts) -> Iterator[Value]:
    yield known("service", "service", facts.service, why="it was not told")
    yield known("protocol", "protocol", facts.protocol, why="it was not told")
    yield known("commands", "commands so far", facts.commands, why=_NOT_TOLD)
    yield known("account", "account", facts.account, why=f"{_NOT_TOLD}, or nobody has logged in")
    yield _count("bytes_in", "bytes from the client", facts.bytes_in, facts)
    yield _count("bytes_out", "bytes to the client", facts.bytes_out, facts)


def _count(name: str, label: str, number: int | None, facts: Facts) -> Value:
    if number is None:
        return unavailable(name, label, "not counted")
    # counted below TLS, and so not the application's own
    added = [
        *(["the PROXY header"] if facts.proxy is not None and name == "bytes_in" else []),
        *(["what TLS adds"] if facts.tls is not None else []),
    ]
    why = f"on the wire, with {' and '.join(added)}" if added else ""
    return seen(name, label, number, "bytes", why=why)
