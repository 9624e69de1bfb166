"""Reload and stop of a live daemon."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import certificates
import pytest
from amounts import soak
from running import PATIENCE, TWISTD, Daemon, descriptors, receive_all, receive_until, resident

pytestmark = [pytest.mark.live, pytest.mark.reactor]

GOOD = "[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0\n"


def reload(daemon: Daemon, text: str) -> list[str]:
    """Write the configuration, send SIGHUP, and return the lines that the reload logs."""
    (daemon.directory / "tcpd.ini").write_text(text)
    before = len(daemon.wait_for(lambda line: "reload" in line, 0))
    daemon.process.send_signal(signal.SIGHUP)
    return daemon.wait_for(lambda line: "reload" in line, before + 1)[before:]


def test_valid_file_is_applied_and_a_faulty_one_is_refused(start: Callable[[str], Daemon]) -> None:
    daemon = start(GOOD)
    with daemon.connect("line") as client:
        receive_until(client, b"\r\n")
        (line, *_) = reload(daemon, GOOD + "max_line = 100\n")
        assert line.endswith("reload: service line: max_line swapped")
        (line, *_) = reload(daemon, GOOD + "max_lin = 100\n")
        assert line.endswith(
            "reload refused, nothing has changed: tcpd.ini:5: [service:line] max_lin: "
            "there is no such key; did you mean max_line?"
        )
        client.sendall(b"PING x\n")
        assert receive_until(client, b"\r\n") == b"250 PONG x\r\n"


def test_reload_reads_a_replaced_certificate(
    start: Callable[[str], Daemon],
) -> None:
    text = (
        "[service:echo]\nprotocol = echo\nlisten =\n  127.0.0.1:0 tls=main\n"
        "[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"
    )
    daemon = start(text)
    with daemon.connect_tls("echo") as old:
        certificates.make(daemon.directory, "localhost")
        (line,) = reload(daemon, text)
        assert line.endswith("reload: tls main: certificate swapped")
        with daemon.connect_tls("echo") as new:
            for client in (old, new):
                client.sendall(b"hi")
                assert client.recv(2) == b"hi"


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
def test_many_reloads_under_load_leak_nothing(
    start: Callable[[str], Daemon],
) -> None:
    """Valid and faulty files alternate; connections stay open."""
    extra = "[service:extra]\nprotocol = echo\nlisten =\n  127.0.0.1:0\n  127.0.0.1:0 udp\n"
    texts = [
        GOOD,
        GOOD + "max_line = 100\n",
        GOOD + "nonsense\n",
        GOOD + extra,
        GOOD + "[policy:default]\nper_address = 99\n",
        GOOD.replace("= line", "= lin"),
        GOOD + extra.replace("udp", "tls=gone"),
    ]
    daemon = start(GOOD)
    clients = [daemon.connect("line") for _ in range(20)]
    for client in clients:
        receive_until(client, b"\r\n")
    warm: tuple[int, int] | None = None
    turns = soak(1000)
    for turn in range(turns):
        reload(daemon, texts[turn % len(texts)])
        client = clients[turn % len(clients)]
        client.sendall(b"PING %d\n" % turn)
        assert receive_until(client, b"\r\n") == b"250 PONG %d\r\n" % turn
        if turn == turns // 5:
            reload(daemon, GOOD)
            warm = descriptors(daemon), resident(daemon)
    reload(daemon, GOOD)
    assert warm is not None
    # a listening socket is closed in the next turn of the reactor
    with daemon.connect("line") as last:
        receive_until(last, b"\r\n")
        assert descriptors(daemon) - 1 == warm[0]
    assert resident(daemon) - warm[1] < 4 << 20
    for client in clients:
        client.close()


def test_stop_resets_clients_that_do_not_read_after_drain(
    start: Callable[[str], Daemon],
) -> None:
    daemon = start(
        "[tcpd]\ndrain = 1s\n[service:chargen]\nprotocol = chargen\nlisten =\n  127.0.0.1:0\n"
    )
    with daemon.connect("chargen") as client:
        client.recv(1)
        began = time.monotonic()
        daemon.stop()
        assert time.monotonic() - began < PATIENCE / 2


def test_second_sigterm_stops_at_once(start: Callable[[str], Daemon]) -> None:
    daemon = start(
        "[tcpd]\ndrain = 1h\n[policy:default]\nlinger = 1h\n"
        "[service:chargen]\nprotocol = chargen\nlisten =\n  127.0.0.1:0\n"
    )
    with daemon.connect("chargen") as client:
        client.recv(1)
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_for(lambda line: "Received SIGTERM" in line)
        daemon.wait_for(lambda line: "stopping: 1 connections" in line)  # the drain has begun
        daemon.stop()


def test_clients_of_a_removed_service_get_a_farewell(start: Callable[[str], Daemon]) -> None:
    other = "[service:echo]\nprotocol = echo\nlisten =\n  127.0.0.1:0\n"
    daemon = start(GOOD + other)
    with daemon.connect("line") as client:
        receive_until(client, b"\r\n")
        reload(daemon, other)
        assert receive_all(client).startswith(b"421 ")


def test_reload_with_rundir_reads_the_same_file(tmp_path: Path) -> None:
    """twistd changes to --rundir after the first read of the configuration."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "x.ini").write_text(GOOD)
    control = {**os.environ, "RUNTIME_DIRECTORY": str(tmp_path / "run")}
    options = ["-n", "--pidfile=", "--rundir=elsewhere", "tcpd", "--config", "x.ini"]
    with subprocess.Popen(
        [TWISTD, *options], cwd=tmp_path, env=control, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert any(" started: " in line for line in process.stdout)
            process.send_signal(signal.SIGHUP)
            line = next(line for line in process.stdout if "reload" in line)
            assert line.endswith("reload: nothing has changed\n")
        finally:
            process.terminate()


def test_reload_between_wildcard_and_address_and_its_rollback(
    start: Callable[[str], Daemon],
) -> None:
    """Old and new listener overlap, so they cannot be open at once."""
    daemon = start(GOOD)
    port = daemon.ports["line", ""]
    narrow = GOOD.replace("127.0.0.1:0", f"127.0.0.1:{port}")
    wide = GOOD.replace("127.0.0.1:0", f"*:{port}")

    def answers(host: str) -> bool:
        with socket.create_connection((host, port), PATIENCE) as client:
            return receive_until(client, b"\r\n").startswith(b"220 ")

    reload(daemon, narrow)
    with daemon.connect("line") as before:
        receive_until(before, b"\r\n")
        reload(daemon, wide)
        daemon.wait_for(lambda line: f"reload: service line: listening on *:{port}" in line)
        assert answers("127.0.0.1")
        assert answers("127.0.0.2")
        with socket.create_server(("127.0.0.3", 0)) as other:
            taken = other.getsockname()[1]
            bad = narrow + f"  127.0.0.3:{taken}\n"
            assert "reload refused" in reload(daemon, bad)[0]
        assert answers("127.0.0.2"), "rolled back"
        reload(daemon, narrow)
        assert answers("127.0.0.1")
        with pytest.raises(ConnectionRefusedError):
            answers("127.0.0.2")
        before.sendall(b"PING x\n")
        assert receive_until(before, b"\r\n") == b"250 PONG x\r\n"
