"""WebSocket on a live daemon, with the clients websockets and curl."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certificates
import over_websocket
import pytest
from running import PATIENCE, Daemon, client_context, receive_all, receive_until
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from wires import need
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import CloseConnection, Request, TextMessage

pytestmark = pytest.mark.live

CONFIG = """
[tcpd]
server_name = test.example
drain = 2s
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[policy:default]
per_address = 1000
access_log = yes
linger = 1s
handshake = 1s
[service:chat]
protocol = chat
listen =
    127.0.0.1:0
[service:talk]
protocol = talk
listen =
    127.0.0.1:0 websocket
    127.0.0.1:0 tls=main websocket
    127.0.0.1:0 proxy=127.0.0.0/8 websocket
[service:much]
protocol = much
listen =
    127.0.0.1:0 websocket
"""

SUBPROTOCOLS: Any = ["text.ircv3.net"]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[[str], Daemon]]:
    """Start daemons with the protocols of :mod:`over_websocket`."""
    started: list[Daemon] = []
    site = tmp_path / "site"
    site.mkdir()
    path = over_websocket.installed(site)

    def launch(config: str) -> Daemon:
        directory = tmp_path / str(len(started))
        directory.mkdir()
        certificates.make(directory, "localhost")
        started.append(Daemon(directory, config, variables={"PYTHONPATH": path}, may_fork=True))
        return started[-1]

    try:
        yield launch
    finally:
        for daemon in started:
            daemon.stop()


@pytest.fixture
def daemon(launch: Callable[[str], Daemon]) -> Daemon:
    """A daemon with :data:`CONFIG`."""
    return launch(CONFIG)


def browse(daemon: Daemon, words: str = "websocket", service: str = "talk", **more: Any) -> Any:
    """Connect a client of the package websockets, as a context manager."""
    scheme = "ws"
    if words.startswith("tls"):
        scheme = "wss"
        context = client_context(daemon.directory)
        context.set_alpn_protocols(["h2", "http/1.1"])
        more = {"ssl": context, "server_hostname": "localhost", **more}
    more = {"subprotocols": SUBPROTOCOLS, "open_timeout": PATIENCE, "proxy": None, **more}
    return connect(f"{scheme}://127.0.0.1:{daemon.ports[service, words]}/", **more)


def read_to_close(client: ClientConnection) -> None:
    """Read until websockets raises its exception for a close."""
    while True:
        client.recv(PATIENCE)


def read_until(client: ClientConnection, word: str) -> str:
    """Read messages until one contains a word; return it."""
    while word not in (message := client.recv(PATIENCE)):
        assert isinstance(message, str)
        assert "\n" not in message
    return str(message)


@pytest.mark.parametrize("words", ["websocket", "tls=main websocket"])
def test_browser_and_nc_share_a_room(daemon: Daemon, words: str) -> None:
    """The browser offers HTTP/2 first by ALPN."""
    with browse(daemon, words) as client, daemon.connect("chat") as other:
        assert client.subprotocol == "text.ircv3.net"
        assert client.response.headers.get("Sec-WebSocket-Extensions") is None
        client.send("wéb")
        read_until(client, "wéb")
        client.send("hello all")
        other.sendall(b"netcat\n")
        assert "netcat" in read_until(client, "netcat")
        other.sendall("grüße\n".encode())
        assert "grüße" in read_until(client, "grüße")
        client.send("and to you")
        receive_until(other, "<wéb> and to you\r\n".encode())


def test_no_subprotocol_if_none_is_requested(daemon: Daemon) -> None:
    with browse(daemon, subprotocols=None) as client:
        assert client.subprotocol is None
        assert isinstance(client.recv(PATIENCE), str)


def test_binary_subprotocol(daemon: Daemon) -> None:
    with browse(daemon, subprotocols=["binary.ircv3.net"]) as client:
        assert isinstance(client.recv(PATIENCE), bytes)


def test_websocket_after_a_proxy_header(daemon: Daemon) -> None:
    sock = daemon.connect("talk", "proxy=127.0.0.0/8 websocket")
    sock.sendall(b"PROXY TCP4 198.51.100.9 198.51.100.7 4711 443\r\n")
    with connect("ws://chat.example/", sock=sock, proxy=None) as client:
        client.send("joe")
        read_until(client, "joe")
    daemon.wait_for(lambda line: "198.51.100.9:4711 ended after" in line)


def test_close_of_the_client_is_answered(daemon: Daemon) -> None:
    with browse(daemon) as client:
        client.close(1001)
        assert client.close_code == 1001
    daemon.wait_for(lambda line: " s: client, " in line)


@pytest.mark.parametrize(
    ("message", "code"), [("x" * 2001, 1009), ("one\ntwo", 1008), (b"binary", 1003)]
)
def test_invalid_message_is_closed_with_its_code(
    daemon: Daemon, message: str | bytes, code: int
) -> None:
    with browse(daemon) as client:
        client.send(message)
        with pytest.raises(ConnectionClosedError) as caught:
            read_to_close(client)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == code
    daemon.wait_for(lambda line: " s: websocket-failed, " in line)


def test_endless_message_is_closed_at_the_limit(daemon: Daemon) -> None:
    """The frame announces 2 ** 40 bytes."""
    ws = WSConnection(ConnectionType.CLIENT)
    with daemon.connect("talk", "websocket") as client:
        client.sendall(ws.send(Request(host="x", target="/")))
        client.sendall(b"\x81\xff" + (1 << 40).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 2003)
        ws.receive_data(receive_all(client))
    close = list(ws.events())[-1]
    assert isinstance(close, CloseConnection)
    assert close.code == 1009


def test_reload_changes_the_allowed_origins(
    launch: Callable[[str], Daemon],
) -> None:
    daemon = launch(CONFIG)
    with pytest.raises(InvalidStatus) as caught:
        browse(daemon, origin="https://chat.example")
    assert caught.value.response.status_code == 403
    assert b"websocket_origins" in (caught.value.response.body or b"")
    text = CONFIG.replace(
        "protocol = talk", "protocol = talk\nwebsocket_origins = https://chat.example"
    )
    (daemon.directory / "tcpd.ini").write_text(text)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for(lambda line: "reload: service talk: websocket_origins swapped" in line)
    with browse(daemon, origin="https://chat.example") as client:
        client.recv(PATIENCE)


def test_origin_of_a_rebound_name_is_refused(daemon: Daemon) -> None:
    """DNS rebinding: Origin and Host are the attacker's name. Pages of ``server_name``,
    ``localhost`` and the listener's address are accepted."""
    port = daemon.ports["talk", "websocket"]
    for name, status in (
        ("evil.example", b"403"),
        ("127.0.0.1.evil.example", b"403"),
        ("127.0.0.2", b"403"),
        ("127.0.0.1", b"101"),
        ("localhost", b"101"),
        ("test.example", b"101"),
    ):
        ws = WSConnection(ConnectionType.CLIENT)
        page = [(b"Origin", f"http://{name}:{port}".encode())]
        with daemon.connect("talk", "websocket") as client:
            client.sendall(ws.send(Request(host=f"{name}:{port}", target="/", extra_headers=page)))
            assert client.recv(4096).split(b" ", 2)[1] == status, name


def test_stop_closes_with_1001(daemon: Daemon) -> None:
    """RFC 6455 section 7.4.1: 1001, "such as a server going down"."""
    with browse(daemon) as client:
        client.recv(PATIENCE)
        daemon.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosedOK) as caught:
            read_to_close(client)
    assert caught.value.rcvd is not None
    assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (
        1001,
        "the server is shutting down",
    )


def test_client_that_answers_no_ping_is_disconnected(launch: Callable[[str], Daemon]) -> None:
    daemon = launch(CONFIG.replace("protocol = talk", "protocol = talk\nwebsocket_ping = 2s"))
    ws = WSConnection(ConnectionType.CLIENT)
    with browse(daemon) as other, daemon.connect("talk", "websocket") as client:
        client.sendall(ws.send(Request(host="x", target="/")))
        daemon.wait_for(lambda line: " s: ping-timeout, " in line)
        # websockets answers pings by itself
        other.send("joe")
        read_until(other, "joe")


def test_incomplete_upgrade_request_times_out(daemon: Daemon) -> None:
    with daemon.connect("talk", "websocket") as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(ConnectionResetError):
            receive_all(client)
    daemon.wait_for(lambda line: " s: websocket-timeout, " in line)


def peak(daemon: Daemon) -> int:
    """Return the peak resident memory of a daemon in bytes, from /proc."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


def test_client_that_does_not_read_uses_bounded_memory(daemon: Daemon) -> None:
    """``unsent``: the client is reset when its output buffer exceeds 1 MiB. It requests 400 MB."""
    ws = WSConnection(ConnectionType.CLIENT)
    before = peak(daemon)
    with daemon.connect("much", "websocket") as client:
        client.sendall(ws.send(Request(host="x", target="/")))
        line = ws_line("x" * 2000)
        with contextlib.suppress(OSError):  # reset while it sends
            for _ in range(2000):
                client.sendall(line)
        daemon.wait_for(lambda line: " s: slow-reader, " in line)
    assert peak(daemon) - before < 20 << 20


def ws_line(text: str) -> bytes:
    """Return a text frame of a client."""
    return bytes(Connection(ConnectionType.CLIENT).send(TextMessage(text)))


# --- curl ---


def curl(daemon: Daemon, words: str, *more: str) -> subprocess.CompletedProcess[str]:
    need("curl")
    scheme = "https" if words.startswith("tls") else "http"
    return subprocess.run(
        [
            *("curl", "-sS", "-i", "--noproxy", "*", "--max-time", "20"),
            *("--cacert", str(daemon.directory / "localhost.pem")),
            *more,
            f"{scheme}://localhost:{daemon.ports['talk', words]}/",
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("words", ["websocket", "tls=main websocket"])
def test_plain_request_gets_426(daemon: Daemon, words: str) -> None:
    """RFC 9110 section 15.5.22. Over TLS, curl offers HTTP/2 and HTTP/1.1 by ALPN."""
    done = curl(daemon, words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("HTTP/1.1 426 Upgrade Required\n")
    assert done.stdout.endswith(
        "\nThis port speaks WebSocket (RFC 6455): connect to it with a ws:// or wss:// address.\n"
    )


@pytest.mark.parametrize("words", ["websocket", "tls=main websocket"])
def test_upload_gets_the_response(daemon: Daemon, words: str) -> None:
    """A close with unread input would send a reset, which may discard the response."""
    upload = daemon.directory / "upload"
    upload.write_bytes(b"x" * 5_000_000)
    done = curl(daemon, words, "-H", "Expect:", "--data-binary", f"@{upload}")
    assert done.stdout.startswith("HTTP/1.1 426 Upgrade Required\n"), done.stderr
