"""Makes etc/grafana/tcpd.json, the dashboard for Grafana: see docs/generate.py.

A panel of Grafana's is some forty lines of JSON of which three say something; those are here.
"""

from __future__ import annotations

import json
from typing import Any

#: What all queries are restricted to, by the variables of the dashboard.
_DAEMON = 'job="$job", instance=~"$instance"'
_SERVICE = f'{_DAEMON}, service=~"$service"'

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

_WIDE, _LINE_HEIGHT, _FACT_HEIGHT = 24, 8, 4

Panel = dict[str, Any]


def _rate(metric: str, by: str, selector: str = _SERVICE) -> str:
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


def _queries(queries: dict[str, str], instant: bool = False) -> list[dict[str, Any]]:
    """:param queries: by legend."""
    return [
        {
            "datasource": _SOURCE,
            "editorMode": "code",
            "expr": expression,
            "instant": instant,
            "legendFormat": legend,
            "range": not instant,
            "refId": chr(ord("A") + place),
        }
        for place, (legend, expression) in enumerate(queries.items())
    ]


def _steps(*steps: tuple[str, float | None]) -> dict[str, Any]:
    return {
        "mode": "absolute",
        "steps": [{"color": color, "value": value} for color, value in steps],
    }


_PLAIN = _steps(("green", None))


def graph(
    title: str, about: str, unit: str, queries: dict[str, str], stacked: bool = False
) -> Panel:
    """Lines over time."""
    return {
        "type": "timeseries",
        "title": title,
        "description": about,
        "datasource": _SOURCE,
        "targets": _queries(queries),
        "fieldConfig": {
            "defaults": {
                "unit": unit,
                "min": 0,
                "custom": {
                    "drawStyle": "line",
                    "fillOpacity": 20 if stacked else 5,
                    "lineWidth": 1,
                    "showPoints": "never",
                    "spanNulls": False,
                    "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
                },
                "thresholds": _PLAIN,
            },
            "overrides": [],
        },
        "options": {
            "legend": {
                "calcs": ["lastNotNull", "max"],
                "displayMode": "table",
                "placement": "bottom",
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def fact(
    title: str,
    about: str,
    unit: str,
    queries: dict[str, str],
    thresholds: dict[str, Any] = _PLAIN,
    mappings: dict[str, str] | None = None,
) -> Panel:
    """A panel with the current value."""
    defaults: dict[str, Any] = {"unit": unit, "thresholds": thresholds, "mappings": []}
    if mappings:
        options = {
            value: {"index": place, "text": text}
            for place, (value, text) in enumerate(mappings.items())
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    return {
        "type": "stat",
        "title": title,
        "description": about,
        "datasource": _SOURCE,
        "targets": _queries(queries, instant=True),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "auto",
        },
    }


_ONES = "{{instance}}"

FACTS = [
    fact(
        "Ready",
        "Whether new clients are served. Alerts: TcpdDown, TcpdNotReady.",
        "none",
        {_ONES: f"tcpd_ready{{{_DAEMON}}}"},
        _steps(("red", None), ("green", 1)),
        {"0": "no", "1": "yes"},
    ),
    fact(
        "Uptime",
        "Time since the daemon started. Alert: TcpdRestarts.",
        "s",
        {_ONES: f"time() - tcpd_start_time_seconds{{{_DAEMON}}}"},
    ),
    fact(
        "Connections used",
        "Share of [tcpd] connections. Alert: TcpdNearlyFull.",
        "percentunit",
        {
            _ONES: f"sum by (instance) (tcpd_connections_open{{{_DAEMON}, "
            'service!~"metrics|control"}) / on (instance) '
            f"tcpd_connections_limit{{{_DAEMON}}}"
        },
        _steps(("green", None), ("orange", 0.7), ("red", 0.9)),
    ),
    fact(
        "First certificate expires in",
        "Alerts: TcpdCertificateEndsSoon, TcpdCertificateEnds.",
        "s",
        {
            _ONES: "min by (instance) "
            f"(tcpd_tls_certificate_not_after_timestamp_seconds{{{_DAEMON}}}) - time()"
        },
        _steps(("red", None), ("orange", 3 * 86400), ("green", 14 * 86400)),
    ),
    fact(
        "Refused reloads",
        "Last 24 hours. Alert: TcpdReloadRefused.",
        "none",
        {_ONES: f'round(increase(tcpd_reloads_total{{{_DAEMON}, outcome="refused"}}[1d]))'},
        _steps(("green", None), ("orange", 1)),
    ),
    fact(
        "Version",
        "Version of tcpd.",
        "none",
        {"{{version}}": f"sum by (version) (tcpd_build_info{{{_DAEMON}}})"},
    ),
]
FACTS[-1]["options"]["textMode"] = "name"

SECTIONS = {
    "Clients": [
        graph(
            "Connections",
            "Open connections, by service.",
            "none",
            {"{{service}}": f"sum by (service) (tcpd_connections_open{{{_SERVICE}}})"},
            stacked=True,
        ),
        graph(
            "Accepted clients",
            "Per second, by service.",
            "cps",
            {"{{service}}": _rate("tcpd_connections_accepted_total", "service")},
        ),
        graph(
            "Refused clients, by reason",
            "Per second. service-full, daemon-full and no-descriptor need action (alert: "
            "TcpdTurnsAway); the others depend on the client.",
            "cps",
            {
                "{{service}} {{reason}}": _rate("tcpd_connections_refused_total", "service, reason")
                + " > 0"
            },
        ),
        graph(
            "Ended connections, by reason",
            "Per second.",
            "cps",
            {"{{reason}}": _rate("tcpd_connections_ended_total", "reason")},
        ),
        graph(
            "Bytes in and out",
            "By service; out is data passed to TCP.",
            "Bps",
            {
                "{{service}} in": _rate("tcpd_received_bytes_total", "service"),
                "{{service}} out": _rate("tcpd_sent_bytes_total", "service"),
            },
        ),
        graph(
            "Datagrams",
            "Per second; dropped: without a reply, by reason.",
            "pps",
            {
                "{{service}} in": _rate("tcpd_datagrams_received_total", "service"),
                "{{service}} out": _rate("tcpd_datagrams_sent_total", "service"),
                "{{service}} dropped {{reason}}": _rate(
                    "tcpd_datagrams_dropped_total", "service, reason"
                )
                + " > 0",
            },
        ),
    ],
    "TLS": [
        graph(
            "TLS handshakes",
            "Per second, by version.",
            "ops",
            {"{{version}}": _rate("tcpd_tls_handshakes_total", "version")},
        ),
        graph(
            "Failed TLS handshakes",
            "Per second, by service and reason.",
            "ops",
            {
                "{{service}} {{reason}}": _rate(
                    "tcpd_tls_handshake_failures_total", "service, reason"
                )
            },
        ),
        graph(
            "Certificates expire in",
            "By [tls:NAME] and file. A certificate below 14 days was not renewed.",
            "s",
            {
                "{{instance}} {{tls}} {{certificate}}": "tcpd_tls_certificate_not_after_timestamp_"
                f"seconds{{{_DAEMON}}} - time()"
            },
        ),
        graph(
            "Changes of certificate files",
            "Per hour, by outcome. Alert: TcpdCertificateRefused.",
            "none",
            {
                "{{instance}} {{outcome}}": "round(increase(tcpd_tls_certificate_changes_total"
                f"{{{_DAEMON}}}[1h]))"
            },
        ),
    ],
    "The daemon": [
        graph(
            "Reactor lag",
            "A blocked reactor delays all clients. Below 0.1 s is healthy. Alert: TcpdReactorLag.",
            "s",
            {
                "{{instance}} at most": f"tcpd_reactor_lag_max_seconds{{{_DAEMON}}}",
                "{{instance}} now": f"tcpd_reactor_lag_seconds{{{_DAEMON}}}",
            },
        ),
        graph(
            "Open files",
            "At least one per connection. Alert: TcpdDescriptors.",
            "none",
            {
                "{{instance}}": f"process_open_fds{{{_DAEMON}}}",
                "{{instance}} at most": f"process_max_fds{{{_DAEMON}}}",
            },
        ),
        graph(
            "Memory",
            "Resident memory.",
            "bytes",
            {"{{instance}}": f"process_resident_memory_bytes{{{_DAEMON}}}"},
        ),
        graph(
            "Processor",
            "Share of one core; the daemon uses only one.",
            "percentunit",
            {
                "{{instance}}": "sum by (instance) "
                f"(rate(process_cpu_seconds_total{{{_DAEMON}}}[$__rate_interval]))"
            },
        ),
    ],
    "Chat and line": [
        graph(
            "People and rooms",
            "In chat.",
            "none",
            {
                "{{instance}} people": f"tcpd_chat_members{{{_DAEMON}}}",
                "{{instance}} rooms": f"tcpd_chat_rooms{{{_DAEMON}}}",
            },
        ),
        graph(
            "Messages and deliveries",
            "Per second: messages by target, and events queued for recipients.",
            "ops",
            {
                "to a {{to}}": _rate("tcpd_chat_messages_total", "to", _DAEMON),
                "deliveries": f"sum(rate(tcpd_chat_deliveries_total{{{_DAEMON}}}"
                "[$__rate_interval]))",
            },
        ),
        graph(
            "Chat clients: entered and dropped",
            "Per second; dropped are clients whose send queue was full.",
            "ops",
            {
                "entered": f"sum(rate(tcpd_chat_entered_total{{{_DAEMON}}}[$__rate_interval]))",
                "dropped": f"sum(rate(tcpd_chat_dropped_total{{{_DAEMON}}}[$__rate_interval]))",
            },
        ),
        graph(
            "History of rooms",
            "Bytes of the kept messages of all rooms; dropped messages per second.",
            "bytes",
            {
                "{{instance}} kept": f"tcpd_chat_history_bytes{{{_DAEMON}}}",
                "dropped, {{bound}}": _rate("tcpd_chat_history_dropped_total", "bound", _DAEMON),
            },
        ),
        graph(
            "Replies of the line protocol",
            "Per second, by code.",
            "ops",
            {"{{service}} {{code}}": _rate("tcpd_line_replies_total", "service, code")},
        ),
    ],
}


def _variable(name: str, query: str, many: bool = False) -> dict[str, Any]:
    """A variable that the user selects at the top of the dashboard."""
    return {
        "type": "query",
        "name": name,
        "label": name,
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": f"Variable-{name}"},
        "refresh": 2,
        "sort": 1,
        "includeAll": many,
        "multi": many,
        "allValue": ".*" if many else None,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]} if many else {},
        "hide": 0,
        "options": [],
        "regex": "",
    }


def dashboard() -> str:
    """The file."""
    panels: list[Panel] = []
    top = 0

    def put(panel: Panel, left: int, width: int, height: int) -> None:
        place = {"x": left, "y": top, "w": width, "h": height}
        panels.append({"id": len(panels) + 1, **panel, "gridPos": place})

    width = _WIDE // len(FACTS)
    for place, panel in enumerate(FACTS):
        put(panel, place * width, width, _FACT_HEIGHT)
    top += _FACT_HEIGHT
    for title, section in SECTIONS.items():
        put({"type": "row", "title": title, "collapsed": False, "panels": []}, 0, _WIDE, 1)
        top += 1
        for place, panel in enumerate(section):
            put(panel, place % 2 * _WIDE // 2, _WIDE // 2, _LINE_HEIGHT)
            top += _LINE_HEIGHT * (place % 2)
    made = {
        "uid": "tcpd",
        "title": "tcpd",
        "description": "The daemon tcpd: clients, refusals, TLS, and how it is itself.",
        "tags": ["tcpd"],
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": 38,
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {
            "list": [
                {
                    "name": "Starts",
                    "datasource": _SOURCE,
                    "enable": True,
                    "expr": f"changes(tcpd_start_time_seconds{{{_DAEMON}}}[1m]) > 0",
                    "iconColor": "orange",
                    "titleFormat": "started: {{instance}}",
                }
            ]
        },
        "templating": {
            "list": [
                {
                    "type": "datasource",
                    "name": "datasource",
                    "label": "Prometheus",
                    "query": "prometheus",
                    "refresh": 1,
                    "regex": "",
                    "current": {},
                    "hide": 0,
                    "includeAll": False,
                    "multi": False,
                    "options": [],
                },
                _variable("job", "label_values(tcpd_build_info, job)"),
                _variable("instance", 'label_values(tcpd_build_info{job="$job"}, instance)', True),
                _variable(
                    "service", f"label_values(tcpd_connections_open{{{_DAEMON}}}, service)", True
                ),
            ]
        },
        "panels": panels,
    }
    return json.dumps(made, indent=2) + "\n"
