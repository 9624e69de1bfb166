"""etc/grafana and etc/prometheus: queries, alerts, and layout of the dashboard."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from docs.commands import Page
from prometheus_client import CollectorRegistry, generate_latest
from running import PATIENCE
from watching import QUIET, RULES, alerts, conditions, dashboard, filled_in, queries

from tcpd.ops.metrics import METRICS
from tcpd.ops.process import Process
from tcpd.ops.process_figures import ProcessFigures
from tcpd.policy.reasons import Refusal

TESTS_OF_RULES = Path(__file__).with_name("tcpd.rules.test.yml")

#: Metrics that Prometheus adds for each target.
_OF_PROMETHEUS = {"up": ("job", "instance")}


def catalogue() -> dict[str, tuple[str, ...]]:
    """Return all exported metrics with their labels."""
    found = {each.name: (*each.labels, "job", "instance") for each in METRICS}
    registry = CollectorRegistry()
    registry.register(ProcessFigures(Process()))
    for line in generate_latest(registry).decode().splitlines():
        if not line.startswith("#"):
            found[line.split()[0]] = ("job", "instance")
    return found | _OF_PROMETHEUS


CATALOGUE = catalogue()

_METRIC = re.compile(r"\b((?:tcpd|process|python)_\w+|up)\b(\{[^}]*\})?")
_LABEL = re.compile(r"(\w+)(?:=|!=|=~|!~)\"")
_BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")

EXPRESSIONS = [*queries(), *zip(alerts(), conditions(), strict=True)]


@pytest.mark.parametrize(
    ("where", "expression"), EXPRESSIONS, ids=[where for where, _ in EXPRESSIONS]
)
def test_metrics_and_labels_in_queries_are_exported(where: str, expression: str) -> None:
    found = _METRIC.findall(expression)
    assert found, expression
    of_all: set[str] = set()
    for name, selector in found:
        assert name in CATALOGUE, f"there is no metric {name}"
        of_all |= set(CATALOGUE[name])
        for label in _LABEL.findall(selector):
            assert label in CATALOGUE[name], f"{name} has no label {label}"
    for labels in _BY.findall(expression):
        assert {label.strip() for label in labels.split(",")} <= of_all


def test_reasons_in_alerts_exist() -> None:
    (selected,) = (
        found for found in map(re.compile(r'reason=~"([^"]+)"').search, conditions()) if found
    )
    assert set(selected[1].split("|")) == {
        str(each) for each in (Refusal.SERVICE_FULL, Refusal.DAEMON_FULL, Refusal.NO_DESCRIPTOR)
    }


def test_legends_use_labels_that_queries_keep() -> None:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            names = {name for name, _ in _METRIC.findall(target["expr"])}
            kept = [set(CATALOGUE[name]) for name in names]
            by = _BY.search(target["expr"])
            if by:
                kept.append({label.strip() for label in by[1].split(",")})
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert legend <= set.intersection(*kept), (panel["title"], target["legendFormat"])


def test_metrics_are_on_the_dashboard() -> None:
    """Except for the metrics listed here."""
    shown = {name for _, query in queries() for name, _ in _METRIC.findall(query)}
    left_out = {
        "tcpd_line_commands_total",  # a series for each command
        "tcpd_protocol_events_total",  # labels differ by protocol
        "tcpd_listeners_open",
        "tcpd_configuration_timestamp_seconds",
        "tcpd_events_followers",
        "tcpd_events_dropped_total",
        "tcpd_log_lost_total",
    }
    assert {each.name for each in METRICS} - shown == left_out


def test_dashboard_can_be_imported() -> None:
    """The data source is a variable, chosen at import."""
    made = dashboard()
    assert made["uid"] == "tcpd"
    assert "id" not in made
    variables = {each["name"]: each for each in made["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert list(variables) == ["datasource", "job", "instance", "service"]
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in made["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["title"]
            assert panel["description"].endswith(".")
    for query in ("definition",):
        for name in ("job", "instance", "service"):
            (metric,) = re.findall(r"label_values\((\w+)", variables[name][query])
            assert name in CATALOGUE[metric]


def test_panels_do_not_overlap() -> None:
    covered = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        fields = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not covered & fields, panel["title"]
        assert place["x"] + place["w"] <= 24
        covered |= fields


def test_quiet_queries_are_on_the_dashboard() -> None:
    """The live test with Prometheus, which is a long one, reads these names."""
    assert {where for where, _ in queries()} >= QUIET


def test_alerts_named_on_the_dashboard_exist() -> None:
    named = set()
    for panel in dashboard()["panels"]:
        named |= set(re.findall(r"\bTcpd\w+", panel.get("description", "")))
    assert named == set(alerts())


def test_each_alert_has_a_runbook() -> None:
    """A section for each alert; its anchor is in the annotations of the rule."""
    page = Page("docs/howto/monitor.rst")
    for name, runbook in alerts().items():
        assert runbook == f"{page.name}#{name.lower()}"
        page.section(name)


def promtool(*arguments: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_alerts_fire_as_specified(tmp_path: Path) -> None:
    path = tmp_path / "test.yml"
    text = TESTS_OF_RULES.read_text(encoding="utf-8")
    path.write_text(text.replace("RULES", str(RULES)))
    promtool("test", "rules", str(path))
    for name in alerts():
        assert f"alertname: {name}" in text, f"no test for {name}"


def test_promtool_accepts_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    lines = ["groups:", "- name: queries", "  rules:"]
    for place, (_, query) in enumerate(queries()):
        lines += [f"  - record: q{place}", f"    expr: '{filled_in(query)}'"]
    path = tmp_path / "queries.yml"
    path.write_text("\n".join(lines) + "\n")
    promtool("check", "rules", str(path))
