"""Where the log goes, and what the daemon tells of itself."""

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
    """Close what a log opened, which otherwise the end of the process does."""
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
    """Leave SIGUSR1 as it was."""
    before = signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


class Reactor(MemoryReactorClock):
    """Does at once what is asked for from a signal."""

    def callFromThread(self, function: Any, *args: Any, **kwargs: Any) -> None:
        function(*args, **kwargs)


def log_of(form: str, twistd: dict[str, Any], threshold: Threshold | None = None) -> Logger | None:
    """Install a log as twistd would find it; ``None`` if it finds none."""
    application: Any = Application("tcpd")
    Logs(form, 1 << 20, threshold or Threshold(), twistd, Reactor()).install(application)
    observer = application.getComponent(ILogObserver, None)
    return None if observer is None else Logger("test", observer=observer)


def test_in_the_foreground_it_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    log = log_of("text", {"nodaemon": True})
    assert log is not None
    log.info("hello {who}", who="\x1b")
    assert capsys.readouterr().out.endswith(" [test#info] hello \\x1b\n")


def test_json_is_an_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log = log_of("json", {"nodaemon": True, "logfile": "-"})
    assert log is not None
    log.info("hello")
    assert json.loads(capsys.readouterr().out)["message"] == "hello"


@pytest.mark.parametrize("nodaemon", [True, False])
@pytest.mark.usefixtures("rotate_signal")
def test_a_log_file_is_rotated_by_sigusr1(
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
def test_a_daemon_without_a_log_file_has_the_one_that_twistd_has(
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
def test_a_log_that_cannot_be_opened_stops_the_start(twistd: dict[str, Any], sentence: str) -> None:
    """A startup fault stops the start, with one sentence on what to change."""
    with pytest.raises(LogFault) as caught:
        log_of("text", twistd)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("most", [0, 100])
def test_a_log_file_is_rotated_at_the_size_that_is_asked_for(most: int, tmp_path: Path) -> None:
    path = tmp_path / "tcpd.log"
    file = logfile.OpenedLog(str(path), most)
    for number in range(7):
        assert file.write_line(f"{number} {'x' * 47}")
    names = ["tcpd.log", "tcpd.log.1", "tcpd.log.2", "tcpd.log.3"]
    assert sorted(each.name for each in tmp_path.iterdir()) == (names if most else names[:1])
    found = "".join(each.read_text() for each in tmp_path.iterdir())
    assert sorted(re.findall(r"\d", found)) == list("0123456")


def test_a_file_that_ends_within_a_line_gets_its_end_first(tmp_path: Path) -> None:
    """The daemon before was killed while the disk was full, or the machine lost its power."""
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


def test_a_rotation_that_cannot_be_costs_no_line(tmp_path: Path) -> None:
    """Somebody has moved the file, and has not said so."""
    path = tmp_path / "tcpd.log"
    file = logfile.OpenedLog(str(path), 100)
    path.rename(tmp_path / "moved")
    for _ in range(10):
        assert file.write_line("x" * 49)
    assert (tmp_path / "moved").read_text() == ("x" * 49 + "\n") * 10


def test_the_mode_of_a_log_outlives_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "tcpd.log"
    path.touch()
    path.chmod(0o604)
    file = logfile.OpenedLog(str(path), 0)
    file.rotate()
    assert path.stat().st_mode & 0o777 == 0o604


def test_what_is_no_file_on_disk_is_neither_rotated_nor_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    file = logfile.OpenedLog(str(fifo), 10)
    written = 0
    while file.write_line("x" * 999):
        written += 1
        assert written < 10_000
    file.rotate()
    assert [each.name for each in tmp_path.iterdir()] == ["fifo"]


def test_a_log_file_that_was_moved_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("logs").mkdir()
    opened = Logs("text", 0, Threshold(), {"logfile": "logs/tcpd.log"}, Reactor())
    file = opened.open(sys.stdout)
    monkeypatch.chdir("/")  # as a daemon does
    assert file.write_line("one")
    (tmp_path / "logs/tcpd.log").rename(tmp_path / "logs/old")
    assert file.write_line("two")
    assert opened.reopen() == str(tmp_path / "logs/tcpd.log")
    assert file.write_line("three")
    assert (tmp_path / "logs/old").read_text() == "one\ntwo\n"
    assert (tmp_path / "logs/tcpd.log").read_text() == "three\n"
    # again, with nothing moved: it goes on behind what is there
    opened.reopen()
    assert file.write_line("four")
    assert (tmp_path / "logs/tcpd.log").read_text() == "three\nfour\n"


def test_a_log_that_cannot_be_opened_anew_goes_on_where_it_was(tmp_path: Path) -> None:
    opened = Logs("text", 0, Threshold(), {"logfile": str(tmp_path / "logs/x")}, Reactor())
    (tmp_path / "logs").mkdir()
    file = opened.open(sys.stdout)
    (tmp_path / "logs").rename(tmp_path / "moved")
    with pytest.raises(LogFault, match="No such file or directory; the old file stays in use"):
        opened.reopen()
    assert file.write_line("still here")
    assert (tmp_path / "moved/x").read_text() == "still here\n"


def test_what_is_no_file_is_not_opened_anew() -> None:
    for twistd in ({"nodaemon": True}, {"syslog": True}):
        with pytest.raises(LogFault, match="does not go to a file"):
            Logs("text", 0, Threshold(), twistd, Reactor()).reopen()


def test_logger_of_twistd_wins() -> None:
    assert log_of("json", {"nodaemon": True, "logger": "some.factory"}) is None


def test_an_observer_that_an_application_has_is_left_alone() -> None:
    @implementer(ILogObserver)
    def mine(_event: Any) -> None: ...

    application: Any = Application("tcpd")
    application.setComponent(ILogObserver, mine)
    Logs("json", 0, Threshold(), {"nodaemon": True}, Reactor()).install(application)
    assert application.getComponent(ILogObserver) is mine
    Logs("json", 0, Threshold(), {"nodaemon": True}, Reactor()).install(MultiService())


def test_the_level_holds_for_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_journal_gets_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "journal")
    monkeypatch.setattr(logs, "JOURNAL", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(path)
        log = log_of("journald", {"nodaemon": True})
        assert log is not None
        log.info("hello")
        assert journal.recv(65536).startswith(b"MESSAGE=hello\nPRIORITY=6\n")


def test_without_a_journal_it_is_text_where_that_would_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "JOURNAL", str(tmp_path / "nowhere"))
    log = log_of("journald", {"nodaemon": True})
    assert log is not None
    log.info("one")
    log.info("two")
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 3
    assert "journald cannot be reached (No such file or directory)" in told[0]


# --- what the daemon tells ---


class House:
    """A running daemon that somebody follows."""

    def __init__(self, text: str) -> None:
        self.reactor = MemoryReactorClock()
        self.daemon = make_daemon(settings(text), KINDS, self.reactor, lambda: 0.0)
        self.lines: list[Any] = []
        self.daemon.followers.follow(lambda line: self.lines.append(json.loads(line)))
        self.daemon.privilegedStartService()
        self.daemon.startService()

    def told(self) -> list[str]:
        """The ids of what was told since it was last asked for."""
        ids = [line["event"] for line in self.lines]
        self.lines.clear()
        return ids

    def connect(self) -> tuple[Any, StringTransport]:
        factory = self.reactor.tcpServers[0][1]
        transport = StringTransport()
        protocol = factory.buildProtocol(transport.getPeer())
        protocol.makeConnection(transport)
        return protocol, transport


def test_start_and_stop_are_told_with_every_listener() -> None:
    house = House(ONE.replace("listen =", "listen =\n  [::1]:7\n "))
    assert [line["message"].partition(",")[0] for line in house.lines] == [
        "service echo: listening on [::1]:7",
        "service echo: listening on 127.0.0.1:7",
        "tcpd 0.1.0 started: services 1",
    ]
    assert house.lines[-1]["fields"]["listeners"] == 2
    house.told()
    house.daemon.stopService()
    assert house.told() == ["daemon.stopping", "service.stopped", "daemon.stopped"]


def test_who_follows_hears_nothing_after_the_stop() -> None:
    house = House(ONE)
    house.daemon.stopService()
    house.told()
    House(ONE).daemon.stopService()
    assert house.told() == []


@pytest.mark.parametrize("access_log", ["yes", "no"])
def test_the_access_log_is_opt_in(access_log: str) -> None:
    house = House(f"[policy:default]\naccess_log = {access_log}\n{ONE}")
    protocol, _ = house.connect()
    house.told()
    house.reactor.advance(1.5)
    protocol.dataReceived(b"hello")
    house.daemon.cut()
    protocol.connectionLost()
    if access_log == "no":
        assert house.told() == ["daemon.cut"]
    else:
        ended = house.lines[-1]
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
    house.daemon.stopService()


def test_a_reload_switches_the_access_log_for_who_is_there() -> None:
    house = House(ONE)
    protocol, _ = house.connect()
    house.daemon.configuration.reconfigure(settings(f"[policy:default]\naccess_log = yes\n{ONE}"))
    house.told()
    protocol.connectionLost()
    assert house.told() == ["connection.ended"]
    house.daemon.stopService()


def test_the_level_can_be_set_while_it_runs() -> None:
    house = House("[tcpd]\nlog_level = warn\n" + ONE)
    daemon = house.daemon
    assert daemon.log.level == "warn"
    house.told()
    daemon.log.level = "debug"
    daemon.log.level = "debug"
    assert house.told() == ["daemon.log-level"]
    with pytest.raises(ValueError, match="'all' is not a log level"):
        daemon.log.level = "all"
    assert daemon.configuration.reconfigure(settings("[tcpd]\nlog_level = error\n" + ONE)) == [
        "tcpd: log_level swapped"
    ]
    assert daemon.log.level == "error"
    daemon.stopService()


def test_the_form_of_the_log_takes_a_restart() -> None:
    house = House(ONE)
    assert house.daemon.configuration.reconfigure(settings("[tcpd]\nlog = json\n" + ONE)) == [
        "tcpd: log needs a restart"
    ]
    house.daemon.stopService()
