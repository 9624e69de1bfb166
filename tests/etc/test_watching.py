"""etc/grafana and etc/prometheus: they ask for what there is."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from running import PATIENCE
from watching import ROOT, RULES, alerts, conditions, dashboard, filled_in, queries

from tcpd.ops.metrics import METRICS
from tcpd.ops.process import Process
from tcpd.ops.process_figures import ProcessFigures
from tcpd.policy.reasons import Refusal

TESTS_OF_RULES = Path(__file__).with_name("tcpd.rules.test.yml")

#: What Prometheus itself makes of a target.
_OF_PROMETHEUS = {"up": ("job", "instance")}


def catalogue() -> dict[str, tuple[str, ...]]:
    """All metrics that are exported, and their labels."""
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

ASKED = [*queries(), *zip(alerts(), conditions(), strict=True)]


@pytest.mark.parametrize(("where", "expression"), ASKED, ids=[where for where, _ in ASKED])
def test_every_metric_and_label_that_is_asked_for_is_exported(where: str, expression: str) -> None:
    """Every metric named in dashboard and rules exists."""
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


def test_reasons_that_alerts_ask_for_are_reasons() -> None:
    (asked,) = (
        found for found in map(re.compile(r'reason=~"([^"]+)"').search, conditions()) if found
    )
    assert set(asked[1].split("|")) == {
        str(each) for each in (Refusal.SERVICE_FULL, Refusal.DAEMON_FULL, Refusal.NO_DESCRIPTOR)
    }


def test_legends_name_labels_that_the_queries_keep() -> None:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            names = {name for name, _ in _METRIC.findall(target["expr"])}
            kept = [set(CATALOGUE[name]) for name in names]
            by = _BY.search(target["expr"])
            if by:
                kept.append({label.strip() for label in by[1].split(",")})
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert legend <= set.intersection(*kept), (panel["title"], target["legendFormat"])


def test_every_metric_that_matters_is_on_the_dashboard() -> None:
    """Those that are left out are named here, with why."""
    shown = {name for _, query in queries() for name, _ in _METRIC.findall(query)}
    left_out = {
        "tcpd_line_commands_total",  # as many as there are commands
        "tcpd_protocol_events_total",  # each protocol's own words
        "tcpd_listeners_open",
        "tcpd_configuration_timestamp_seconds",
        "tcpd_events_followers",
        "tcpd_events_dropped_total",
        "tcpd_log_lost_total",
    }
    assert {each.name for each in METRICS} - shown == left_out


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    """The data source is chosen at import, and nothing of the one it was made with is left."""
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


def test_no_panel_covers_another_and_none_is_outside() -> None:
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


def test_every_alert_that_the_dashboard_names_is_one() -> None:
    named = set()
    for panel in dashboard()["panels"]:
        named |= set(re.findall(r"\bTcpd\w+", panel.get("description", "")))
    assert named == set(alerts())


def test_what_to_do_at_each_alert_is_written_down() -> None:
    """A section per alert with an anchor named by the rule's annotations."""
    page = (ROOT / "docs" / "howto" / "monitor.rst").read_text(encoding="utf-8")
    for name, runbook in alerts().items():
        assert runbook == f"docs/howto/monitor.rst#{name.lower()}"
        assert f"\n{name}\n{'~' * len(name)}\n" in page


def promtool(*arguments: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run(
        ["promtool", *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))


def test_the_rules_alert_when_they_should_and_not_else(tmp_path: Path) -> None:
    path = tmp_path / "test.yml"
    text = TESTS_OF_RULES.read_text(encoding="utf-8")
    path.write_text(text.replace("RULES", str(RULES)))
    promtool("test", "rules", str(path))
    for name in alerts():
        assert f"alertname: {name}" in text, f"nothing tests {name}"


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    lines = ["groups:", "- name: queries", "  rules:"]
    for place, (_, query) in enumerate(queries()):
        lines += [f"  - record: q{place}", f"    expr: '{filled_in(query)}'"]
    path = tmp_path / "queries.yml"
    path.write_text("\n".join(lines) + "\n")
    promtool("check", "rules", str(path))
