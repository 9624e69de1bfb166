"""``protocol = exec`` and UNIX sockets on a live daemon."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import forking
import pytest
from running import PATIENCE, TWISTD, Daemon, descriptors, receive_all, receive_until

pytestmark = [pytest.mark.live, pytest.mark.reactor]

USER = "user = root\n" if os.geteuid() == 0 else ""

#: Reads a line; prints its variables of the connection, the line, and the rest of its input.
PYTHON = (
    "import os, sys; line = sys.stdin.buffer.readline(); "
    'print(sorted(n for n in os.environ if n[:3] in (\\"TCP\\", \\"SSL\\", \\"PRO\\")), '
    "line, sys.stdin.buffer.read())"
)


def service(name: str, command: str, more: str = "") -> str:
    return (
        f"[service:{name}]\nprotocol = exec\ncommand = {command}\n{USER}{more}"
        "listen =\n  127.0.0.1:0\n  127.0.0.1:0 tls=main\n"
    )


HEAD = (
    "[tcpd]\nserver_name = test.example\ndrain = 10s\nlog_level = debug\n"
    "[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"
)


def config(*services: str) -> str:
    return HEAD + "".join(services)


def test_each_connection_starts_a_program(start: Callable[[str], Daemon]) -> None:
    """cat, a shell and Python, plain and over TLS."""
    daemon = start(
        config(
            service("cat", "/bin/cat"),
            service("sh", "/bin/sh -c 'read a; echo \"you said $a\"; exit 3'"),
            service("python", f'{sys.executable} -c "{PYTHON}"'),
        )
    )
    with daemon.connect("cat") as client:
        client.sendall(b"x" * 1_000_000)
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b"x" * 1_000_000
    with daemon.connect_tls("cat") as client:
        client.sendall(b"secret")
        assert receive_until(client, b"secret") == b"secret"
    for connect in (daemon.connect, daemon.connect_tls):
        with connect("sh") as client:
            client.sendall(b"hi\n")
            assert receive_all(client) == b"you said hi\n"
    with daemon.connect("python") as client:
        client.sendall(b"a\nb")
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client).decode() == (
            "['PROTO', 'TCPD_CONNECTION', 'TCPD_SERVICE', 'TCPLOCALHOST', 'TCPLOCALIP', "
            "'TCPLOCALPORT', 'TCPREMOTEIP', 'TCPREMOTEPORT'] b'a\\n' b'b'\n"
        )
    daemon.wait_for(lambda line: "failed: status 3" in line, 2)


def test_program_has_the_tls_variables(start: Callable[[str], Daemon]) -> None:
    daemon = start(config(service("env", "/usr/bin/env")))
    with daemon.connect_tls("env") as client:
        environment = receive_all(client).decode()
        cipher = client.cipher()
    assert cipher is not None
    assert f"SSL_CIPHER={cipher[0]}\n" in environment
    assert "SSL_PROTOCOL=TLSv1.3\n" in environment
    assert "SSL_TLS_SNI=localhost\n" in environment


def test_200_programs_leak_nothing(start: Callable[[str], Daemon]) -> None:
    """No zombies, no descriptors; a program inherits the three standard streams only."""
    daemon = start(config(service("ls", "/bin/ls /proc/self/fd")))

    def one() -> bytes:
        with daemon.connect("ls") as client:
            return receive_all(client)

    assert one() == b"0\n1\n2\n3\n"
    daemon.wait_for(lambda line: "ended: status 0" in line, 1)
    before = descriptors(daemon)
    for _ in range(200):
        assert one() == b"0\n1\n2\n3\n"
    daemon.wait_for(lambda line: "ended: status 0" in line, 201)
    assert descriptors(daemon) == before
    pid = daemon.process.pid
    assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""


def test_stop_sends_sigterm_to_programs(start: Callable[[str], Daemon]) -> None:
    """Output that a program writes on SIGTERM reaches its client."""
    daemon = start(
        config(
            service(
                "polite",
                "/bin/sh -c 'trap \"echo bye; exit 0\" TERM; echo; while :; do sleep 0.05; done'",
            ),
            service(
                "stubborn",
                "/bin/sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done'",
                "stop = 100ms\n",
            ),
        )
    )
    with daemon.connect("polite") as polite, daemon.connect("stubborn") as stubborn:
        receive_until(polite, b"\n")
        pid = int(receive_until(stubborn, b"\n"))
        daemon.process.send_signal(signal.SIGTERM)
        assert receive_all(polite) == b"bye\n"
        with pytest.raises(ConnectionResetError):  # "When the program dies of a signal"
            receive_all(stubborn)
        daemon.stop()
    assert not os.path.exists(f"/proc/{pid}")
    daemon.wait_for(lambda line: "stopped: status 0" in line)
    daemon.wait_for(lambda line: "killed: SIGKILL" in line)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("command = /nonexistent\n" + USER, "x.ini:3: [service:x] command: /nonexistent"),
        ("command = cat\n" + USER, "x.ini:3: [service:x] command: 'cat' is not an absolute path"),
        ("command = /bin/cat\nuser = nobody-there\n", "x.ini:4: [service:x] user: "),
        ("command = /bin/cat\nuser = 0\nenvironment = 1\n", "[service:x] environment: "),
    ],
)
def test_check_reports_commands_that_cannot_run(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "x.ini").write_text(
        f"[service:x]\nprotocol = exec\n{lines}listen = 127.0.0.1:7999\n"
    )
    words = ["-n", "--pidfile=", "tcpd", "--config", "x.ini", "--check"]
    done = forking.run("twistd", words, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="drops root privileges")
def test_user_key_is_refused_if_the_daemon_drops_root(tmp_path: Path) -> None:
    """The start fails, not the first connection."""
    (tmp_path / "x.ini").write_text(
        "[service:x]\nprotocol = exec\ncommand = /bin/cat\nuser = root\nlisten = 127.0.0.1:0\n"
    )
    done = subprocess.run(
        [TWISTD, "-n", "--pidfile=", "-u", "nobody", "tcpd", "--config", "x.ini"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "x.ini:4: [service:x] user: only root can change its user" in done.stderr


def test_peer_credentials_of_a_unix_socket(start: Callable[[str], Daemon], tmp_path: Path) -> None:
    """In WHOAMI, the access log, a program's environment, and tcpd-ctl."""
    whoami, env = tmp_path / "line", tmp_path / "env"
    who = f"uid {os.geteuid()} gid {os.getegid()} pid {os.getpid()}"
    daemon = start(
        "[policy:default]\naccess_log = yes\n"
        f"[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0\n  unix:{whoami} "
        f"mode=0600 owner={os.geteuid()} group={os.getegid()}\n"
        f"[service:env]\nprotocol = exec\ncommand = /usr/bin/env\n{USER}listen = unix:{env}\n"
    )
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(whoami))
        receive_until(client, b"\n")
        client.sendall(b"WHOAMI\n")
        reply = receive_until(client, b"tls none\r\n").decode()
        assert f"credentials {who}\r\n" in reply
        listed = daemon.ctl("connections", "--service", "line").stdout
        (number,) = re.findall(r"^ *(\d+) +line", listed, re.M)
        assert who in daemon.ctl("connection", number).stdout
    daemon.wait_for(lambda line: f"from unix ({who}) ended" in line)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(env))
        environment = receive_all(client).decode()
    assert f"UNIXREMOTEPID={os.getpid()}\n" in environment
    assert f"UNIXLOCALPATH={env}\n" in environment
