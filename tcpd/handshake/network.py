"""The values of a SYN's IP header, for the report's first step and for layer 3."""

from __future__ import annotations

from collections.abc import Iterator

from tcpd.handshake.derive import estimated_hops, ttl_of
from tcpd.handshake.facts import Facts
from tcpd.handshake.packet import IPv4Header, SavedSyn
from tcpd.handshake.values import Value, derived, seen

#: The names of DSCPs: RFC 2474, 2597, 3246, 5865 and 8622.
_DSCP = {
    1: "LE",
    44: "VA",
    46: "EF",
    **{number * 8: f"CS{number}" for number in range(8)},
    **{group * 8 + drop * 2: f"AF{group}{drop}" for group in range(1, 5) for drop in range(1, 4)},
}

_ECN = {0: "not capable", 1: "ECT(1)", 2: "ECT(0)", 3: "CE"}


def ttl_name(version: int) -> str:
    """Name the field that routers decrement: ``TTL`` (RFC 791) or ``hop limit`` (RFC 8200).

    :param version: the IP version.
    """
    return "TTL" if version == 4 else "hop limit"


def ttl_label(facts: Facts) -> str:
    """Name the same field of a connection without a saved SYN."""
    return ttl_name(4 if facts.remote is None else facts.remote.address.version)


def network_values(syn: SavedSyn) -> Iterator[Value]:
    """Yield TTL and estimated hops, ECN, and DF or the flow label."""
    network = syn.network
    ttl = ttl_of(syn)
    hops, initial = estimated_hops(ttl)
    name = ttl_name(network.source.version)
    yield seen("ttl", name, ttl)
    yield derived("hops", "estimated hops", hops, why=f"from an initial {name} of {initial}")
    yield seen("ip_ecn", "IP ECN", network.ecn, text=f"{network.ecn} ({_ECN[network.ecn]})")
    if isinstance(network, IPv4Header):
        yield seen("dont_fragment", "don't fragment", network.dont_fragment)
    else:
        yield seen(
            "flow_label", "flow label", network.flow_label, text=f"{network.flow_label:#07x}"
        )


def ip_header_values(syn: SavedSyn) -> Iterator[Value]:
    """Yield the values that only layer 3 shows: DSCP, length, options, extension headers."""
    network = syn.network
    name = _DSCP.get(network.dscp, "no standard name")
    yield seen("dscp", "DSCP", network.dscp, text=f"{network.dscp} ({name})")
    yield seen("packet_length", "length of the SYN", network.packet_length, "bytes")
    if isinstance(network, IPv4Header):
        yield seen("identification", "identification", network.identification)
        if network.options:
            yield seen("ip_options", "IP options", network.options.hex())
    elif network.extensions:
        names = tuple(header.name for header in network.extensions)
        yield seen("extension_headers", "extension headers", names)
