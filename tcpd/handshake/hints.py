"""Hints: anomalies of a handshake, each as a sentence with its usual causes.

The ids are stable; ``docs/reference/handshake.rst`` has a paragraph on each. A hint states what was
observed and never claims more than the facts support.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tcpd.handshake.derive import (
    EcnSetup,
    Handshake,
    ecn_setup,
    estimated_hops,
    fixed_header_length,
    path_mtu,
    peer_name,
    ttl_of,
)
from tcpd.handshake.facts import Absence, Facts, Transport
from tcpd.handshake.network import ttl_name
from tcpd.handshake.packet import IPv4Header, SavedSyn
from tcpd.handshake.tcp_info import InfoOptions
from tcpd.handshake.tcp_options import (
    MSS,
    SACK_PERMITTED,
    TIMESTAMPS,
    WINDOW_SCALE,
    MaximumSegmentSize,
    SackPermitted,
    Timestamps,
    WindowScale,
    name_of,
)

#: traceroute stops after 30 hops; few paths in the Internet are longer.
_MOST_HOPS = 32

#: The MTU to compare with where the interface's is not known.
_ETHERNET_MTU = 1500

#: The total length of an IPv4 packet has 16 bits.
_LONGEST_IPV4 = 0xFFFF


@dataclass(frozen=True, slots=True)
class Hint:
    """An anomaly, or a fact that limits the report.

    :ivar id: stable, one of :data:`IDS`.
    :ivar sentence: a sentence for people, with a full stop.
    """

    id: str
    sentence: str


#: All ids, in the order of the report.
IDS = (
    "unix-socket",
    "proxy",
    "syn-cookies",
    "syn-retransmitted",
    "mss-missing",
    "mss-low",
    "path-mtu-low",
    "no-sack",
    "no-window-scaling",
    "no-timestamps",
    "ecn-refused",
    "syn-ecn-marked",
    "options-malformed",
    "ttl-odd",
    "no-df",
    "segments-retransmitted",
)


def hints(facts: Facts, handshake: Handshake) -> tuple[Hint, ...]:
    """Derive the hints, in the order of :data:`IDS`; empty if there are no anomalies."""
    if facts.transport is Transport.UNIX:
        if facts.proxy is None:
            words = "This is a UNIX socket: it has no handshake, and no network is involved."
            return (Hint("unix-socket", words),)
        return (
            Hint(
                "unix-socket",
                "This is a UNIX socket: it has no handshake between the proxy and this server.",
            ),
            Hint(
                "proxy",
                "The connection comes from a proxy: the client's path to the proxy and its "
                "handshake are not visible to this server.",
            ),
        )
    if facts.transport is not Transport.TCP:
        return ()
    found = dict(_all(facts, handshake))
    return tuple(Hint(id, found[id]) for id in IDS if id in found)


_Found = Iterator[tuple[str, str]]


def _all(facts: Facts, handshake: Handshake) -> _Found:
    yield from _path(facts, handshake)
    if facts.saved_syn is not None:
        yield from _segment_size(facts, facts.saved_syn)
        yield from _ecn_and_options(facts.saved_syn, handshake, peer_name(facts))
        yield from _ttl(facts, facts.saved_syn)
    yield from _options(facts, handshake)


def _path(facts: Facts, handshake: Handshake) -> _Found:
    if facts.proxy is not None:
        yield (
            "proxy",
            "The connection comes from a proxy: layers 1 to 4 describe the path between the proxy "
            "and this server, not the client's.",
        )
    if handshake.cookies:
        yield (
            "syn-cookies",
            "The kernel saved no SYN although TCP_SAVE_SYN is set: most likely it answered with "
            "SYN cookies, as it does when too many connections are half open.",
        )
    elif handshake.cookies is None and facts.no_saved_syn is Absence.COOKIES_OR_EARLY:
        yield (
            "syn-cookies",
            "The kernel saved no SYN: either the connection began before the daemon started "
            "(systemd's socket was already listening), or the kernel answered with SYN cookies, "
            "as it does when too many connections are half open.",
        )
    if handshake.retransmissions:
        count = handshake.retransmissions
        times = "once" if count == 1 else f"{count} times"
        yield (
            "syn-retransmitted",
            f"The server retransmitted its SYN-ACK {times}: the SYN-ACK or the ACK was lost, or "
            f"the {peer_name(facts)} retransmitted its SYN.",
        )
    now = facts.now
    if now is not None and handshake.retransmitted is not None:
        since = now.total_retrans - handshake.retransmitted
        if since > 0:
            segments = "segment" if since == 1 else "segments"
            yield (
                "segments-retransmitted",
                f"{since} {segments} retransmitted since the handshake: segments to the "
                f"{peer_name(facts)}, or its acknowledgments, are lost.",
            )
    mtu = path_mtu(facts)
    expected = facts.interface_mtu or _ETHERNET_MTU
    # loopback has 65536, of which IPv4 can use one less
    if mtu is not None and mtu < min(expected, _LONGEST_IPV4):
        of = "the interface has" if facts.interface_mtu else "Ethernet has"
        yield (
            "path-mtu-low",
            f"The path MTU to the {peer_name(facts)} is {mtu} bytes, where {of} {expected}: a link "
            "on the path has a smaller MTU, such as a tunnel, or a route of this server sets it "
            "(mtu).",
        )


def _segment_size(facts: Facts, syn: SavedSyn) -> _Found:
    option = syn.transport.option(MaximumSegmentSize)
    four = isinstance(syn.network, IPv4Header)
    if option is None:
        # RFC 9293 section 3.7.1, MUST-15
        most = f"segments to the {peer_name(facts)} have at most {536 if four else 1220} bytes"
        stripped = "A middlebox may have stripped the option."
        cause = _INVALID if _has_invalid(syn, MSS) else stripped
        yield "mss-missing", f"The SYN has no MSS option: {most}. {cause}"
        return
    mtu = path_mtu(facts) or facts.interface_mtu
    headers = fixed_header_length(facts)
    if mtu is None or headers is None or option.value >= mtu - headers:
        return
    yield (
        "mss-low",
        f"The SYN's MSS is {option.value} bytes, where the path MTU of {mtu} would allow "
        f"{mtu - headers}: the {peer_name(facts)}'s link has a smaller MTU, or a middlebox clamps "
        "the MSS.",
    )


def _options(facts: Facts, handshake: Handshake) -> _Found:
    for id, bit, kind, number, name, effect in _WANTED:
        if handshake.negotiated is not None and bit in handshake.negotiated:
            continue
        if facts.saved_syn is None:
            if handshake.negotiated is not None:
                yield id, f"{name} not in use: {effect}."
        elif facts.saved_syn.transport.option(kind) is None:
            cause = (
                _INVALID
                if _has_invalid(facts.saved_syn, number)
                else f"It is disabled on the {peer_name(facts)}, or a middlebox strips it."
            )
            yield id, f"The SYN does not offer {_PLAIN[id]}: {effect}. {cause}"
        elif handshake.negotiated is not None:
            yield id, f"The SYN offers {_PLAIN[id]}, but this server has it disabled: {effect}."


_INVALID = "The option is present but has an invalid length, so receivers ignore it."


def _has_invalid(syn: SavedSyn, kind: int) -> bool:
    return any(option.kind == kind and option.invalid_length for option in syn.transport.options)


_PLAIN = {
    "no-sack": "SACK",
    "no-window-scaling": "window scaling",
    "no-timestamps": "timestamps",
}
_WANTED = (
    (
        "no-sack",
        InfoOptions.SACK,
        SackPermitted,
        SACK_PERMITTED,
        "SACK is",
        "after a loss the sender retransmits more than was lost",
    ),
    (
        "no-window-scaling",
        InfoOptions.WINDOW_SCALE,
        WindowScale,
        WINDOW_SCALE,
        "Window scaling is",
        "at most 65535 bytes can be in flight, which is slow over long distances",
    ),
    (
        "no-timestamps",
        InfoOptions.TIMESTAMPS,
        Timestamps,
        TIMESTAMPS,
        "Timestamps are",
        "the RTT is measured less often, and PAWS does not reject old segments",
    ),
)


def _ecn_and_options(syn: SavedSyn, handshake: Handshake, far: str) -> _Found:
    setup = ecn_setup(syn)
    asked = setup in (EcnSetup.CLASSIC, EcnSetup.ACCURATE)
    if asked and handshake.negotiated is not None and InfoOptions.ECN not in handshake.negotiated:
        yield (
            "ecn-refused",
            "The SYN requests ECN, but this server did not accept it: congestion is signalled by "
            "loss only.",
        )
    if setup is EcnSetup.CLASSIC and syn.network.ecn:
        yield (
            "syn-ecn-marked",
            f"The SYN's IP header has ECN bits set ({syn.network.ecn}), which RFC 3168 forbids: a "
            f"middlebox or the {far} sets them.",
        )
    invalid = [name_of(option.kind) for option in syn.transport.options if option.invalid_length]
    if invalid:
        yield (
            "options-malformed",
            f"An option of the SYN has an invalid length ({invalid[0]}): no ordinary system sends "
            "that. A tool crafted the packet, or a middlebox changed it.",
        )


def _ttl(facts: Facts, syn: SavedSyn) -> _Found:
    ttl = ttl_of(syn)
    hops, initial = estimated_hops(ttl)
    network = syn.network
    name = ttl_name(network.source.version)
    if network.source.is_loopback and hops:
        yield (
            "ttl-odd",
            f"The SYN arrived over loopback with a {name} of {ttl}, where no router decrements it: "
            f"the {peer_name(facts)} or a packet filter on this machine set it.",
        )
    elif hops > _MOST_HOPS:
        yield (
            "ttl-odd",
            f"The SYN arrived with a {name} of {ttl}, {hops} hops from {initial}, more than any "
            "usual path: the sender uses another initial value, or a middlebox rewrites it.",
        )
    if isinstance(network, IPv4Header) and not network.dont_fragment:
        yield (
            "no-df",
            f"DF is not set in the SYN: the {peer_name(facts)} does no path MTU discovery, or a "
            "middlebox clears the bit.",
        )
