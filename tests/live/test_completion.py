"""etc/completion: what real shells complete, beside a real daemon."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from running import PATIENCE, Daemon

from tcpd.ctl.completion import described
from tcpd.ctl.main import _parser
from tcpd.ops.levels import LEVELS

pytestmark = pytest.mark.live

COMPLETION = Path(__file__).resolve().parents[2] / "etc" / "completion"
CTL = str(Path(sys.executable).with_name("tcpd-ctl"))
BEFORE, COMMANDS = described(_parser())
NAMES = [command.name for command in COMMANDS]

CONFIG = (
    "[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0\n  127.0.0.1:0\n"
    "[service:lines.two]\nprotocol = line\nlisten =\n  127.0.0.1:0\n"
    "[service:echo]\nprotocol = echo\nlisten =\n  127.0.0.1:0\n"
)

#: Sets the words as readline does, and calls what was registered for the command.
BASH = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
complete -p tcpd-ctl >/dev/null || exit 9
_tcpd_ctl 2>&1
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(*words: str, directory: Path = COMPLETION) -> list[str]:
    """What bash completes behind these words, the last of which is being typed."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    done = subprocess.run(
        [bash, "--norc", "-c", BASH, "bash", str(COMPLETION / "tcpd-ctl.bash"), CTL, *words],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    return [line for line in done.stdout.split("\n") if line]


def test_commands() -> None:
    assert complete("") == NAMES
    assert complete("re") == ["reload", "reopen", "resume"]
    assert complete("--timeout", "3", "st") == ["status"]
    assert complete("nonsense", "") == []


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_every_option_of_every_command(command: object) -> None:
    """It cannot drift from tcpd-ctl's own table."""
    (found,) = [each for each in COMMANDS if each is command]
    flags = [flag for option in found.options for flag in option.flags]
    assert complete(found.name, "-") == flags
    assert complete(found.name, "--ti") == ["--timeout"]


def test_values_that_are_known() -> None:
    assert complete("log", "") == list(LEVELS)
    assert complete("connections", "--sort", "i") == ["in", "idle"]
    assert complete("connections", "--sort", "=", "i") == ["in", "idle"]
    assert complete("connections", "--sort", "=") == ["age", "new", "in", "out", "bytes", "idle"]
    assert complete("top", "--sort", "ou") == ["out/s", "out"]
    assert complete("--timeout", "") == []
    assert complete("probe", "--name", "") == []


def test_files(tmp_path: Path) -> None:
    (tmp_path / "some file.ini").touch()
    assert complete("--config", "so", directory=tmp_path) == ["some file.ini"]
    assert complete("probe", "--ca", "", directory=tmp_path) == ["some file.ini"]


def test_names_of_services_are_asked_of_the_daemon(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    socket = ["--socket", str(daemon.control)]
    assert complete(*socket, "drain", "l") == ["line", "lines.two"]
    assert complete("--socket", "=", str(daemon.control), "resume", "e") == ["echo"]
    assert complete(*socket, "connections", "--service", "") == [
        "line",
        "lines.two",
        "echo",
        "control",
    ]
    assert complete(*socket, "drain", "--j") == ["--json"]
    assert complete(*socket, "drain", "$(exit 1)") == []


def test_without_a_daemon_it_is_quick_and_silent(tmp_path: Path) -> None:
    began = time.monotonic()
    assert complete("--socket", str(tmp_path / "none"), "drain", "") == []
    assert time.monotonic() - began < 10


def test_what_the_daemon_is_called_stays_a_word(tmp_path: Path) -> None:
    """Nothing that a daemon says is run by the shell."""
    program = tmp_path / "tcpd-ctl"
    program.write_text("#!/bin/sh\necho 'SERVICE  PROTOCOL'\necho '$(touch${IFS}x)  line'\n")
    program.chmod(0o755)
    done = subprocess.run(
        [
            *("bash", "--norc", "-c", BASH, "bash", str(COMPLETION / "tcpd-ctl.bash")),
            *(str(program), "drain", ""),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "$(touch${IFS}x)\n"
    assert not (tmp_path / "x").exists()


def test_the_command_prints_what_is_shipped() -> None:
    done = subprocess.run([CTL, "completion", "bash"], capture_output=True, check=True)
    assert done.stdout == (COMPLETION / "tcpd-ctl.bash").read_bytes()
