"""A real Prometheus that scrapes a live daemon: queries of the dashboard, and the rules."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running import EVERYTHING, PATIENCE, Daemon, receive_until
from watching import QUIET, RULES, alerts, filled_in, queries

pytestmark = [pytest.mark.live, pytest.mark.long]

SITE = "\n[metrics]\nlisten =\n    127.0.0.1:0\n"


class Prometheus:
    """A Prometheus that scrapes a daemon each second.

    :param directory: for its data.
    :param port: of the daemon's metrics page.
    """

    def __init__(self, directory: Path, port: int) -> None:
        config = directory / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            f"rule_files: [{RULES}]\n"
            "scrape_configs:\n"
            "- job_name: tcpd\n"
            f"  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
        )
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        self._url = ""
        ready = False
        for line in self._process.stderr:  # the two lines come in either order
            if found := re.search(r'"Listening on" address=(\S+)', line):
                self._url = f"http://{found[1]}/api/v1"
            ready = ready or "Server is ready" in line
            if ready and self._url:
                break
        else:
            raise AssertionError("Prometheus does not start")

    def ask(self, path: str, **arguments: str) -> Any:
        url = f"{self._url}/{path}?{urllib.parse.urlencode(arguments)}"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        return found["data"]

    def until(self, wanted: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if wanted():
                return
        raise AssertionError("timed out")

    def stop(self) -> None:
        self._process.terminate()
        assert self._process.stderr is not None
        self._process.stderr.read()
        self._process.wait(PATIENCE)
        self._process.stderr.close()


@pytest.fixture
def prometheus(start: Callable[[str], Daemon], tmp_path: Path) -> Iterator[Prometheus]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    daemon = start(EVERYTHING + SITE)
    with daemon.connect("line") as client:
        receive_until(client, b"\r\n")
        client.sendall(b"PING\r\n")
        receive_until(client, b"\r\n")
    prometheus = Prometheus(tmp_path, daemon.ports["metrics", ""])
    yield prometheus
    prometheus.stop()


def test_queries_have_results_and_rules_are_healthy(prometheus: Prometheus) -> None:
    def found(query: str) -> list[Any]:
        results: list[Any] = prometheus.ask("query", query=filled_in(query, window="1m"))["result"]
        return results

    # a rate needs two scrapes
    prometheus.until(lambda: bool(found("rate(tcpd_received_bytes_total[$__rate_interval])")))
    for where, query in queries():
        assert bool(found(query)) == (where not in QUIET), where
    prometheus.until(
        lambda: all(
            rule["health"] == "ok"
            for group in prometheus.ask("rules")["groups"]
            for rule in group["rules"]
        )
    )
    (group,) = prometheus.ask("rules")["groups"]
    assert [rule["name"] for rule in group["rules"]] == list(alerts())
    # the certificate of the tests expires soon
    assert {alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"]} <= {
        "TcpdCertificateEnds",
        "TcpdCertificateEndsSoon",
    }
