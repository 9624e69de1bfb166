"""README.rst: output and figures that test_commands.py does not compare."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import certificates
import pytest
from docs.commands import ROOT, Block, Page, difference
from rich.console import Console
from running import PATIENCE, TWISTD, Daemon, receive_all
from topping import sample, service

from tcpd.ctl.top.rates import compare
from tcpd.ctl.top.screen import draw
from tcpd.ctl.top.view import View
from tcpd.net.handshake_capture import self_test

PAGE = Page("README.rst")
SPEED = (ROOT / "docs" / "explanation" / "speed.rst").read_text(encoding="utf-8")


def block_with(text: str) -> Block:
    """Return the one block that contains this text."""
    (found,) = [block for block in PAGE.blocks if text in block.text]
    return found


def test_command_for_the_tests_is_marked() -> None:
    """.ci/run reads it from the block after ``.. test-command``."""
    marked = [block.text for block in PAGE.blocks if block.is_command]
    assert any(".venv/bin/pytest" in text for text in marked)
    assert ".. test-command" in PAGE.text


@pytest.mark.parametrize(
    "word", ["exec", "forward", "PROXY", "Prometheus", "systemd", "reload", "tcpd-ctl"]
)
def test_introduction_names_the_features(word: str) -> None:
    assert word in PAGE.introduction


def test_named_files_exist() -> None:
    """Names are relative to the checkout, or to a directory of docs."""
    places = [ROOT, *(each for each in (ROOT / "docs").iterdir() if each.is_dir())]
    names = set(re.findall(r"``([\w./-]+(?:\.rst|/))``", PAGE.text))
    assert len(names) > 20
    for name in names:
        assert any((place / name).exists() for place in places), name


@pytest.mark.live
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("protocol = exec\ncommand = /bin/df -h /", "protocol = forward\nto = 127.0.0.1:25"),
        ("protocol = exec\ncommand = /bin/df -h /", "protocol = irc"),
    ],
    ids=["exec", "forward", "irc"],
)
def test_ini_file_passes_the_check(before: str, after: str, tmp_path: Path) -> None:
    (block,) = [block for block in PAGE.blocks if block.file == "disk.ini"]
    made = certificates.make(tmp_path, "localhost")
    made.certificate_file.rename(tmp_path / "cert.pem")
    made.key_file.rename(tmp_path / "key.pem")
    text = block.text.replace(before, after) if before else block.text
    assert after in text
    if "protocol = exec" in text and os.geteuid() == 0:
        # which a daemon of root requires
        text += "user = nobody\n"
    (tmp_path / "disk.ini").write_text(text)
    done = subprocess.run(
        [TWISTD, "tcpd", "--config", "disk.ini", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout.endswith("\ndisk.ini: nothing is wrong\n"), done.stdout + done.stderr


def test_screen_of_top_is_current() -> None:
    """Words, headings and columns; the page has numbers of a daemon under load."""
    shown = block_with("SERVICE       PROTOCOL").text.splitlines()
    rows = [line.split() for line in shown[5 : shown.index("", 5)]]
    services = [service(row[0], protocol=row[1], connections=int(row[3])) for row in rows]
    snapshot = compare(sample(0.0, *services), sample(2.0, *services))
    console = Console(width=84, color_system=None, _environ={})
    screen = console.render_lines(draw(View(), snapshot, (), "", 84, len(shown)))
    drawn = ["".join(each.text for each in line).rstrip() for line in screen]
    assert [line[:41] for line in drawn[4:-3]] == [line[:41] for line in shown[4:-3]]
    assert drawn[-2:] == shown[-2:]

    def words(line: str) -> str:
        line = line.ljust(84)
        return re.sub(r"[\w.]*\d[\w.]*|\w+\.example.*|[ \u2581-\u2588]{8,}", "N", line)

    assert [words(line.ljust(84)) for line in drawn[:5]] == [
        words(line.ljust(84)) for line in shown[:5]
    ]


@pytest.mark.live
def test_drawing_of_the_handshake_is_current(tmp_path: Path) -> None:
    if absence := self_test():
        pytest.skip(f"the server's sequence number is not known: {absence.value[1]}")
    (command,) = [each for each in PAGE.commands if each.text.startswith("nc localhost 7080")]
    daemon = Daemon(
        tmp_path,
        "[service:handshake]\nprotocol = handshake\nlisten =\n    127.0.0.1:0\n",
    )
    try:
        with daemon.connect("handshake") as client:
            printed = receive_all(client).decode("ascii").splitlines()[: len(command.shown)]
        # the server's port is ephemeral
        lines = [re.sub(r" *127\.0\.0\.1:\d+$", " SERVER", line) for line in printed]
        shown = [re.sub(r" *127\.0\.0\.1:\d+$", " SERVER", line) for line in command.shown]
        assert not difference(shown, lines)
    finally:
        daemon.stop()


def test_acknowledgment_numbers_of_the_drawing() -> None:
    """RFC 9293 section 3.5: an ACK of a SYN is its sequence number plus one."""
    drawn = block_with("SYN-ACK").text
    assert "?" not in drawn
    numbers = list(map(int, re.findall(r"(?:seq|ack)=(\d+)", drawn)))
    syn, isn, *acknowledged = numbers
    assert acknowledged == [syn + 1, syn + 1, isn + 1]


def test_figures_are_those_of_the_page_on_speed() -> None:
    """A cost is the inverse of the ratio in the tables, which compare with stock Twisted."""

    def costs(name: str, table: str) -> list[float]:
        row = re.search(rf"^{re.escape(name)}  .*$", table, re.M)
        assert row
        return [1 / float(figure) for figure in re.findall(r"([\d.]+) \(", row[0])]

    proxies = SPEED[SPEED.index("For proxies, the figures include") :]
    ours, theirs = costs("tcpd, ``forward``", proxies), costs("HAProxy", proxies)
    small, bulk, short = (their / our for our, their in zip(ours, theirs, strict=True))
    ends = SPEED[SPEED.index("connect, echo, close\n====") :]
    xinetd = costs("xinetd", ends)[1] / costs("**tcpd**", ends)[1]
    assert PAGE.mentions("HAProxy", f"{small:.2f} of it", f"{short:.2f} for", f"{bulk:.1f} times")
    assert PAGE.mentions("xinetd", f"{xinetd:.0f} times")
