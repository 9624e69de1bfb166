"""Locales other than UTF-8: output is UTF-8 all the same, and no text fails."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from running import PATIENCE, TWISTD, Daemon, receive_all, receive_until

pytestmark = pytest.mark.live

#: Python then uses ASCII for file names, arguments, the environment and its streams.
ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

#: Latin-1 for the streams only.
LATIN_1 = {"PYTHONIOENCODING": "iso-8859-1:strict"}

CONFIG = """
[tcpd]
control = {directory}/räume-日本/control
drain = 1s
[policy:default]
access_log = yes
[service:chat]
protocol = chat
listen =
  127.0.0.1:0
[service:exec]
protocol = exec
command = /bin/sh -c "printf '%s %s\\\\n' \\"$GREETING\\" \\"$1\\"" sh 'größer ☃'
environment = GREETING=Grüße, 日本
user = {user}
listen =
  127.0.0.1:0
[service:qotd]
protocol = qotd
quotes = sprüche-日本
listen =
  unix:{directory}/söckel-日本
"""


@pytest.fixture(scope="module")
def latin_1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A German locale in Latin-1; of the streams only if the C library has none."""
    where = tmp_path_factory.mktemp("locales")
    made = where / "de_DE.ISO-8859-1"
    with contextlib.suppress(OSError):
        command = ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(made)]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        if done.returncode == 0:
            return {"LC_ALL": made.name, "LOCPATH": str(where)}
    return LATIN_1


@pytest.fixture(params=["ascii", pytest.param("latin-1", marks=pytest.mark.long)])
def locale(request: pytest.FixtureRequest, latin_1: dict[str, str]) -> dict[str, str]:
    """Variables of the locale."""
    return ASCII if request.param == "ascii" else latin_1


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a configuration and its files."""
    (tmp_path / "räume-日本").mkdir()
    (tmp_path / "sprüche-日本").write_text("Übung macht den Meister ☃\n", "utf-8")
    user = "root" if os.geteuid() == 0 else ""
    (tmp_path / "x.ini").write_text(CONFIG.format(directory=tmp_path, user=user), "utf-8")
    return tmp_path


def run(words: list[str], locale: dict[str, str], directory: Path) -> str:
    """Run a program that must succeed without output on standard error; return its output."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=directory,
        env={**os.environ, **locale},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode("utf-8")


def test_shown_configuration_can_be_read_back(directory: Path, locale: dict[str, str]) -> None:
    words = [TWISTD, "-n", "tcpd", "--config", "x.ini"]
    shown = run([*words, "--show-config"], locale, directory)
    for text in ("räume-日本/control", "Grüße, 日本", "größer ☃", "söckel-日本", "sprüche-日本"):
        assert text in shown
    (directory / "x.ini").write_text(shown, "utf-8")
    again = run([*words, "--show-config"], locale, directory)
    lines = ([each for each in text.splitlines() if each[:1] != "#"] for text in (shown, again))
    assert next(lines) == next(lines)
    assert "nothing is wrong" in run([*words, "--check"], locale, directory)
    assert "Grüße" not in run([*words, "--print-config"], locale, directory)


def test_errors_are_printed_as_utf_8(directory: Path, locale: dict[str, str]) -> None:
    (directory / "ü☃.ini").write_text("[service:ü☃]\nprotocol = ☃\n", "utf-8")
    done = subprocess.run(
        [sys.executable, TWISTD, "-n", "tcpd", "--config", "ü☃.ini", "--check"],
        cwd=directory,
        env={**os.environ, **locale},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    errors = done.stderr.decode("utf-8")
    assert errors.startswith("ü☃.ini:1: [service:ü☃]: a name has lower-case letters")
    assert "there is no protocol '☃'" in errors
    assert "Traceback" not in errors


def test_daemon_and_tcpd_ctl_with_non_ascii_names(directory: Path, locale: dict[str, str]) -> None:
    """Names of rooms, sockets and files, output of programs, the log, and commands of tcpd-ctl."""
    text = (directory / "x.ini").read_text("utf-8")
    daemon = Daemon(directory, text, variables=locale)
    try:
        with daemon.connect("chat") as client:
            greeted = receive_until(client, b"\n")
            client.sendall("Jürgen\n/join #Räume-日本\n".encode())
            while "Räume-日本" not in greeted.decode("utf-8", "replace"):
                greeted += client.recv(4096)
            commands = [
                ["status"],
                ["services"],
                ["connections"],
                ["rooms"],
                ["limits"],
                ["bans"],
                ["top", "--once", "--interval", "0.1"],
                ["ban", "192.0.2.1", "1h", "Grüße", "☃"],
                ["bans"],
                ["log"],
                ["check"],
                ["reload"],
            ]
            control = ["-m", "tcpd.ctl", "--config", "x.ini"]
            for command in commands:
                printed = run([*control, *command], locale, directory)
                if command == ["rooms"]:
                    assert "räume-日本" in printed.lower()
                if command == ["bans"] and "192.0.2.1" in printed:
                    assert "Grüße ☃" in printed
            rooms = json.loads(run([*control, "rooms", "--json"], locale, directory))
            assert "日本" in json.dumps(rooms, ensure_ascii=False)
        with daemon.connect("exec") as client:
            assert receive_all(client).decode("utf-8") == "Grüße, 日本 größer ☃\n"
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(directory / "söckel-日本"))
            assert receive_all(client).decode("utf-8") == "Übung macht den Meister ☃\r\n"
        daemon.wait_for(lambda line: "Grüße ☃" in line)
    finally:
        daemon.stop()
    left = {each.name for each in directory.iterdir()} - {"run"}  # the state directory, if not root
    assert left == {"räume-日本", "sprüche-日本", "tcpd.ini", "x.ini"}


@pytest.mark.parametrize("program", ["twistd", "tcpd-ctl"])
def test_file_name_that_is_not_utf_8_is_reported(
    program: str, tmp_path: Path, locale: dict[str, str]
) -> None:
    name = b"gone-\xff\xe4.ini"
    words: list[str | bytes] = {
        "twistd": [TWISTD, "-n", "tcpd", "--check", "--config", name],
        "tcpd-ctl": ["-m", "tcpd.ctl", "--config", name, "status"],
    }[program]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        env={**os.environ, **locale},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode in (1, 3)
    errors = done.stderr.decode("utf-8")
    assert "Traceback" not in errors
    assert "No such file or directory" in errors
