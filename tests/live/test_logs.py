"""Log of a live daemon: text and JSON, twistd's options, a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certificates
import pytest
from processes import BackgroundDaemon
from running import PATIENCE, TWISTD, Daemon, receive_all

pytestmark = pytest.mark.live

SERVICES = """
[service:echo]
protocol = echo
listen =
    127.0.0.1:0
    127.0.0.1:0 tls=main
    127.0.0.1:0 udp
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
"""
ACCESS = "[policy:default]\naccess_log = yes\n"


def runtime(directory: Path) -> dict[str, str]:
    """Return the variable that places the control socket of a daemon."""
    return {"RUNTIME_DIRECTORY": str(directory)}


class Foreground:
    """``twistd -n`` with further options; its log is read line by line."""

    def __init__(self, directory: Path, config: str, *options: str) -> None:
        certificates.make(directory, "localhost")
        (directory / "tcpd.ini").write_text(config)
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [TWISTD, "-n", "--pidfile=", *options, "tcpd", "--config", "tcpd.ini"],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": str(directory),
                **runtime(directory),
            },
        )

    def read_until(self, wanted: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if wanted in line:
                return
        raise AssertionError("\n".join(self.lines))

    def stop(self) -> None:
        assert self.process.stdout is not None
        self.process.terminate()
        self.lines += self.process.stdout.read().splitlines()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


@pytest.fixture
def foreground(tmp_path: Path) -> Iterator[Callable[..., Foreground]]:
    started: list[Foreground] = []

    def start(config: str, *options: str) -> Foreground:
        started.append(Foreground(tmp_path, config, *options))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.stop()


def talk(port: int, data: bytes = b"hello") -> None:
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.settimeout(PATIENCE)
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == data


def test_json_log_has_one_object_a_line(
    foreground: Callable[..., Foreground],
) -> None:
    daemon = foreground(f"[tcpd]\nlog = json\n{ACCESS}{SERVICES}")
    daemon.read_until("daemon.started")
    opened = [json.loads(line) for line in daemon.lines if "service.listening" in line]
    listening = [record for record in opened if record["fields"]["service"] == "echo"]
    assert len(listening) == 3
    talk(int(re.split("[: ]", listening[0]["fields"]["listener"])[1]))
    daemon.read_until("connection.ended")
    daemon.stop()
    records = [json.loads(line) for line in daemon.lines]
    keys = {"time", "level", "event", "message", "logger", "fields", "traceback"}
    assert all(set(record) == keys for record in records)
    ids = [
        record["event"]
        for record in records
        if record["event"] and record["fields"].get("service", "echo") == "echo"
    ]
    assert ids == [
        *["service.listening"] * 3,
        "daemon.started",
        "connection.ended",
        "daemon.stopping",
        "service.stopped",
        "daemon.stopped",
    ]
    (ended,) = [record for record in records if record["event"] == "connection.ended"]
    fields: dict[str, Any] = ended["fields"]
    assert (fields["bytes_in"], fields["bytes_out"], fields["tls"]) == (5, 5, "no TLS")


def test_text_log_names_listeners_and_ends_of_connections(
    start: Callable[[str], Daemon],
) -> None:
    daemon = start(f"{ACCESS}{SERVICES}")
    with daemon.connect_tls("echo") as client:
        client.sendall(b"hi")
        assert client.recv(2) == b"hi"
    (line,) = daemon.wait_for(lambda line: "connection 1 from" in line)
    assert re.search(
        r"service echo: connection 1 from 127\.0\.0\.1:\d+ ended after \d+\.\d+ s: \S+, "
        r"\d+ bytes in, \d+ bytes out, TLSv1\.3 TLS_\w+$",
        line,
    )
    daemon.stop()
    lines = [line for line in daemon.log if re.search(r"listening on|starting on|Closed", line)]
    assert len([line for line in lines if "service echo: listening on 127.0.0.1:" in line]) == 3
    assert all("listening on" in line for line in lines)


def test_log_level_suppresses_lower_levels(foreground: Callable[..., Foreground]) -> None:
    daemon = foreground(f"[tcpd]\nlog_level = warn\nconnections = 1000000\n{SERVICES}", "-l", "-")
    # the one line at this level: more connections than the limit of open files
    daemon.read_until("open files")
    daemon.stop()
    assert [line for line in daemon.lines if "#info" in line] == []


def test_logger_option_of_twistd_takes_precedence(
    foreground: Callable[..., Foreground], tmp_path: Path
) -> None:
    (tmp_path / "somelog.py").write_text(
        "import sys\n"
        "from twisted.logger import ILogObserver\n"
        "from zope.interface import implementer\n"
        "OUT = sys.stdout\n"
        "@implementer(ILogObserver)\n"
        "def observe(event):\n"
        "    OUT.write(f\"mine: {event.get('event_id')}\\n\")\n"
        "    OUT.flush()\n"
        "def factory():\n"
        "    return observe\n"
    )
    daemon = foreground(f"[tcpd]\nlog = json\n{SERVICES}", "--logger=somelog.factory")
    daemon.read_until("mine: daemon.started")
    daemon.stop()
    assert all(line.startswith("mine: ") for line in daemon.lines)


@pytest.mark.parametrize("form", ["text", "json"])
def test_sigusr1_rotates_the_log_file(form: str, tmp_path: Path) -> None:
    certificates.make(tmp_path, "localhost")
    log = tmp_path / "some.log"
    config = f"[tcpd]\nlog = {form}\n{ACCESS}{SERVICES}"
    daemon = BackgroundDaemon(tmp_path, config, "-l", log.name)
    try:
        found = re.search(r"service echo: listening on 127\.0\.0\.1:(\d+)", log.read_text())
        assert found is not None
        talk(int(found[1]))
        os.kill(daemon.pid, signal.SIGUSR1)
        for _ in range(1000):  # each is logged; the file is rotated before a line
            talk(int(found[1]))
            if (tmp_path / "some.log.1").exists():
                break
        talk(int(found[1]))
    finally:
        daemon.end()
    old, new = (tmp_path / "some.log.1").read_text(), log.read_text()
    assert "listening on" in old
    assert "listening on" not in new
    assert "ended after" in new
    assert "stopped after" in new
    if form == "json":
        assert all(json.loads(line) for line in (old + new).splitlines())
    assert not (tmp_path / "twistd.log").exists()


def test_log_that_cannot_be_opened_fails_the_start(tmp_path: Path) -> None:
    certificates.make(tmp_path, "localhost")
    (tmp_path / "tcpd.ini").write_text(SERVICES)
    done = subprocess.run(
        [TWISTD, "--pidfile=", "-l", "gone/some.log", "tcpd", "--config", "tcpd.ini"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **runtime(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr == (
        "tcpd: the log gone/some.log cannot be opened: No such file or directory\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="mount(2) requires root")
@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("where", ["logfile", "stdout"])
def test_lines_lost_to_a_full_disk_are_counted(tmp_path: Path, form: str, where: str) -> None:
    """ "their number is logged when writing succeeds again"; "A truncated line is ended before the
    next line". On a tmpfs of 32 KiB, in a mount namespace."""
    (tmp_path / "tcpd.ini").write_text(
        f"[tcpd]\nlog = {form}\n[metrics]\nlisten = 127.0.0.1:0\n[policy:default]\n"
        "access_log = yes\n[service:echo]\nprotocol = echo\nlisten = 127.0.0.1:0\n"
    )
    (tmp_path / "disk").mkdir()
    options = "--logfile=disk/log" if where == "logfile" else "-n >disk/log"
    script = (
        "mount -t tmpfs -o size=32k none disk && touch disk/log && "
        f"exec {TWISTD} -n --pidfile= {options} tcpd --config tcpd.ini"
    )
    daemon = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=tmp_path,
        env={**os.environ, **runtime(tmp_path)},
    )
    # the mount is visible in the daemon's namespace only
    disk = Path(f"/proc/{daemon.pid}/root/{tmp_path}/disk")
    deadline = time.monotonic() + PATIENCE

    def lines_until(condition: Callable[[str], bool]) -> list[str]:
        log = disk / "log"  # exists after the mount
        while not condition(text := log.read_text() if log.exists() else ""):
            assert daemon.poll() is None
            assert time.monotonic() < deadline, text
            time.sleep(0.02)
        return text.splitlines()

    try:
        text = "\n".join(lines_until(lambda text: "control: listening" in text))
        found = re.findall(r"service (\w+): listening on 127\.0\.0\.1:(\d+)", text)
        ports = {name: int(number) for name, number in found}
        with open(disk / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(bytes(4096))
        for _ in range(100):
            talk(ports["echo"])
        while "\ntcpd_log_lost_total 0.0" in (page := metrics_of(ports["metrics"])):
            talk(ports["echo"])
        assert "\ntcpd_log_lost_total " in page
        (disk / "filler").unlink()
        talk(ports["echo"], b"last")
        lines = lines_until(lambda text: "4 bytes in" in text)
    finally:
        daemon.terminate()
        daemon.wait(PATIENCE)
    (lost,) = [line for line in lines if "log records were lost: No space left on device" in line]
    count = int(lost.partition(" log records were lost")[0].split()[-1].rpartition('"')[2])
    end = "}" if form == "json" else "bytes out, no TLS"
    whole = [line for line in lines if "ended after" in line and line.endswith(end)]
    ids = [int(found[1]) for line in whole if (found := re.search(r"connection (\d+) from", line))]
    assert count > 0
    assert len(ids) + count == ids[-1], "each connection has a line or is counted"
    truncated = [line for line in lines if "ended after" in line and line not in whole]
    assert len(truncated) <= 1
    if form == "json":
        assert all(json.loads(line) for line in lines if line not in truncated)


def metrics_of(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
    return text
