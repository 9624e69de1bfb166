"""Parses Linux's ``struct tcp_info``, the result of ``getsockopt(TCP_INFO)``.

The layout is that of ``include/uapi/linux/tcp.h``, to which kernels only append; fields that a
kernel lacks are ``None``. The last word of Linux 6.18 (AccECN modes) is not parsed: later kernels
changed its layout.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from dataclasses import Field, dataclass, field, fields
from enum import IntFlag
from typing import Any, Literal

from tcpd.handshake.internet import PacketError

#: The size in Linux 2.4, the smallest.
_LEAST = 104

#: ``tcpi_snd_ssthresh`` before any loss: TCP_INFINITE_SSTHRESH.
NO_THRESHOLD = 0x7FFFFFFF

#: ``tcpi_min_rtt`` before the first measurement.
NO_MIN_RTT = 0xFFFFFFFF

#: ``tcpi_pacing_rate`` and ``tcpi_max_pacing_rate`` without a limit.
NO_LIMIT = 0xFFFFFFFFFFFFFFFF

#: ``enum`` in ``include/net/tcp_states.h``, with the names of RFC 9293.
_STATES = {
    1: "ESTABLISHED",
    2: "SYN-SENT",
    3: "SYN-RECEIVED",
    4: "FIN-WAIT-1",
    5: "FIN-WAIT-2",
    6: "TIME-WAIT",
    7: "CLOSED",
    8: "CLOSE-WAIT",
    9: "LAST-ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "NEW-SYN-RECEIVED",
}

#: ``enum tcp_ca_state``.
_CONGESTION_STATES = ("open", "disorder", "cwr", "recovery", "loss")


class InfoOptions(IntFlag):
    """The bits of ``tcpi_options``: the negotiated options, and flags of ECN and Fast Open."""

    TIMESTAMPS = 1
    SACK = 2
    WINDOW_SCALE = 4
    ECN = 8
    ECN_SEEN = 16
    SYN_DATA = 32


def _at(offset: int, form: str, unit: str) -> Any:
    return field(default=None, metadata={"offset": offset, "form": form, "unit": unit})


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """The TCP_INFO of one connection at one moment.

    The names are the kernel's without ``tcpi_``; :func:`unit_of` has their units. "This end" is
    the daemon.

    :ivar state: 1 is ESTABLISHED; see :attr:`state_name`.
    :ivar snd_wscale: the peer's window scale, for the windows that it advertises.
    :ivar rcv_wscale: this end's window scale.
    :ivar snd_mss: the most data that this end sends in a segment, without options.
    :ivar rcv_mss: the kernel's estimate of the peer's segment size.
    :ivar pmtu: the path MTU.
    :ivar advmss: the MSS that this end advertised, minus 12 bytes if timestamps are in use.
    :ivar rtt: smoothed round-trip time. Just after the handshake it is the time from SYN-ACK to
        ACK, the only measurement (0: none, the SYN-ACK was retransmitted).
    :ivar total_retrans: retransmitted segments, SYN-ACKs included.
    :ivar rcv_wnd: the window that this end advertises, in bytes after scaling (Linux 6.2).
    :ivar snd_wnd: the window that the peer advertises, in bytes after scaling (Linux 5.4).
    :ivar total_rto: retransmission timeouts, those of SYN-ACKs included (Linux 6.7).
    """

    state: int = _at(0, "B", "")
    ca_state: int = _at(1, "B", "")
    retransmits: int = _at(2, "B", "segments")
    probes: int = _at(3, "B", "probes")
    backoff: int = _at(4, "B", "")
    options: int = _at(5, "B", "")
    snd_wscale: int = _at(6, "low", "bits")
    rcv_wscale: int = _at(6, "high", "bits")
    delivery_rate_app_limited: bool = _at(7, "limited", "")
    rto: int = _at(8, "I", "us")
    ato: int = _at(12, "I", "us")
    snd_mss: int = _at(16, "I", "bytes")
    rcv_mss: int = _at(20, "I", "bytes")
    unacked: int = _at(24, "I", "segments")
    sacked: int = _at(28, "I", "segments")
    lost: int = _at(32, "I", "segments")
    retrans: int = _at(36, "I", "segments")
    fackets: int = _at(40, "I", "segments")
    last_data_sent: int = _at(44, "I", "ms")
    last_ack_sent: int = _at(48, "I", "ms")
    last_data_recv: int = _at(52, "I", "ms")
    last_ack_recv: int = _at(56, "I", "ms")
    pmtu: int = _at(60, "I", "bytes")
    rcv_ssthresh: int = _at(64, "I", "bytes")
    rtt: int = _at(68, "I", "us")
    rttvar: int = _at(72, "I", "us")
    snd_ssthresh: int = _at(76, "I", "segments")
    snd_cwnd: int = _at(80, "I", "segments")
    advmss: int = _at(84, "I", "bytes")
    reordering: int = _at(88, "I", "segments")
    rcv_rtt: int = _at(92, "I", "us")
    rcv_space: int = _at(96, "I", "bytes")
    total_retrans: int = _at(100, "I", "segments")
    pacing_rate: int | None = _at(104, "Q", "bytes/s")
    max_pacing_rate: int | None = _at(112, "Q", "bytes/s")
    bytes_acked: int | None = _at(120, "Q", "bytes")
    bytes_received: int | None = _at(128, "Q", "bytes")
    segs_out: int | None = _at(136, "I", "segments")
    segs_in: int | None = _at(140, "I", "segments")
    notsent_bytes: int | None = _at(144, "I", "bytes")
    min_rtt: int | None = _at(148, "I", "us")
    data_segs_in: int | None = _at(152, "I", "segments")
    data_segs_out: int | None = _at(156, "I", "segments")
    delivery_rate: int | None = _at(160, "Q", "bytes/s")
    busy_time: int | None = _at(168, "Q", "us")
    rwnd_limited: int | None = _at(176, "Q", "us")
    sndbuf_limited: int | None = _at(184, "Q", "us")
    delivered: int | None = _at(192, "I", "segments")
    delivered_ce: int | None = _at(196, "I", "segments")
    bytes_sent: int | None = _at(200, "Q", "bytes")
    bytes_retrans: int | None = _at(208, "Q", "bytes")
    dsack_dups: int | None = _at(216, "I", "segments")
    reord_seen: int | None = _at(220, "I", "events")
    rcv_ooopack: int | None = _at(224, "I", "segments")
    snd_wnd: int | None = _at(228, "I", "bytes")
    rcv_wnd: int | None = _at(232, "I", "bytes")
    rehash: int | None = _at(236, "I", "attempts")
    total_rto: int | None = _at(240, "H", "timeouts")
    total_rto_recoveries: int | None = _at(242, "H", "recoveries")
    total_rto_time: int | None = _at(244, "I", "ms")
    received_ce: int | None = _at(248, "I", "segments")
    delivered_e1_bytes: int | None = _at(252, "I", "bytes")
    delivered_e0_bytes: int | None = _at(256, "I", "bytes")
    delivered_ce_bytes: int | None = _at(260, "I", "bytes")
    received_e1_bytes: int | None = _at(264, "I", "bytes")
    received_e0_bytes: int | None = _at(268, "I", "bytes")
    received_ce_bytes: int | None = _at(272, "I", "bytes")

    @property
    def negotiated(self) -> InfoOptions:
        """:attr:`options` as flags."""
        return InfoOptions(self.options)

    @property
    def state_name(self) -> str:
        """The name in RFC 9293 section 3.3.2, e.g. ``ESTABLISHED``."""
        return _STATES.get(self.state, f"state {self.state}")

    @property
    def ca_state_name(self) -> str:
        """The congestion state: open, disorder, cwr, recovery or loss."""
        known = self.ca_state < len(_CONGESTION_STATES)
        return _CONGESTION_STATES[self.ca_state] if known else f"state {self.ca_state}"


_FIELDS: tuple[Field[Any], ...] = fields(TcpInfo)
_BY_NAME = {known.name: known for known in _FIELDS}
_SIZES = {"Q": 8, "I": 4, "H": 2}
_UNITS = {known.name: known.metadata["unit"] for known in _FIELDS}


def tcp_info_names() -> tuple[str, ...]:
    """Return the field names of :class:`TcpInfo`, in the order of the structure."""
    return tuple(_UNITS)


def unit_of(name: str) -> str:
    """Return the unit of a field: ``us``, ``ms``, ``bytes``, ``segments``, ...; or empty.

    :raise KeyError: if there is no such field.
    """
    unit: str = _UNITS[name]
    return unit


def parse_tcp_info(data: bytes, byteorder: Literal["little", "big"] = sys.byteorder) -> TcpInfo:
    """Parse the structure, of any kernel's length.

    :param data: the result of ``getsockopt(IPPROTO_TCP, TCP_INFO, 512)``; unknown fields at its end
        are ignored.
    :param byteorder: the machine's; bit fields follow it too.
    :raise PacketError: for less than the 104 bytes that every kernel returns.
    """
    if len(data) < _LEAST:
        raise PacketError(f"{len(data)} bytes are too few for a tcp_info")
    return TcpInfo(**{known.name: _read(data, known, byteorder) for known in _FIELDS})


def read_fields(
    data: bytes, names: Iterable[str], byteorder: Literal["little", "big"] = sys.byteorder
) -> dict[str, int]:
    """Read some fields of the structure, those that the kernel has.

    :param data: see :func:`parse_tcp_info`; any bytes.
    :param names: of fields that are numbers.
    """
    found = {}
    for name in names:
        value = _read(data, _BY_NAME[name], byteorder)
        if value is not None:
            found[name] = value
    return found


def _read(data: bytes, known: Field[Any], byteorder: Literal["little", "big"]) -> Any:
    offset, form = known.metadata["offset"], known.metadata["form"]
    if form in _SIZES:
        if offset + _SIZES[form] > len(data):
            return None
        return struct.unpack_from(("<" if byteorder == "little" else ">") + form, data, offset)[0]
    # the C ABI of a little-endian machine allocates bit fields from the low bit
    byte, little = data[offset], byteorder == "little"
    match form:
        case "low":
            return byte & 15 if little else byte >> 4
        case "high":
            return byte >> 4 if little else byte & 15
        case "limited":
            return bool(byte & (1 if little else 0x80))
        case _:
            return byte
