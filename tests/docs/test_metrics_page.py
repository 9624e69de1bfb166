"""docs/howto/metrics.rst: it names all metrics and no others, and its queries are valid."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from tcpd.ops.metrics import METRICS
from tcpd.policy.reasons import Refusal

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "metrics.rst").read_text("utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"\.\. code-block:: {language}\n\n((?:(?: {{3}}.*)?\n)+)", PAGE)
    return [textwrap.dedent(block).strip() for block in found]


QUERIES = blocks("text")


def test_all_metrics_are_named_and_no_others() -> None:
    metrics = {metric.name for metric in METRICS}
    assert set(re.findall(r"``(tcpd_\w+)``", PAGE)) == metrics
    assert set(re.findall(r"\btcpd_\w+", PAGE)) == metrics


def test_labels_and_reasons_in_queries_exist() -> None:
    labels = {metric.name: {*metric.labels} for metric in METRICS}
    reasons = {str(refusal) for refusal in Refusal}
    selectors = re.findall(r'\b(tcpd_\w+)\{(\w+)=?[~!=]+"([^"]*)"\}', PAGE)
    assert len(selectors) > 5
    for name, label, value in selectors:
        assert label in labels[name], name
        if name == "tcpd_connections_refused_total":
            assert {*value.split("|")} <= reasons


def test_promtool_accepts_the_queries(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed")
    assert len(QUERIES) > 15
    rules = [{"record": f"query:{number}", "expr": text} for number, text in enumerate(QUERIES)]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "q", "rules": rules}]}))
    (shown,) = blocks("yaml")
    (tmp_path / "shown.yml").write_text(shown)
    done = subprocess.run(
        ["promtool", "check", "rules", "queries.yml", "shown.yml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{len(rules)} rules found" in done.stdout
    assert "2 rules found" in done.stdout
