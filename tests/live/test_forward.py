"""``protocol = forward`` with real far sides: sockets, OpenSSL's programs, HAProxy."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import certificates
import pytest
from running import PATIENCE, Daemon, receive_all, receive_until, resident

pytestmark = [pytest.mark.live, pytest.mark.reactor]

#: More than all buffers on the way hold together, so that an end really waits behind bytes.
MUCH = 16 << 20

RESET = struct.pack("ii", 1, 0)


class Far:
    """A far side: what it does with each connection, on a thread."""

    def __init__(self, serve: Callable[[socket.socket], None], path: str = "") -> None:
        if path:
            self.listening = socket.socket(socket.AF_UNIX)
            self.listening.bind(path)
            self.listening.listen()
            self.to = f"unix:{path}"
        else:
            self.listening = socket.create_server(("127.0.0.1", 0))
            self.to = f"127.0.0.1:{self.listening.getsockname()[1]}"
        self.failed: list[BaseException] = []
        self._serve = serve
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                connection.settimeout(PATIENCE)
                thread = threading.Thread(target=self._one, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _one(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._serve(connection)
        except BaseException as error:
            self.failed.append(error)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not self.failed, self.failed


@pytest.fixture
def far() -> Iterator[Callable[..., Far]]:
    """Make far sides; they are stopped, and must not have failed, after the test."""
    made: list[Far] = []

    def make(serve: Callable[[socket.socket], None], path: str = "") -> Far:
        made.append(Far(serve, path))
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


def send_then_end(connection: socket.socket, data: bytes) -> None:
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def both_ways(connection: socket.socket, data: bytes, pause: float) -> bytes:
    """Send it and end, and read all that comes, at once."""
    sender = threading.Thread(target=send_then_end, args=(connection, data))
    sender.start()
    time.sleep(pause)  # so that all buffers fill
    received = receive_all(connection)
    sender.join(PATIENCE)
    return received


# --- bytes and ends ---


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
def test_much_both_ways_at_once_and_each_direction_ends_by_itself(
    start: Callable[[str], Daemon],
    far: Callable[..., Far],
    tmp_path: Path,
    unix: bool,
) -> None:
    up, down = os.urandom(MUCH), os.urandom(MUCH)
    received = []
    server = far(
        lambda connection: received.append(both_ways(connection, down, 0.3)),
        str(tmp_path / "far") if unix else "",
    )
    daemon = start(config(server.to))
    with daemon.connect("mail") as client:
        assert both_ways(client, up, 0.5) == down
    server.stop()
    assert received == [up]


def test_a_client_that_ends_first_gets_its_answer(
    start: Callable[[str], Daemon], far: Callable[..., Far]
) -> None:
    """As ``nc -N`` does, and HTTP/1.0 with a body that ends with the connection."""
    server = far(lambda connection: send_then_end(connection, receive_all(connection)[::-1]))
    daemon = start(config(server.to))
    with daemon.connect("mail") as client:
        send_then_end(client, b"hello" * 100_000)
        assert receive_all(client) == b"olleh" * 100_000


def test_a_far_side_that_ends_first_still_reads(
    start: Callable[[str], Daemon], far: Callable[..., Far]
) -> None:
    received = []

    def serve(connection: socket.socket) -> None:
        send_then_end(connection, b"220 hello\r\n")
        received.append(receive_all(connection))

    server = far(serve)
    daemon = start(config(server.to))
    with daemon.connect("mail") as client:
        assert receive_all(client) == b"220 hello\r\n"
        send_then_end(client, bytes(MUCH))
        assert receive_all(client) == b""
    server.stop()
    assert received == [bytes(MUCH)]


def test_by_name_and_through_nc(start: Callable[[str], Daemon], far: Callable[..., Far]) -> None:
    """A host's name is looked up; nc -N closes its sending side at the end of its input."""
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


def fill(connection: socket.socket) -> int:
    """Send until it has not been possible for a while; how many bytes."""
    connection.setblocking(False)
    sent = 0
    piece = bytes(1 << 16)
    while select.select([], [connection], [], 0.5)[1]:
        sent += connection.send(piece)
        assert sent < 256 << 20, "nobody holds it up"
    return sent


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("slow", ["far", "client"])
def test_a_side_that_never_reads_costs_bounded_memory(
    start: Callable[[str], Daemon], far: Callable[..., Far], slow: str
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
    assert filled[0] > 0
    assert grown < 4 << 20


def closed_how(connection: socket.socket) -> str:
    try:
        receive_all(connection)
    except ConnectionResetError:
        return "reset"
    return "closed"


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def test_a_reset_is_passed_on(start: Callable[[str], Daemon], far: Callable[..., Far]) -> None:
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


# --- a far side that is not there ---


def test_a_far_side_that_is_not_there_is_told_once_a_burst(start: Callable[[str], Daemon]) -> None:
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


def test_what_a_client_says_waits_in_the_kernel_until_the_far_side_is_there(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
    """A TLS far side that accepts and says nothing: the handshake does not come to an end."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        to = f"127.0.0.1:{silent.getsockname()[1]}"
        daemon = start(config(to, "tls = yes", "connect_timeout = 1s"))
        with daemon.connect("mail") as client:
            before = resident(daemon)
            fill(client)
            assert resident(daemon) - before < 4 << 20
            client.settimeout(PATIENCE)
            assert closed_how(client) == "reset"
        daemon.wait_for(lambda line: "timeout: connecting timed out" in line)


# --- TLS with the far side ---


@contextlib.contextmanager
def s_server(directory: Path, *arguments: str) -> Iterator[str]:
    """OpenSSL's own server, which sends each line back reversed: where it listens."""
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


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """A directory with an authority, and what it signed: far.example and client.example."""
    directory = tmp_path / "pki"
    directory.mkdir()
    authority = certificates.make(directory, "authority.example", authority=True)
    for name in ("far.example", "client.example"):
        certificates.make(directory, name, authority)
    return directory


FAR_CERTIFICATE = ("-cert", "far.example.pem", "-key", "far.example-key.pem")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("client_words", ["", "tls=main"], ids=["plain", "tls"])
def test_to_tls_that_is_who_it_should_be(
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


def test_a_dot_at_the_end_of_a_name_is_for_dns_alone(
    start: Callable[[str], Daemon], far: Callable[..., Far], pki: Path
) -> None:
    """RFC 6066 section 3: SNI is "without a trailing dot"; so is a certificate's name."""
    asked = []
    context = server_context(pki)
    context.sni_callback = lambda _connection, name, _context: asked.append(name)

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
    assert asked == ["far.example"]


def test_an_address_is_a_name_too(start: Callable[[str], Daemon], pki: Path) -> None:
    """RFC 9525 section 6.5: an iPAddress in the certificate; no tls_name is needed for it."""
    with s_server(pki, *FAR_CERTIFICATE) as to:
        daemon = start(config(to, "tls = yes", f"ca = {pki}/authority.example.pem"))
        with daemon.connect("mail") as client:
            client.sendall(b"hello\n")
            assert receive_until(client, b"\n") == b"olleh\n"


@pytest.mark.parametrize(
    ("name", "ca", "says"),
    [
        ("other.example", True, "untrusted: its certificate is not for other.example"),
        ("far.example", False, "untrusted: its certificate is not trusted: its issuer is not"),
    ],
)
def test_tls_that_is_somebody_else_gets_no_byte(
    start: Callable[[str], Daemon], pki: Path, name: str, ca: bool, says: str
) -> None:
    keys = [f"ca = {pki}/authority.example.pem"] if ca else []
    with s_server(pki, *FAR_CERTIFICATE) as to:
        daemon = start(config(to, "tls = yes", f"tls_name = {name}", *keys))
        for text in (b"secret\n", b""):
            with daemon.connect("mail") as client:
                client.sendall(text)
                assert closed_how(client) == "reset", "and never an answer of no bytes"
        daemon.wait_for(lambda line: says in line)


def test_a_far_side_that_speaks_no_tls(
    start: Callable[[str], Daemon], far: Callable[..., Far]
) -> None:
    server = far(lambda connection: connection.sendall(b"220 plain text\r\n"))
    daemon = start(config(server.to, "tls = yes"))
    with daemon.connect("mail") as client:
        assert closed_how(client) == "reset"
    daemon.wait_for(lambda line: "tls-failed: TLS failed: wrong version number" in line)


def test_the_far_side_is_shown_a_certificate(start: Callable[[str], Daemon], pki: Path) -> None:
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


def server_context(pki: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "far.example.pem", pki / "far.example-key.pem")
    return context


@pytest.mark.parametrize("close_notify", [True, False])
def test_a_half_close_goes_through_tls_by_close_notify(
    start: Callable[[str], Daemon], far: Callable[..., Far], pki: Path, close_notify: bool
) -> None:
    """RFC 8446 section 6.1: close_notify "does not have any effect on its read side". A server that
    closes without one has still answered, and the end is no clean one."""
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
        sender = threading.Thread(target=send_then_end, args=(client, b"ab" * (MUCH // 4)))
        sender.start()
        answer = b"ba" * (MUCH // 4)
        received = bytearray()
        while len(received) < len(answer):
            received += client.recv(65536)
        assert received == answer
        assert closed_how(client) == ("closed" if close_notify else "reset")
        sender.join(PATIENCE)


# --- who the client is ---


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
    """A real HAProxy that says what it was told: where it listens."""
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


def asked(client: socket.socket) -> str:
    """What HAProxy says that it was told."""
    client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    return receive_all(client).decode().rpartition("\r\n\r\n")[2]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_understands_who_the_client_is(
    start: Callable[[str], Daemon], tmp_path: Path, version: str
) -> None:
    with haproxy(tmp_path) as to:
        daemon = start(config(to, f"send_proxy = {version}", tls=True))
        with daemon.connect("mail") as client:
            host, port = client.getsockname()
            assert asked(client) == f"{host} {port} 127.0.0.1 {daemon.ports['mail', '']} "
        with daemon.connect_tls("mail") as client:
            host, port = client.getsockname()
            name = "localhost" if version == "v2" else ""
            words = daemon.ports["mail", "tls=main"]
            assert asked(client) == f"{host} {port} 127.0.0.1 {words} {name}"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_takes_a_client_without_an_address(
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


def test_the_header_goes_before_tls(
    start: Callable[[str], Daemon], far: Callable[..., Far], pki: Path
) -> None:
    """As HAProxy's send-proxy with ssl has it: what stands before the TLS server must see it."""
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


# --- the daemon's life ---


def test_a_reload_leads_new_connections_elsewhere(
    start: Callable[[str], Daemon], far: Callable[..., Far]
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


def test_a_daemon_that_stops_resets_both_sides(
    start: Callable[[str], Daemon], far: Callable[..., Far]
) -> None:
    """ "A stream that was cut never looks complete." """
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


def test_an_idle_client_takes_the_far_side_with_it(
    start: Callable[[str], Daemon], far: Callable[..., Far]
) -> None:
    """ "A client that [...] the policy ends, takes the far side with it", by a reset."""
    seen: list[str] = []
    server = far(lambda connection: seen.append(closed_how(connection)))
    daemon = start(config(server.to, policy="idle = 200ms"))
    with daemon.connect("mail") as client:
        assert closed_how(client) == "reset"
    server.stop()
    assert seen == ["reset"]
