"""Derives values from the facts of a connection, by the rules of TCP and of Linux.

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

#: Initial TTLs: Unix and macOS; Windows; routers and some others.
_INITIAL_TTLS = (64, 128, 255)

#: Bytes of the timestamps option in each segment: TCPOLEN_TSTAMP_ALIGNED, RFC 7323 appendix A.
_TIMESTAMPS_ALIGNED = 12

#: An unscaled window has 16 bits; a SYN-ACK's is never scaled (RFC 7323 section 2.2).
_WIDEST_UNSCALED = 0xFFFF

_MODULUS = 1 << 32


class EcnSetup(StrEnum):
    """The ECN request in the flags of a SYN."""

    NONE = "none"
    #: RFC 3168 section 6.1.1: ECE and CWR.
    CLASSIC = "rfc3168"
    #: RFC 9768 section 3.1.1: AE, CWR and ECE.
    ACCURATE = "accecn"
    #: Another combination of the three.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Handshake:
    """Values of SYN-ACK and ACK, which the kernel does not save.

    :ivar negotiated: the options in use; ``None`` without TCP_INFO.
    :ivar client_scale: the client's window scale; ``None`` if not in use or unknown.
    :ivar server_scale: the server's window scale; ``None`` if not in use or unknown.
    :ivar server_mss: the MSS in the SYN-ACK, bytes.
    :ivar server_window: the window in the SYN-ACK, bytes.
    :ivar client_window: the window in the ACK, bytes, after scaling.
    :ivar acknowledged: the SYN-ACK's acknowledgment number minus the client's ISN: 1 plus the bytes
        of data accepted with the SYN.
    :ivar cookies: whether the kernel answered with a SYN cookie; ``None`` = unknown.
    :ivar no_server_window: why ``server_window`` is unknown; empty if it is known.
    :ivar rtt: microseconds from SYN-ACK to ACK.
    :ivar no_rtt: why ``rtt`` is unknown; empty if it is known.
    :ivar retransmissions: the number of retransmissions of the SYN-ACK.
    :ivar no_retransmissions: why ``retransmissions`` is unknown; empty if it is known.
    :ivar retransmitted: ``tcpi_total_retrans`` when the handshake ended; ``None`` = unknown.
    """

    negotiated: InfoOptions | None
    client_scale: int | None
    server_scale: int | None
    server_mss: int | None
    server_window: int | None
    client_window: int | None
    acknowledged: int
    cookies: bool | None
    no_server_window: str
    rtt: int | None
    no_rtt: str
    retransmissions: int | None
    no_retransmissions: str
    retransmitted: int | None


NO_INFO = "TCP_INFO could not be read"
_TOO_LATE = "TCP_INFO was not read at accept, and data has been sent since"
_TOO_EARLY = "the connection was accepted before its ACK arrived (Fast Open)"
_BETWEEN = "known only between the end of the handshake and the first data or FIN"
_OLD_KERNEL = "this kernel does not report it"
_PERHAPS = "without the SYN, SYN cookies cannot be ruled out, and with them "
#: cookie_tcp_reqsk_init in syncookies.c: the kernel creates the request only when the ACK arrives.
_NO_COUNT = "the kernel keeps no count"
_NO_WINDOW = "the kernel does not keep it"
#: cookie_init_timestamp in syncookies.c: the cookie stores options in the low 6 bits of the
#: timestamp that the ACK echoes, in milliseconds.
_NO_TIME = "the measured RTT can be 64 ms too long"


def handshake_of(facts: Facts) -> Handshake:
    """Derive the values of SYN-ACK and ACK."""
    info = facts.accepted or facts.now
    if info is None:
        return _unknown(facts.no_saved_syn is Absence.COOKIES_OR_LOST or None)
    negotiated = info.negotiated
    scaled = InfoOptions.WINDOW_SCALE in negotiated
    data = facts.saved_syn.data_length if facts.saved_syn is not None else 0
    # the kernel subtracts the 12 bytes from advmss when the handshake ends (tcp_rcv_state_process)
    ended = info.state_name != "SYN-RECEIVED"
    fresh = info if ended and (info is facts.accepted or _is_untouched(info)) else None
    late = _TOO_LATE if ended else _TOO_EARLY
    cookies = _cookies(facts, fresh)
    rtt, no_rtt = _handshake_rtt(fresh, cookies, late)
    window, no_window = _server_window(facts, cookies)
    retransmissions, no_retransmissions = _syn_ack_retransmissions(fresh, cookies, late)
    stamped = _TIMESTAMPS_ALIGNED if ended and InfoOptions.TIMESTAMPS in negotiated else 0
    before = _before_data(facts)
    return Handshake(
        negotiated=negotiated,
        client_scale=info.snd_wscale if scaled else None,
        server_scale=info.rcv_wscale if scaled else None,
        server_mss=info.advmss + stamped,
        server_window=window,
        client_window=None if before is None else before.snd_wnd,
        acknowledged=1 + (data if InfoOptions.SYN_DATA in negotiated else 0),
        cookies=cookies,
        no_server_window=no_window,
        rtt=rtt,
        no_rtt=no_rtt,
        retransmissions=retransmissions,
        no_retransmissions=no_retransmissions,
        retransmitted=None if fresh is None else fresh.total_retrans,
    )


def _unknown(cookies: bool | None) -> Handshake:
    return Handshake(
        negotiated=None,
        client_scale=None,
        server_scale=None,
        server_mss=None,
        server_window=None,
        client_window=None,
        acknowledged=1,
        cookies=cookies,
        no_server_window=NO_INFO,
        rtt=None,
        no_rtt=NO_INFO,
        retransmissions=None,
        no_retransmissions=NO_INFO,
        retransmitted=None,
    )


def _cookies(facts: Facts, fresh: TcpInfo | None) -> bool | None:
    if facts.saved_syn is not None or (fresh is not None and fresh.total_retrans):
        # with cookies the kernel has no request that could save the SYN or count
        return False
    return True if facts.no_saved_syn is Absence.COOKIES_OR_LOST else None


def _with_cookies(cookies: bool | None, effect: str) -> str:
    """Why a value is unknown if SYN cookies were sent or cannot be ruled out; otherwise empty."""
    if cookies:
        return f"with SYN cookies {effect}"
    return _PERHAPS + effect if cookies is None else ""


def _syn_ack_retransmissions(
    fresh: TcpInfo | None, cookies: bool | None, late: str
) -> tuple[int | None, str]:
    why = _with_cookies(cookies, _NO_COUNT)
    if fresh is None:
        return None, late
    return (None, why) if why else (fresh.total_retrans, "")


def _server_window(facts: Facts, cookies: bool | None) -> tuple[int | None, str]:
    why = _with_cookies(cookies, _NO_WINDOW)
    before = _before_data(facts)
    if why or before is None or before.rcv_wnd is None:
        return None, why or window_unknown(facts, "rcv_wnd")
    return min(before.rcv_wnd, _WIDEST_UNSCALED), ""


def window_unknown(facts: Facts, field: str) -> str:
    """Why a window of the handshake is unknown.

    :param field: the field of TCP_INFO: ``rcv_wnd`` or ``snd_wnd``.
    """
    info = facts.accepted or facts.now
    if info is None:
        return NO_INFO
    return _OLD_KERNEL if getattr(info, field) is None else _BETWEEN


def _before_data(facts: Facts) -> TcpInfo | None:
    return next((known for known in (facts.accepted, facts.now) if _is_before_data(known)), None)


def _is_untouched(info: TcpInfo) -> bool:
    """Whether no data was sent yet, so that all counts and times are those of the handshake."""
    return info.data_segs_out == 0


def _is_before_data(info: TcpInfo | None) -> TypeGuard[TcpInfo]:
    """Whether no data was sent or received, so that the windows are those of SYN-ACK and ACK.

    Before the ACK arrives, ``snd_wnd`` is the SYN's window. Each segment sent, even the
    acknowledgment of a FIN, updates ``rcv_wnd`` (tcp_select_window).
    """
    return (
        info is not None
        and info.data_segs_in == info.data_segs_out == 0
        and not info.segs_out
        and info.state_name != "SYN-RECEIVED"
    )


def _handshake_rtt(info: TcpInfo | None, cookies: bool | None, late: str) -> tuple[int | None, str]:
    if info is None:
        return None, late
    if why := _with_cookies(cookies, _NO_TIME):
        return None, why
    if info.rtt:
        return info.rtt, ""
    if info.total_retrans:
        return None, (
            "the SYN-ACK was retransmitted, and which one the ACK acknowledges is ambiguous "
            "(RFC 6298 section 3)"
        )
    return None, "the kernel has not measured it"


def ecn_setup(syn: SavedSyn) -> EcnSetup:
    """Classify the ECN request of a SYN."""
    asked = syn.transport.flags & (TcpFlags.AE | TcpFlags.CWR | TcpFlags.ECE)
    if not asked:
        return EcnSetup.NONE
    if asked == TcpFlags.CWR | TcpFlags.ECE:
        return EcnSetup.CLASSIC
    if asked == TcpFlags.AE | TcpFlags.CWR | TcpFlags.ECE:
        return EcnSetup.ACCURATE
    return EcnSetup.OTHER


def ttl_of(syn: SavedSyn) -> int:
    """Return the received TTL or hop limit."""
    network = syn.network
    return network.ttl if isinstance(network, IPv4Header) else network.hop_limit


def estimated_hops(ttl: int) -> tuple[int, int]:
    """Estimate the number of hops from a received TTL.

    :param ttl: 0 to 255.
    :return: hops, and the assumed initial TTL: the next higher of 64, 128 and 255.
    """
    initial = next(value for value in _INITIAL_TTLS if ttl <= value)
    return initial - ttl, initial


def fixed_header_length(facts: Facts) -> int | None:
    """Bytes of the fixed IP and TCP headers: the MTU minus the MSS (RFC 9293 section 3.7.1)."""
    if facts.saved_syn is not None:
        return 40 if isinstance(facts.saved_syn.network, IPv4Header) else 60
    if facts.remote is not None:
        return 40 if facts.remote.address.version == 4 else 60
    return None


def peer_name(facts: Facts) -> str:
    """Name the peer of the TCP connection: ``client`` or ``proxy``."""
    return "client" if facts.proxy is None else "proxy"


def path_mtu(facts: Facts) -> int | None:
    """Return the kernel's path MTU for the connection, bytes."""
    info = facts.now or facts.accepted
    return None if info is None else info.pmtu


def after(sequence_number: int, by: int = 1) -> int:
    """Add to a sequence number: unsigned, modulo 2**32 (RFC 9293 section 3.4)."""
    return (sequence_number + by) % _MODULUS
