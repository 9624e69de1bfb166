"""tcpd-ctl without a daemon: search for the socket, messages, exit status."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tcpd.config.locations import control_candidates
from tcpd.ctl.client import Control, Unreachable, find_socket
from tcpd.ctl.main import main, make_parser, unescape
from tcpd.ops.versions import version_of
from tcpd.policy.passwords import verify_password


class ScriptedServer:
    """A scripted server on a UNIX socket: sends a greeting, then one answer for each line."""

    def __init__(self, path: Path, greeting: bytes, answers: list[bytes]) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, args=(greeting, answers))
        self._thread.start()

    def _serve(self, greeting: bytes, answers: list[bytes]) -> None:
        client, _ = self._listener.accept()
        with contextlib.suppress(OSError), client, client.makefile("rb") as lines:
            client.sendall(greeting)
            for answer in answers:
                self.received.append(lines.readline())
                client.sendall(answer)

    def close(self) -> None:
        self._thread.join(10)
        self._listener.close()


@pytest.fixture
def servers() -> Iterator[list[ScriptedServer]]:
    made: list[ScriptedServer] = []
    yield made
    for each in made:
        each.close()


def test_search_for_the_control_socket(tmp_path: Path) -> None:
    """Without --socket and --config, tcpd-ctl applies the daemon's rules without its ini file."""
    user = {"XDG_RUNTIME_DIR": "/u"}
    assert find_socket("/x", "ignored", {}, 7) == ["/x"]
    assert find_socket(None, None, user, 7) == control_candidates(user, 7)
    file = tmp_path / "t.ini"
    file.write_text("[tcpd]\ncontrol = /y\n")
    assert find_socket(None, str(file), user, 7) == ["/y"]
    file.write_text("[tcpd]\ncontrol = run/y\n")
    assert find_socket(None, str(file), user, 7) == [f"{tmp_path}/run/y"], "relative to the file"
    assert find_socket(None, str(tmp_path), user, 7) == [f"{tmp_path}/run/y"]
    file.write_text("[tcpd]\nstate = here\n")
    found = find_socket(None, str(file), {}, 7)
    assert found == control_candidates({}, 7, f"{tmp_path}/here")
    assert f"{tmp_path}/here/control" in found
    file.write_text("[tcpd]\ncontrol = none\n")
    with pytest.raises(Unreachable, match="control = none"):
        find_socket(None, str(file), {}, 7)
    with pytest.raises(Unreachable, match="cannot be read"):
        find_socket(None, f"{tmp_path}/gone.ini", {}, 7)


def test_missing_daemon_is_reported_with_path_and_status_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "control"
    assert main(["--socket", str(path), "status"]) == 3
    assert f"there is no control socket at {path}" in capsys.readouterr().err
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert main(["--socket", str(path), "status"]) == 3
    assert f"no daemon listens on {path}" in capsys.readouterr().err


def test_stale_socket_is_skipped(tmp_path: Path, servers: list[ScriptedServer]) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    servers.append(ScriptedServer(tmp_path / "live", b"220 hi\r\n", []))
    paths = [str(tmp_path / each) for each in ("gone", "dead", "live")]
    with Control(paths, 10.0) as control:
        assert control.path == paths[2]
    with pytest.raises(Unreachable, match=f"no daemon listens on {tmp_path}/dead"):
        Control(paths[:2], 10.0)


def test_another_protocol_on_the_socket_is_reported(
    tmp_path: Path, servers: list[ScriptedServer], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, greeting in enumerate((b"hello\r\n", b"250 hello\r\n", b"")):
        path = tmp_path / str(number)
        servers.append(ScriptedServer(path, greeting, []))
        assert main(["--socket", str(path), "status"]) == 3
        assert str(path) in capsys.readouterr().err


def test_unauthorized_peer_gets_status_4(
    tmp_path: Path, servers: list[ScriptedServer], capsys: pytest.CaptureFixture[str]
) -> None:
    servers.append(ScriptedServer(tmp_path / "c", b"421 vm you may not\r\n", []))
    assert main(["--socket", str(tmp_path / "c"), "status"]) == 4
    assert capsys.readouterr().err == "tcpd-ctl: vm you may not\n"


@pytest.mark.parametrize(
    ("answer", "status", "out", "err"),
    [
        (b"250-a\r\n250 b\r\n", 0, "a\nb\n", ""),
        (b"550 no\r\n", 1, "", "tcpd-ctl: no\n"),
        (b"451 failed\r\n", 1, "", "tcpd-ctl: failed\n"),
        (b"501-wrong\r\n501 usage: x\r\n", 2, "", "tcpd-ctl: wrong\nusage: x\n"),
        (b"421 bye\r\n", 4, "", "tcpd-ctl: bye\n"),
        (b"250 \x1b[2Jx\r\n", 0, "\\x1b[2Jx\n", ""),
    ],
)
def test_reply_code_decides_the_exit_status(
    tmp_path: Path,
    servers: list[ScriptedServer],
    capsys: pytest.CaptureFixture[str],
    answer: bytes,
    status: int,
    out: str,
    err: str,
) -> None:
    servers.append(ScriptedServer(tmp_path / "c", b"220 hi\r\n", [answer]))
    assert main(["--socket", str(tmp_path / "c"), "bans"]) == status
    assert capsys.readouterr() == (out, err)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["status"], b"STATUS"),
        (["status", "--json"], b"STATUS json"),
        (["connections", "--service", "a", "--limit", "9"], b"CONNECTIONS SERVICE=a LIMIT=9"),
        (["kick", "7", "far", "too loud"], b"KICK 7 far too loud"),
        (["ban", "192.0.2.1"], b"BAN 192.0.2.1"),
        (["ban", "--json", "192.0.2.1", "1h", "why"], b"BAN json 192.0.2.1 1h why"),
        (["log", "debug"], b"LOG debug"),
        (["log"], b"LOG"),
        (["drain", "irc"], b"DRAIN irc"),
    ],
)
def test_arguments_become_a_command_line(
    tmp_path: Path, servers: list[ScriptedServer], arguments: list[str], line: bytes
) -> None:
    servers.append(ScriptedServer(tmp_path / "c", b"220 hi\r\n", [b"250 ok\r\n"]))
    assert main(["--socket", str(tmp_path / "c"), *arguments]) == 0
    assert servers[0].received == [line + b"\r\n"]


def test_line_end_in_an_argument_is_refused(
    tmp_path: Path, servers: list[ScriptedServer], capsys: pytest.CaptureFixture[str]
) -> None:
    servers.append(ScriptedServer(tmp_path / "c", b"220 hi\r\n", [b""]))
    assert main(["--socket", str(tmp_path / "c"), "kick", "7\r\nDRAIN irc"]) == 2
    assert servers[0].received in ([], [b""])
    assert "line end" in capsys.readouterr().err


def test_reply_timeout(tmp_path: Path, servers: list[ScriptedServer]) -> None:
    servers.append(ScriptedServer(tmp_path / "c", b"220 hi\r\n", [b"250-"]))
    with (
        Control([str(tmp_path / "c")], timeout=0.05) as control,
        pytest.raises(Unreachable, match=r"does not answer|closed the connection"),
    ):
        control.ask("STATUS")


def test_hash_password_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("tea\n"))
    assert main(["hash-password"]) == 0
    assert verify_password("tea", capsys.readouterr().out.rstrip("\n"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    assert main(["hash-password"]) == 1


def test_hash_password_prompts_twice_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    typed = ["tea", "tea", "tea", "coffee"]
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: typed.pop(0))
    assert main(["hash-password"]) == 0
    assert verify_password("tea", capsys.readouterr().out.rstrip("\n"))
    assert main(["hash-password"]) == 1
    assert "not the same" in capsys.readouterr().err


def test_escapes_in_probe_data() -> None:
    assert unescape(r"a\r\n\t\\\x00\q é") == b"a\r\n\t\\\x00\\q \xc3\xa9"


def test_usage_errors_exit_with_2() -> None:
    for arguments in ([], ["nonsense"], ["kick"], ["connections", "--sort", "colour"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2


def test_without_arguments_usage_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("usage: tcpd-ctl ")
    for command in make_parser().commands():
        assert f"\n    {command} " in printed.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stauts", "there is no command stauts; did you mean status?"),
        ("RELAOD", "there is no command RELAOD; did you mean reload?"),
        ("help", "there is no command help; tcpd-ctl --help lists them"),
        ("--sokcet /x status", "there is no option --sokcet; did you mean --socket?"),
        ("status --jsno", "there is no option --jsno of status; did you mean --json?"),
        (
            "connections --servcie=x",
            "there is no option --servcie of connections; did you mean --service?",
        ),
        ("bans all", "there is no argument all of bans"),
        ("completion bsh", "; did you mean bash?"),
        ("connections --sort agee", "; did you mean age?"),
    ],
)
def test_usage_error_suggests_the_nearest_word(
    line: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("usage: tcpd-ctl ")
    assert printed.endswith(f"{message}\n")


def ctl(*arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tcpd.ctl", *arguments], **streams)


@pytest.mark.parametrize("arguments", [["completion", "zsh"], ["--help"], ["--version"]])
def test_closed_standard_output_is_no_error(arguments: list[str]) -> None:
    """``tcpd-ctl ... | head``: no traceback, no message of Python at exit."""
    reading, writing = os.pipe()
    os.close(reading)
    with ctl(*arguments, stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")


def test_full_disk_is_reported_without_traceback() -> None:
    with open("/dev/full", "wb") as full:
        process = ctl("completion", "bash", stdout=full, stderr=subprocess.PIPE)
        with process:
            _, errors = process.communicate()
    assert process.returncode == 1
    assert errors == b"tcpd-ctl: standard output: No space left on device\n"


def test_missing_standard_output_is_no_error() -> None:
    script = f"exec {shlex.quote(sys.executable)} -m tcpd.ctl completion bash >&-"
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_startup_imports_neither_twisted_nor_openssl() -> None:
    """`tcpd-ctl status` must start fast."""
    script = (
        "import sys, tcpd.ctl.main\n"
        "slow = {'twisted', 'OpenSSL', 'cryptography', 'zope', 'configparser', 'hashlib'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    # site may have imported the others before tcpd runs
    assert "twisted" not in done.stdout
    assert "OpenSSL" not in done.stdout


def test_port_out_of_range_is_reported_with_the_range(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("99999", "0", "-1", "http", "\u0665"):
        with pytest.raises(SystemExit) as ended:
            main(["probe", "--", "localhost", wrong])
        assert ended.value.code == 2
        errors = capsys.readouterr().err
        assert f"{wrong!r} is not the number of a port, which is from 1 to 65535" in errors


def test_version_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"tcpd-ctl {version_of('tcpd')}\n"


@pytest.mark.parametrize(
    ("arguments", "timeout"),
    [
        (["status"], None),
        (["--timeout", "2", "status"], 2.0),
        (["status", "--timeout", "3"], 3.0),
        (["--timeout", "2", "status", "--timeout", "3"], 3.0),
        (["probe", "localhost", "7", "--timeout", "3"], 3.0),
    ],
)
def test_timeout_is_accepted_before_and_after_the_command(
    arguments: list[str], timeout: float | None
) -> None:
    assert make_parser().parse_args(arguments).timeout == timeout


def test_probe_escapes_control_characters_of_the_peer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tcpd.ctl.probe import Found, Probe, ProbeFailed

    def run(self: Probe, found: Found) -> None:
        found.address = "127.0.0.1:1"
        found.times.update(connect=0.001, tls=0.001)
        found.tls.update(
            version="TLSv1.3", cipher="X", days_left=1.0, not_after="soon", subject="CN=a\n\x1b[2J"
        )
        raise ProbeFailed("what came was \x1b[31m")

    monkeypatch.setattr(Probe, "run", run)
    assert main(["probe", "127.0.0.1", "1"]) != 0
    shown = capsys.readouterr()
    assert r"certificate of CN=a\x0a\x1b[2J, 1.0 days left" in shown.out
    assert r"what came was \x1b[31m" in shown.err
    assert "\x1b" not in shown.out + shown.err
