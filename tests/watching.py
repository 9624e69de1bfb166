"""Queries of the Grafana dashboard and of the Prometheus rules in ``etc``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "etc" / "prometheus" / "tcpd.rules.yml"
DASHBOARD = ROOT / "etc" / "grafana" / "tcpd.json"

#: Queries without a result on a daemon that refuses nothing and was not restarted, by panel.
QUIET = {"Refused clients, by reason A", "Datagrams C", "Starts"}

_EXPRESSION = re.compile(r"^ +expr: (?:>-\n((?:^ {10,}.*\n)+)|(.*))", re.M)


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana reads it."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Yield panel and expression of each query of the dashboard."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard()["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def filled_in(expression: str, job: str = "tcpd", window: str = "5s") -> str:
    """Substitute the dashboard's variables in a query, as Grafana does with all values chosen."""
    for name, value in (
        ("$__rate_interval", window),
        ("$job", job),
        ("$instance", ".*"),
        ("$service", ".*"),
    ):
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def conditions() -> list[str]:
    """Return the expressions of all alerts, in order."""
    text = RULES.read_text(encoding="utf-8")
    return [" ".join((block or line).split()) for block, line in _EXPRESSION.findall(text)]


def alerts() -> dict[str, str]:
    """Return the link to the runbook of each alert, by its name."""
    text = RULES.read_text(encoding="utf-8")
    names = re.findall(r"- alert: (\w+)", text)
    return dict(zip(names, re.findall(r"runbook: (\S+)", text), strict=True))
