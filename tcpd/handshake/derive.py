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
    :ivar cookies: whether the kernel answered with a SYN cookie; ``None`` where that is not known.
    :ivar no_server_window: why ``server_window`` is not known; empty where it is.
    :ivar rtt: microseconds from SYN-ACK to ACK.
    :ivar no_rtt: why that is not known; empty where it is.
    :ivar repeated: how many more times the SYN-ACK was sent.
    :ivar no_repeated: why that is not known; empty where it is.
    :ivar retransmitted: what ``tcpi_total_retrans`` was when the handshake ended; ``None`` where
        that is not known.
    """

    agreed: InfoOptions | None
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
    repeated: int | None
    no_repeated: str
    retransmitted: int | None


NO_INFO = "TCP_INFO could not be read"
_TOO_LATE = "TCP_INFO was not read at accept, and data has been sent since"
_TOO_EARLY = "the connection was accepted before its ACK came (Fast Open)"
_BETWEEN = "it is told only between the end of the handshake and the first data or FIN"
_OLD_KERNEL = "this kernel does not tell it"
#: Without the SYN, whether a cookie was sent cannot be told.
_PERHAPS = "without the SYN, SYN cookies cannot be ruled out, and with them "
#: cookie_tcp_reqsk_init in syncookies.c: the request is made anew when the ACK comes.
_NO_COUNT = "the kernel keeps no count"
_NO_WINDOW = "the kernel forgets it"
#: cookie_init_timestamp in syncookies.c: the cookie's options are kept in the low 6 bits of the
#: time stamp that the ACK echoes, in milliseconds.
_NO_TIME = "what it measures can be 64 ms too long"


def handshake_of(facts: Facts) -> Handshake:
    """Derive what can be told of SYN-ACK and ACK."""
    info = facts.accepted or facts.now
    if info is None:
        return _unknown(facts.no_saved_syn is Absence.COOKIES_OR_LOST or None)
    agreed = info.agreed
    scaled = InfoOptions.WINDOW_SCALE in agreed
    taken = facts.saved_syn.data_length if facts.saved_syn is not None else 0
    # advmss loses the 12 bytes when the handshake ends (tcp_rcv_state_process)
    ended = info.state_name != "SYN-RECEIVED"
    fresh = info if ended and (info is facts.accepted or _is_untouched(info)) else None
    late = _TOO_LATE if ended else _TOO_EARLY
    cookies = _cookies(facts, fresh)
    rtt, no_rtt = _handshake_rtt(fresh, cookies, late)
    window, no_window = _server_window(facts, cookies)
    repeated, no_repeated = _repeated(fresh, cookies, late)
    stamped = _TIMESTAMPS_ALIGNED if ended and InfoOptions.TIMESTAMPS in agreed else 0
    quiet = _quiet(facts)
    return Handshake(
        agreed=agreed,
        client_scale=info.snd_wscale if scaled else None,
        server_scale=info.rcv_wscale if scaled else None,
        server_mss=info.advmss + stamped,
        server_window=window,
        client_window=None if quiet is None else quiet.snd_wnd,
        acknowledged=1 + (taken if InfoOptions.SYN_DATA in agreed else 0),
        cookies=cookies,
        no_server_window=no_window,
        rtt=rtt,
        no_rtt=no_rtt,
        repeated=repeated,
        no_repeated=no_repeated,
        retransmitted=None if fresh is None else fresh.total_retrans,
    )


def _unknown(cookies: bool | None) -> Handshake:
    return Handshake(
        agreed=None,
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
        repeated=None,
        no_repeated=NO_INFO,
        retransmitted=None,
    )


def _cookies(facts: Facts, fresh: TcpInfo | None) -> bool | None:
    if facts.saved_syn is not None or (fresh is not None and fresh.total_retrans):
        # kept, or counted, by a request that the kernel had
        return False
    return True if facts.no_saved_syn is Absence.COOKIES_OR_LOST else None


def _with_cookies(cookies: bool | None, effect: str) -> str:
    """Why a value is not known with SYN cookies, or where they cannot be ruled out; or empty."""
    if cookies:
        return f"with SYN cookies {effect}"
    return _PERHAPS + effect if cookies is None else ""


def _repeated(fresh: TcpInfo | None, cookies: bool | None, late: str) -> tuple[int | None, str]:
    why = _with_cookies(cookies, _NO_COUNT)
    if fresh is None:
        return None, late
    return (None, why) if why else (fresh.total_retrans, "")


def _server_window(facts: Facts, cookies: bool | None) -> tuple[int | None, str]:
    why = _with_cookies(cookies, _NO_WINDOW)
    quiet = _quiet(facts)
    if why or quiet is None or quiet.rcv_wnd is None:
        return None, why or no_window(facts, "rcv_wnd")
    return min(quiet.rcv_wnd, _WIDEST_UNSCALED), ""


def no_window(facts: Facts, field: str) -> str:
    """Why a window of the handshake is not known.

    :param field: of TCP_INFO: ``rcv_wnd`` or ``snd_wnd``.
    """
    info = facts.accepted or facts.now
    if info is None:
        return NO_INFO
    return _OLD_KERNEL if getattr(info, field) is None else _BETWEEN


def _quiet(facts: Facts) -> TcpInfo | None:
    return next((known for known in (facts.accepted, facts.now) if _is_quiet(known)), None)


def _is_untouched(info: TcpInfo) -> bool:
    """Whether nothing was sent yet, so that what is counted and measured is the handshake's."""
    return info.data_segs_out == 0


def _is_quiet(info: TcpInfo | None) -> TypeGuard[TcpInfo]:
    """Whether no data went either way, so that the windows are those of SYN-ACK and ACK.

    Before the ACK came, ``snd_wnd`` is still the window of the SYN. With each segment that is sent,
    be it the acknowledgment of a FIN, ``rcv_wnd`` is chosen anew (tcp_select_window).
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


def far_end(facts: Facts) -> str:
    """Who is at the far end of the TCP connection: ``client`` or ``proxy``."""
    return "client" if facts.proxy is None else "proxy"


def path_mtu(facts: Facts) -> int | None:
    """The path MTU that the kernel reckons with, bytes."""
    info = facts.now or facts.accepted
    return None if info is None else info.pmtu


def after(sequence_number: int, by: int = 1) -> int:
    """A sequence number further on: unsigned, modulo 2**32 (RFC 9293 section 3.4).

    :param by: how far.
    """
    return (sequence_number + by) % _MODULUS
