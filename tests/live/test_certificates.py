"""Certificates of the live daemon, and faulty TLS handshakes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import certificates
import pytest
from running import PATIENCE, Daemon, client_context, receive_until

pytestmark = pytest.mark.live

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed"
)

LINE = "[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0 tls=main\n"
TLS = "[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"

SEVERAL = (
    "[tls:main]\ncertificate =\n  localhost.pem\n  RSA.pem\n  other.pem\n"
    "key =\n  other-key.pem\n  localhost-key.pem\n  RSA-key.pem\n" + LINE
)


def s_client(daemon: Daemon, *options: str, text: str = "QUIT\n") -> str:
    """Return the output of ``openssl s_client``, which connects to localhost."""
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{daemon.ports['line', 'tls=main']}"),
            *("-servername", "localhost", *options),
        ],
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


def several(start: Callable[[str], Daemon], tmp_path: Path) -> Daemon:
    """Start a daemon with RSA and ECDSA certificates for localhost, and one of another name."""
    directory = tmp_path / "certificates"
    directory.mkdir()
    certificates.make(directory, "localhost", key_type="RSA", file="RSA")
    certificates.make(directory, "other.example", file="other")
    absolute = SEVERAL
    for name in ("RSA", "other"):
        for end in (".pem", "-key.pem"):
            absolute = absolute.replace(f"  {name}{end}\n", f"  {directory}/{name}{end}\n")
    return start(absolute)


@needs_openssl
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(
    ("algorithms", "shown"),
    [("rsa_pss_rsae_sha256", "RSA-PSS"), ("ecdsa_secp256r1_sha256", "ECDSA")],
)
def test_signature_algorithms_of_the_client_select_the_certificate(
    start: Callable[[str], Daemon], tmp_path: Path, version: str, algorithms: str, shown: str
) -> None:
    """RFC 8446 section 4.2.3: "which signature algorithms may be used in digital signatures"."""
    daemon = several(start, tmp_path)
    output = s_client(daemon, version, "-sigalgs", algorithms)
    assert f"Peer signature type: {shown}" in output


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["localhost", "other.example"])
def test_sessions_resume_with_any_certificate(
    start: Callable[[str], Daemon], tmp_path: Path, version: ssl.TLSVersion, name: str
) -> None:
    """RFC 5077 section 3.1; RFC 8446 section 4.6.1."""
    daemon = several(start, tmp_path)
    context = unverified()
    context.minimum_version = context.maximum_version = version

    def connect(session: ssl.SSLSession | None) -> tuple[bool | None, ssl.SSLSession | None]:
        with context.wrap_socket(
            daemon.connect("line", "tls=main"), server_hostname=name, session=session
        ) as client:
            receive_until(client, b"\r\n")  # TLS 1.3 sends tickets after the handshake
            return client.session_reused, client.session

    reused, session = connect(None)
    assert not reused
    assert connect(session)[0]


def test_certificate_is_replaced_under_load_without_failures(
    start: Callable[[str], Daemon],
) -> None:
    """docs/explanation/attacks.rst: "no connection is dropped, no handshake fails". Four times both
    files at once, then in two steps, as ACME clients do."""
    daemon = start(TLS + LINE)
    done = threading.Event()
    faults: list[object] = []
    shown: list[set[bytes]] = [set(), set()]
    seen = threading.Condition()
    handshakes = [0, 0]
    context = unverified()

    def client(number: int) -> None:
        try:
            while not done.is_set():
                with context.wrap_socket(daemon.connect("line", "tls=main")) as secured:
                    receive_until(secured, b"\r\n")
                    secured.sendall(b"PING x\n")
                    assert receive_until(secured, b"\r\n") == b"250 PONG x\r\n"
                    with seen:
                        shown[number].add(secured.getpeercert(binary_form=True) or b"")
                        handshakes[number] += 1
                        seen.notify_all()
                done.wait(0.01)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(2)]
    with daemon.connect_tls("line") as old:
        receive_until(old, b"\r\n")
        for thread in threads:
            thread.start()
        for turn in range(4):
            certificates.make(daemon.directory, "localhost")
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for(lambda line: "tls main: certificate swapped" in line, turn + 1)
            swapped = ssl.PEM_cert_to_DER_cert((daemon.directory / "localhost.pem").read_text())
            with seen:
                while not all(swapped in each for each in shown):
                    assert seen.wait(PATIENCE)
        beside = daemon.directory / "beside"
        beside.mkdir()
        new = certificates.make(beside, "localhost")
        os.replace(new.certificate_file, daemon.directory / "localhost.pem")
        old.sendall(b"PING between\n")
        assert receive_until(old, b"\r\n") == b"250 PONG between\r\n"
        os.replace(new.key_file, daemon.directory / "localhost-key.pem")
        daemon.wait_for(lambda line: "the changed certificate files are in use" in line)
        renewed = context.wrap_socket(daemon.connect("line", "tls=main"))
        with renewed:
            assert renewed.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(
                (daemon.directory / "localhost.pem").read_text()
            )
        done.set()
        for thread in threads:
            thread.join(PATIENCE)
        old.sendall(b"PING x\n")
        assert receive_until(old, b"\r\n") == b"250 PONG x\r\n"
    assert faults == []
    assert min(handshakes) > 20
    status = json.loads(daemon.ctl("status", "--json").stdout)
    assert status["certificates_stale"] == {}
    assert [each["names"] for each in status["certificates"]] == [["localhost"]]


def test_invalid_certificate_is_not_used(start: Callable[[str], Daemon]) -> None:
    daemon = start(TLS + LINE)
    right = (daemon.directory / "localhost.pem").read_bytes()
    certificates.make(daemon.directory, "other")
    (daemon.directory / "localhost.pem").write_bytes((daemon.directory / "other.pem").read_bytes())
    daemon.process.send_signal(signal.SIGHUP)
    (line,) = daemon.wait_for(lambda line: "reload refused, nothing has changed" in line)
    assert line.endswith(
        "tcpd.ini:3: [tls:main] key: "
        f"{daemon.directory}/localhost-key.pem is not the key of the certificate in "
        f"{daemon.directory}/localhost.pem"
    )
    # the periodic check logs the same without a reload
    daemon.wait_for(lambda line: "the old certificates stay" in line)
    status = daemon.ctl("status").stdout
    assert "tls main       new files cannot be used: key: " in status
    (daemon.directory / "right.pem").write_bytes(right)
    with client_trusting(daemon.directory / "right.pem").wrap_socket(
        daemon.connect("line", "tls=main"), server_hostname="localhost"
    ) as client:
        assert receive_until(client, b"\r\n").startswith(b"220 ")


def unverified() -> ssl.SSLContext:
    """Return a context that verifies no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def client_trusting(file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(file))


def test_incomplete_handshake_times_out(start: Callable[[str], Daemon]) -> None:
    daemon = start(TLS + LINE + "[policy:default]\nhandshake = 500ms\naccess_log = yes\n")
    hello = client_hello()
    half = daemon.connect("line", "tls=main")
    silent = daemon.connect("line", "tls=main")
    with half, silent:
        half.sendall(hello[: len(hello) // 2])
        for client in (half, silent):
            assert ended(client)
    daemon.wait_for(lambda line: ": tls-timeout, " in line, 2)
    with daemon.connect_tls("line") as other:
        assert receive_until(other, b"\r\n").startswith(b"220 ")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0" * 4096,
        b"\xff" * 4096,
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\xff\xff" + b"\1" * 70000,  # a record longer than the maximum
        b"\x15\x03\x01\x00\x02\x02\x28",  # an alert as the first record
        b"\x80\x2e\x01\x00\x02" + b"\1" * 60,  # the hello of SSL 2
    ],
    ids=["zeros", "ones", "HTTP", "record", "alert", "SSL 2"],
)
def test_garbage_is_refused_on_a_tls_port(start: Callable[[str], Daemon], garbage: bytes) -> None:
    daemon = start(TLS + LINE + "[policy:default]\naccess_log = yes\n")
    with daemon.connect("line", "tls=main") as client:
        client.sendall(garbage)
        assert ended(client)
    daemon.wait_for(lambda line: ": tls-failed, " in line)
    with daemon.connect_tls("line") as other:
        assert receive_until(other, b"\r\n").startswith(b"220 ")


def test_client_that_does_not_trust_the_certificate_is_logged(
    start: Callable[[str], Daemon],
) -> None:
    """The failure is logged with OpenSSL's reason, and not as misbehaviour."""
    daemon = start(TLS + LINE)
    with daemon.connect("line", "tls=main") as client, pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(client, server_hostname="localhost")
    (line,) = daemon.wait_for(lambda line: "service line: no TLS with 127.0.0.1:" in line)
    assert line.endswith(": tlsv1 alert unknown ca (0 more since last logged)")
    assert not [line for line in daemon.log if "misbehaviour" in line]


@needs_openssl
def test_renegotiation_is_refused(start: Callable[[str], Daemon]) -> None:
    """RFC 9325 section 3.5. ``R`` makes s_client request it."""
    daemon = start(TLS + LINE)
    output = s_client(daemon, "-tls1_2", text="R\n")
    assert "RENEGOTIATING" in output
    assert "no renegotiation" in output
    with daemon.connect_tls("line") as other:
        assert receive_until(other, b"\r\n").startswith(b"220 ")


def test_whoami_shows_the_client_certificate(start: Callable[[str], Daemon]) -> None:
    daemon = start(
        TLS
        + "client_ca = localhost.pem\nclient_certificate = optional\n"
        + LINE
        + "[policy:default]\naccess_log = yes\n"
    )
    context = client_context(daemon.directory)
    with context.wrap_socket(
        daemon.connect("line", "tls=main"), server_hostname="localhost"
    ) as anonymous:
        anonymous.sendall(b"WHOAMI\nQUIT\n")
        assert b"certificate" not in receive_until(anonymous, b"goodbye\r\n")
    context.load_cert_chain(
        daemon.directory / "localhost.pem", daemon.directory / "localhost-key.pem"
    )
    with context.wrap_socket(
        daemon.connect("line", "tls=main"), server_hostname="localhost"
    ) as identified:
        identified.sendall(b"WHOAMI\nQUIT\n")
        output = receive_until(identified, b"goodbye\r\n").decode()
    assert "250-subject CN=localhost\r\n" in output
    assert "250-name localhost\r\n250 name 127.0.0.1\r\n" in output
    fingerprint = output.partition("250-certificate ")[2][:64]
    daemon.wait_for(lambda line: f", client CN=localhost sha256:{fingerprint}" in line)


def test_certificate_files_are_systemd_credentials(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
    passed = tmp_path / "passed"
    passed.mkdir()
    certificates.make(passed, "localhost")
    directory = tmp_path / "daemon"
    directory.mkdir()
    text = TLS.replace("= local", "= credential:local") + LINE
    daemon = Daemon(directory, text, variables={"CREDENTIALS_DIRECTORY": str(passed)})
    try:
        with client_context(passed).wrap_socket(
            daemon.connect("line", "tls=main"), server_hostname="localhost"
        ) as client:
            assert receive_until(client, b"\r\n").startswith(b"220 ")
    finally:
        daemon.stop()


def client_hello() -> bytes:
    """Return a ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def ended(client: socket.socket) -> bool:
    """Whether the daemon ends a connection, and sends at most an alert."""
    received = b""
    try:
        while piece := client.recv(4096):
            received += piece
    except ConnectionResetError:
        pass
    return received[:1] in (b"", b"\x15")


@pytest.mark.long
@pytest.mark.skipif(shutil.which("testssl") is None, reason="testssl.sh is not installed")
def test_testssl_has_no_findings_with_the_defaults(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
    """Except that the certificates are self-signed. WARN is no result, for example if testssl.sh
    closes before it receives a ticket."""
    daemon = several(start, tmp_path)
    report = tmp_path / "report.json"
    subprocess.run(
        [
            *("testssl", "--quiet", "--color", "0", "--warnings", "off"),
            *("--protocols", "--std", "--fs", "--server-preference", "--server-defaults"),
            *("--vulnerable", "--jsonfile", str(report)),
            f"localhost:{daemon.ports['line', 'tls=main']}",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=10 * PATIENCE,
        check=False,
    )
    found = json.loads(report.read_text())
    assert len(found) > 50, "testssl.sh has run"
    worse = [
        each
        for each in found
        if each["severity"] not in ("OK", "INFO", "LOW", "WARN", "DEBUG")
        and not each["id"].startswith(("cert_", "DNS_CAArecord"))
    ]
    assert worse == []
