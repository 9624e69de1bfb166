"""The control socket and tcpd-ctl, on the real daemon."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from running import PATIENCE, Daemon, receive_all, receive_until, resident

pytestmark = pytest.mark.live

CONFIG = (
    "[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0\n"
    "[service:chat]\nprotocol = chat\nlisten =\n  127.0.0.1:0\n"
)

CTL = [sys.executable, "-m", "tcpd.ctl"]


def attach(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(str(path))
    return client


def said(daemon: Daemon, *arguments: str, status: int = 0) -> str:
    """What ``tcpd-ctl`` writes, having ended with a status."""
    done = daemon.ctl(*arguments)
    assert done.returncode == status, "\n".join([repr(done), *daemon.log])
    return done.stderr if status else done.stdout


def test_every_subcommand(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    with daemon.connect("line") as client, daemon.connect("chat") as chat:
        receive_until(client, b"\r\n")
        chat.sendall(b"ann\n")
        receive_until(chat, b"(1): ann\r\n")
        assert "running" in said(daemon, "status")
        assert json.loads(said(daemon, "status", "--json"))["connections"] == 2
        assert "127.0.0.1:" in said(daemon, "services")
        (row,) = json.loads(said(daemon, "connections", "--service", "line", "--json"))[
            "connections"
        ]
        assert row["id"] in said(daemon, "connections", "--address", "127.0.0.1", "--sort", "new")
        assert "quiet" in said(daemon, "connection", row["id"])
        assert said(daemon, "check") == "nothing is wrong\n"
        assert said(daemon, "log", "debug") == "the log level is debug\n"
        assert said(daemon, "log", "info") == "the log level is info\n"
        assert "#lobby" in said(daemon, "rooms")
        assert said(daemon, "kick", row["id"], "too", "loud") == "1 connection ended\n"
        assert receive_all(client).startswith(b"421 ")
        daemon.wait_for(lambda line: f"KICK {row['id']} too loud" in line)
        assert "to end within" in said(daemon, "drain", "chat")
        receive_all(chat)
    assert "drained" in said(daemon, "services")
    assert "listening on 127.0.0.1:" in said(daemon, "resume", "chat")
    assert "127.0.0.1/32 is banned until" in said(daemon, "ban", "127.0.0.1", "1h", "tests")
    with daemon.connect("line") as client:
        assert b"your address is banned" in receive_all(client)
    assert "tests" in said(daemon, "bans")
    said(daemon, "unban", "127.0.0.1")
    with daemon.connect("line") as client:
        receive_until(client, b"\r\n")
    said(daemon, "unban", "127.0.0.1", status=1)
    said(daemon, "connection", "99999", status=1)
    said(daemon, "ban", "nonsense", status=2)
    said(daemon, "nonsense", status=2)


def test_reload_says_how_it_went_and_its_status_too(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    assert said(daemon, "reload") == "nothing has changed\n"
    (daemon.directory / "tcpd.ini").write_text(CONFIG + "[policy:default]\nper_address = 7\n")
    assert "service line: policy swapped" in said(daemon, "reload")
    (daemon.directory / "tcpd.ini").write_text(CONFIG + "nonsense = 7\n")
    wrong = "tcpd.ini:9: [service:chat] nonsense: there is no such key"
    assert wrong in said(daemon, "reload", status=1)
    assert wrong in said(daemon, "check", status=1)
    gone = f"{daemon.directory}/gone/socket"
    another = f"[service:another]\nprotocol = echo\nlisten = unix:{gone}\n"
    (daemon.directory / "tcpd.ini").write_text(CONFIG + another)
    assert f"listen: '{gone}': there is no directory" in said(daemon, "check", status=1)
    (daemon.directory / "tcpd.ini").write_text(CONFIG + "nonsense = 7\n")
    done = daemon.ctl("reload", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)


def test_the_socket_is_for_few_from_the_first_moment(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    said(daemon, "status")  # it runs, and not only begins to
    found = daemon.control.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert stat.S_IMODE(daemon.control.parent.stat().st_mode) == 0o750
    daemon.stop()
    assert not daemon.control.exists()
    done = daemon.ctl("status")
    assert done.returncode == 3
    assert f"there is no control socket at {daemon.control}" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_somebody_else_is_refused_though_the_file_lets_him(
    start: Callable[[str], Daemon],
) -> None:
    """Peer credentials are checked beside the mode of the file; others get a 421 in words."""
    daemon = start(CONFIG)
    # the directories that pytest makes are root's alone
    script = (
        "import os, socket, sys\n"
        "os.chdir(sys.argv[1])\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "client = socket.socket(socket.AF_UNIX); client.settimeout(30)\n"
        "try:\n    client.connect('control')\n"
        "except PermissionError:\n    sys.exit('PermissionError')\n"
        "sys.stdout.write(client.recv(9999).decode())\n"
    )

    def as_nobody() -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, str(daemon.control.parent)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return done.stdout + done.stderr

    assert "PermissionError" in as_nobody()
    daemon.control.chmod(0o666)
    daemon.control.parent.chmod(0o755)
    # a socket that is closed with input unread is reset: who speaks first is told all the same
    script = script.replace("sys.stdout", "client.sendall(b'status\\r\\n' * 5)\nsys.stdout")
    told = as_nobody()
    assert told.startswith("421 ")
    assert "may not operate this daemon" in told
    services = json.loads(said(daemon, "services", "--json"))["services"]
    assert [each["refused"] for each in services if each["name"] == "control"] == [1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_peers_that_are_refused_keep_no_operator_out(start: Callable[[str], Daemon]) -> None:
    """A socket that was left 0666 has room for operators, however many others connect, and each
    of those is told why though it speaks first."""
    daemon = start(CONFIG)
    daemon.control.chmod(0o666)
    daemon.control.parent.chmod(0o755)
    script = (
        "import os, socket, sys\n"
        "os.chdir(sys.argv[1])\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "told = 0\n"
        "clients = []\n"
        "for _ in range(200):\n"
        "    client = socket.socket(socket.AF_UNIX); client.settimeout(30)\n"
        "    client.connect('control')\n"
        "    client.sendall(b'status\\r\\n' * 5)\n"
        "    told += client.recv(9999).startswith(b'421 ')\n"
        "    clients.append(client)\n"
        "print(told, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    strangers = subprocess.Popen(
        [sys.executable, "-c", script, str(daemon.control.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with strangers:
        assert strangers.stdout is not None
        assert strangers.stdout.readline() == "200\n"
        assert "ready          yes" in said(daemon, "status")
        counts = daemon.counts("control")
        assert counts["refused"] == 200
        assert counts["connections"] <= 34
        strangers.communicate("\n", timeout=PATIENCE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_is_in_the_group_may(start: Callable[[str], Daemon]) -> None:
    """By a group beside the primary one too, as the process has it."""
    daemon = start("[tcpd]\ncontrol_group = 54321\n" + CONFIG)
    assert daemon.control.stat().st_gid == 54321
    script = (
        "import os, socket, sys\n"
        "os.chdir(sys.argv[1])\n"
        "os.setgroups([54321]); os.setgid(65534); os.setuid(65534)\n"
        "client = socket.socket(socket.AF_UNIX); client.settimeout(30)\n"
        "client.connect('control')\n"
        "sys.stdout.write(client.recv(9999).decode())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(daemon.control.parent)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout.startswith("220 "), done


def test_bans_outlive_a_restart(start: Callable[[str], Daemon], tmp_path: Path) -> None:
    config = f"[tcpd]\nstate = {tmp_path}/state\n" + CONFIG
    daemon = start(config)
    assert "outlive" not in said(daemon, "ban", "127.0.0.1", "1h")
    daemon.stop()
    again = start(config)
    with again.connect("line") as client:
        assert b"your address is banned" in receive_all(client)


def test_a_dead_daemons_socket_is_replaced_and_a_live_ones_is_not(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
    config = f"[tcpd]\ncontrol = {tmp_path}/c\n" + CONFIG
    daemon = start(config)
    (tmp_path / "other").mkdir()
    with pytest.raises(AssertionError, match="another daemon is listening there"):
        Daemon(tmp_path / "other", config)
    daemon.process.send_signal(signal.SIGKILL)
    daemon.process.wait(PATIENCE)
    assert (tmp_path / "c").exists()
    start(config)
    with attach(tmp_path / "c") as client:
        assert receive_until(client, b"\r\n").startswith(b"220 ")


def test_a_socket_that_nobody_asked_for_does_not_stop_the_daemon(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    daemon = Daemon(tmp_path, CONFIG)
    try:
        daemon.wait_for(lambda line: "runs without a control socket" in line)
        with daemon.connect("line") as client:
            receive_until(client, b"\r\n")
    finally:
        daemon.stop()


def test_anything_at_all_leaves_the_daemon_serving(start: Callable[[str], Daemon]) -> None:
    """A fuzz of the control socket: random bytes, and random command lines."""
    daemon = start(CONFIG)
    chance = random.Random(3)
    known = (
        "STATUS SERVICES CONNECTIONS CONNECTION KICK BAN UNBAN BANS LIMITS RELOAD CHECK LOG ROOMS "
        "DRAIN RESUME EVENTS HELP PING json line chat 1 999 192.0.2.1 ::/0 1h SORT=in LIMIT=5 "
        "ADDRESS=10.0.0.0/8 debug x"
    )
    words = known.split()
    for turn in range(150):
        with attach(daemon.control) as client:
            if turn % 2:
                data = chance.randbytes(chance.randrange(1, 20000))
            else:
                lines = (
                    " ".join(chance.choices(words, k=chance.randrange(1, 5))) for _ in range(20)
                )
                data = "\n".join(lines).encode() + b"\n"
            client.sendall(data)
            if turn % 3:
                client.shutdown(socket.SHUT_WR)
                assert b"failed, reference" not in receive_all(client)
    for service in ("line", "chat"):
        daemon.ctl("resume", service)
    daemon.ctl("unban", "192.0.2.1")
    assert "running" in said(daemon, "status")


def test_events_are_followed_until_ctrl_c(start: Callable[[str], Daemon]) -> None:
    daemon = start("[policy:default]\nper_address = 1\n" + CONFIG)
    follower = subprocess.Popen(
        [*CTL, "--socket", str(daemon.control), "events"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell's background job ignores Ctrl-C, and so would all that this suite starts from one
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert follower.stdout is not None
    deadline = time.monotonic() + PATIENCE
    # it follows once the daemon knows it; until then its events are nobody's
    line = ""
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.append(follower.stdout.readline()))  # type: ignore[union-attr]
    reader.start()
    while reader.is_alive() and time.monotonic() < deadline:
        said(daemon, "log", "debug")
        said(daemon, "log", "info")
    reader.join(PATIENCE)
    line = lines[0]
    assert json.loads(line)["event"] in ("operator.command", "daemon.log-level")
    follower.send_signal(signal.SIGINT)
    _, errors = follower.communicate(timeout=PATIENCE)
    assert (follower.returncode, errors) == (0, "")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_stuck_readers_of_events_cost_nobody_anything(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    stuck = [attach(daemon.control) for _ in range(10)]
    for client in stuck:
        client.sendall(b"EVENTS\n")
        receive_until(client, b"send a line to end them\r\n")
    with attach(daemon.control) as busy:
        receive_until(busy, b"\r\n")
        lines = b"LOG debug\nLOG info\n" * 50

        def events(count: int) -> None:
            for _ in range(count):
                busy.sendall(lines)
                received = b""
                while received.count(b"\n") < 100:
                    received += busy.recv(65536)

        events(60)  # 12,000 events: more than the sockets and the queues hold
        before = resident(daemon)
        events(120)
        assert resident(daemon) - before < 8 << 20
    with daemon.connect("line") as client:
        client.sendall(b"PING\nQUIT\n")
        assert b"250 PONG" in receive_all(client)
    # and who reads at last is told what is missing
    stuck[0].sendall(b"QUIT\n")
    text = receive_all(stuck[0])
    assert b"missed" in text
    assert text.endswith(b" goodbye\r\n")
    for client in stuck:
        client.close()


def test_a_probe_sees_what_a_client_sees(everything: Daemon) -> None:
    daemon = everything
    line, secure = str(daemon.ports["line", ""]), str(daemon.ports["line", "tls=main"])
    ca = str(daemon.directory / "localhost.pem")
    ping = ["--send", r"PING x\r\n", "--expect", "250 PONG x"]
    assert "connected to 127.0.0.1:" in said(daemon, "probe", "127.0.0.1", line, *ping)
    tls = ["probe", "127.0.0.1", secure, "--tls", "--ca", ca, "--name", "localhost"]
    told = said(daemon, *tls, *ping)
    assert "TLSv1.3" in told
    assert "days left" in told
    found = json.loads(said(daemon, *tls, "--json"))
    assert (found["ok"], found["tls"]["name"]) == (True, "localhost")
    assert "TLSv1.3" in said(daemon, *tls[:-1], "localhost.")  # RFC 6066 section 3: SNI has no dot
    assert "'a b' is not a name" in said(daemon, *tls[:-1], "a b", status=1)
    assert "is not for other" in said(daemon, *tls[:-1], "other.example", status=1)
    assert "self-signed" in said(daemon, *tls[:4], "--name", "localhost", status=1)
    assert "less than 9999" in said(daemon, *tls, "--min-days", "9999", status=1)
    assert "did not come" in said(
        daemon, "probe", "127.0.0.1", line, "--send", r"QUIT\r\n", "--expect", "x" * 9, status=1
    )
    slow = daemon.ctl("--timeout", "0.2", "probe", "127.0.0.1", line, "--expect", "never")
    assert (slow.returncode, "it took too long" in slow.stderr) == (1, True)
    assert "cannot connect" in said(daemon, "probe", "127.0.0.1", "1", status=1)
    failed = json.loads(daemon.ctl("probe", "127.0.0.1", "1", "--json").stdout)
    assert (failed["ok"], failed["address"]) == (False, None)


@pytest.mark.long
def test_operators_are_answered_with_10000_connections_open(
    start: Callable[[str], Daemon],
) -> None:
    """An answer about 1,000 of 10,000 connections takes several turns: another operator's PING is
    answered before it is complete."""
    daemon = start(
        "[tcpd]\nconnections = 20000\n[policy:default]\nper_address = 20000\nconnections = 20000\n"
        "[service:discard]\nprotocol = discard\nlisten =\n  127.0.0.1:0\n"
    )
    clients = [daemon.connect("discard") for _ in range(10_000)]
    with attach(daemon.control) as operator, attach(daemon.control) as other:
        receive_until(operator, b"\r\n")
        receive_until(other, b"\r\n")
        while b'"connections":10000,' not in ask(operator, b"STATUS json"):
            pass
        for line in ("SERVICES", "LIMITS", "CONNECTIONS ADDRESS=127.0.0.0/8", "CONNECTION 5000"):
            assert ask(operator, line.encode()).startswith(b"2")
        for line in (b"CONNECTIONS SORT=in LIMIT=1000\n", b"CONNECTIONS json LIMIT=1000\n"):
            operator.sendall(line)
            operator.recv(1, socket.MSG_PEEK)  # it has begun
            assert ask(other, b"PING").startswith(b"2")
            assert receive_reply(operator).startswith(b"2")
    for client in clients:
        client.close()


def ask(operator: socket.socket, line: bytes) -> bytes:
    """Ask once; the reply ends with a line whose code has a space behind it."""
    operator.sendall(line + b"\n")
    return receive_reply(operator)


def receive_reply(operator: socket.socket) -> bytes:
    """Read to the last line of a reply."""
    received = b""
    while True:
        received += operator.recv(1 << 20)
        if received.endswith(b"\r\n") and received[:-2].rpartition(b"\n")[2][3:4] == b" ":
            return received


def test_the_socket_stays_where_it_is_until_a_restart(start: Callable[[str], Daemon]) -> None:
    """settings.py: control and control_group take a restart; the rest of a reload is taken over,
    and whoever asked for it is not cut off before the answer."""
    daemon = start(CONFIG)
    ini = daemon.directory / "tcpd.ini"
    elsewhere = daemon.directory / "elsewhere"
    for line in ("control = none", f"control = {elsewhere}", "control_group = 12345"):
        ini.write_text(f"[tcpd]\n{line}\n{CONFIG}")
        assert said(daemon, "reload") == f"tcpd: {line.partition(' ')[0]} needs a restart\n"
    assert not elsewhere.exists()
    assert said(daemon, "log") == "the log level is info\n"
