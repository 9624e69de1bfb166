"""Control socket and tcpd-ctl, on a live daemon."""

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


def output(daemon: Daemon, *arguments: str, status: int = 0) -> str:
    """Run ``tcpd-ctl``, check its exit status, and return its output, or its error message."""
    done = daemon.ctl(*arguments)
    assert done.returncode == status, "\n".join([repr(done), *daemon.log])
    return done.stderr if status else done.stdout


def test_subcommands(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    with daemon.connect("line") as client, daemon.connect("chat") as chat:
        receive_until(client, b"\r\n")
        chat.sendall(b"ann\n")
        receive_until(chat, b"(1): ann\r\n")
        assert "running" in output(daemon, "status")
        assert json.loads(output(daemon, "status", "--json"))["connections"] == 2
        assert "127.0.0.1:" in output(daemon, "services")
        (row,) = json.loads(output(daemon, "connections", "--service", "line", "--json"))[
            "connections"
        ]
        assert row["id"] in output(daemon, "connections", "--address", "127.0.0.1", "--sort", "new")
        assert "quiet" in output(daemon, "connection", row["id"])
        assert output(daemon, "check") == "nothing is wrong\n"
        assert output(daemon, "log", "debug") == "the log level is debug\n"
        assert output(daemon, "log", "info") == "the log level is info\n"
        assert "#lobby" in output(daemon, "rooms")
        assert output(daemon, "kick", row["id"], "too", "loud") == "1 connection ended\n"
        assert receive_all(client).startswith(b"421 ")
        daemon.wait_for(lambda line: f"KICK {row['id']} too loud" in line)
        assert "to end within" in output(daemon, "drain", "chat")
        receive_all(chat)
    assert "drained" in output(daemon, "services")
    assert "listening on 127.0.0.1:" in output(daemon, "resume", "chat")
    assert "127.0.0.1/32 is banned until" in output(daemon, "ban", "127.0.0.1", "1h", "tests")
    with daemon.connect("line") as client:
        assert b"your address is banned" in receive_all(client)
    assert "tests" in output(daemon, "bans")
    output(daemon, "unban", "127.0.0.1")
    with daemon.connect("line") as client:
        receive_until(client, b"\r\n")
    output(daemon, "unban", "127.0.0.1", status=1)
    output(daemon, "connection", "99999", status=1)
    output(daemon, "ban", "nonsense", status=2)
    output(daemon, "nonsense", status=2)


def test_reload_reports_its_result(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    assert output(daemon, "reload") == "nothing has changed\n"
    (daemon.directory / "tcpd.ini").write_text(CONFIG + "[policy:default]\nper_address = 7\n")
    assert "service line: policy swapped" in output(daemon, "reload")
    (daemon.directory / "tcpd.ini").write_text(CONFIG + "nonsense = 7\n")
    wrong = "tcpd.ini:9: [service:chat] nonsense: there is no such key"
    assert wrong in output(daemon, "reload", status=1)
    assert wrong in output(daemon, "check", status=1)
    gone = f"{daemon.directory}/gone/socket"
    another = f"[service:another]\nprotocol = echo\nlisten = unix:{gone}\n"
    (daemon.directory / "tcpd.ini").write_text(CONFIG + another)
    assert f"listen: '{gone}': there is no directory" in output(daemon, "check", status=1)
    (daemon.directory / "tcpd.ini").write_text(CONFIG + "nonsense = 7\n")
    done = daemon.ctl("reload", "--json")
    assert (done.returncode, json.loads(done.stdout)["ok"]) == (1, False)


def test_permissions_of_the_control_socket(start: Callable[[str], Daemon]) -> None:
    daemon = start(CONFIG)
    output(daemon, "status")  # startup is complete
    found = daemon.control.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert stat.S_IMODE(daemon.control.parent.stat().st_mode) == 0o750
    daemon.stop()
    assert not daemon.control.exists()
    done = daemon.ctl("status")
    assert done.returncode == 3
    assert f"there is no control socket at {daemon.control}" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="setuid(2) requires root")
def test_unauthorized_user_is_refused_by_peer_credentials(
    start: Callable[[str], Daemon],
) -> None:
    """Peer credentials are checked in addition to the mode of the file; the reply is 421."""
    daemon = start(CONFIG)
    # by chdir(2): the directories of pytest are root's alone
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
    # a close with unread input would reset the socket: the reply must arrive all the same
    script = script.replace("sys.stdout", "client.sendall(b'status\\r\\n' * 5)\nsys.stdout")
    reply = as_nobody()
    assert reply.startswith("421 ")
    assert "may not operate this daemon" in reply
    services = json.loads(output(daemon, "services", "--json"))["services"]
    assert [each["refused"] for each in services if each["name"] == "control"] == [1]


@pytest.mark.skipif(os.geteuid() != 0, reason="setuid(2) requires root")
def test_refused_peers_do_not_affect_operators(start: Callable[[str], Daemon]) -> None:
    """On a socket with mode 0666, any number of refused peers get the reason, and operators are
    served."""
    daemon = start(CONFIG)
    daemon.control.chmod(0o666)
    daemon.control.parent.chmod(0o755)
    script = (
        "import os, socket, sys\n"
        "os.chdir(sys.argv[1])\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "refused = 0\n"
        "clients = []\n"
        "for _ in range(200):\n"
        "    client = socket.socket(socket.AF_UNIX); client.settimeout(30)\n"
        "    client.connect('control')\n"
        "    client.sendall(b'status\\r\\n' * 5)\n"
        "    refused += client.recv(9999).startswith(b'421 ')\n"
        "    clients.append(client)\n"
        "print(refused, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    peers = subprocess.Popen(
        [sys.executable, "-c", script, str(daemon.control.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with peers:
        assert peers.stdout is not None
        assert peers.stdout.readline() == "200\n"
        assert "ready          yes" in output(daemon, "status")
        counts = daemon.counts("control")
        assert counts["refused"] == 200
        assert counts["connections"] <= 34
        peers.communicate("\n", timeout=PATIENCE)


@pytest.mark.skipif(os.geteuid() != 0, reason="setuid(2) requires root")
def test_member_of_control_group_is_accepted(start: Callable[[str], Daemon]) -> None:
    """The group may be a supplementary group of the peer."""
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


def test_bans_survive_a_restart(start: Callable[[str], Daemon], tmp_path: Path) -> None:
    config = f"[tcpd]\nstate = {tmp_path}/state\n" + CONFIG
    daemon = start(config)
    assert "outlive" not in output(daemon, "ban", "127.0.0.1", "1h")
    daemon.stop()
    again = start(config)
    with again.connect("line") as client:
        assert b"your address is banned" in receive_all(client)


def test_stale_socket_is_replaced_and_a_live_one_is_kept(
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


def test_daemon_starts_without_its_default_control_socket(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("in the way")
    daemon = Daemon(tmp_path, CONFIG)
    try:
        daemon.wait_for(lambda line: "runs without a control socket" in line)
        with daemon.connect("line") as client:
            receive_until(client, b"\r\n")
    finally:
        daemon.stop()


def test_random_input_leaves_the_daemon_serving(start: Callable[[str], Daemon]) -> None:
    """Random bytes, and random command lines."""
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
    assert "running" in output(daemon, "status")


def test_events_are_printed_until_ctrl_c(start: Callable[[str], Daemon]) -> None:
    daemon = start("[policy:default]\nper_address = 1\n" + CONFIG)
    follower = subprocess.Popen(
        [*CTL, "--socket", str(daemon.control), "events"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # SIGINT is ignored in a shell's background job, and inherited so by the suite's children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert follower.stdout is not None
    deadline = time.monotonic() + PATIENCE
    # events before the follower is registered are not sent to it
    line = ""
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.append(follower.stdout.readline()))  # type: ignore[union-attr]
    reader.start()
    while reader.is_alive() and time.monotonic() < deadline:
        output(daemon, "log", "debug")
        output(daemon, "log", "info")
    reader.join(PATIENCE)
    line = lines[0]
    assert json.loads(line)["event"] in ("operator.command", "daemon.log-level")
    follower.send_signal(signal.SIGINT)
    _, errors = follower.communicate(timeout=PATIENCE)
    assert (follower.returncode, errors) == (0, "")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_followers_that_do_not_read_use_bounded_memory(start: Callable[[str], Daemon]) -> None:
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

        events(60)  # 12,000 events: more than socket buffers and queues hold
        before = resident(daemon)
        events(120)
        assert resident(daemon) - before < 8 << 20
    with daemon.connect("line") as client:
        client.sendall(b"PING\nQUIT\n")
        assert b"250 PONG" in receive_all(client)
    # a follower that resumes reading gets the number of missed events
    stuck[0].sendall(b"QUIT\n")
    text = receive_all(stuck[0])
    assert b"missed" in text
    assert text.endswith(b" goodbye\r\n")
    for client in stuck:
        client.close()


def test_probe(everything: Daemon) -> None:
    daemon = everything
    line, secure = str(daemon.ports["line", ""]), str(daemon.ports["line", "tls=main"])
    ca = str(daemon.directory / "localhost.pem")
    ping = ["--send", r"PING x\r\n", "--expect", "250 PONG x"]
    assert "connected to 127.0.0.1:" in output(daemon, "probe", "127.0.0.1", line, *ping)
    tls = ["probe", "127.0.0.1", secure, "--tls", "--ca", ca, "--name", "localhost"]
    printed = output(daemon, *tls, *ping)
    assert "TLSv1.3" in printed
    assert "days left" in printed
    found = json.loads(output(daemon, *tls, "--json"))
    assert (found["ok"], found["tls"]["name"]) == (True, "localhost")
    assert "TLSv1.3" in output(
        daemon, *tls[:-1], "localhost."
    )  # RFC 6066 section 3: SNI has no dot
    assert "'a b' is not a name" in output(daemon, *tls[:-1], "a b", status=1)
    assert "is not for other" in output(daemon, *tls[:-1], "other.example", status=1)
    assert "self-signed" in output(daemon, *tls[:4], "--name", "localhost", status=1)
    assert "less than 9999" in output(daemon, *tls, "--min-days", "9999", status=1)
    assert "did not come" in output(
        daemon, "probe", "127.0.0.1", line, "--send", r"QUIT\r\n", "--expect", "x" * 9, status=1
    )
    slow = daemon.ctl("--timeout", "0.2", "probe", "127.0.0.1", line, "--expect", "never")
    assert (slow.returncode, "it took too long" in slow.stderr) == (1, True)
    assert "cannot connect" in output(daemon, "probe", "127.0.0.1", "1", status=1)
    failed = json.loads(daemon.ctl("probe", "127.0.0.1", "1", "--json").stdout)
    assert (failed["ok"], failed["address"]) == (False, None)


@pytest.mark.long
def test_operators_are_served_with_10000_open_connections(
    start: Callable[[str], Daemon],
) -> None:
    """A reply about 1,000 of 10,000 connections takes several turns, so another operator's PING is
    answered in between."""
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
            operator.recv(1, socket.MSG_PEEK)  # the reply has begun
            assert ask(other, b"PING").startswith(b"2")
            assert receive_reply(operator).startswith(b"2")
    for client in clients:
        client.close()


def ask(operator: socket.socket, line: bytes) -> bytes:
    """Send a command; return its reply."""
    operator.sendall(line + b"\n")
    return receive_reply(operator)


def receive_reply(operator: socket.socket) -> bytes:
    """Read a reply, whose last line has a space after its code."""
    received = b""
    while True:
        received += operator.recv(1 << 20)
        if received.endswith(b"\r\n") and received[:-2].rpartition(b"\n")[2][3:4] == b" ":
            return received


def test_control_keys_require_a_restart(start: Callable[[str], Daemon]) -> None:
    """A reload applies all other keys, and the operator's connection stays open."""
    daemon = start(CONFIG)
    ini = daemon.directory / "tcpd.ini"
    elsewhere = daemon.directory / "elsewhere"
    for line in ("control = none", f"control = {elsewhere}", "control_group = 12345"):
        ini.write_text(f"[tcpd]\n{line}\n{CONFIG}")
        assert output(daemon, "reload") == f"tcpd: {line.partition(' ')[0]} needs a restart\n"
    assert not elsewhere.exists()
    assert output(daemon, "log") == "the log level is info\n"
