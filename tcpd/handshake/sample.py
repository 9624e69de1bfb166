"""The main figures of TCP_INFO at one moment, for displays that are refreshed each second."""

from __future__ import annotations

from collections.abc import Mapping

from tcpd.handshake.tcp_info import (
    NO_LIMIT,
    NO_MIN_RTT,
    NO_THRESHOLD,
    TcpInfo,
    read_fields,
    unit_of,
)

#: The fields of a sample, in the order of :func:`sample_line`.
SAMPLE_NAMES = (
    "rtt",
    "rttvar",
    "min_rtt",
    "snd_cwnd",
    "snd_ssthresh",
    "snd_mss",
    "unacked",
    "delivery_rate",
    "pacing_rate",
    "total_retrans",
    "lost",
    "segs_in",
    "segs_out",
    "bytes_received",
    "bytes_acked",
    "snd_wnd",
    "rcv_wnd",
)

#: The numbers that mean "not set" or "not measured yet".
_UNKNOWN = {
    "min_rtt": NO_MIN_RTT,
    "snd_ssthresh": NO_THRESHOLD,
    "pacing_rate": NO_LIMIT,
}

#: The fields of the line for people, with their labels. The line fits a terminal.
_SHOWN = (
    ("rtt", "rtt"),
    ("rttvar", "rttvar"),
    ("snd_cwnd", "cwnd"),
    ("delivery_rate", "rate"),
    ("total_retrans", "retrans"),
)


def sample(info: bytes | TcpInfo) -> dict[str, int]:
    """Return the main figures of TCP_INFO, by :data:`SAMPLE_NAMES`, in the kernel's units.

    A figure that the kernel does not have, or not yet, is left out: ``min_rtt`` before the first
    measurement, ``snd_ssthresh`` before the first loss.

    :param info: the result of ``getsockopt(TCP_INFO)``, of which only these fields are read, or the
        parsed structure.
    """
    if isinstance(info, bytes):
        found = read_fields(info, SAMPLE_NAMES)
    else:
        found = {name: value for name in SAMPLE_NAMES if (value := getattr(info, name)) is not None}
    return {name: value for name, value in found.items() if value != _UNKNOWN.get(name)}


def sample_line(figures: Mapping[str, int]) -> str:
    """Format a sample on one line, such as ``rtt=42us rttvar=21us cwnd=10 rate=5242880 retrans=0``.

    An unknown figure is ``-``.
    """
    return " ".join(f"{label}={_cell(name, figures.get(name))}" for name, label in _SHOWN)


def _cell(name: str, value: int | None) -> str:
    if value is None:
        return "-"
    return f"{value}us" if unit_of(name) == "us" else str(value)
