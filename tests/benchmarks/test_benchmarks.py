"""The benchmarks run, and notice what is wrong. How fast anything is, no test says."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from running import PATIENCE

from benchmarks.ground import Ground
from benchmarks.report import Table, spread

ROOT = Path(__file__).resolve().parents[2]

needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")


def test_a_ratio_compares_what_was_measured_in_the_same_round() -> None:
    table = Table("echo-64", "echo", "message", "stock")
    for round_, (unit, other) in enumerate([(2.0, 1.0), (8.0, 2.0), (3.0, 1.0)]):
        table.add("stock", round_, {"cpu": unit, "operations": 1.0, "seconds": 1.0})
        table.add("other", round_, {"cpu": other, "operations": 1.0, "seconds": 1.0})
    assert table.ratios("other") == [2.0, 4.0, 3.0]
    assert "3.00 (2.00-4.00)" in table.text()


def test_a_server_without_the_unit_beside_it_has_no_ratio() -> None:
    table = Table("echo-64", "echo", "message", "stock")
    table.add("other", 0, {"cpu": 1.0, "operations": 2.0, "seconds": 1.0})
    assert table.ratios("other") == []
    assert spread([]) == "-"


def test_a_table_says_why_a_server_is_not_in_it() -> None:
    table = Table("echo-64", "echo", "message", "stock")
    table.skipped["xinetd"] = "it is not installed"
    assert "xinetd: skipped, it is not installed" in table.text()


@pytest.mark.live
@needs_compiler
def test_the_real_daemon_is_measured_beside_a_peer(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--rounds", "1", "--seconds", "0.1"]
    command += ["--json", str(results), "--server", "tcpd", "--server", "stock Twisted"]
    for case in ("echo-64", "bulk", "connect", "line-16", "chat-100-window4"):
        command += ["--case", case]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases = json.loads(results.read_text())["cases"]
    assert len(cases) == 5
    for case in cases:
        assert not case["skipped"], case
        (result,) = case["results"]["tcpd"]
        assert result["operations"] > 0


@pytest.mark.live
@needs_compiler
def test_the_load_fails_for_a_byte_that_is_not_as_it_was_sent(tmp_path: Path) -> None:
    program = Ground(tmp_path).build("load.c")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE)

        def echo_wrongly() -> None:
            client, _ = listening.accept()
            with client:
                client.settimeout(PATIENCE)
                data = bytearray(client.recv(65536))
                data[-1] ^= 1
                client.sendall(data)
                client.recv(1)

        thread = threading.Thread(target=echo_wrongly)
        thread.start()
        port = listening.getsockname()[1]
        done = subprocess.run(
            [program, "case=echo", "conns=1", f"port={port}"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        thread.join()
    assert done.returncode == 1
    assert "not what was to come" in done.stderr
