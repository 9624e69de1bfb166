"""Reports of all kinds of connections, for the tests of the pages."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from handshake import captured
from handshake.captured import Captured

from tcpd.handshake.facts import Absence, Endpoint, Facts, NoServerIsn, Proxy, Tls, Transport
from tcpd.handshake.report import Report, build

HOSTILE = "<script>alert('1')</script>\"&\x1b[31m\u202e\ud800"


def with_rtt(rtt: int, retransmissions: int = 0) -> Facts:
    """Facts of a handshake with this round trip, in microseconds."""
    info = replace(captured.VETH.tcp_info(), rtt=rtt, total_retrans=retransmissions)
    return captured.VETH.facts(accepted=info, now=info)


def with_syn(flags: bytes = b"", window: bytes = b"", options: bytes = b"", **more: Any) -> Facts:
    """Facts of a handshake whose SYN differs from the captured one.

    :param flags: the two bytes with header length, reserved bits and control bits.
    :param window: two bytes.
    :param options: 20 bytes.
    """
    syn = captured.VETH.syn
    # Ethernet has 14 bytes, IPv4 20; in the TCP header the flags are at 12, the window at 14
    for at, new in ((46, flags), (48, window), (54, options)):
        syn = syn[:at] + new + syn[at + len(new) :]
    return Captured(syn, captured.VETH.info).facts(**more)


LONG = Endpoint(ip_address("2001:db8:1111:2222:3333:4444:5555:6666"), 65535)
UNIX = Facts(
    transport=Transport.UNIX, no_saved_syn=Absence.UNIX, no_server_isn=NoServerIsn.UNIX, age=1.5
)

FACTS: dict[str, Facts] = {
    **{
        name.lower(): value.facts()
        for name, value in vars(captured).items()
        if isinstance(value, Captured)
    },
    "isn": captured.VETH.facts(server_isn=0xFFFFFFFF, no_server_isn=None),
    "fast": with_rtt(1),
    "slow": with_rtt(30_000_000),
    "retransmitted": with_rtt(0, retransmissions=2),
    "no_info": captured.VETH.facts(accepted=None, now=None),
    "nothing": Facts(),
    "off": captured.COOKIES.facts(no_saved_syn=Absence.OFF),
    "proxied": captured.VETH.facts(proxy=Proxy(version=2, client=LONG, server_name=HOSTILE)),
    "proxied_unix": replace(UNIX, proxy=Proxy(version=1)),
    "unix": UNIX,
    "other": Facts(
        transport=Transport.OTHER, no_saved_syn=Absence.NOT_TCP, no_server_isn=NoServerIsn.NOT_TCP
    ),
    "long": captured.IPV6.facts(remote=LONG, local=LONG),
    "tls": captured.VETH.facts(tls=Tls(version="TLSv1.3", server_name=HOSTILE, client=HOSTILE)),
    "hostile": captured.VETH.facts(
        account=HOSTILE,
        congestion=HOSTILE,
        interface=HOSTILE,
        service=HOSTILE,
        remote=Endpoint(ip_address("fe80::1%<b>\"&'"), 1),
        local=Endpoint(ip_address("fe80::2%<svg>"), 1),
        tls=Tls(version=HOSTILE, cipher=HOSTILE, alpn=HOSTILE),
        proxy=Proxy(version=2, tls_cipher=HOSTILE, alpn=HOSTILE, server_name=HOSTILE),
    ),
}
REPORTS: dict[str, Report] = {name: build(facts) for name, facts in FACTS.items()}
TCP = {name: report for name, report in REPORTS.items() if report.facts.transport == "tcp"}
