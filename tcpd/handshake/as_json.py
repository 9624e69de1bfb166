"""Renders the report as objects for JSON. Names are stable (``docs/reference/handshake.rst``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tcpd.handshake.derive import handshake_of, ttl_of
from tcpd.handshake.facts import Facts
from tcpd.handshake.hints import Hint
from tcpd.handshake.report import Report
from tcpd.handshake.tcp_info import TcpInfo, tcp_info_names
from tcpd.handshake.tcp_options import MaximumSegmentSize, SackPermitted, Timestamps, WindowScale
from tcpd.handshake.values import Section, Value

#: Raised when a name changes its meaning or is removed, not when names are added.
VERSION = 1


def as_json(report: Report) -> dict[str, Any]:
    """Render the whole report: addresses, handshake, layers, TCP_INFO and hints."""
    return {
        **_connection(report),
        "handshake": _sections(report.steps),
        "layers": _sections(report.layers),
        "tcpinfo": _tcpinfo(report),
        "hints": _hints(report.hints),
    }


def handshake_json(report: Report) -> dict[str, Any]:
    """Render the handshake steps and the hints."""
    return {
        **_connection(report),
        "handshake": _sections(report.steps),
        "hints": _hints(report.hints),
    }


def layers_json(report: Report) -> dict[str, Any]:
    """Render the layers."""
    return {**_connection(report), "layers": _sections(report.layers)}


def tcpinfo_json(report: Report) -> dict[str, Any]:
    """Render TCP_INFO."""
    return {**_connection(report), "tcpinfo": _tcpinfo(report)}


def compact(facts: Facts) -> dict[str, int | bool | None]:
    """Extract the values for a connection's log line; ``None`` = unknown or absent.

    :return: ``mss`` (bytes), ``wscale`` (shift), ``sack``, ``ts``, ``ttl`` of the client's SYN, and
        ``rtt`` of the handshake in microseconds.
    """
    rtt = handshake_of(facts).rtt
    syn = facts.saved_syn
    if syn is None:
        return {"mss": None, "wscale": None, "sack": None, "ts": None, "ttl": None, "rtt": rtt}
    mss = syn.transport.option(MaximumSegmentSize)
    scale = syn.transport.option(WindowScale)
    return {
        "mss": None if mss is None else mss.value,
        "wscale": None if scale is None else scale.shift,
        "sack": syn.transport.option(SackPermitted) is not None,
        "ts": syn.transport.option(Timestamps) is not None,
        "ttl": ttl_of(syn),
        "rtt": rtt,
    }


def _connection(report: Report) -> dict[str, Any]:
    facts = report.facts
    return {
        "version": VERSION,
        "transport": str(facts.transport),
        "local": None if facts.local is None else str(facts.local),
        "remote": None if facts.remote is None else str(facts.remote),
        "saved_syn": facts.saved_syn is not None,
        "no_saved_syn": None if facts.no_saved_syn is None else facts.no_saved_syn.id,
        "no_server_isn": None if facts.no_server_isn is None else facts.no_server_isn.id,
        "proxied": facts.proxy is not None,
    }


def _sections(sections: Sequence[Section]) -> dict[str, Any]:
    return {
        section.name: {
            "note": section.note or None,
            "values": {value.name: _value(value) for value in section.values},
        }
        for section in sections
    }


def _value(value: Value) -> dict[str, Any]:
    plain = list(value.value) if isinstance(value.value, tuple) else value.value
    return {
        "value": plain,
        "unit": value.unit or None,
        "source": str(value.source),
        "why": value.why or None,
    }


def _tcpinfo(report: Report) -> dict[str, Any]:
    return {"accepted": _info(report.facts.accepted), "now": _info(report.facts.now)}


def _info(info: TcpInfo | None) -> dict[str, Any] | None:
    return None if info is None else {name: getattr(info, name) for name in tcp_info_names()}


def _hints(hints: Sequence[Hint]) -> list[dict[str, str]]:
    return [{"id": hint.id, "sentence": hint.sentence} for hint in hints]
