"""The files of etc that watch a daemon: what they ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RULES = ROOT / "etc" / "prometheus" / "tcpd.rules.yml"
DASHBOARD = ROOT / "etc" / "grafana" / "tcpd.json"

_EXPRESSION = re.compile(r"^ +expr: (?:>-\n((?:^ {10,}.*\n)+)|(.*))", re.M)


def dashboard() -> dict[str, Any]:
    """As Grafana reads it."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Where each query of the dashboard stands, and what it asks."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard()["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def filled_in(expression: str, job: str = "tcpd", window: str = "5s") -> str:
    """A query with the variables of the dashboard as Grafana puts them in, all chosen."""
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
    """Of all alerts, in order."""
    text = RULES.read_text(encoding="utf-8")
    return [" ".join((block or line).split()) for block, line in _EXPRESSION.findall(text)]


def alerts() -> dict[str, str]:
    """Names of the alerts, and where to read about them."""
    text = RULES.read_text(encoding="utf-8")
    names = re.findall(r"- alert: (\w+)", text)
    return dict(zip(names, re.findall(r"runbook: (\S+)", text), strict=True))
