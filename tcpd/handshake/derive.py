"""What follows from the facts of a connection: the rules of TCP and of Linux that the report uses.

The rules about TCP_INFO were checked against Linux's source (``tcp_minisocks.c``,
``tcp_input.c``, ``tcp_output.c``) and against captures of the same handshakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeGuard

from tcpd.handshake.facts import Absence, Facts
from tcpd.handshake.packet import IPv4Header, SavedSyn, TcpFlags
from tcpd.handshake.tcp_info import InfoOptions, TcpInfo

#: The values that systems start with: Unix and macOS, Windows, routers and some others.
_INITIAL_TTLS = (64, 128, 255)

#: What timestamps take in each segment: TCPOLEN_TSTAMP_ALIGNED, RFC 7323 appendix A.
_TIMESTAMPS_ALIGNED = 12

#: A window that is not scaled has 16 bits; RFC 7323 section 2.2: that of a SYN-ACK never is.
_WIDEST_UNSCALED = 0xFFFF

_MODULUS = 1 << 32


class EcnSetup(StrEnum):
    """What the flags of a SYN ask for."""

    NONE = "none"
    #: RFC 3168 section 6.1.1: ECE and CWR.
    CLASSIC = "rfc3168"
    #: RFC 9768 section 3.1.1: AE, CWR and ECE.
    ACCURATE = "accecn"
    #: Another combination of the three.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Handshake:
    """What can be told of the second and third packet, which nobody kept.

    :ivar agreed: the options that are in use; ``None`` without TCP_INFO.
    :ivar client_scale: the client's window scale; ``None`` where there is none or it is not known.
    :ivar server_scale: the server's, likewise.
    :ivar server_mss: the MSS in the SYN-ACK, bytes.
    :ivar server_window: the window in the SYN-ACK, bytes.
    :ivar client_window: the window in the ACK, bytes, after scaling.
    :ivar acknowledged: how far the SYN-ACK is beyond the client's ISN: 1, and data that came in the
        SYN, if it was taken.
    :ivar rtt: microseconds from SYN-ACK to ACK.
    :ivar no_rtt: why that is not known; empty where it is.
    :ivar repeated: how many more times the SYN-ACK was sent; ``None`` where that is not known.
    """

    agreed: InfoOptions | None
    client_scale: int | None
    server_scale: int | None
    server_mss: int | None
    server_window: int | None
    client_window: int | None
    acknowledged: int
    rtt: int | None
    no_rtt: str
    repeated: int | None


def handshake_of(facts: Facts) -> Handshake:
    """Derive what can be told of SYN-ACK and ACK."""
    info = facts.accepted or facts.now
    if info is None:
        why = "TCP_INFO could not be read"
        return Handshake(None, None, None, None, None, None, 1, None, why, None)
    agreed = info.agreed
    scaled = InfoOptions.WINDOW_SCALE in agreed
    taken = facts.saved_syn.data_length if facts.saved_syn is not None else 0
    rtt, no_rtt = _handshake_rtt(facts)
    cookies = facts.no_saved_syn is Absence.COOKIES_OR_LOST
    # advmss loses the 12 bytes when the handshake ends (tcp_rcv_state_process)
    ended = info.state_name != "SYN-RECEIVED"
    stamped = _TIMESTAMPS_ALIGNED if ended and InfoOptions.TIMESTAMPS in agreed else 0
    fresh = info if info is facts.accepted or _is_untouched(info) else None
    quiet = next((known for known in (facts.accepted, facts.now) if _is_quiet(known)), None)
    return Handshake(
        agreed=agreed,
        client_scale=info.snd_wscale if scaled else None,
        server_scale=info.rcv_wscale if scaled else None,
        server_mss=info.advmss + stamped,
        # with SYN cookies the kernel chooses a window anew when the ACK comes
        server_window=None if quiet is None or cookies else _unscaled(quiet.rcv_wnd),
        client_window=None if quiet is None else quiet.snd_wnd,
        acknowledged=1 + (taken if InfoOptions.SYN_DATA in agreed else 0),
        rtt=rtt,
        no_rtt=no_rtt,
        repeated=None if fresh is None else fresh.total_retrans,
    )


def _unscaled(window: int | None) -> int | None:
    return None if window is None else min(window, _WIDEST_UNSCALED)


def _is_untouched(info: TcpInfo) -> bool:
    """Whether nothing was sent yet, so that what is counted and measured is the handshake's."""
    return info.data_segs_out == 0


def _is_quiet(info: TcpInfo | None) -> TypeGuard[TcpInfo]:
    """Whether no data went either way, so that the windows are those of SYN-ACK and ACK.

    Before the ACK came, ``snd_wnd`` is still the window of the SYN.
    """
    return (
        info is not None
        and info.data_segs_in == info.data_segs_out == 0
        and info.state_name != "SYN-RECEIVED"
    )


def _handshake_rtt(facts: Facts) -> tuple[int | None, str]:
    info = facts.accepted
    if info is None and facts.now is not None and _is_untouched(facts.now):
        info = facts.now
    if info is None:
        return None, "TCP_INFO was not read at accept, and data has been sent since"
    if facts.no_saved_syn is Absence.COOKIES_OR_LOST:
        # its options are kept in the low 6 bits of the time stamp that the ACK echoes, in
        # milliseconds (cookie_init_timestamp in syncookies.c)
        return None, "with SYN cookies what the kernel measures can be 64 ms too long"
    if info.rtt:
        return info.rtt, ""
    if info.state_name == "SYN-RECEIVED":
        return None, "the connection was accepted before its ACK came (Fast Open)"
    if info.total_retrans:
        return None, (
            "the SYN-ACK was sent more than once, and which of them was answered is not known "
            "(RFC 6298 section 3)"
        )
    return None, "the kernel measured none"


def ecn_setup(syn: SavedSyn) -> EcnSetup:
    """What a SYN asks for in ECN."""
    asked = syn.transport.flags & (TcpFlags.AE | TcpFlags.CWR | TcpFlags.ECE)
    if not asked:
        return EcnSetup.NONE
    if asked == TcpFlags.CWR | TcpFlags.ECE:
        return EcnSetup.CLASSIC
    if asked == TcpFlags.AE | TcpFlags.CWR | TcpFlags.ECE:
        return EcnSetup.ACCURATE
    return EcnSetup.OTHER


def ttl_of(syn: SavedSyn) -> int:
    """TTL or hop limit, as it arrived."""
    network = syn.network
    return network.ttl if isinstance(network, IPv4Header) else network.hop_limit


def hops_of(ttl: int) -> tuple[int, int]:
    """How many routers a TTL suggests.

    :param ttl: 0 to 255.
    :return: hops, and the initial value that they are counted from: the next of 64, 128 and 255.
    """
    initial = next(value for value in _INITIAL_TTLS if ttl <= value)
    return initial - ttl, initial


def fixed_headers(facts: Facts) -> int | None:
    """Bytes of IP's and TCP's fixed headers, by which an MTU exceeds its MSS (RFC 9293, 3.7.1)."""
    if facts.saved_syn is not None:
        return 40 if isinstance(facts.saved_syn.network, IPv4Header) else 60
    if facts.remote is not None:
        return 40 if facts.remote.address.version == 4 else 60
    return None


def path_mtu(facts: Facts) -> int | None:
    """The path MTU that the kernel reckons with, bytes."""
    info = facts.now or facts.accepted
    return None if info is None else info.pmtu


def after(sequence_number: int, by: int = 1) -> int:
    """A sequence number further on: unsigned, modulo 2**32 (RFC 9293 section 3.4).

    :param by: how far.
    """
    return (sequence_number + by) % _MODULUS
