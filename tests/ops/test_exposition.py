"""Rendering of metrics in both formats."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as read_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as read_text
from twisted.internet.task import Clock

from tcpd.ops.counters import ChatCounters, DaemonCounters, ServiceCounters
from tcpd.ops.exposition import OPENMETRICS_TYPE, TEXT_TYPE, Exposition
from tcpd.ops.figures import Figures, Words
from tcpd.ops.lag import ReactorLag
from tcpd.ops.metrics import MAX_WORDS, METRICS, VERSIONS
from tcpd.ops.process import Process

WORDS = Words(
    refusals=("denied", "daemon-full"),
    ends=("client", "tls-failed"),
    tls_failures=("tls-failed",),
    tls_versions=("TLSv1.3",),
    drops=("rate",),
)

# The Accept header of Prometheus 3.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
    "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


def figures(**services: ServiceCounters) -> Figures:
    return Figures(
        services=services,
        listeners=dict.fromkeys(services, 1),
        connections_limit=10_000,
        chat=ChatCounters(),
        members=3,
        rooms=2,
        history=1234,
        daemon=DaemonCounters(),
        followers=1,
        events_dropped=9,
        log_lost=4,
        lag=ReactorLag(Clock()),
        started=1_000_000_000.0,
        configured=1_000_000_001.0,
        ready=True,
        versions=dict.fromkeys(VERSIONS, "1"),
        words=WORDS,
    )


def scraped(what: Figures) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Parse all samples, by name and labels."""
    _, text = Exposition(lambda: what, Clock().seconds, Process()).scrape("")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_text(text.decode())
        for sample in family.samples
    }


def value(what: Figures, name: str, **labels: str) -> float:
    return scraped(what)[name, frozenset(labels.items())]


def busy() -> Figures:
    """Figures with all values set."""
    counters = ServiceCounters()
    counters.open, counters.accepted = 2, 5
    counters.refused["denied"] = 3
    counters.ended["client"] = 2
    counters.ended["tls-failed"] = 1
    counters.bytes_in, counters.bytes_out = 100, 200
    counters.datagrams_in, counters.datagrams_out = 7, 4
    counters.datagrams_dropped["rate"] = 3
    counters.tls["TLSv1.3"] = 4
    counters.commands["PING"] = 6
    counters.replies[250] = 6
    counters.events["throttled"] = 8
    return figures(echo=counters)


@pytest.mark.parametrize(
    ("name", "labels", "expected"),
    [
        ("tcpd_connections_open", {"service": "echo"}, 2),
        ("tcpd_connections_accepted_total", {"service": "echo"}, 5),
        ("tcpd_connections_refused_total", {"service": "echo", "reason": "denied"}, 3),
        ("tcpd_connections_refused_total", {"service": "echo", "reason": "daemon-full"}, 0),
        ("tcpd_connections_ended_total", {"service": "echo", "reason": "client"}, 2),
        ("tcpd_received_bytes_total", {"service": "echo"}, 100),
        ("tcpd_sent_bytes_total", {"service": "echo"}, 200),
        ("tcpd_datagrams_received_total", {"service": "echo"}, 7),
        ("tcpd_datagrams_sent_total", {"service": "echo"}, 4),
        ("tcpd_datagrams_dropped_total", {"service": "echo", "reason": "rate"}, 3),
        ("tcpd_tls_handshakes_total", {"service": "echo", "version": "TLSv1.3"}, 4),
        ("tcpd_tls_handshake_failures_total", {"service": "echo", "reason": "tls-failed"}, 1),
        ("tcpd_line_commands_total", {"service": "echo", "command": "PING"}, 6),
        ("tcpd_line_replies_total", {"service": "echo", "code": "250"}, 6),
        ("tcpd_protocol_events_total", {"service": "echo", "event": "throttled"}, 8),
        ("tcpd_listeners_open", {"service": "echo"}, 1),
        ("tcpd_connections_limit", {}, 10_000),
        ("tcpd_chat_members", {}, 3),
        ("tcpd_chat_rooms", {}, 2),
        ("tcpd_chat_messages_total", {"to": "person"}, 0),
        ("tcpd_reloads_total", {"outcome": "refused"}, 0),
        ("tcpd_events_followers", {}, 1),
        ("tcpd_events_dropped_total", {}, 9),
        ("tcpd_log_lost_total", {}, 4),
        ("tcpd_ready", {}, 1),
        ("tcpd_start_time_seconds", {}, 1_000_000_000),
        ("tcpd_configuration_timestamp_seconds", {}, 1_000_000_001),
    ],
)
def test_figures_are_exposed(name: str, labels: dict[str, str], expected: float) -> None:
    assert value(busy(), name, **labels) == expected


def test_exposed_metrics_are_those_declared() -> None:
    text = Exposition(busy, Clock().seconds, Process()).scrape("")[1].decode()
    exposed = set(re.findall(r"^# TYPE (tcpd_\S+) (\S+)$", text, re.M))
    assert exposed == {(metric.name, metric.type) for metric in METRICS}
    for (name, labels), _ in scraped(busy()).items():
        for metric in METRICS:
            if metric.name == name:
                assert {label for label, _ in labels} == set(metric.labels)


def test_names_follow_the_conventions() -> None:
    """https://prometheus.io/docs/practices/naming/: a prefix, base units, counters in _total."""
    for metric in METRICS:
        assert re.fullmatch(r"tcpd_[a-z]+(_[a-z]+)*", metric.name)
        assert metric.name.endswith("_total") is (metric.type == "counter")
        assert not re.search(r"_(ms|milliseconds|kb|kilobytes|minutes)(_|$)", metric.name)
        assert metric.help.endswith(".")


def test_openmetrics_by_accept_header() -> None:
    content_type, text = Exposition(busy, Clock().seconds, Process()).scrape(PROMETHEUS)
    assert content_type == OPENMETRICS_TYPE
    assert text.endswith(b"# EOF\n")
    families = {family.name for family in read_openmetrics(text.decode())}
    assert {metric.name.removesuffix("_total") for metric in METRICS} <= families


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "text/html,application/xhtml+xml",
        "text/plain;version=zero.oh",
        "application/openmetrics-text;q=0",
        "application/openmetrics-textual",
        ",;,;=,\x00;",
        "a" * 10_000,
    ],
)
def test_text_format_otherwise(accept: str) -> None:
    content_type, text = Exposition(busy, Clock().seconds, Process()).scrape(accept)
    assert content_type == TEXT_TYPE
    assert list(read_text(text.decode()))


@pytest.mark.parametrize("accept", ["application/openmetrics-text;version=zero.oh", PROMETHEUS])
def test_openmetrics_content_type_has_the_rendered_version(accept: str) -> None:
    assert Exposition(busy, Clock().seconds, Process()).scrape(accept)[0] == OPENMETRICS_TYPE


def test_number_of_event_series_is_bounded() -> None:
    counters = ServiceCounters()
    for number in range(10 * MAX_WORDS):
        counters.events[f"word-{number}"] = 1
    rows = [
        (dict(labels)["event"], count)
        for (name, labels), count in scraped(figures(x=counters)).items()
        if name == "tcpd_protocol_events_total"
    ]
    assert len(rows) == MAX_WORDS + 1
    assert sum(count for _, count in rows) == 10 * MAX_WORDS
    assert dict(rows)["other"] == 9 * MAX_WORDS


def test_event_names_are_quoted() -> None:
    """A kind of another package may use any name of events."""
    counters = ServiceCounters()
    counters.events['a"b\\c\nd'] = 1
    assert value(figures(x=counters), "tcpd_protocol_events_total", service="x", event='a"b\\c\nd')


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_check_passes() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=Exposition(busy, Clock().seconds, Process()).scrape("")[1],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_rendering_is_cached_for_a_second() -> None:
    clock = Clock()
    read: list[Figures] = []

    def figures() -> Figures:
        read.append(busy())
        return read[-1]

    exposition = Exposition(figures, clock.seconds, Process())
    for _ in range(3):
        first = exposition.scrape("")
        assert exposition.scrape(PROMETHEUS)[0] == OPENMETRICS_TYPE
        clock.advance(0.3)
    assert len(read) == 2
    assert exposition.scrape("") is not first
    assert exposition.scrape("")[1] is first[1]
    clock.advance(0.2)
    assert exposition.scrape("")[1] is not first[1]
