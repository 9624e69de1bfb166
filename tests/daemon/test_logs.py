"""Destinations of the log, and events of the daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from reactors import ThreadlessReactor
from twisted.application.service import Application, MultiService
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import ILogObserver, Logger
from zope.interface import implementer

from tcpd.config import ini
from tcpd.config.build import build
from tcpd.config.settings import Settings
from tcpd.daemon import logfile, logs
from tcpd.daemon.compose import SECTIONS, make_daemon
from tcpd.daemon.logfile import OpenedLog
from tcpd.daemon.logs import LogFault, Logs
from tcpd.daemon.registry import Kinds
from tcpd.ops.levels import Threshold

KINDS = Kinds([])
ONE = "[service:echo]\nprotocol = echo\nlisten = 127.0.0.1:7\n"


def settings(text: str) -> Settings:
    whole = "[tcpd]\ncontrol = none\n" + text.removeprefix("[tcpd]\n")
    document, errors = ini.read("/etc/x.ini", whole)
    assert not errors
    return build(document, KINDS, SECTIONS)


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the files of a log, which are otherwise closed at exit."""
    opened: list[Any] = []

    def noting(make: Callable[..., Any]) -> Callable[..., Any]:
        def make_and_note(*args: Any) -> Any:
            opened.append(make(*args))
            return opened[-1]

        return make_and_note

    for module in (logfile, logs):
        monkeypatch.setattr(module, "OpenedLog", noting(OpenedLog))
    monkeypatch.setattr(logs, "Journal", noting(logs.Journal))
    yield
    for each in opened:
        each.close()


@pytest.fixture
def rotate_signal() -> Iterator[None]:
    """Restore the handler of SIGUSR1."""
    before = signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


def log_of(form: str, twistd: dict[str, Any], threshold: Threshold | None = None) -> Logger | None:
    """Install a log as twistd does; ``None`` if there is none."""
    application: Any = Application("tcpd")
    Logs(form, 1 << 20, threshold or Threshold(), twistd, ThreadlessReactor()).install(application)
    observer = application.getComponent(ILogObserver, None)
    return None if observer is None else Logger("test", observer=observer)


def test_foreground_logs_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    log = log_of("text", {"nodaemon": True})
    assert log is not None
    log.info("hello {who}", who="\x1b")
    assert capsys.readouterr().out.endswith(" [test#info] hello \\x1b\n")


def test_json_log_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = log_of("json", {"nodaemon": True, "logfile": "-"})
    assert log is not None
    log.info("hello")
    assert json.loads(capsys.readouterr().out)["message"] == "hello"


@pytest.mark.parametrize("nodaemon", [True, False])
@pytest.mark.usefixtures("rotate_signal")
def test_sigusr1_rotates_the_log_file(
    nodaemon: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "tcpd.log"
    log = log_of("text", {"nodaemon": nodaemon, "logfile": str(path)})
    assert log is not None
    log.info("before")
    signal.raise_signal(signal.SIGUSR1)
    log.info("after")
    assert "before" in (tmp_path / "tcpd.log.1").read_text()
    assert "after" in path.read_text()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("rotate_signal")
def test_background_daemon_logs_to_twistd_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = log_of("text", {})
    assert log is not None
    log.info("hello")
    assert "hello" in (tmp_path / "twistd.log").read_text()


@pytest.mark.parametrize(
    ("twistd", "sentence"),
    [
        ({"logfile": "-"}, "a daemon has no standard output to log to; give --logfile a file"),
        (
            {"logfile": "/nonexistent/x.log"},
            "the log /nonexistent/x.log cannot be opened: No such file or directory",
        ),
    ],
)
def test_log_that_cannot_be_opened_stops_the_start(twistd: dict[str, Any], sentence: str) -> None:
    """A startup fault stops the start, with one sentence on what to change."""
    with pytest.raises(LogFault) as caught:
        log_of("text", twistd)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("most", [0, 100])
def test_log_file_is_rotated_at_log_size(most: int, tmp_path: Path) -> None:
    path = tmp_path / "tcpd.log"
    file = logfile.OpenedLog(str(path), most)
    for number in range(7):
        assert file.write_line(f"{number} {'x' * 47}")
    names = ["tcpd.log", "tcpd.log.1", "tcpd.log.2", "tcpd.log.3"]
    assert sorted(each.name for each in tmp_path.iterdir()) == (names if most else names[:1])
    found = "".join(each.read_text() for each in tmp_path.iterdir())
    assert sorted(re.findall(r"\d", found)) == list("0123456")


def test_incomplete_last_line_is_ended_first(tmp_path: Path) -> None:
    """After a power failure, or a kill while the disk was full."""
    path = tmp_path / "tcpd.log"
    path.write_text("whole\ntor")
    file = logfile.OpenedLog(str(path), 0)
    assert file.write_line("next")
    assert path.read_text() == "whole\ntor\nnext\n"
    path.unlink()
    path.write_text("tor")
    file.reopen()
    file.rotate()
    assert file.write_line("next")
    assert path.read_text() == "next\n", "and a new file begins with no blank line"


def test_failed_rotation_loses_no_line(tmp_path: Path) -> None:
    """The file was moved without SIGUSR1."""
    path = tmp_path / "tcpd.log"
    file = logfile.OpenedLog(str(path), 100)
    path.rename(tmp_path / "moved")
    for _ in range(10):
        assert file.write_line("x" * 49)
    assert (tmp_path / "moved").read_text() == ("x" * 49 + "\n") * 10


def test_rotation_keeps_the_mode_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "tcpd.log"
    path.touch()
    path.chmod(0o604)
    file = logfile.OpenedLog(str(path), 0)
    file.rotate()
    assert path.stat().st_mode & 0o777 == 0o604


def test_device_or_pipe_is_not_rotated(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    file = logfile.OpenedLog(str(fifo), 10)
    written = 0
    while file.write_line("x" * 999):
        written += 1
        assert written < 10_000
    file.rotate()
    assert [each.name for each in tmp_path.iterdir()] == ["fifo"]


def test_moved_log_file_is_reopened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("logs").mkdir()
    opened = Logs("text", 0, Threshold(), {"logfile": "logs/tcpd.log"}, ThreadlessReactor())
    file = opened.open(sys.stdout)
    monkeypatch.chdir("/")  # as a background daemon does
    assert file.write_line("one")
    (tmp_path / "logs/tcpd.log").rename(tmp_path / "logs/old")
    assert file.write_line("two")
    assert opened.reopen() == str(tmp_path / "logs/tcpd.log")
    assert file.write_line("three")
    assert (tmp_path / "logs/old").read_text() == "one\ntwo\n"
    assert (tmp_path / "logs/tcpd.log").read_text() == "three\n"
    # again, without a move: lines are appended
    opened.reopen()
    assert file.write_line("four")
    assert (tmp_path / "logs/tcpd.log").read_text() == "three\nfour\n"


def test_failed_reopening_keeps_the_old_log_file(tmp_path: Path) -> None:
    opened = Logs(
        "text", 0, Threshold(), {"logfile": str(tmp_path / "logs/x")}, ThreadlessReactor()
    )
    (tmp_path / "logs").mkdir()
    file = opened.open(sys.stdout)
    (tmp_path / "logs").rename(tmp_path / "moved")
    with pytest.raises(LogFault, match="No such file or directory; the old file stays in use"):
        opened.reopen()
    assert file.write_line("still here")
    assert (tmp_path / "moved/x").read_text() == "still here\n"


def test_standard_output_is_not_reopened() -> None:
    for twistd in ({"nodaemon": True}, {"syslog": True}):
        with pytest.raises(LogFault, match="does not go to a file"):
            Logs("text", 0, Threshold(), twistd, ThreadlessReactor()).reopen()


def test_logger_option_takes_precedence() -> None:
    assert log_of("json", {"nodaemon": True, "logger": "some.factory"}) is None


def test_observer_of_an_application_is_kept() -> None:
    @implementer(ILogObserver)
    def mine(_event: Any) -> None: ...

    application: Any = Application("tcpd")
    application.setComponent(ILogObserver, mine)
    Logs("json", 0, Threshold(), {"nodaemon": True}, ThreadlessReactor()).install(application)
    assert application.getComponent(ILogObserver) is mine
    Logs("json", 0, Threshold(), {"nodaemon": True}, ThreadlessReactor()).install(MultiService())


def test_log_level_applies_to_the_installed_log(capsys: pytest.CaptureFixture[str]) -> None:
    threshold = Threshold("warn")
    log = log_of("text", {"nodaemon": True}, threshold)
    assert log is not None
    log.info("one")
    threshold.name = "debug"
    log.debug("two")
    shown = capsys.readouterr().out
    assert "one" not in shown
    assert "two" in shown


def test_syslog_gets_text_and_severities(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, str]] = []
    fake = types.SimpleNamespace(
        openlog=lambda *_: None, syslog=lambda _self, priority, text: sent.append((priority, text))
    )
    monkeypatch.setattr(logs.SyslogObserver, "openlog", lambda *_: None)
    monkeypatch.setattr(logs.SyslogObserver, "syslog", fake.syslog)
    log = log_of("text", {"syslog": True, "prefix": "x"})
    assert log is not None
    log.warn("peer {text}", text="\n\x1b")
    assert sent == [(4, "[test#warn] peer \\x0a\\x1b")]


def test_journal_gets_records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    monkeypatch.setattr(logs, "JOURNAL", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        log = log_of("journald", {"nodaemon": True})
        assert log is not None
        log.info("hello")
        assert journal.recv(65536).startswith(b"MESSAGE=hello\nPRIORITY=6\n")


def test_text_log_without_a_journal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "JOURNAL", str(tmp_path / "nowhere"))
    log = log_of("journald", {"nodaemon": True})
    assert log is not None
    log.info("one")
    log.info("two")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "journald cannot be reached (No such file or directory)" in lines[0]


# --- events of the daemon ---


class FollowedLog:
    """A running daemon with a follower."""

    def __init__(self, text: str) -> None:
        self.reactor = MemoryReactorClock()
        self.daemon = make_daemon(settings(text), KINDS, self.reactor, lambda: 0.0)
        self.lines: list[Any] = []
        self.daemon.followers.follow(lambda line: self.lines.append(json.loads(line)))
        self.daemon.privilegedStartService()
        self.daemon.startService()

    def new_ids(self) -> list[str]:
        """Return the ids of the events since the last call."""
        ids = [line["event"] for line in self.lines]
        self.lines.clear()
        return ids

    def connect(self) -> tuple[Any, StringTransport]:
        factory = self.reactor.tcpServers[0][1]
        transport = StringTransport()
        protocol = factory.buildProtocol(transport.getPeer())
        protocol.makeConnection(transport)
        return protocol, transport


def test_start_and_stop_are_logged_with_each_listener() -> None:
    harness = FollowedLog(ONE.replace("listen =", "listen =\n  [::1]:7\n "))
    assert [line["message"].partition(",")[0] for line in harness.lines] == [
        "service echo: listening on [::1]:7",
        "service echo: listening on 127.0.0.1:7",
        "tcpd 0.1.0 started: services 1",
    ]
    assert harness.lines[-1]["fields"]["listeners"] == 2
    harness.new_ids()
    harness.daemon.stopService()
    assert harness.new_ids() == ["daemon.stopping", "service.stopped", "daemon.stopped"]


def test_follower_gets_no_events_after_the_stop() -> None:
    harness = FollowedLog(ONE)
    harness.daemon.stopService()
    harness.new_ids()
    FollowedLog(ONE).daemon.stopService()
    assert harness.new_ids() == []


@pytest.mark.parametrize("access_log", ["yes", "no"])
def test_access_log_is_opt_in(access_log: str) -> None:
    harness = FollowedLog(f"[policy:default]\naccess_log = {access_log}\n{ONE}")
    protocol, _ = harness.connect()
    harness.new_ids()
    harness.reactor.advance(1.5)
    protocol.dataReceived(b"hello")
    harness.daemon.cut()
    protocol.connectionLost()
    if access_log == "no":
        assert harness.new_ids() == ["daemon.cut"]
    else:
        ended = harness.lines[-1]
        assert ended["event"] == "connection.ended"
        assert ended["fields"] == {
            "service": "echo",
            "id": "1",
            "peer": "192.168.1.1:54321",
            "seconds": 1.5,
            "bytes_in": 5,
            "bytes_out": 5,
            "tls": "no TLS",
            "end": "shutdown",
            "via": "",
            "handshake": "",
            "error": "",
        }
    harness.daemon.stopService()


def test_reload_switches_the_access_log_of_open_connections() -> None:
    harness = FollowedLog(ONE)
    protocol, _ = harness.connect()
    harness.daemon.configuration.reconfigure(settings(f"[policy:default]\naccess_log = yes\n{ONE}"))
    harness.new_ids()
    protocol.connectionLost()
    assert harness.new_ids() == ["connection.ended"]
    harness.daemon.stopService()


def test_log_level_can_be_changed_at_run_time() -> None:
    harness = FollowedLog("[tcpd]\nlog_level = warn\n" + ONE)
    daemon = harness.daemon
    assert daemon.log.level == "warn"
    harness.new_ids()
    daemon.log.level = "debug"
    daemon.log.level = "debug"
    assert harness.new_ids() == ["daemon.log-level"]
    with pytest.raises(ValueError, match="'all' is not a log level"):
        daemon.log.level = "all"
    assert daemon.configuration.reconfigure(settings("[tcpd]\nlog_level = error\n" + ONE)) == [
        "tcpd: log_level swapped"
    ]
    assert daemon.log.level == "error"
    daemon.stopService()


def test_log_format_requires_a_restart() -> None:
    harness = FollowedLog(ONE)
    assert harness.daemon.configuration.reconfigure(settings("[tcpd]\nlog = json\n" + ONE)) == [
        "tcpd: log needs a restart"
    ]
    harness.daemon.stopService()
