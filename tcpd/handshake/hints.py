"""What stands out in a handshake, in plain words. The ids are stable, and each has a paragraph in
``docs/reference/handshake.rst``.

A hint tells what was seen and what mostly makes it so; it never says more than the facts bear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tcpd.handshake.derive import (
    EcnSetup,
    Handshake,
    ecn_setup,
    far_end,
    fixed_headers,
    hops_of,
    path_mtu,
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

#: traceroute gives up after 30 hops; hardly a path in the Internet is longer.
_MOST_HOPS = 32

#: The MTU of Ethernet: what is less is worth a word where the interface's is not known.
_ETHERNET_MTU = 1500

#: The total length of an IPv4 packet has 16 bits.
_LONGEST_IPV4 = 0xFFFF


@dataclass(frozen=True, slots=True)
class Hint:
    """Something that stands out.

    :ivar id: stable, one of :data:`IDS`.
    :ivar sentence: for people, with a full stop.
    """

    id: str
    sentence: str


#: Every id that there is, in the order in which hints are told.
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
    """All that stands out, the order as in :data:`IDS`; empty where all is well."""
    if facts.transport is Transport.UNIX:
        if facts.proxy is None:
            words = "This is a UNIX socket: there was no handshake, and no network is in between."
            return (Hint("unix-socket", words),)
        return (
            Hint(
                "unix-socket",
                "This is a UNIX socket: there was no handshake between the proxy and this server.",
            ),
            Hint(
                "proxy",
                "The connection comes from a proxy: nothing is known here of the client's way to "
                "it, nor of its handshake.",
            ),
        )
    if facts.transport is not Transport.TCP:
        return ()
    found = dict(_all(facts, handshake))
    return tuple(Hint(id, found[id]) for id in IDS if id in found)


_Found = Iterator[tuple[str, str]]


def _all(facts: Facts, handshake: Handshake) -> _Found:
    yield from _way(facts, handshake)
    if facts.saved_syn is not None:
        yield from _segment_size(facts, facts.saved_syn)
        yield from _marks(facts.saved_syn, handshake, far_end(facts))
        yield from _ttl(facts, facts.saved_syn)
    yield from _options(facts, handshake)


def _way(facts: Facts, handshake: Handshake) -> _Found:
    if facts.proxy is not None:
        yield (
            "proxy",
            "The connection comes from a proxy: what is told of layers 1 to 4 is the way between "
            "the proxy and this server, not the client's.",
        )
    if handshake.cookies:
        yield (
            "syn-cookies",
            "The kernel kept no SYN although it was asked to: most likely it answered with SYN "
            "cookies, as it does when too many connections are half open.",
        )
    elif handshake.cookies is None and facts.no_saved_syn is Absence.COOKIES_OR_EARLY:
        yield (
            "syn-cookies",
            "The kernel kept no SYN: either the connection began before the daemon did, for "
            "systemd's socket listened already, or the kernel answered with SYN cookies, as it "
            "does when too many connections are half open.",
        )
    if handshake.repeated:
        times = "once more" if handshake.repeated == 1 else f"{handshake.repeated} more times"
        yield (
            "syn-retransmitted",
            f"The server had to send its SYN-ACK {times}: it, or the answer to it, got lost, or "
            "the client sent its SYN again.",
        )
    now = facts.now
    if now is not None and handshake.retransmitted is not None:
        since = now.total_retrans - handshake.retransmitted
        if since > 0:
            counted = "segment was" if since == 1 else "segments were"
            yield (
                "segments-retransmitted",
                f"{since} {counted} sent again since the handshake: packets to the "
                f"{far_end(facts)}, or its acknowledgments, get lost.",
            )
    mtu = path_mtu(facts)
    expected = facts.interface_mtu or _ETHERNET_MTU
    # loopback has 65536, of which IPv4 can use one less
    if mtu is not None and mtu < min(expected, _LONGEST_IPV4):
        of = "the interface has" if facts.interface_mtu else "Ethernet has"
        yield (
            "path-mtu-low",
            f"The path MTU to the {far_end(facts)} is {mtu} bytes, where {of} {expected}: a link "
            "on the way is narrower, such as a tunnel, or a route of this server says so (mtu).",
        )


def _segment_size(facts: Facts, syn: SavedSyn) -> _Found:
    option = syn.transport.option(MaximumSegmentSize)
    four = isinstance(syn.network, IPv4Header)
    if option is None:
        # RFC 9293 section 3.7.1, MUST-15
        most = f"segments to the {far_end(facts)} have at most {536 if four else 1220} bytes"
        stripped = "A device on the way may have stripped its options."
        cause = _SPOILT if _has_spoilt(syn, MSS) else stripped
        yield "mss-missing", f"The SYN tells no MSS, so that {most}. {cause}"
        return
    mtu = path_mtu(facts) or facts.interface_mtu
    headers = fixed_headers(facts)
    if mtu is None or headers is None or option.value >= mtu - headers:
        return
    yield (
        "mss-low",
        f"The SYN's MSS is {option.value} bytes, where the path MTU of {mtu} would allow "
        f"{mtu - headers}: the {far_end(facts)}'s own link has a smaller MTU, or a device on "
        "the way clamps the MSS.",
    )


def _options(facts: Facts, handshake: Handshake) -> _Found:
    for id, bit, kind, number, name, effect in _WANTED:
        if handshake.agreed is not None and bit in handshake.agreed:
            continue
        if facts.saved_syn is None:
            if handshake.agreed is not None:
                yield id, f"{name} not in use: {effect}."
        elif facts.saved_syn.transport.option(kind) is None:
            cause = (
                _SPOILT
                if _has_spoilt(facts.saved_syn, number)
                else f"The {far_end(facts)} has it off, or a device on the way strips it."
            )
            yield id, f"The SYN does not offer {_PLAIN[id]}: {effect}. {cause}"
        elif handshake.agreed is not None:
            yield id, f"The SYN offers {_PLAIN[id]}, and this server refused: {effect}."


_SPOILT = "Its option is there, of a length that it cannot have, so that it counts for nothing."


def _has_spoilt(syn: SavedSyn, kind: int) -> bool:
    return any(option.kind == kind and option.spoilt for option in syn.transport.options)


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
        "after a loss more is sent again than was lost",
    ),
    (
        "no-window-scaling",
        InfoOptions.WINDOW_SCALE,
        WindowScale,
        WINDOW_SCALE,
        "Window scaling is",
        "no more than 65535 bytes can be under way, which is slow over long distances",
    ),
    (
        "no-timestamps",
        InfoOptions.TIMESTAMPS,
        Timestamps,
        TIMESTAMPS,
        "Timestamps are",
        "round trips are measured less often, and old segments are recognized less well",
    ),
)


def _marks(syn: SavedSyn, handshake: Handshake, far: str) -> _Found:
    setup = ecn_setup(syn)
    asked = setup in (EcnSetup.CLASSIC, EcnSetup.ACCURATE)
    if asked and handshake.agreed is not None and InfoOptions.ECN not in handshake.agreed:
        yield (
            "ecn-refused",
            "The SYN asks for ECN, and this server refused: congestion on the way shows by loss "
            "only.",
        )
    if setup is EcnSetup.CLASSIC and syn.network.ecn:
        yield (
            "syn-ecn-marked",
            f"The SYN's IP header has ECN bits set ({syn.network.ecn}), which RFC 3168 forbids: a "
            f"device on the way writes the field, or the {far} itself does.",
        )
    spoilt = [name_of(option.kind) for option in syn.transport.options if option.spoilt]
    if spoilt:
        yield (
            "options-malformed",
            f"An option of the SYN has a length that cannot be ({spoilt[0]}): no ordinary system "
            "sends that. A tool made the packet, or a device on the way has changed it.",
        )


def _ttl(facts: Facts, syn: SavedSyn) -> _Found:
    ttl = ttl_of(syn)
    hops, initial = hops_of(ttl)
    network = syn.network
    name = ttl_name(network.source.version)
    if network.source.is_loopback and hops:
        yield (
            "ttl-odd",
            f"The SYN came over loopback with a {name} of {ttl}, where nothing could take from it: "
            f"the {far_end(facts)} set it so, or a packet filter of this machine did.",
        )
    elif hops > _MOST_HOPS:
        yield (
            "ttl-odd",
            f"The SYN arrived with a {name} of {ttl}, {hops} hops from {initial}, which is "
            "more than the Internet has: the sender started with another value, or a device "
            "rewrites it.",
        )
    if isinstance(network, IPv4Header) and not network.dont_fragment:
        yield (
            "no-df",
            f"The SYN may be fragmented (DF is not set): the {far_end(facts)} does no path MTU "
            "discovery, or a device on the way clears the bit.",
        )
