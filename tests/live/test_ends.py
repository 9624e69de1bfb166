"""How streams end: in good order, direction by direction, or cut; never cut and clean.

On the real daemon, with real clients where there are some that know of half-close.
"""

from __future__ import annotations

import contextlib
import os
import shutil
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
from OpenSSL import SSL
from running import PATIENCE, Daemon, client_context, descriptors, receive_all, receive_until

pytestmark = [pytest.mark.live, pytest.mark.reactor]

USER = "user = root\n" if os.geteuid() == 0 else ""

RESET = struct.pack("ii", 1, 0)

#: Around the sizes of a segment, a TLS record, and what is read at a time.
COUNTS = (1, 1000, 16_384, 16_385, 65_536, 262_144, 262_145, 1_000_000)


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def ending(connection: socket.socket, say: bytes = b"") -> tuple[bytes, str]:
    """Read to the end.

    :param say: said again behind each piece that comes.
    :return: what came; and ``clean`` or ``cut``.
    """
    received = bytearray()
    try:
        while piece := connection.recv(65536):
            received += piece
            if say:
                connection.sendall(say)
    except BrokenPipeError:
        return bytes(received), "clean"  # the kernel says so where an end came before the reset
    except (ConnectionResetError, ssl.SSLEOFError):
        return bytes(received), "cut"
    return bytes(received), "clean"


def far_keys(pki: Path) -> str:
    return f"tls = yes\ntls_name = far.example\nca = {pki}/authority.example.pem\n"


class Far:
    """What a service forwards to, or a far side's place in a test: one connection after the other.

    :param pki: where its certificate is; ``None`` for a far side that speaks no TLS.
    """

    def __init__(self, pki: Path | None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(PATIENCE)
        self._context: ssl.SSLContext | None = None
        self.port = self._listening.getsockname()[1]
        self.keys = ""
        if pki is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pki / "far.example.pem", pki / "far.example-key.pem")
            self.keys = far_keys(pki)

    def accept(self) -> socket.socket:
        connection, _ = self._listening.accept()
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        if self._context is None:
            return connection
        return self._context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    """A directory with an authority, and far.example, which it signed."""
    directory = tmp_path / "pki"
    directory.mkdir()
    authority = certificates.make(directory, "authority.example", authority=True)
    certificates.make(directory, "far.example", authority)
    return directory


@pytest.fixture(params=["plain", "tls"])
def far(request: pytest.FixtureRequest, pki: Path) -> Iterator[Far]:
    made = Far(pki if request.param == "tls" else None)
    yield made
    made.close()


def head() -> str:
    return (
        "[tcpd]\ndrain = 2s\n[policy:default]\naccess_log = yes\n"
        "[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"
    )


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
    """A client, plain or in TLS, that tells an end from a cut."""
    plain = daemon.connect(service, words)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    if not words:
        return plain
    return client_context(daemon.directory).wrap_socket(
        plain, server_hostname="localhost", suppress_ragged_eofs=False
    )


CLIENTS = ("", "tls=main")


# --- resets ---


@pytest.mark.parametrize("say", [b"", b"and?"], ids=["silent", "talking"])
def test_a_far_side_that_resets_after_any_number_of_bytes(
    start: Callable[[str], Daemon], far: Far, say: bytes
) -> None:
    """Truncation is never a clean close: the client sees a reset too, or no close_notify. It need
    not get all that came before."""
    daemon = start(head() + forward("mail", far.port, far.keys))
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
                received, how = ending(client, say)
                thread.join(PATIENCE)
                assert (words, count, how) == (words, count, "cut")
                assert received == bytes(len(received))


def test_a_far_side_that_resets_after_it_has_read_any_number_of_bytes(
    start: Callable[[str], Daemon], far: Far
) -> None:
    daemon = start(head() + forward("mail", far.port, far.keys))
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


def test_a_client_that_resets_after_any_number_of_bytes(
    start: Callable[[str], Daemon], far: Far
) -> None:
    daemon = start(head() + forward("mail", far.port, far.keys))
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


def test_a_client_that_resets_after_it_has_read_any_number_of_bytes(
    start: Callable[[str], Daemon], far: Far
) -> None:
    daemon = start(head() + forward("mail", far.port, far.keys))
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


def test_a_far_side_on_a_unix_socket_that_closes_with_input_unread(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
    """unix(7): its other end then gets ECONNRESET, behind what was sent before."""
    with socket.socket(socket.AF_UNIX) as far:
        far.bind(str(tmp_path / "far"))
        far.listen()
        far.settimeout(PATIENCE)
        text = forward("mail", 0).replace("127.0.0.1:0\n", f"unix:{tmp_path}/far\n", 1)
        daemon = start(head() + text)
        for words in CLIENTS:
            with connect(daemon, "mail", words) as client:
                client.sendall(b"question")
                server, _ = far.accept()
                assert server.recv(1) == b"q"
                server.sendall(b"half an ans")
                server.close()
                assert ending(client) == (b"half an ans", "cut")


def fill(client: socket.socket) -> None:
    """Send until that has not been possible for a while."""
    client.settimeout(0.3)
    with contextlib.suppress(TimeoutError):
        while True:
            client.sendall(bytes(1 << 16))


@pytest.mark.parametrize("words", CLIENTS, ids=["plain", "tls"])
def test_a_client_that_resets_while_nobody_reads_from_it_keeps_no_descriptor(
    start: Callable[[str], Daemon], words: str
) -> None:
    """The far side, or a program, reads nothing."""
    far = Far(None)
    daemon = start(head() + forward("mail", far.port) + program("idle", "/bin/sleep 1000"))
    daemon.ctl("status")  # it has started, and has all descriptors that it will keep
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


def test_tls_clients_that_never_read_are_cut(start: Callable[[str], Daemon]) -> None:
    """``stalled``; it holds for a client, too, that has ended its direction."""
    text = head().replace("access_log", "stalled = 500ms\naccess_log")
    services = "[service:chargen]\nprotocol = chargen\nlisten =\n  127.0.0.1:0 tls=main\n"
    daemon = start(text + services + program("much", "/bin/head -c 100000000 /dev/zero"))
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    names = ("chargen", "chargen", "much")
    clients = [End(daemon.connect(name, "tls=main"), context, server=False) for name in names]
    clients[0].end()
    daemon.wait_for(lambda line: ": stalled, " in line, len(clients))
    for client in clients:
        client.close()


# --- TLS that ends without close_notify ---


def test_tls_of_the_far_side_that_ends_without_close_notify(
    start: Callable[[str], Daemon], pki: Path
) -> None:
    """RFC 8446 section 6.1. All that came is delivered; the end is no clean one."""
    far = Far(pki)
    daemon = start(head() + forward("mail", far.port, far.keys))
    for words in CLIENTS:
        for count in (0, 1000, 1_000_000):
            with connect(daemon, "mail", words) as client:
                server = far.accept()

                def serve(server: socket.socket = server, count: int = count) -> None:
                    server.sendall(b"." + bytes(count))
                    server.close()  # Python's sends no close_notify

                thread = threading.Thread(target=serve)
                thread.start()
                assert ending(client) == (b"." + bytes(count), "cut")
                thread.join(PATIENCE)
    far.close()


def test_tls_of_the_client_that_ends_without_close_notify(
    start: Callable[[str], Daemon], far: Far
) -> None:
    """The same the other way round; the access log has a word of its own for it."""
    daemon = start(head() + forward("mail", far.port, far.keys))
    for count in (0, 1000, 1_000_000):
        client = connect(daemon, "mail", "tls=main")
        with far.accept() as server:
            server.sendall(b"220")
            receive_until(client, b"220")  # with session tickets unread, it would be a reset

            def say(client: socket.socket = client, count: int = count) -> None:
                client.sendall(b"." + bytes(count))
                client.close()

            thread = threading.Thread(target=say)
            thread.start()
            assert ending(server) == (b"." + bytes(count), "cut")
            thread.join(PATIENCE)
    daemon.wait_for(lambda line: ": truncated, " in line, 3)


# --- each direction by itself ---


class End:
    """An end of a TLS connection that can close one direction: OpenSSL's own.

    :param connection: below.
    :param context: OpenSSL's.
    :param server: which side it is.
    """

    def __init__(self, connection: socket.socket, context: SSL.Context, server: bool) -> None:
        connection.settimeout(None)  # pyOpenSSL would not wait
        self._connection = connection
        self._tls = SSL.Connection(context, connection)
        (self._tls.set_accept_state if server else self._tls.set_connect_state)()
        self._tls.do_handshake()

    def send(self, data: bytes) -> None:
        self._tls.sendall(data)

    def end(self) -> None:
        """Send close_notify."""
        self._tls.shutdown()

    def receive_all(self) -> bytes:
        """Read to close_notify; an end without it is an error."""
        received = bytearray()
        with contextlib.suppress(SSL.ZeroReturnError):
            while True:
                received += self._tls.recv(65536)
        return bytes(received)

    def close(self) -> None:
        self._connection.close()


VERSIONS = pytest.mark.parametrize(
    "version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"]
)

MUCH = 4 << 20


@VERSIONS
def test_each_direction_of_tls_ends_by_itself(
    start: Callable[[str], Daemon], pki: Path, version: int
) -> None:
    """RFC 8446 section 6.1: "This does not have any effect on its read side." Through forward, by
    our server's side and our client's, whoever ends first."""
    far = Far(None)
    daemon = start(head() + forward("mail", far.port, far_keys(pki)))
    theirs = SSL.Context(SSL.TLS_SERVER_METHOD)
    theirs.use_certificate_file(str(pki / "far.example.pem"))
    theirs.use_privatekey_file(str(pki / "far.example-key.pem"))
    ours = SSL.Context(SSL.TLS_CLIENT_METHOD)
    for context in (theirs, ours):
        context.set_max_proto_version(version)
    for first in ("client", "far"):
        client = End(daemon.connect("mail", "tls=main"), ours, server=False)
        server = End(far.accept(), theirs, server=True)
        begins, answers = (client, server) if first == "client" else (server, client)

        def begin(end: End = begins) -> None:
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


def need(*programs: str) -> None:
    for each in programs:
        if shutil.which(each) is None:
            pytest.skip(f"{each} is not installed")


def by_socat(port: int, version: str) -> bytes:
    """``-t2``: it waits two seconds for the answer when its input is at its end."""
    target = f"OPENSSL:127.0.0.1:{port},verify=0,openssl-max-proto-version=TLS{version}"
    return run(["socat", "-t2", "-", target])


def by_gnutls(port: int, version: str) -> bytes:
    priority = f"NORMAL:-VERS-ALL:+VERS-TLS{version}"
    command = ["gnutls-cli", "--no-ca-verification", f"--priority={priority}", "127.0.0.1"]
    said = run([*command, "-p", str(port)])
    return said.partition(b"- Simple Client Mode:\n\n")[2].partition(b"- Peer has closed")[0]


def run(command: list[str]) -> bytes:
    done = subprocess.run(
        command, input=b"b\na\n", capture_output=True, timeout=PATIENCE, check=False
    )
    return done.stdout


def by_stunnel(directory: Path, port: int, version: str) -> bytes:
    """As its client, with nc -N in front."""
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
def test_real_clients_that_end_their_direction_get_the_answer(
    start: Callable[[str], Daemon], pki: Path, tmp_path: Path, version: str
) -> None:
    """``printf 'b\\na\\n' | socat -t2 - OPENSSL:...`` to sort, to forward with TLS in front of it,
    and to forward with TLS on both sides."""
    need("socat", "stunnel", "gnutls-cli", "sort")
    text = head() + (
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


def test_who_sends_close_notify_and_stays_holds_nothing(start: Callable[[str], Daemon]) -> None:
    """Each of these protocols is done when its client is; that the client answers our close_notify
    or closes its socket is not waited for."""
    services = "".join(
        f"[service:{kind}]\nprotocol = {kind}\nlisten =\n  127.0.0.1:0 tls=main\n"
        for kind in ("echo", "discard", "line", "chat")
    )
    daemon = start(head() + services + program("cat", shutil.which("cat") or ""))
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    clients = []
    for kind in ("echo", "discard", "line", "chat", "cat"):
        client = End(daemon.connect(kind, "tls=main"), context, server=False)
        client.end()
        clients.append(client)
    daemon.wait_for(lambda line: ": client, " in line, len(clients))
    for client in clients:
        client.close()


# --- programs ---


def test_a_program_that_dies_of_a_signal_is_no_clean_end(start: Callable[[str], Daemon]) -> None:
    """Its output may have been cut; what it wrote is delivered. A status is its own to give."""
    daemon = start(
        head()
        + program("killed", "/bin/sh -c 'head -c 300000 /dev/zero; kill -9 $$'")
        + program("failed", "/bin/sh -c 'head -c 300000 /dev/zero; exit 1'")
        + program("stopped", "/bin/sh -c 'head -c 300000 /dev/zero; exec 0<&- 1>&-; sleep 0.1'")
    )
    for words in CLIENTS:
        for service, how in (("killed", "cut"), ("failed", "clean"), ("stopped", "clean")):
            with connect(daemon, service, words) as client:
                assert (service, *ending(client)) == (service, bytes(300_000), how)


@pytest.mark.parametrize("words", CLIENTS, ids=["plain", "tls"])
def test_a_stream_that_the_policy_ends_is_no_clean_end(
    start: Callable[[str], Daemon], far: Far, words: str
) -> None:
    """ "A stream that was cut never looks complete": what came is delivered, and a reset is behind
    it, for the client and for the far side."""
    text = head().replace("access_log", "session = 500ms\naccess_log")
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
def test_a_stream_that_cannot_begin_is_no_clean_end(
    start: Callable[[str], Daemon], words: str
) -> None:
    """An end in good order would be an answer of no bytes: curl's (52) Empty reply from server in
    place of (56) Connection reset by peer."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    daemon = start(head() + forward("mail", port) + forward("secure", port, "tls = yes\n"))
    for service in ("mail", "secure"):
        for say in (b"", b"GET / HTTP/1.0\r\n\r\n"):
            plain = daemon.connect(service, words)
            assert _refused(daemon, plain, words, say) == (b"", "cut")


def _refused(daemon: Daemon, plain: socket.socket, words: str, say: bytes) -> tuple[bytes, str]:
    """Say something to a service that may be quicker to close: in the handshake of TLS, too."""
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
            client.sendall(say)
        except (ConnectionResetError, ssl.SSLEOFError):
            return b"", "cut"
        return ending(client)


@pytest.mark.parametrize("words", CLIENTS, ids=["plain", "tls"])
def test_a_program_does_not_take_input_that_was_cut_for_all_there_is(
    start: Callable[[str], Daemon], tmp_path: Path, words: str
) -> None:
    """``cat > file && mv file done`` is a common way to be sure of that."""
    command = f"/bin/sh -c 'cat > {tmp_path}/file && mv {tmp_path}/file {tmp_path}/done'"
    daemon = start(head() + program("store", command))
    client = connect(daemon, "store", words)
    client.sendall(bytes(100_000))
    reset(client)
    daemon.wait_for(lambda line: ": lost, " in line)
    if words:
        context = client_context(daemon.directory)
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # no tickets that would be left unread
        plain = daemon.connect("store", words)
        with context.wrap_socket(plain, server_hostname="localhost") as cut:
            cut.sendall(bytes(100_000))
        daemon.wait_for(lambda line: ": truncated, " in line)
    daemon.stop()
    assert not (tmp_path / "done").exists()
