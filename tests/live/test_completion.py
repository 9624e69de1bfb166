"""etc/completion: what real shells complete, beside a real daemon."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import PATIENCE, Daemon
from terminal import Screen, has

from tcpd.ctl.completion.table import Command, described
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
def test_every_option_of_every_command(command: Command) -> None:
    """It cannot drift from tcpd-ctl's own table."""
    flags = [flag for option in command.options for flag in option.flags]
    assert complete(command.name, "-") == flags
    assert complete(command.name, "--ti") == ["--timeout"]


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


def test_without_a_daemon_it_is_silent(tmp_path: Path) -> None:
    assert complete("--socket", str(tmp_path / "none"), "drain", "") == []


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


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_the_command_prints_what_is_shipped(shell: str) -> None:
    done = subprocess.run([CTL, "completion", shell], capture_output=True, check=True)
    assert done.stdout == (COMPLETION / f"tcpd-ctl.{shell}").read_bytes()


# --- fish ---


def fish(line: str) -> list[str]:
    """What fish completes behind a line, its descriptions left out."""
    program = shutil.which("fish")
    if program is None:
        pytest.skip("fish is not installed")
    done = subprocess.run(
        [
            *(
                program,
                "--no-config",
                "-c",
                f"source {COMPLETION}/tcpd-ctl.fish; complete -C $argv",
            ),
            f"{CTL} {line}",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    return [each.split("\t")[0] for each in done.stdout.splitlines()]


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_fish_completes_every_option(command: Command) -> None:
    flags = {flag for option in command.options for flag in option.flags}
    assert set(fish(f"{command.name} -")) == flags
    assert command.name in fish(f"--timeout 3 {command.name[:2]}")


def test_fish_completes_values() -> None:
    assert set(fish("")) == set(NAMES)
    assert set(fish("log ")) == set(LEVELS)
    assert set(fish("--socket x connections --sort i")) == {"in", "idle"}


def test_fish_asks_the_daemon_for_names(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    assert set(fish(f"--socket {daemon.control} drain l")) == {"line", "lines.two"}
    assert set(fish(f"--socket {daemon.control} connections --service e")) == {"echo"}
    assert fish("--socket /nonexistent drain ") == []


# --- zsh ---


@pytest.fixture
def zsh(tmp_path: Path) -> Iterator[Screen]:
    """A terminal with a zsh on it that has loaded the file."""
    program = shutil.which("zsh")
    if program is None or shutil.which("tmux") is None:
        pytest.skip("zsh and tmux are not both installed")
    shutil.copy(COMPLETION / "tcpd-ctl.zsh", tmp_path / "_tcpd-ctl")
    path = Path(CTL).parent
    screen = Screen(
        tmp_path,
        f"fpath=({tmp_path} $fpath); path=({path} $path); autoload -U compinit; compinit -D -u",
        width=160,
        shell=f"{program} -f",
    )
    screen.shows(has("ended with 0"))
    yield screen
    screen.close()


def zsh_makes(zsh: Screen, line: str, wanted: str) -> None:
    """Type a line and Tab, see what becomes of it, and take it back: by C-u, for C-c would throw
    away what is typed before it has been dealt with."""
    zsh.type(f"tcpd-ctl {line}\t")
    zsh.shows(lambda lines: any(each.strip() == f"$ tcpd-ctl {wanted}" for each in lines))
    zsh.keys("C-u")
    zsh.type("clear\n")
    zsh.shows(lambda lines: not has("tcpd-ctl")(lines))


def test_zsh_completes_commands_options_and_values(zsh: Screen) -> None:
    zsh_makes(zsh, "stat", "status")
    zsh_makes(zsh, "--timeout 3 hash", "--timeout 3 hash-password")
    zsh_makes(zsh, "connections --so", "connections --sort=")
    zsh_makes(zsh, "connections --sort id", "connections --sort idle")
    zsh_makes(zsh, "log cri", "log critical")
    zsh_makes(zsh, "probe --min", "probe --min-days=")


def test_zsh_knows_every_command_and_its_options(zsh: Screen) -> None:
    zsh.type("tcpd-ctl \t")
    lines = zsh.shows(has("probe"))
    assert all(any(line.split()[:1] == [name] for line in lines) for name in NAMES)
    zsh.keys("C-u")
    for command in COMMANDS:
        zsh.type(f"clear\ntcpd-ctl {command.name} -\t")
        flags = {flag for option in command.options for flag in option.flags}
        zsh.shows(lambda lines, flags=flags: flags <= set(" ".join(lines).split()))
        zsh.keys("C-u")


def test_zsh_asks_the_daemon_for_names(zsh: Screen, start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    zsh_makes(zsh, f"--socket {daemon.control} drain ec", f"--socket {daemon.control} drain echo")
    zsh_makes(
        zsh,
        f"--socket {daemon.control} connections --service lines",
        f"--socket {daemon.control} connections --service lines.two",
    )
