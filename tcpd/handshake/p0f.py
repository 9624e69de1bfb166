"""The raw signature of a SYN, in the form of p0f 3.

p0f's README, section 5, describes the fields: ``ver:ittl:olen:mss:wsize,scale:olayout:quirks:
pclass``. The signature states what the SYN contains. It names no operating system.
"""

from __future__ import annotations

from collections.abc import Iterator

from tcpd.handshake.packet import IPv4Header, SavedSyn, TcpFlags
from tcpd.handshake.tcp_options import (
    EndOfOptions,
    MalformedOption,
    MaximumSegmentSize,
    TCPOption,
    Timestamps,
    WindowScale,
)

#: The initial TTLs that p0f assumes, and the greatest distance that it calls plausible (MAX_DIST).
_INITIAL_TTLS = (32, 64, 128, 255)
_MOST_HOPS = 35

#: The most options that p0f lists (MAX_TCP_OPT).
_MOST_OPTIONS = 24

#: Below this MSS p0f compares the window with no multiple of it.
_LEAST_MSS = 100

_OPTIONS = {1: "nop", 2: "mss", 3: "ws", 4: "sok", 5: "sack", 8: "ts"}

#: The fixed headers, IP and TCP, in bytes.
_IPV4, _IPV6 = 40, 60
_ETHERNET = 1500
_TIMESTAMPS = 12


def p0f_signature(syn: SavedSyn) -> str:
    """Return the raw signature, such as ``4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0``.

    p0f itself skips SYNs with IPv6 extension headers; here ``olen`` is their length.
    """
    header = syn.transport
    scale = header.option(WindowScale)
    layout = ",".join(map(_layout, header.options[:_MOST_OPTIONS]))
    return ":".join(
        (
            "4" if isinstance(syn.network, IPv4Header) else "6",
            _initial_ttl(syn),
            str(_options_length(syn)),
            str(_mss(syn)),
            f"{_window(syn)},{0 if scale is None else scale.shift}",
            layout,
            ",".join(_quirks(syn)),
            "+" if syn.data_length else "0",
        )
    )


def _initial_ttl(syn: SavedSyn) -> str:
    network = syn.network
    ttl = network.ttl if isinstance(network, IPv4Header) else network.hop_limit
    distance = next(initial - ttl for initial in _INITIAL_TTLS if ttl <= initial)
    return f"{ttl}+{'?' if distance > _MOST_HOPS else distance}"


def _options_length(syn: SavedSyn) -> int:
    network = syn.network
    return network.header_length - (20 if isinstance(network, IPv4Header) else 40)


def _mss(syn: SavedSyn) -> int:
    option = syn.transport.option(MaximumSegmentSize)
    return 0 if option is None else option.value


def _window(syn: SavedSyn) -> str:
    """Return the window as a multiple of a segment or packet size, if it is one."""
    window, mss = syn.transport.window, _mss(syn)
    if window and mss >= _LEAST_MSS:
        for name, size in _sizes(syn, mss):
            if window % size == 0:
                return f"{name}*{window // size}"
    return str(window)


def _sizes(syn: SavedSyn, mss: int) -> Iterator[tuple[str, int]]:
    """Yield the sizes that systems derive the window from, in p0f's order."""
    stamps = syn.transport.option(Timestamps)
    six = not isinstance(syn.network, IPv4Header)
    yield "mss", mss
    if stamps is not None and stamps.value:
        yield "mss", mss - _TIMESTAMPS
    yield "mss", _ETHERNET - _IPV4
    yield "mss", _ETHERNET - _IPV4 - _TIMESTAMPS
    if six:
        yield "mss", _ETHERNET - _IPV6
        yield "mss", _ETHERNET - _IPV6 - _TIMESTAMPS
    yield "mtu", mss + _IPV4
    yield "mtu", mss + syn.network.header_length + syn.transport.header_length
    if six:
        yield "mtu", mss + _IPV6
    yield "mtu", _ETHERNET


def _layout(option: TCPOption) -> str:
    if isinstance(option, EndOfOptions):
        return f"eol+{len(option.data)}"
    return _OPTIONS.get(option.kind, f"?{option.kind}")


def _quirks(syn: SavedSyn) -> Iterator[str]:
    network, header = syn.network, syn.transport
    flags = header.flags
    ecn = bool(network.ecn or flags & (TcpFlags.ECE | TcpFlags.CWR | TcpFlags.AE))
    if isinstance(network, IPv4Header):
        yield from _ipv4_quirks(network, ecn)
    else:
        if ecn:
            yield "ecn"
        if network.flow_label:
            yield "flow"
    if not header.sequence_number:
        yield "seq-"
    if TcpFlags.ACK in flags:
        if not header.acknowledgment_number:
            yield "ack-"
    elif header.acknowledgment_number:
        yield "ack+"
    if TcpFlags.URG in flags:
        yield "urgf+"
    elif header.urgent_pointer:
        yield "uptr+"
    if TcpFlags.PSH in flags:
        yield "pushf+"
    yield from _option_quirks(header.options)


def _ipv4_quirks(network: IPv4Header, ecn: bool) -> Iterator[str]:
    if network.dont_fragment:
        yield "df"
        if network.identification:
            yield "id+"
    elif not network.identification:
        yield "id-"
    if ecn:
        yield "ecn"
    if network.reserved:
        yield "0+"


def _option_quirks(options: tuple[TCPOption, ...]) -> Iterator[str]:
    stamps = [option for option in options if isinstance(option, Timestamps)]
    if any(option.value == 0 for option in stamps):
        yield "ts1-"
    if any(option.echo_reply for option in stamps):
        yield "ts2+"
    if any(isinstance(option, EndOfOptions) and any(option.data) for option in options):
        yield "opt+"
    if any(isinstance(option, WindowScale) and option.shift > 14 for option in options):
        yield "exws"
    if len(options) > _MOST_OPTIONS or any(map(_is_bad, options)):
        yield "bad"


def _is_bad(option: TCPOption) -> bool:
    # p0f does not decode the options of other kinds
    return option.invalid_length and (
        option.kind in _OPTIONS or isinstance(option, MalformedOption)
    )
