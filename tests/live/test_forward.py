"""``protocol = forward`` on a live daemon, with sockets, OpenSSL's s_server and HAProxy."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import PATIENCE, Daemon, receive_all, receive_until, resident
from streams import FarServer, closed_how, fill, reset, server_context

pytestmark = [pytest.mark.live, pytest.mark.reactor]

#: More bytes than all buffers on the path hold, so that EOF waits for the data.
MUCH = 16 << 20


@pytest.fixture
def far() -> Iterator[Callable[..., FarServer]]:
    """Start far sides; after the test they are stopped, and must not have failed."""
    made: list[FarServer] = []

    def make(serve: Callable[[socket.socket], None], path: str = "") -> FarServer:
        made.append(FarServer(serve, path))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def config(to: str, *keys: str, policy: str = "", tls: bool = False) -> str:
    listen = "    127.0.0.1:0 tls=main\n" if tls else ""
    return (
        f"[tcpd]\ndrain = 2s\n[policy:default]\n{policy}\n"
        "[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"
        f"[service:mail]\nprotocol = forward\nlisten =\n    127.0.0.1:0\n{listen}"
        f"to = {to}\n" + "".join(f"{key}\n" for key in keys)
    )


def send_and_half_close(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def exchange(connection: socket.socket, data: bytes, pause: float) -> bytes:
    """Send and half-close in a thread; meanwhile read until EOF."""
    sender = threading.Thread(target=send_and_half_close, args=(connection, data))
    sender.start()
    time.sleep(pause)  # until all buffers are full
    received = receive_all(connection)
    sender.join(PATIENCE)
    return received


# --- data and half-close ---


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_full_duplex_transfer_and_half_close(
    start: Callable[[str], Daemon],
    far: Callable[..., FarServer],
    tmp_path: Path,
    unix: bool,
) -> None:
    up, down = os.urandom(MUCH), os.urandom(MUCH)
    received = []
    server = far(
        lambda connection: received.append(exchange(connection, down, 0.3)),
        str(tmp_path / "far") if unix else "",
    )
    daemon = start(config(server.to))
    with daemon.connect("mail") as client:
        assert exchange(client, up, 0.5) == down
    server.stop()
    assert received == [up]


def test_client_that_half_closes_gets_the_answer(
    start: Callable[[str], Daemon], far: Callable[..., FarServer]
) -> None:
    """As ``nc -N`` does."""
    server = far(lambda connection: send_and_half_close(connection, receive_all(connection)[::-1]))
    daemon = start(config(server.to))
    with daemon.connect("mail") as client:
        send_and_half_close(client, b"hello" * 100_000)
        assert receive_all(client) == b"olleh" * 100_000


def test_far_side_that_half_closes_gets_the_data(
    start: Callable[[str], Daemon], far: Callable[..., FarServer]
) -> None:
    received = []

    def serve(connection: socket.socket) -> None:
        send_and_half_close(connection, b"220 hello\r\n")
        received.append(receive_all(connection))

    server = far(serve)
    daemon = start(config(server.to))
    with daemon.connect("mail") as client:
        assert receive_all(client) == b"220 hello\r\n"
        send_and_half_close(client, bytes(MUCH))
        assert receive_all(client) == b""
    server.stop()
    assert received == [bytes(MUCH)]


def test_far_side_by_name_and_nc_as_client(
    start: Callable[[str], Daemon], far: Callable[..., FarServer]
) -> None:
    nc = shutil.which("nc.openbsd")
    if nc is None:
        pytest.skip("OpenBSD's nc is not installed (Debian: netcat-openbsd)")
    server = far(lambda connection: connection.sendall(receive_all(connection).upper()))
    daemon = start(config(f"localhost:{server.to.rpartition(':')[2]}"))
    done = subprocess.run(
        [nc, "-N", "127.0.0.1", str(daemon.ports["mail", ""])],
        input=b"loud\n",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == b"LOUD\n"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("slow", ["far", "client"])
def test_peer_that_does_not_read_uses_bounded_memory(
    start: Callable[[str], Daemon], far: Callable[..., FarServer], slow: str
) -> None:
    over = threading.Event()
    filled: list[int] = []

    def serve(connection: socket.socket) -> None:
        if slow == "client":
            filled.append(fill(connection))
        over.wait(PATIENCE)

    server = far(serve)
    daemon = start(config(server.to))
    with daemon.connect("mail") as client:
        before = resident(daemon)
        if slow == "far":
            filled.append(fill(client))
        else:
            deadline = time.monotonic() + PATIENCE
            while not filled and time.monotonic() < deadline:
                time.sleep(0.05)
        grown = resident(daemon) - before
        over.set()
    assert 0 < filled[0] < 256 << 20
    assert grown < 4 << 20


def test_reset_is_forwarded(start: Callable[[str], Daemon], far: Callable[..., FarServer]) -> None:
    seen = []

    def serve(connection: socket.socket) -> None:
        if connection.recv(1) == b"r":
            reset(connection)
        else:
            connection.sendall(b"x")
            seen.append(closed_how(connection))

    server = far(serve)
    daemon = start(config(server.to))
    with daemon.connect("mail") as client:
        client.sendall(b"r")
        assert closed_how(client) == "reset"
    with daemon.connect("mail") as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        reset(client)
    server.stop()
    assert seen == ["reset"]


# --- an unreachable far side ---


def test_unreachable_far_side_is_logged_once_a_burst(start: Callable[[str], Daemon]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon = start(config(f"127.0.0.1:{port}"))
    for _ in range(3):
        with daemon.connect("mail") as client:
            assert closed_how(client) == "reset"
    (line,) = daemon.wait_for(lambda line: "cannot be reached" in line)
    assert re.search(
        rf"service mail: 127\.0\.0\.1:{port} cannot be reached for 127\.0\.0\.1:\d+: refused: "
        r"Connection refused \(0 more since last logged\)",
        line,
    )
    with daemon.connect("mail") as client:
        assert closed_how(client) == "reset"
    assert len([line for line in daemon.log if "cannot be reached" in line]) == 1


def test_client_data_stays_in_the_kernel_until_the_far_side_is_connected(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
    """A TLS far side that accepts and sends nothing: the handshake does not complete."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = f"127.0.0.1:{silent.getsockname()[1]}"
        daemon = start(config(to, "tls = yes", "connect_timeout = 1s"))
        with daemon.connect("mail") as client:
            before = resident(daemon)
            fill(client)
            assert resident(daemon) - before < 4 << 20
            assert closed_how(client) == "reset"
        daemon.wait_for(lambda line: "timeout: connecting timed out" in line)


# --- TLS with the far side ---


@contextlib.contextmanager
def s_server(directory: Path, *arguments: str) -> Iterator[str]:
    """Run OpenSSL's s_server, which sends each line back reversed; yield its address."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    process = subprocess.Popen(
        [openssl, "s_server", "-accept", "127.0.0.1:0", "-rev", *arguments],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            found = re.match(r"ACCEPT (\S+:\d+)", line)
            if found:
                yield found[1]
                break
        else:
            raise AssertionError("s_server does not start")
    finally:
        process.kill()
        process.wait(PATIENCE)
        process.stdout.close()


FAR_CERTIFICATE = ("-cert", "far.example.pem", "-key", "far.example-key.pem")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("client_words", ["", "tls=main"], ids=["plain", "tls"])
def test_tls_to_a_verified_far_side(
    start: Callable[[str], Daemon], pki: Path, version: str, client_words: str
) -> None:
    with s_server(pki, *FAR_CERTIFICATE, version) as to:
        daemon = start(
            config(
                to,
                "tls = yes",
                "tls_name = far.example",
                f"ca = {pki}/authority.example.pem",
                tls=True,
            )
        )
        with daemon.connect_tls("mail") if client_words else daemon.connect("mail") as client:
            client.sendall(b"hello\n")
            assert receive_until(client, b"\n") == b"olleh\n"
            client.sendall(b"again\n")
            assert receive_until(client, b"\n") == b"niaga\n"


def test_trailing_dot_is_not_sent_in_sni(
    start: Callable[[str], Daemon], far: Callable[..., FarServer], pki: Path
) -> None:
    """RFC 6066 section 3: SNI is "without a trailing dot"; so are names in certificates."""
    names = []
    context = server_context(pki)
    context.sni_callback = lambda _connection, name, _context: names.append(name)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.sendall(b"hello")

    server = far(serve)
    daemon = start(
        config(
            server.to, "tls = yes", "tls_name = far.example.", f"ca = {pki}/authority.example.pem"
        )
    )
    with daemon.connect("mail") as client:
        assert receive_until(client, b"hello") == b"hello"
    assert names == ["far.example"]


def test_certificate_is_verified_for_an_address(start: Callable[[str], Daemon], pki: Path) -> None:
    """RFC 9525 section 6.5: an iPAddress in the certificate; without tls_name."""
    with s_server(pki, *FAR_CERTIFICATE) as to:
        daemon = start(config(to, "tls = yes", f"ca = {pki}/authority.example.pem"))
        with daemon.connect("mail") as client:
            client.sendall(b"hello\n")
            assert receive_until(client, b"\n") == b"olleh\n"


@pytest.mark.parametrize(
    ("name", "ca", "message"),
    [
        ("other.example", True, "untrusted: its certificate is not for other.example"),
        ("far.example", False, "untrusted: its certificate is not trusted: its issuer is not"),
    ],
)
def test_untrusted_far_side_gets_no_data(
    start: Callable[[str], Daemon], pki: Path, name: str, ca: bool, message: str
) -> None:
    keys = [f"ca = {pki}/authority.example.pem"] if ca else []
    with s_server(pki, *FAR_CERTIFICATE) as to:
        daemon = start(config(to, "tls = yes", f"tls_name = {name}", *keys))
        for text in (b"secret\n", b""):
            with daemon.connect("mail") as client:
                client.sendall(text)
                assert closed_how(client) == "reset", "not an empty reply"
        daemon.wait_for(lambda line: message in line)


def test_far_side_without_tls_is_a_reset(
    start: Callable[[str], Daemon], far: Callable[..., FarServer]
) -> None:
    server = far(lambda connection: connection.sendall(b"220 plain text\r\n"))
    daemon = start(config(server.to, "tls = yes"))
    with daemon.connect("mail") as client:
        assert closed_how(client) == "reset"
    daemon.wait_for(lambda line: "tls-failed: TLS failed: wrong version number" in line)


def test_client_certificate_for_the_far_side(start: Callable[[str], Daemon], pki: Path) -> None:
    ask = ("-Verify", "1", "-verify_return_error", "-CAfile", "authority.example.pem")
    with s_server(pki, *FAR_CERTIFICATE, *ask) as to:
        daemon = start(
            config(
                to,
                "tls = yes",
                f"ca = {pki}/authority.example.pem",
                f"certificate = {pki}/client.example.pem",
                f"key = {pki}/client.example-key.pem",
            )
        )
        with daemon.connect("mail") as client:
            client.sendall(b"hello\n")
            assert receive_until(client, b"\n") == b"olleh\n"


@pytest.mark.parametrize("close_notify", [True, False])
def test_half_close_becomes_close_notify(
    start: Callable[[str], Daemon], far: Callable[..., FarServer], pki: Path, close_notify: bool
) -> None:
    """RFC 8446 section 6.1: close_notify "does not have any effect on its read side". After a close
    without one the client has the answer, and a reset."""
    context = server_context(pki)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.sendall(receive_all(tls)[::-1])
            if close_notify:
                with contextlib.suppress(OSError, ValueError):
                    tls.unwrap()

    server = far(serve)
    daemon = start(config(server.to, "tls = yes", f"ca = {pki}/authority.example.pem"))
    with daemon.connect("mail") as client:
        sender = threading.Thread(target=send_and_half_close, args=(client, b"ab" * (MUCH // 4)))
        sender.start()
        answer = b"ba" * (MUCH // 4)
        received = bytearray()
        while len(received) < len(answer):
            received += client.recv(65536)
        assert received == answer
        assert closed_how(client) == ("closed" if close_notify else "reset")
        sender.join(PATIENCE)


# --- PROXY headers ---


HAPROXY = """
defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 30s
frontend behind
    bind unix@{path} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] \
%[dst_port] %[fc_pp_authority]"
"""


@contextlib.contextmanager
def haproxy(directory: Path) -> Iterator[str]:
    """Run an HAProxy that answers with the addresses of its PROXY header; yield its address."""
    program = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("haproxy is not installed (Debian: haproxy)")
    path = directory / "haproxy"
    (directory / "haproxy.cfg").write_text(HAPROXY.format(path=path))
    process = subprocess.Popen([program, "-db", "-q", "-f", str(directory / "haproxy.cfg")])
    try:
        deadline = time.monotonic() + PATIENCE
        while not path.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield f"unix:{path}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def header_seen(client: socket.socket) -> str:
    """Return the addresses that HAProxy has read from the PROXY header."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return receive_all(client).decode().rpartition("\r\n\r\n")[2]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_reads_the_proxy_header(
    start: Callable[[str], Daemon], tmp_path: Path, version: str
) -> None:
    with haproxy(tmp_path) as to:
        daemon = start(config(to, f"send_proxy = {version}", tls=True))
        with daemon.connect("mail") as client:
            host, port = client.getsockname()
            assert header_seen(client) == f"{host} {port} 127.0.0.1 {daemon.ports['mail', '']} "
        with daemon.connect_tls("mail") as client:
            host, port = client.getsockname()
            name = "localhost" if version == "v2" else ""
            words = daemon.ports["mail", "tls=main"]
            assert header_seen(client) == f"{host} {port} 127.0.0.1 {words} {name}"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_accepts_a_client_without_an_address(
    start: Callable[[str], Daemon], tmp_path: Path, version: str
) -> None:
    """UNKNOWN, and LOCAL: "the receiver must accept this connection as valid"."""
    with haproxy(tmp_path) as to:
        text = config(to, f"send_proxy = {version}")
        start(text.replace("to =", f"    unix:{tmp_path}/front\nto =", 1))
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(tmp_path / "front"))
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert receive_all(client).startswith(b"HTTP/1.1 200 ")


def test_proxy_header_precedes_tls(
    start: Callable[[str], Daemon], far: Callable[..., FarServer], pki: Path
) -> None:
    """As HAProxy's send-proxy with ssl."""
    context = server_context(pki)

    def serve(connection: socket.socket) -> None:
        line = b""
        while not line.endswith(b"\r\n"):
            line += connection.recv(1)
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.sendall(line)

    server = far(serve)
    daemon = start(
        config(server.to, "tls = yes", f"ca = {pki}/authority.example.pem", "send_proxy = v1")
    )
    with daemon.connect("mail") as client:
        port = client.getsockname()[1]
        assert receive_until(client, b"\n") == (
            f"PROXY TCP4 127.0.0.1 127.0.0.1 {port} {daemon.ports['mail', '']}\r\n".encode()
        )


# --- reload, stop and policy ---


def test_reload_changes_the_target_of_new_connections(
    start: Callable[[str], Daemon], far: Callable[..., FarServer]
) -> None:
    def named(name: bytes) -> Callable[[socket.socket], None]:
        def serve(connection: socket.socket) -> None:
            while connection.recv(1):
                connection.sendall(name)

        return serve

    one, two = far(named(b"1")), far(named(b"2"))
    daemon = start(config(one.to))
    with daemon.connect("mail") as old:
        old.sendall(b"?")
        assert old.recv(1) == b"1"
        ini = daemon.directory / "tcpd.ini"
        ini.write_text(ini.read_text().replace(one.to, two.to))
        assert "to swapped" in daemon.ctl("reload").stdout
        with daemon.connect("mail") as new:
            new.sendall(b"?")
            assert new.recv(1) == b"2"
        old.sendall(b"?")
        assert old.recv(1) == b"1"


def test_stop_resets_client_and_far_side(
    start: Callable[[str], Daemon], far: Callable[..., FarServer]
) -> None:
    """ "A truncated stream never looks complete." """
    seen: list[str] = []

    def serve(connection: socket.socket) -> None:
        connection.sendall(connection.recv(1))
        seen.append(closed_how(connection))

    server = far(serve)
    daemon = start(config(server.to))
    with daemon.connect("mail") as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        assert daemon.stop() == -signal.SIGTERM
        assert closed_how(client) == "reset"
    server.stop()
    assert seen == ["reset"]


def test_idle_timeout_resets_client_and_far_side(
    start: Callable[[str], Daemon], far: Callable[..., FarServer]
) -> None:
    """ "A truncated stream never looks complete." """
    seen: list[str] = []
    server = far(lambda connection: seen.append(closed_how(connection)))
    daemon = start(config(server.to, policy="idle = 200ms"))
    with daemon.connect("mail") as client:
        assert closed_how(client) == "reset"
    server.stop()
    assert seen == ["reset"]
