"""``tcpd-ctl top`` on a real terminal, with a real daemon."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from running import Daemon, receive_until
from terminal import Screen, has

pytestmark = pytest.mark.live

CONFIG = (
    "[tcpd]\nserver_name = test.example\ndrain = 20s\n"
    "[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0\n"
    "[service:chargen]\nprotocol = chargen\nlisten =\n  127.0.0.1:0\n"
    "[service:echo]\nprotocol = echo\nlisten =\n  127.0.0.1:0\n"
)


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Callable[..., Screen]]:
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    opened: list[Screen] = []

    def make(
        daemon: Daemon,
        *options: str,
        width: int = 80,
        height: int = 24,
        program: Sequence[str] = (sys.executable, "-m", "tcpd.ctl"),
    ) -> Screen:
        command = [*program, "--socket", str(daemon.control), "top"]
        opened.append(Screen(tmp_path, " ".join([*command, *options]), width, height))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_rates_keys_sizes_and_quit(
    start: Callable[[str], Daemon],
    screen: Callable[..., Screen],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon = start(CONFIG)
    monkeypatch.setenv("COLUMNS", "70")  # the size of the terminal counts
    with daemon.connect("line") as client, daemon.connect("echo"):
        receive_until(client, b"\r\n")
        top = screen(daemon, "--interval", "0.3")
        lines = top.shows(has("REF/S"))
        assert len(lines) == 24
        assert lines[0].startswith("tcpd ")
        assert lines[0].endswith(" on test.example")
        assert lines[23].startswith("q quit  c connections")
        (row,) = (line for line in lines if line.startswith("line"))
        assert row.split()[:4] == ["line", "line", "open", "1"]

        def moves(lines: list[str]) -> bool:
            client.sendall(b"PING hello\r\n")
            (row,) = (line for line in lines if line.startswith("line"))
            return row.split()[6] not in ("-", "0")

        top.shows(moves)
        top.keys("c")
        lines = top.shows(lambda lines: sum("127.0.0.1:" in line for line in lines) == 2)
        top.keys("/", "E", "C", "H")
        lines = top.shows(has("filter: ECH_"))
        assert sum("127.0.0.1:" in line for line in lines) == 1
        top.keys("Enter", "Right", "r")
        top.shows(has("connections, by QUIET reversed, with 'ECH'"))
        top.keys("h")
        top.shows(has("reverse the order"))
        top.keys("h", "Escape", "p")
        top.shows(has("PAUSED, 3 connections"))
        top.keys("p")
        for width, height in ((40, 8), (20, 4), (8, 2), (120, 40)):
            top.resize(width, height)
            lines = top.shows(
                lambda lines, height=height: (
                    len(lines) == height and lines[0].startswith("tcpd") and "$" not in lines[-1]
                )
            )
            assert max(map(len, lines)) <= width
        top.shows(lambda lines: len(lines) == 40 and lines[39].startswith("q quit"))
        top.keys("q")
        lines = top.shows(has("ended with 0"))
        assert not has("QUIET")(lines)


def test_display_continues_after_a_restart_of_the_daemon(
    tmp_path: Path, screen: Callable[..., Screen], request: pytest.FixtureRequest
) -> None:
    daemon = Daemon(tmp_path, CONFIG)
    request.addfinalizer(daemon.stop)
    with daemon.connect("chargen") as client:
        assert client.recv(100)
        top = screen(daemon, "--interval", "0.2")
        top.shows(has(" ready, up "))
        daemon.process.send_signal(signal.SIGTERM)
        # the control socket stays until the last client has left; this client does not read
        top.shows(has("NOT READY, stopping"))
    daemon.stop()
    lines = top.shows(has("LOST "))
    assert "trying again every 0.2 s" in "".join(lines)
    assert any(line.startswith("line") for line in lines)
    daemon = Daemon(tmp_path, CONFIG)
    request.addfinalizer(daemon.stop)
    lines = top.shows(has(" ready, up "))
    assert not has("LOST")(lines)
    top.keys("C-c")
    top.shows(has("ended with 0"))


def test_keys_work_while_the_daemon_hangs(
    start: Callable[[str], Daemon], screen: Callable[..., Screen]
) -> None:
    daemon = start(CONFIG)
    top = screen(daemon, "--interval", "0.2")
    top.shows(has(" ready, up "))
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        top.shows(has("NO ANSWER for "))
        top.keys("q")
        top.shows(has("ended with 0"))
    finally:
        daemon.process.send_signal(signal.SIGCONT)


def test_signals_restore_the_terminal(
    start: Callable[[str], Daemon], screen: Callable[..., Screen]
) -> None:
    daemon = start(CONFIG)
    top = screen(daemon)
    top.shows(has(" ready, up "))
    top.keys("C-z")
    top.shows(lambda lines: lines and not has("REF/S")(lines))
    top.keys("fg", "Enter")
    top.shows(has("REF/S"))
    os.kill(top.program(), signal.SIGTERM)
    top.keys("echo ended with $?", "Enter")
    top.shows(has("ended with 143"))
    top.keys("echo visible", "Enter")
    top.shows(lambda lines: lines.count("visible") == 1)


def test_without_rich_it_prints_the_plain_table(
    start: Callable[[str], Daemon], screen: Callable[..., Screen], tmp_path: Path
) -> None:
    """rich is the extra ``top``."""
    (tmp_path / "rich.py").write_text("raise ModuleNotFoundError('rich')")
    program = [f"PYTHONPATH={tmp_path}", sys.executable, "-m", "tcpd.ctl"]
    top = screen(start(CONFIG), "--interval", "0.1", program=program, width=100)
    lines = top.shows(has("ended with 0"))
    assert has("the live display requires rich: pip install 'tcpd[top]'")(lines)
    assert any(line.startswith("chargen") for line in lines)


def test_once_prints_one_plain_table(start: Callable[[str], Daemon]) -> None:
    """Standard output need not be a terminal."""
    daemon = start(CONFIG)
    with daemon.connect("line") as client:
        receive_until(client, b"\r\n")
        for options in ([], ["--once"]):
            done = daemon.ctl("top", "--interval", "0.1", *options)
            assert (done.returncode, done.stderr) == (0, "")
            assert "\x1b" not in done.stdout
            lines = done.stdout.splitlines()
            assert lines[1].startswith("connections 1 of 10000, new 0.0/s, refused 0.0/s")
            assert [line.split()[0] for line in lines[4:]] == [
                "SERVICE",
                "line",
                "control",
                "chargen",
                "echo",
            ]
        done = daemon.ctl("top", "--once", "--interval", "0.1", "--connections", "--filter", "127.")
        (row,) = done.stdout.splitlines()[5:]
        assert "127.0.0.1:" in row
    done = daemon.ctl("top", "--sort", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert "not a column to sort by" in done.stderr
    assert daemon.ctl("top", "--interval", "0").returncode == 2
    daemon.stop()
    done = daemon.ctl("top")
    assert done.returncode == 3
