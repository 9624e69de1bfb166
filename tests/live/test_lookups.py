"""Look-ups while the name server never answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import certificates
import pytest
from running import PATIENCE, TWISTD, Daemon, receive_all

from tcpd.net.lookups import MAX_THREADS
from tcpd.policy.passwords import hash_password

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="mount(2) requires root"),
]

#: A look-up times out after 150 s, longer than any test waits.
RESOLV = "nameserver 127.0.0.77\noptions timeout:30 attempts:5\n"


@pytest.fixture
def wrapper(tmp_path: Path) -> Iterator[str]:
    """A wrapper that runs a program in a mount namespace: /etc/hosts is used, and the name server
    never answers."""
    files = {
        "resolv.conf": RESOLV,
        "nsswitch.conf": "hosts: files dns\npasswd: files\ngroup: files\n",
        "hosts": "127.0.0.1 localhost healthy.example\n",
    }
    mounts = ""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        mounts += f"mount --bind {tmp_path / name} /etc/{name} && "
    script = tmp_path / "wrapper"
    script.write_text(f"""#!/bin/sh\nexec unshare --mount sh -c '{mounts} exec "$@"' sh "$@"\n""")
    script.chmod(0o755)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.77", 53))
        yield str(script)


def make_daemon(directory: Path, wrapper: str, config: str) -> Daemon:
    directory.mkdir()
    certificates.make(directory, "localhost")
    twistd = directory / "twistd"
    twistd.write_text(f'#!/bin/sh\nexec {wrapper} {TWISTD} "$@"\n')
    twistd.chmod(0o755)
    return Daemon(directory, config, twistd=twistd)


def test_unanswered_lookups_do_not_delay_others(tmp_path: Path, wrapper: str) -> None:
    """'Look-ups have a bound of their own, cannot exhaust a pool that others need, and never delay
    the end of the process.'"""
    far = socket.create_server(("127.0.0.1", 0))
    forwards = "".join(
        f"[service:{name}]\nprotocol = forward\nlisten =\n    127.0.0.1:0\n"
        f"to = {to}\nconnect_timeout = {timeout}\n"
        for name, to, timeout in (
            ("sick", "silent.example:25", "1s"),
            ("well", f"healthy.example:{far.getsockname()[1]}", "20s"),
        )
    )
    daemon = make_daemon(
        tmp_path / "d",
        wrapper,
        f"[policy:default]\nper_address = 100\n[chat]\nhosts = address\n{forwards}"
        "[service:irc]\nprotocol = irc\nlisten =\n    127.0.0.1:0\n"
        f"password = {hash_password('sesame')}\n"
        "[service:names]\nprotocol = irc\nresolve = yes\nlisten =\n"
        "    127.0.0.1:0 proxy=127.0.0.1/32\n",
    )
    tasks = Path(f"/proc/{daemon.process.pid}/task")
    with far:
        before = len(os.listdir(tasks))
        clients = [daemon.connect("sick") for _ in range(60)]
        with daemon.connect("well") as client:
            connection, _ = far.accept()
            connection.sendall(b"hello")
            connection.close()
            assert receive_all(client) == b"hello"
        # the addresses of twenty clients are looked up in the background
        chatting = [daemon.connect("names", "proxy=127.0.0.1/32") for _ in range(20)]
        for number, client in enumerate(chatting):
            client.sendall(
                b"PROXY TCP4 192.0.2.%d 127.0.0.1 4711 6667\r\n"
                b"NICK ann%d\r\nUSER ann 0 * :Ann\r\n" % (number, number)
            )
        chatting.append(daemon.connect("irc"))
        chatting[-1].sendall(b"PASS sesame\r\nNICK bob\r\nUSER bob 0 * :Bob\r\n")
        for client in chatting:
            received = b""
            while b" 001 " not in received:
                piece = client.recv(65536)
                assert piece, received
                received += piece
            client.close()
        # ten threads of the reactor's pool, and MAX_THREADS for the look-ups of each service
        assert len(os.listdir(tasks)) <= before + 10 + 3 * MAX_THREADS
        for client in clients:
            # an unreachable far side is a reset, not EOF
            with client, pytest.raises(ConnectionResetError):
                receive_all(client)
    (line, *_) = daemon.wait_for(lambda line: "silent.example:25 cannot be reached" in line)
    assert "unresolved: the system's resolver has not answered in 1.0 s" in line
    clients = [daemon.connect("sick") for _ in range(5)]
    assert daemon.stop() == -15
    for client in clients:
        client.close()


def test_probe_times_out_during_the_lookup(tmp_path: Path, wrapper: str) -> None:
    words = ["-m", "tcpd.ctl", "--timeout", "0.5", "probe", "silent.example", "25"]
    done = subprocess.run(
        [wrapper, sys.executable, *words], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert done.stderr == (
        "tcpd-ctl: cannot look up silent.example: the system's resolver has not answered in "
        "0.5 s; do the name servers in /etc/resolv.conf answer?\n"
    )
