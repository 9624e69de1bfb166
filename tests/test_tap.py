"""Command line of ``twistd tcpd``: output, usage errors, modules that a start imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from running import PATIENCE, TWISTD
from twisted.python import usage

from tcpd.daemon.registry import BUILT_IN
from tcpd.tap import Options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--chekc"], "option --chekc not recognized; did you mean --check?"),
        (["--confg=x.ini"], "option --confg not recognized; did you mean --config?"),
        (["--frobnicate"], "option --frobnicate not recognized"),
        (["check"], "tcpd takes options only, and not 'check'; did you mean --check?"),
        (
            ["reload"],
            "tcpd takes options only, and not 'reload'; tcpd-ctl has the commands for a running "
            "daemon",
        ),
    ],
)
def test_usage_error_suggests_the_nearest_option(arguments: list[str], message: str) -> None:
    with pytest.raises(usage.UsageError) as caught:
        Options().parseOptions(arguments)
    assert str(caught.value) == message


def test_help_names_every_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        Options().parseOptions(["--help"])
    assert ended.value.code == 0
    words = capsys.readouterr().out.replace(",", " ").replace(".", " ").split()
    assert set(BUILT_IN) <= set(words)


def twistd(*arguments: str, stdout: int) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, TWISTD, "-n", "tcpd", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.live
@pytest.mark.parametrize("option", ["--print-config", "--help"])
def test_closed_standard_output_is_no_error(option: str) -> None:
    """``twistd tcpd --print-config | head``: no traceback, no message of Python at exit."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = twistd(option, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.live
def test_full_disk_is_reported_without_traceback() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = twistd("--print-config", stdout=full)
    finally:
        os.close(full)
    assert done.returncode == 1
    assert done.stderr == b"standard output cannot be written: No space left on device\n"


_MODULES_OF_A_START = """\
import sys
from pathlib import Path
from tcpd.tap import Options, makeService
options = Options()
options.parseOptions(["--config", sys.argv[1]])
makeService(options)
print(*sys.modules, sep="\\n")
"""


@pytest.mark.live
@pytest.mark.parametrize(
    ("more", "loaded"),
    [
        ("", set()),
        ("[metrics]\nlisten = 127.0.0.1:0\n", {"prometheus_client", "h11"}),
        (
            "[service:web]\nprotocol = irc\nlisten = 127.0.0.1:0 websocket\n",
            {"wsproto", "h11", "tcpd.chat.irc"},
        ),
    ],
)
def test_start_imports_only_what_is_configured(more: str, loaded: set[str], tmp_path: Path) -> None:
    config = tmp_path / "tcpd.ini"
    config.write_text(f"[service:echo]\nprotocol = echo\nlisten = 127.0.0.1:0\n{more}")
    names = subprocess.run(
        [sys.executable, "-c", _MODULES_OF_A_START, str(config)],
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=True,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "RUNTIME_DIRECTORY": str(tmp_path)},
    ).stdout.split()
    costly = {
        "prometheus_client",
        "twisted.web",
        "wsproto",
        "h11",
        "tcpd.chat.irc",
        "tcpd.chat.text",
        "tcpd.relay.exec",
        "tcpd.relay.forward",
    }
    assert costly.intersection(names) == loaded
