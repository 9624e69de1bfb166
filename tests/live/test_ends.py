"""Ends of streams through forward and exec: clean, half-closed, or truncated; on a live daemon."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from OpenSSL import SSL
from running import PATIENCE, Daemon, client_context, descriptors, receive_all, receive_until
from streams import MUCH, SETTINGS, AcceptedFarSide, TlsEnd, ending, far_keys, fill, reset
from wires import need

pytestmark = [pytest.mark.live, pytest.mark.reactor]

USER = "user = root\n" if os.geteuid() == 0 else ""

#: Numbers of bytes around the sizes of a segment, a TLS record and a read.
COUNTS = (1, 1000, 16_384, 16_385, 65_536, 262_144, 262_145, 1_000_000)


@pytest.fixture(params=["plain", "tls"])
def far(request: pytest.FixtureRequest, pki: Path) -> Iterator[AcceptedFarSide]:
    made = AcceptedFarSide(pki if request.param == "tls" else None)
    yield made
    made.close()


def forward(name: str, port: int, keys: str = "") -> str:
    return (
        f"[service:{name}]\nprotocol = forward\nto = 127.0.0.1:{port}\n{keys}"
        "listen =\n  127.0.0.1:0\n  127.0.0.1:0 tls=main\n"
    )


def program(name: str, command: str) -> str:
    return (
        f"[service:{name}]\nprotocol = exec\ncommand = {command}\n{USER}"
        "listen =\n  127.0.0.1:0\n  127.0.0.1:0 tls=main\n"
    )


def connect(daemon: Daemon, service: str, words: str) -> socket.socket:
    """Connect a client, which over TLS detects truncation."""
    plain = daemon.connect(service, words)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    if not words:
        return plain
    return client_context(daemon.directory).wrap_socket(
        plain, server_hostname="localhost", suppress_ragged_eofs=False
    )


CLIENTS = ("", "tls=main")


# --- resets ---


@pytest.mark.parametrize("answer", [b"", b"and?"], ids=["silent", "talking"])
def test_far_side_that_resets_after_sending(
    start: Callable[[str], Daemon], far: AcceptedFarSide, answer: bytes
) -> None:
    """Truncation is never a clean close: the client gets a reset, or no close_notify. Data before a
    reset may be lost."""
    daemon = start(SETTINGS + forward("mail", far.port, far.keys))
    for words in CLIENTS:
        for count in COUNTS:
            with connect(daemon, "mail", words) as client:
                server = far.accept()

                def serve(server: socket.socket = server, count: int = count) -> None:
                    with contextlib.suppress(OSError):
                        server.sendall(bytes(count))
                    reset(server)

                thread = threading.Thread(target=serve)
                thread.start()
                received, how = ending(client, answer)
                thread.join(PATIENCE)
                assert (words, count, how) == (words, count, "cut")
                assert received == bytes(len(received))


def test_far_side_that_resets_after_reading(
    start: Callable[[str], Daemon], far: AcceptedFarSide
) -> None:
    daemon = start(SETTINGS + forward("mail", far.port, far.keys))
    for words in CLIENTS:
        for count in COUNTS:
            with connect(daemon, "mail", words) as client:
                server = far.accept()

                def serve(server: socket.socket = server, count: int = count) -> None:
                    while count > 0:
                        count -= len(server.recv(min(count, 65536)))
                    reset(server)

                thread = threading.Thread(target=serve)
                thread.start()
                how = "cut"
                with contextlib.suppress(ConnectionResetError, ssl.SSLError):
                    client.sendall(bytes(count + 100_000))
                    _, how = ending(client)
                thread.join(PATIENCE)
                assert (words, count, how) == (words, count, "cut")


def test_client_that_resets_after_sending(
    start: Callable[[str], Daemon], far: AcceptedFarSide
) -> None:
    daemon = start(SETTINGS + forward("mail", far.port, far.keys))
    for words in CLIENTS:
        for count in COUNTS:
            client = connect(daemon, "mail", words)
            with far.accept() as server:
                server.sendall(b"220")
                receive_until(client, b"220")

                def say(client: socket.socket = client, count: int = count) -> None:
                    client.sendall(bytes(count))
                    reset(client)

                thread = threading.Thread(target=say)
                thread.start()
                _, how = ending(server)
                thread.join(PATIENCE)
                assert (words, count, how) == (words, count, "cut")


def test_client_that_resets_after_reading(
    start: Callable[[str], Daemon], far: AcceptedFarSide
) -> None:
    daemon = start(SETTINGS + forward("mail", far.port, far.keys))
    for words in CLIENTS:
        for count in COUNTS:
            client = connect(daemon, "mail", words)
            with far.accept() as server:

                def read(client: socket.socket = client, count: int = count) -> None:
                    while count > 0:
                        count -= len(client.recv(min(count, 65536)))
                    reset(client)

                thread = threading.Thread(target=read)
                thread.start()
                with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):  # noqa: PT012
                    while True:
                        server.sendall(bytes(65536))
                thread.join(PATIENCE)


def test_far_unix_socket_that_closes_with_unread_input(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
    """unix(7): the peer gets the data, then ECONNRESET."""
    with socket.socket(socket.AF_UNIX) as far:
        far.bind(str(tmp_path / "far"))
        far.listen()
        far.settimeout(PATIENCE)
        text = forward("mail", 0).replace("127.0.0.1:0\n", f"unix:{tmp_path}/far\n", 1)
        daemon = start(SETTINGS + text)
        for words in CLIENTS:
            with connect(daemon, "mail", words) as client:
                client.sendall(b"question")
                server, _ = far.accept()
                assert server.recv(1) == b"q"
                server.sendall(b"half an ans")
                server.close()
                assert ending(client) == (b"half an ans", "cut")


@pytest.mark.parametrize("words", CLIENTS, ids=["plain", "tls"])
def test_reset_of_a_client_is_seen_while_the_far_side_does_not_read(
    start: Callable[[str], Daemon], words: str
) -> None:
    """All descriptors are closed, also those of a program that does not read."""
    far = AcceptedFarSide(None)
    daemon = start(SETTINGS + forward("mail", far.port) + program("idle", "/bin/sleep 1000"))
    daemon.ctl("status")  # the first control connection opens descriptors that stay
    before = descriptors(daemon)
    for service in ("mail", "idle"):
        client = connect(daemon, service, words)
        fill(client)
        reset(client)
    reason = ", error: Connection reset by peer"
    daemon.wait_for(lambda line: ": lost, " in line and line.endswith(reason), 2)
    with far.accept() as server:
        assert ending(server)[1] == "cut"
    deadline = time.monotonic() + PATIENCE
    while descriptors(daemon) > before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    far.close()


def test_stalled_tls_clients_are_reset(start: Callable[[str], Daemon]) -> None:
    """``stalled``; one of them has sent close_notify."""
    text = SETTINGS.replace("access_log", "stalled = 500ms\naccess_log")
    services = "[service:chargen]\nprotocol = chargen\nlisten =\n  127.0.0.1:0 tls=main\n"
    daemon = start(text + services + program("much", "/bin/head -c 100000000 /dev/zero"))
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    names = ("chargen", "chargen", "much")
    clients = [TlsEnd(daemon.connect(name, "tls=main"), context, server=False) for name in names]
    clients[0].end()
    daemon.wait_for(lambda line: ": stalled, " in line, len(clients))
    for client in clients:
        client.close()


# --- TLS that ends without close_notify ---


def test_far_side_that_closes_tls_without_close_notify(
    start: Callable[[str], Daemon], pki: Path
) -> None:
    """RFC 8446 section 6.1. The client gets all data, and a reset or no close_notify."""
    far = AcceptedFarSide(pki)
    daemon = start(SETTINGS + forward("mail", far.port, far.keys))
    for words in CLIENTS:
        for count in (0, 1000, 1_000_000):
            with connect(daemon, "mail", words) as client:
                server = far.accept()

                def serve(server: socket.socket = server, count: int = count) -> None:
                    server.sendall(b"." + bytes(count))
                    server.close()  # Python sends no close_notify

                thread = threading.Thread(target=serve)
                thread.start()
                assert ending(client) == (b"." + bytes(count), "cut")
                thread.join(PATIENCE)
    far.close()


def test_client_that_closes_tls_without_close_notify(
    start: Callable[[str], Daemon], far: AcceptedFarSide
) -> None:
    """The far side gets all data, and a truncated end; the access log has *truncated*."""
    daemon = start(SETTINGS + forward("mail", far.port, far.keys))
    for count in (0, 1000, 1_000_000):
        client = connect(daemon, "mail", "tls=main")
        with far.accept() as server:
            server.sendall(b"220")
            receive_until(client, b"220")  # a close with unread session tickets would be a reset

            def say(client: socket.socket = client, count: int = count) -> None:
                client.sendall(b"." + bytes(count))
                client.close()

            thread = threading.Thread(target=say)
            thread.start()
            assert ending(server) == (b"." + bytes(count), "cut")
            thread.join(PATIENCE)
    daemon.wait_for(lambda line: ": truncated, " in line, 3)


# --- half-close ---


VERSIONS = pytest.mark.parametrize(
    "version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"]
)


@VERSIONS
def test_each_direction_of_tls_closes_separately(
    start: Callable[[str], Daemon], pki: Path, version: int
) -> None:
    """RFC 8446 section 6.1: "This does not have any effect on its read side." TLS on both sides of
    forward; either peer closes first."""
    far = AcceptedFarSide(None)
    daemon = start(SETTINGS + forward("mail", far.port, far_keys(pki)))
    theirs = SSL.Context(SSL.TLS_SERVER_METHOD)
    theirs.use_certificate_file(str(pki / "far.example.pem"))
    theirs.use_privatekey_file(str(pki / "far.example-key.pem"))
    ours = SSL.Context(SSL.TLS_CLIENT_METHOD)
    for context in (theirs, ours):
        context.set_max_proto_version(version)
    for first in ("client", "far"):
        client = TlsEnd(daemon.connect("mail", "tls=main"), ours, server=False)
        server = TlsEnd(far.accept(), theirs, server=True)
        begins, answers = (client, server) if first == "client" else (server, client)

        def begin(end: TlsEnd = begins) -> None:
            end.send(b"q" * MUCH)
            end.end()

        thread = threading.Thread(target=begin)
        thread.start()
        assert answers.receive_all() == b"q" * MUCH
        thread.join(PATIENCE)
        thread = threading.Thread(target=begin, args=(answers,))
        thread.start()
        assert begins.receive_all() == b"q" * MUCH
        thread.join(PATIENCE)
        client.close()
        server.close()
    daemon.wait_for(lambda line: ": client, " in line or ": server, " in line, 2)
    far.close()


def by_socat(port: int, version: str) -> bytes:
    """``-t2``: wait two seconds for the answer after EOF of the input."""
    target = f"OPENSSL:127.0.0.1:{port},verify=0,openssl-max-proto-version=TLS{version}"
    return run(["socat", "-t2", "-", target])


def by_gnutls(port: int, version: str) -> bytes:
    priority = f"NORMAL:-VERS-ALL:+VERS-TLS{version}"
    command = ["gnutls-cli", "--no-ca-verification", f"--priority={priority}", "127.0.0.1"]
    printed = run([*command, "-p", str(port)])
    return printed.partition(b"- Simple Client Mode:\n\n")[2].partition(b"- Peer has closed")[0]


def run(command: list[str]) -> bytes:
    done = subprocess.run(
        command, input=b"b\na\n", capture_output=True, timeout=PATIENCE, check=False
    )
    return done.stdout


def by_stunnel(directory: Path, port: int, version: str) -> bytes:
    """stunnel as TLS client of a plain connection."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        accept = free.getsockname()[1]
    (directory / "stunnel.conf").write_text(
        f"foreground = yes\npid =\nclient = yes\nsslVersionMax = TLSv{version}\n"
        f"[x]\naccept = 127.0.0.1:{accept}\nconnect = 127.0.0.1:{port}\n"
    )
    with subprocess.Popen(
        ["stunnel", str(directory / "stunnel.conf")], stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if b"Configuration successful" in line:
                    break
            with socket.create_connection(("127.0.0.1", accept), PATIENCE) as client:
                client.settimeout(PATIENCE)
                client.sendall(b"b\na\n")
                client.shutdown(socket.SHUT_WR)
                return receive_all(client)
        finally:
            process.kill()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_real_clients_that_half_close_get_the_answer(
    start: Callable[[str], Daemon], pki: Path, tmp_path: Path, version: str
) -> None:
    """``printf 'b\\na\\n' | socat -t2 - OPENSSL:...`` to sort, and to forward with TLS on one side
    and on both."""
    need("socat", "stunnel", "gnutls-cli", "sort")
    text = SETTINGS + (
        f"[tls:far]\ncertificate = {pki}/far.example.pem\nkey = {pki}/far.example-key.pem\n"
    )
    sort = program("sort", shutil.which("sort") or "").replace("tls=main", "tls=far")
    inner = start(text + sort)
    outer = start(
        text
        + forward("front", inner.ports["sort", ""])
        + forward("both", inner.ports["sort", "tls=far"], far_keys(pki))
    )
    for port in (
        inner.ports["sort", "tls=far"],
        outer.ports["front", "tls=main"],
        outer.ports["both", "tls=main"],
    ):
        assert by_socat(port, version) == b"a\nb\n"
        assert by_gnutls(port, version) == b"a\nb\n"
        assert by_stunnel(tmp_path, port, version) == b"a\nb\n"
    with outer.connect("both") as client:
        client.sendall(b"b\na\n")
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b"a\nb\n"


def test_close_notify_without_close_does_not_hold_the_connection(
    start: Callable[[str], Daemon],
) -> None:
    """Protocols that have no more to send do not wait for the client's close."""
    services = "".join(
        f"[service:{kind}]\nprotocol = {kind}\nlisten =\n  127.0.0.1:0 tls=main\n"
        for kind in ("echo", "discard", "line", "chat")
    )
    daemon = start(SETTINGS + services + program("cat", shutil.which("cat") or ""))
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    clients = []
    for kind in ("echo", "discard", "line", "chat", "cat"):
        client = TlsEnd(daemon.connect(kind, "tls=main"), context, server=False)
        client.end()
        clients.append(client)
    daemon.wait_for(lambda line: ": client, " in line, len(clients))
    for client in clients:
        client.close()


# --- programs ---


def test_program_killed_by_a_signal_truncates_the_stream(start: Callable[[str], Daemon]) -> None:
    """The output may be incomplete; the client gets it, then a reset. A status is no fault."""
    daemon = start(
        SETTINGS
        + program("killed", "/bin/sh -c 'head -c 300000 /dev/zero; kill -9 $$'")
        + program("failed", "/bin/sh -c 'head -c 300000 /dev/zero; exit 1'")
        + program("stopped", "/bin/sh -c 'head -c 300000 /dev/zero; exec 0<&- 1>&-; sleep 0.1'")
    )
    for words in CLIENTS:
        for service, how in (("killed", "cut"), ("failed", "clean"), ("stopped", "clean")):
            with connect(daemon, service, words) as client:
                assert (service, *ending(client)) == (service, bytes(300_000), how)


@pytest.mark.parametrize("words", CLIENTS, ids=["plain", "tls"])
def test_stream_closed_by_policy_is_truncated(
    start: Callable[[str], Daemon], far: AcceptedFarSide, words: str
) -> None:
    """ "A truncated stream never looks complete": client and far side get the data, then a
    reset."""
    text = SETTINGS.replace("access_log", "session = 500ms\naccess_log")
    command = "/bin/sh -c 'head -c 1000 /dev/zero; exec sleep 1000'"
    daemon = start(text + forward("mail", far.port, far.keys) + program("slow", command))
    with connect(daemon, "mail", words) as client, far.accept() as server:
        client.sendall(b"question")
        server.sendall(b"answer")
        assert ending(client) == (b"answer", "cut")
        assert ending(server) == (b"question", "cut")
    with connect(daemon, "slow", words) as client:
        assert ending(client) == (bytes(1000), "cut")
    daemon.wait_for(lambda line: ": session, " in line, 2)


@pytest.mark.parametrize("words", CLIENTS, ids=["plain", "tls"])
def test_unreachable_far_side_is_a_reset(start: Callable[[str], Daemon], words: str) -> None:
    """A clean close would be an empty reply: curl reports (52) Empty reply from server, not (56)
    Connection reset by peer."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    daemon = start(SETTINGS + forward("mail", port) + forward("secure", port, "tls = yes\n"))
    for service in ("mail", "secure"):
        for request in (b"", b"GET / HTTP/1.0\r\n\r\n"):
            plain = daemon.connect(service, words)
            assert _answer(daemon, plain, words, request) == (b"", "cut")


def _answer(daemon: Daemon, plain: socket.socket, words: str, request: bytes) -> tuple[bytes, str]:
    """Send a request to a service that may reset at any time; return answer and end."""
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(plain)
        try:
            if words:
                context = client_context(daemon.directory)
                client = stack.enter_context(
                    context.wrap_socket(
                        plain, server_hostname="localhost", suppress_ragged_eofs=False
                    )
                )
            client.sendall(request)
        except (ConnectionResetError, ssl.SSLEOFError):
            return b"", "cut"
        return ending(client)


@pytest.mark.parametrize("words", CLIENTS, ids=["plain", "tls"])
def test_program_does_not_take_truncated_input_for_complete(
    start: Callable[[str], Daemon], tmp_path: Path, words: str
) -> None:
    """``cat > file && mv file done`` is a common way to ensure that."""
    command = f"/bin/sh -c 'cat > {tmp_path}/file && mv {tmp_path}/file {tmp_path}/done'"
    daemon = start(SETTINGS + program("store", command))
    client = connect(daemon, "store", words)
    client.sendall(bytes(100_000))
    reset(client)
    daemon.wait_for(lambda line: ": lost, " in line)
    if words:
        context = client_context(daemon.directory)
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # no unread session tickets
        plain = daemon.connect("store", words)
        with context.wrap_socket(plain, server_hostname="localhost") as cut:
            cut.sendall(bytes(100_000))
        daemon.wait_for(lambda line: ": truncated, " in line)
    daemon.stop()
    assert not (tmp_path / "done").exists()
