"""Metrics page of a live daemon."""

from __future__ import annotations

import http.client
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from running import (
    EVERYTHING,
    PATIENCE,
    Daemon,
    client_context,
    metrics,
    receive_all,
    receive_until,
)

pytestmark = pytest.mark.live

SITE = """
[metrics]
listen =
    127.0.0.1:0
    127.0.0.1:0 tls=main
"""

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def site(start: Callable[[str], Daemon]) -> Daemon:
    """A daemon that serves each protocol, and the metrics page."""
    return start(EVERYTHING + SITE)


def fetch(
    daemon: Daemon, path: str, method: str = "GET", accept: str = ""
) -> tuple[int, Message, str]:
    """Request a page by a new connection; return status, headers and body."""
    url = f"http://127.0.0.1:{daemon.ports['metrics', '']}{path}"
    request = urllib.request.Request(url, method=method, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers, answer.read().decode()


def scrape(daemon: Daemon) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_text(metrics(daemon))
        for sample in family.samples
    }


def get(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def scraped_until(daemon: Daemon, name: str, expected: float, **labels: str) -> Samples:
    """Scrape until a sample has this value: the reactor sees a close in its next turn."""
    for _ in range(20):
        samples = scrape(daemon)
        if samples.get((name, frozenset(labels.items()))) == expected:
            return samples
    raise AssertionError(f"{name} {labels} is {samples.get((name, frozenset(labels.items())))}")


def test_bytes_and_connections_are_counted_exactly(site: Daemon) -> None:
    data = b"x" * 12_345
    with site.connect("echo") as client:
        client.sendall(data)
        received = b""
        while len(received) < len(data):
            received += client.recv(65536)
        samples = scrape(site)
        assert get(samples, "tcpd_connections_open", service="echo") == 1
    samples = scraped_until(site, "tcpd_connections_open", 0, service="echo")
    assert get(samples, "tcpd_connections_accepted_total", service="echo") == 1
    assert get(samples, "tcpd_received_bytes_total", service="echo") == len(data)
    assert get(samples, "tcpd_sent_bytes_total", service="echo") == len(data)
    ended = {
        dict(labels)["reason"]: value
        for (name, labels), value in samples.items()
        if name == "tcpd_connections_ended_total" and ("service", "echo") in labels and value
    }
    assert ended == {"client": 1}
    assert get(samples, "tcpd_received_bytes_total", service="chat") == 0


def test_datagrams_are_counted(site: Daemon) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", site.ports["echo", "udp"]))
        client.send(b"12345")
        assert client.recv(100) == b"12345"
    samples = scrape(site)
    assert get(samples, "tcpd_datagrams_received_total", service="echo") == 1
    assert get(samples, "tcpd_datagrams_sent_total", service="echo") == 1
    assert get(samples, "tcpd_sent_bytes_total", service="echo") == 5
    assert get(samples, "tcpd_datagrams_dropped_total", service="echo", reason="rate") == 0


def test_refusals_are_counted_by_reason(start: Callable[[str], Daemon]) -> None:
    daemon = start(EVERYTHING.replace("per_address = 10000", "per_address = 2") + SITE)
    with daemon.connect("line") as one, daemon.connect("line") as two:
        receive_until(one, b"\r\n")
        receive_until(two, b"\r\n")
        with daemon.connect("line") as three:
            assert receive_all(three).startswith(b"421 ")
        samples = scrape(daemon)
        assert (
            get(samples, "tcpd_connections_refused_total", service="line", reason="address-full")
            == 1
        )
        assert get(samples, "tcpd_connections_open", service="line") == 2


def test_tls_is_counted_by_version_and_its_failures_by_reason(site: Daemon) -> None:
    with site.connect_tls("echo") as client:
        client.sendall(b"hi")
        assert receive_until(client, b"hi") == b"hi"
        version = client.version()
        assert version is not None
    with site.connect("echo", "tls=main") as client:
        client.sendall(b"this is no TLS\r\n")
        receive_all(client)
    samples = scraped_until(
        site, "tcpd_tls_handshake_failures_total", 1, service="echo", reason="tls-failed"
    )
    assert get(samples, "tcpd_tls_handshakes_total", service="echo", version=version) == 1


def test_line_commands_and_replies_are_counted(site: Daemon) -> None:
    with site.connect("line") as client:
        client.sendall(b"PING a\r\nping b\r\nFROB-%n\r\n\xff\r\nECHO c\r\nQUIT\r\n")
        receive_all(client)
    samples = scrape(site)
    commands = {
        dict(labels)["command"]: value
        for (name, labels), value in samples.items()
        if name == "tcpd_line_commands_total"
    }
    assert commands == {"PING": 2, "ECHO": 1, "QUIT": 1}, "an unknown command is no label"
    for code, count in ((250, 3), (500, 2), (221, 1)):
        assert get(samples, "tcpd_line_replies_total", service="line", code=str(code)) == count


def test_members_rooms_and_messages_are_counted(site: Daemon) -> None:
    with site.connect("chat") as ann, site.connect("chat") as bob:
        ann.sendall(b"ann\n")
        receive_until(ann, b"(1): ann\r\n")
        bob.sendall(b"bob\n")
        receive_until(bob, b"(2): ann, bob\r\n")
        bob.sendall(b"hello\n/msg ann psst\n")
        receive_until(ann, b"psst\r\n")
        samples = scrape(site)
        assert get(samples, "tcpd_chat_members") == 2
        assert get(samples, "tcpd_chat_rooms") == 1
        assert get(samples, "tcpd_chat_messages_total", to="room") == 1
        assert get(samples, "tcpd_chat_messages_total", to="person") == 1
        # ann joined (1), bob joined (2), hello (1), psst (1)
        assert get(samples, "tcpd_chat_deliveries_total") == 5
    samples = scraped_until(site, "tcpd_chat_members", 0)
    assert get(samples, "tcpd_chat_entered_total") == 2


def test_process_and_build_metrics(site: Daemon) -> None:
    samples = scrape(site)
    assert get(samples, "process_open_fds") > 10
    assert get(samples, "process_resident_memory_bytes") > 1e7
    assert abs(get(samples, "tcpd_start_time_seconds") - time.time()) < 2 * PATIENCE
    assert get(samples, "tcpd_reactor_lag_seconds") >= 0
    (build,) = [labels for name, labels in samples if name == "tcpd_build_info"]
    assert {"version", "twisted", "python", "openssl"} == set(dict(build))


def test_reloads_are_counted_by_outcome(site: Daemon) -> None:
    began = get(scrape(site), "tcpd_configuration_timestamp_seconds")
    path = site.directory / "tcpd.ini"
    text = path.read_text()
    path.write_text(text + "[policy:extra]\nidle = 1s\n")
    site.process.send_signal(signal.SIGHUP)
    samples = scraped_until(site, "tcpd_reloads_total", 1, outcome="ok")
    assert get(samples, "tcpd_configuration_timestamp_seconds") >= began
    path.write_text(text + "nonsense\n")
    site.process.send_signal(signal.SIGHUP)
    samples = scraped_until(site, "tcpd_reloads_total", 1, outcome="refused")
    assert get(samples, "tcpd_reloads_total", outcome="ok") == 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_the_metrics(site: Daemon) -> None:
    with site.connect("line") as client:
        client.sendall(b"PING\r\nQUIT\r\n")
        receive_all(client)
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=fetch(site, "/metrics")[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_openmetrics_by_content_negotiation(site: Daemon) -> None:
    accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3"
    _, headers, text = fetch(site, "/metrics", accept=accept)
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert len(list(read_openmetrics(text))) > 20
    assert fetch(site, "/metrics")[1]["Content-Type"].startswith("text/plain; version=0.0.4")


def test_other_paths_and_methods(site: Daemon) -> None:
    assert fetch(site, "/healthz")[::2] == (200, "ok\n")
    assert fetch(site, "/readyz")[::2] == (200, "ready\n")
    assert fetch(site, "/")[0] == 404
    assert fetch(site, "/metrics/")[0] == 404
    status, headers, _ = fetch(site, "/metrics", "POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    status, headers, body = fetch(site, "/metrics", "HEAD")
    assert (status, body) == (200, "")
    assert int(headers["Content-Length"]) > 1000
    assert headers["Server"] == "tcpd"


def test_over_tls(site: Daemon) -> None:
    connection = http.client.HTTPSConnection(
        "localhost",
        site.ports["metrics", "tls=main"],
        timeout=PATIENCE,
        context=client_context(site.directory),
    )
    for _ in range(2):  # on one connection
        connection.request("GET", "/healthz")
        with connection.getresponse() as answer:
            assert answer.read() == b"ok\n"
    connection.close()


def test_slow_and_broken_clients_do_not_affect_others(site: Daemon) -> None:
    slow = [site.connect("metrics") for _ in range(20)]
    for client in slow:
        client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
    never_reads = site.connect("metrics")
    never_reads.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
    for garbage in (
        b"\x00" * 70_000,
        b"\x16\x03\x01" + b"\xff" * 500,
        b"\r\n" * 20_000,
        b"GET\r\n",
    ):
        with site.connect("metrics") as client:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            try:
                receive_all(client)
            except ConnectionError:
                continue  # reset: the daemon closed with unread input
    assert fetch(site, "/healthz")[0] == 200
    with site.connect("echo") as client:
        client.sendall(b"hi")
        assert receive_until(client, b"hi") == b"hi"
    assert get(scrape(site), "tcpd_connections_open", service="metrics") >= 21
    for client in (*slow, never_reads):
        client.close()


def test_pipelined_requests_do_not_delay_others(site: Daemon) -> None:
    """'One request at a time on a connection, the next when its answer is written'. HEAD requests,
    whose responses fit into the socket buffer."""
    request = b"HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    flood = [site.connect("metrics") for _ in range(10)]
    for client in flood:
        client.sendall(request * 2000)
    with site.connect("echo") as other:
        for _ in range(20):
            other.sendall(b"x")
            assert other.recv(1) == b"x"
    answered = b"".join(client.recv(1 << 20) for client in flood).count(b"HTTP/1.1 200 ")
    assert answered < 10_000, "echo was served before half of the flood"
    for client in flood[1:]:
        client.close()
    received = b""
    with flood[0] as client:
        client.shutdown(socket.SHUT_WR)
        received = receive_all(client)
    assert b"HTTP/1.1 200 " in received


def test_readyz_fails_while_draining(start: Callable[[str], Daemon]) -> None:
    daemon = start(EVERYTHING.replace("drain = 2s", "drain = 1h") + SITE)
    with daemon.connect("chargen") as client:
        client.recv(1)  # and reads no more: with full buffers the connection stays open
        sent = [0.0, 1.0, 2.0]
        while len(set(sent[-3:])) > 1:
            sent.append(get(scrape(daemon), "tcpd_sent_bytes_total", service="chargen"))
        assert fetch(daemon, "/readyz")[0] == 200
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for(lambda line: "Received SIGTERM" in line)
        for _ in range(200):
            status, _, body = fetch(daemon, "/readyz")
            if status == 503:
                break
        assert body == "stopping: connections are being drained\n"
        assert fetch(daemon, "/healthz")[0] == 200
        assert get(scrape(daemon), "tcpd_connections_open", service="chargen") == 1
        with pytest.raises(ConnectionRefusedError):
            daemon.connect("echo")
    daemon.stop()
