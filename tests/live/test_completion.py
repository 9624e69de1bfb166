"""Completion of ``tcpd-ctl`` in bash, fish and zsh, with a live daemon."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import PATIENCE, Daemon
from terminal import Screen, has

from tcpd.ctl.main import main, make_parser
from tcpd.ops.levels import LEVELS

pytestmark = pytest.mark.live

CTL = str(Path(sys.executable).with_name("tcpd-ctl"))
ENVIRONMENT = {**os.environ, "PATH": f"{Path(CTL).parent}:{os.environ['PATH']}"}
COMMANDS = {name: set(each.options()) for name, each in make_parser().commands().items()}

#: All commands; most are long tests, since each completion starts Python twice.
EACH_COMMAND = [
    name if name in ("connections", "top") else pytest.param(name, marks=pytest.mark.long)
    for name in COMMANDS
]

CONFIG = (
    "[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0\n  127.0.0.1:0\n"
    "[service:lines.two]\nprotocol = line\nlisten =\n  127.0.0.1:0\n"
    "[service:echo]\nprotocol = echo\nlisten =\n  127.0.0.1:0\n"
)

#: Sets the variables as readline does, and calls the registered function.
BASH = """
eval "$("$1" completion bash)"
COMP_LINE="$1 $2"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
complete -p tcpd-ctl >/dev/null || exit 9
_python_argcomplete "$1" 2>&1
printf '%s\\n' "${COMPREPLY[@]}"
"""


def complete(line: str, directory: Path | None = None, ctl: str = CTL) -> list[str]:
    """Return bash's completions of a line, without the space after a single match."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    done = subprocess.run(
        [bash, "--norc", "-c", BASH, "bash", ctl, line],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    return [each.rstrip(" ") for each in done.stdout.splitlines() if each]


def test_bash_completes_commands() -> None:
    assert complete("") == list(COMMANDS)
    assert complete("re") == ["reload", "reopen", "resume"]
    assert complete("--timeout 3 st") == ["status"]


@pytest.mark.parametrize("command", EACH_COMMAND)
def test_bash_completes_options(command: str) -> None:
    assert set(complete(f"{command} -")) == COMMANDS[command]


def test_bash_completes_values() -> None:
    assert complete("log ") == list(LEVELS)
    assert complete("connections --sort i") == ["in", "idle"]
    assert complete("connections --sort=i") == ["in", "idle"]
    assert complete("top --sort ou") == ["out/s", "out"]
    assert complete("--timeout ") == []
    assert complete("probe --name ") == []
    assert complete("kick ") == []


def test_bash_completes_files(tmp_path: Path) -> None:
    (tmp_path / "some file.ini").touch()
    assert complete("--config so", tmp_path) == ["some\\ file.ini"]
    assert complete("probe --ca ", tmp_path) == ["some\\ file.ini"]


def test_bash_completes_services_of_the_daemon(start: Callable[[str], Daemon]) -> None:
    socket = f"--socket {start(CONFIG).control}"
    assert complete(f"{socket} drain l") == ["line", "lines.two"]
    assert complete(socket.replace(" ", "=") + " resume e") == ["echo"]
    assert complete(f"{socket} connections --service ") == ["line", "lines.two", "echo", "control"]
    assert complete(f"{socket} drain --j") == ["--json"]


def test_completion_executes_nothing(tmp_path: Path) -> None:
    assert complete("drain $(touch${IFS}x)", tmp_path) == []
    assert not (tmp_path / "x").exists()


def test_completion_without_a_daemon_is_silent(tmp_path: Path) -> None:
    assert complete(f"--socket {tmp_path}/none drain ") == []


def test_missing_argcomplete_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    monkeypatch.delitem(sys.modules, "tcpd.ctl.completion", raising=False)
    assert main(["completion", "bash"]) == 1
    assert "pip install 'tcpd[completion]'" in capsys.readouterr().err


# --- fish ---

FISH = "tcpd-ctl completion fish | source; complete -C $argv"


def fish(line: str) -> list[str]:
    """Return fish's completions of a line, without descriptions."""
    program = shutil.which("fish")
    if program is None:
        pytest.skip("fish is not installed")
    done = subprocess.run(
        [program, "--no-config", "-c", FISH, f"tcpd-ctl {line}"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env=ENVIRONMENT,
    )
    assert done.stderr == ""
    return [each.split("\t")[0].rstrip(" ") for each in done.stdout.splitlines()]


@pytest.mark.parametrize("command", EACH_COMMAND)
def test_fish_completes_options(command: str) -> None:
    assert set(fish(f"{command} -")) == COMMANDS[command]
    assert command in fish(f"--timeout 3 {command[:2]}")


def test_fish_completes_values() -> None:
    assert set(fish("")) == set(COMMANDS)
    assert set(fish("log ")) == set(LEVELS)
    assert set(fish("--socket x connections --sort i")) == {"in", "idle"}


def test_fish_completes_services_of_the_daemon(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    assert set(fish(f"--socket {daemon.control} drain l")) == {"line", "lines.two"}
    assert set(fish(f"--socket {daemon.control} connections --service e")) == {"echo"}
    assert fish("--socket /nonexistent drain ") == []


# --- zsh ---


@pytest.fixture
def zsh(tmp_path: Path) -> Iterator[Screen]:
    """A terminal with a zsh that has loaded the completion script."""
    program = shutil.which("zsh")
    if program is None or shutil.which("tmux") is None:
        pytest.skip("zsh and tmux are not both installed")
    script = subprocess.run([CTL, "completion", "zsh"], capture_output=True, check=True)
    (tmp_path / "_tcpd-ctl").write_bytes(script.stdout)
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


def zsh_completes(zsh: Screen, line: str, wanted: str) -> None:
    """Type a line and Tab, compare the completed line, and delete it.

    C-u, not C-c, which would discard typed input that zsh has not read.
    """
    zsh.type(f"tcpd-ctl {line}\t")
    zsh.shows(lambda lines: any(each.strip() == f"$ tcpd-ctl {wanted}" for each in lines))
    zsh.keys("C-u")
    zsh.type("clear\n")
    zsh.shows(lambda lines: not has("tcpd-ctl")(lines))


def test_zsh_completes_commands_options_and_values(zsh: Screen) -> None:
    zsh_completes(zsh, "stat", "status")
    zsh_completes(zsh, "--timeout 3 hash", "--timeout 3 hash-password")
    zsh_completes(zsh, "connections --so", "connections --sort")
    zsh_completes(zsh, "connections --sort id", "connections --sort idle")
    zsh_completes(zsh, "log cri", "log critical")
    zsh_completes(zsh, "probe --min", "probe --min-days")


def test_zsh_lists_commands_and_options(zsh: Screen) -> None:
    zsh.type("tcpd-ctl \t")
    lines = zsh.shows(has("probe"))
    assert all(any(line.split()[:1] == [name] for line in lines) for name in COMMANDS)
    zsh.keys("C-u")
    for command, flags in COMMANDS.items():
        zsh.type(f"clear\ntcpd-ctl {command} -\t")
        zsh.shows(lambda lines, flags=flags: flags <= set(" ".join(lines).split()))
        zsh.keys("C-u")


def test_zsh_completes_services_of_the_daemon(zsh: Screen, start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    zsh_completes(
        zsh, f"--socket {daemon.control} drain ec", f"--socket {daemon.control} drain echo"
    )
    zsh_completes(
        zsh,
        f"--socket {daemon.control} connections --service lines",
        f"--socket {daemon.control} connections --service lines.two",
    )
