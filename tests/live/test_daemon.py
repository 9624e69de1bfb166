"""Start and stop of a live daemon, its services, and clients that others wrote."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import forking
import pytest
from amounts import soak
from processes import BackgroundDaemon
from running import PATIENCE, TWISTD, Daemon, client_context, receive_all, receive_until

pytestmark = [pytest.mark.live, pytest.mark.reactor]

BACKGROUND = "[tcpd]\ncontrol = none\n[service:a]\nprotocol = echo\nlisten = 127.0.0.1:0\n"

BOTH = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])


def connect(daemon: Daemon, service: str, secure: bool) -> socket.socket:
    return daemon.connect_tls(service) if secure else daemon.connect(service)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forking.run("twistd", ["-n", "--pidfile=", "tcpd", *arguments], cwd=cwd)


@BOTH
def test_services_answer(everything: Daemon, secure: bool) -> None:
    with connect(everything, "echo", secure) as client:
        client.sendall(b"hello")
        assert receive_until(client, b"hello") == b"hello"
    with connect(everything, "discard", secure) as client:
        client.sendall(b"hello")
    with connect(everything, "daytime", secure) as client:
        assert re.fullmatch(
            rb"[A-Z][a-z]+day, [A-Z][a-z]+ \d.* \d\d:\d\d:\d\d-UTC\r\n", receive_all(client)
        )
    with connect(everything, "time", secure) as client:
        (seconds,) = struct.unpack("!I", receive_all(client))
        assert abs(seconds - 2208988800 - time.time()) < PATIENCE
    with connect(everything, "qotd", secure) as client:
        assert 0 < len(receive_all(client)) < 512
    with connect(everything, "chargen", secure) as client:
        assert client.recv(2) in (b" ", b" !")
    with connect(everything, "line", secure) as client:
        assert receive_until(client, b"\r\n").startswith(b"220 test.example ")
        client.sendall(b"PING a\r\nNOPE\nping b\nQUIT\n")
        replies = receive_all(client).split(b"\r\n")
        assert [reply[:3] for reply in replies] == [b"250", b"500", b"250", b"221", b""]
    with connect(everything, "chat", secure) as client:
        assert b"nickname" in receive_until(client, b"Enter.\r\n")
        client.sendall(b"ann\n/quit\n")
        assert b"ann joined #lobby" in receive_all(client)


def test_echo_answers_a_half_closed_connection(everything: Daemon) -> None:
    """As ``printf hi | nc -N``; with 16 MB."""
    data = random.Random(1).randbytes(16 << 20)
    received = bytearray()
    with everything.connect("echo") as client:
        client.setblocking(False)
        view = memoryview(data)

        while True:
            readable, writable, _ = select.select([client], [client] if view else [], [], PATIENCE)
            assert readable or writable, "neither readable nor writable"
            if writable:
                view = view[client.send(view[:262144]) :]
                if not view:
                    client.shutdown(socket.SHUT_WR)
            if readable:
                piece = client.recv(262144)
                if not piece:
                    break
                received += piece
    assert received == data


def test_plain_and_tls_clients_share_a_room(everything: Daemon) -> None:
    with everything.connect("chat") as ann, everything.connect_tls("chat") as bob:
        ann.sendall(b"ann\n")
        receive_until(ann, b"(1): ann\r\n")
        bob.sendall(b"bob\n")
        receive_until(ann, b"* bob joined #lobby\r\n")
        receive_until(bob, b"(2): ann, bob\r\n")
        bob.sendall("grüß dich \x1b[2Jann\n".encode())
        message = receive_until(ann, b"ann\r\n").decode()
        assert message.startswith("#lobby <bob> grüß dich ")
        assert "\x1b" not in message
        ann.sendall(b"/msg bob psst\n")
        assert b"psst" in receive_until(bob, b"\r\n")
        ann.close()
        receive_until(bob, b"\r\n")


def test_starttls_discards_pipelined_plaintext(everything: Daemon) -> None:
    client = everything.connect("line", "starttls=main")
    with client:
        receive_until(client, b"\r\n")
        # command injection: plaintext after STARTTLS must not be executed
        client.sendall(b"STARTTLS\r\nPING injected\r\n")
        assert receive_until(client, b"\r\n").startswith(b"220 ")

        with client_context(everything.directory).wrap_socket(
            client, server_hostname="localhost"
        ) as secured:
            secured.sendall(b"WHOAMI\r\nSTARTTLS\r\nQUIT\r\n")
            text = receive_all(secured)
            assert b"injected" not in text
            assert b"TLSv1.3" in text
            assert b"\r\n503 " in text


def test_client_that_offers_alpn_is_served(everything: Daemon) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    for version in ("-tls1_2", "-tls1_3"):
        done = subprocess.run(
            [
                "openssl",
                "s_client",
                "-connect",
                f"127.0.0.1:{everything.ports['echo', 'tls=main']}",
                "-alpn",
                "h2,irc",
                "-CAfile",
                "localhost.pem",
                "-verify_return_error",
                version,
                "-brief",
            ],
            input=b"",
            cwd=everything.directory,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert b"Verification: OK" in done.stderr


def test_tls_1_1_is_refused(everything: Daemon) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    done = subprocess.run(
        [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{everything.ports['echo', 'tls=main']}",
            "-tls1_1",
            "-cipher",
            "ALL:@SECLEVEL=0",
        ],
        input=b"",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode != 0


def test_stop_sends_farewells(everything: Daemon) -> None:
    with everything.connect("line") as line, everything.connect_tls("chat") as chat:
        receive_until(line, b"\r\n")
        chat.sendall(b"ann\n")
        receive_until(chat, b"(1): ann\r\n")
        # systemd takes death by SIGTERM for a clean stop
        assert everything.stop() == -15
        assert receive_all(line).startswith(b"421 ")
        assert b"shutting down" in receive_all(chat)


@pytest.mark.parametrize(
    "service", ["echo", "discard", "daytime", "time", "qotd", "chargen", "line", "chat"]
)
def test_random_bytes_leave_the_daemon_serving(everything: Daemon, service: str) -> None:
    """Other clients are served."""
    source = random.Random(service)
    with everything.connect("chat") as bystander:
        bystander.sendall(b"witness\n")
        receive_until(bystander, b"\r\n")
        for secure in (False, True):
            for _ in range(20):
                with connect(everything, service, secure) as client:
                    for _ in range(10):
                        try:
                            client.sendall(source.randbytes(source.randrange(2000)))
                        except OSError:
                            break
        with everything.connect("line") as client:
            client.sendall(b"PING still\n")
            assert b"250 PONG still" in receive_until(client, b"still\r\n")
        bystander.sendall(b"/no-such-command\n")
        received = b""
        while b"no-such-command" not in received:  # events of others may follow it
            received += bystander.recv(65536)


@pytest.mark.soak
@pytest.mark.parametrize(
    "service", ["echo", "discard", "daytime", "time", "qotd", "chargen", "line", "chat"]
)
def test_many_random_strings_leave_the_daemon_serving(everything: Daemon, service: str) -> None:
    """100,000 random byte strings into each service leave the daemon serving."""
    source = random.Random(service)
    sent = 0
    while sent < soak(100_000):
        with everything.connect(service) as client, contextlib.suppress(OSError):
            if service == "chat":
                client.sendall(f"nick{sent}\n".encode())  # else all input is bad nicknames
            for _ in range(soak(1000)):
                readable, writable, _ = select.select([client], [client], [], PATIENCE)
                assert readable or writable, "neither readable nor writable"
                if readable and not client.recv(1 << 20):
                    break
                if writable:
                    client.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        client.send(source.randbytes(source.randrange(1, 200)))
                        sent += 1
    with everything.connect("line") as client:
        client.sendall(b"PING still\n")
        assert b"250 PONG still" in receive_until(client, b"still\r\n")


def test_garbage_on_a_tls_port_is_closed(everything: Daemon) -> None:
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\0" * 64, b"\0" * 4000):
        with everything.connect("echo", "tls=main") as client:
            client.sendall(garbage)
            with contextlib.suppress(ConnectionResetError):
                receive_all(client)


# --- start ---


def test_built_in_sample_passes_the_check(tmp_path: Path) -> None:
    done = run("--check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_faulty_configuration_fails_the_start(tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text(
        "[service:a]\nprotocol = ehco\nlisten = 127.0.0.1:0\n[tls:t]\ncertificate = gone.pem\n"
    )
    for arguments in ([], ["--check"], ["--show-config"]):
        done = run("--config", "x.ini", *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr == (
            "x.ini:2: [service:a] protocol: there is no protocol 'ehco'; did you mean echo?\n"
        )
        assert done.stdout == ""


def test_check_reads_the_certificate_files(tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text(
        "[service:a]\nprotocol = echo\nlisten = 127.0.0.1:0 tls=t\n"
        "[tls:t]\ncertificate = gone.pem\n"
    )
    for arguments in ([], ["--check"]):
        done = run("--config", "x.ini", *arguments, cwd=tmp_path)
        assert done.returncode == 1
        assert done.stderr == (
            f"x.ini:5: [tls:t] certificate: {tmp_path}/gone.pem cannot be read: "
            "No such file or directory\n"
        )


def test_check_reports_missing_directories_with_other_errors(
    tmp_path: Path,
) -> None:
    """ "the files that the configuration names (certificates, quotes), and the directories of
    UNIX sockets and of the state" """
    (tmp_path / "x.ini").write_text(
        f"[tcpd]\ncontrol = {tmp_path}/a/b/control\n"
        "[service:a]\nprotocol = echo\nlisten = 127.0.0.1:0 tls=t\n"
        "[tls:t]\ncertificate = gone.pem\n"
    )
    done = run("--config", "x.ini", "--check", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"x.ini:7: [tls:t] certificate: {tmp_path}/gone.pem cannot be read: "
        "No such file or directory\n"
        f"x.ini:2: [tcpd] control: '{tmp_path}/a/b/control': there is no directory {tmp_path}/a; "
        "create it\n"
    )
    done = run("--config", "x.ini", cwd=tmp_path)
    assert done.returncode == 1, "the start fails, too"


def test_port_in_use_fails_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (tmp_path / "x.ini").write_text(
            f"[service:a]\nprotocol = echo\nlisten =\n  127.0.0.1:0\n  127.0.0.1:{port}\n"
        )
        done = run("--config", "x.ini", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        f"tcpd: service a cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )
    assert "Traceback" not in done.stdout


def test_port_in_use_fails_the_start_of_a_background_daemon(tmp_path: Path) -> None:
    """The parent exits with status 1; "the sentence must come whole in both modes"."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        (tmp_path / "x.ini").write_text(
            f"[service:a]\nprotocol = echo\nlisten = 127.0.0.1:{port}\n"
        )
        done = subprocess.run(
            [TWISTD, "tcpd", "--config", "x.ini"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    sentence = f"service a cannot listen on 127.0.0.1:{port}: Address already in use"
    # the other lines are Twisted's, which has room for 100 bytes
    assert done.stderr == (
        f"tcpd: {sentence}\n"
        "An error has occurred: b'tcpd.daemon.starting.StartFailed: see above'\n"
        "Please look at log file for more information.\n"
    )
    pidfile = tmp_path / "twistd.pid"
    # the parent may exit before the daemon has written its log and exited
    with contextlib.suppress(OSError), os.fdopen(os.pidfd_open(int(pidfile.read_text()))) as ending:
        select.select([ending], [], [], PATIENCE)
    assert not pidfile.exists()
    log = (tmp_path / "twistd.log").read_text()
    assert sentence in log
    assert "Traceback" not in log


def test_background_daemon_closes_standard_output(tmp_path: Path) -> None:
    daemon = BackgroundDaemon(tmp_path, BACKGROUND)
    assert daemon.done.stdout == daemon.done.stderr == ""
    daemon.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="drops root privileges")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_daemon_without_privileges_leaves_no_pidfile(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Fault: "`twistd -u nobody` leaves a stale pidfile" in a directory of root."""
    daemon = BackgroundDaemon(tmp_path, BACKGROUND, "-u", "nobody")
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    assert len(children) == 1
    daemon.end(number)
    if number == signal.SIGTERM:
        assert "No permission to delete pid file" not in (tmp_path / "twistd.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="drops root privileges")
def test_daemon_that_may_remove_its_pidfile_has_no_helper_process() -> None:
    with tempfile.TemporaryDirectory() as directory:  # pytest's are accessible to root only
        os.chown(directory, pwd.getpwnam("nobody").pw_uid, -1)
        daemon = BackgroundDaemon(Path(directory), BACKGROUND, "-u", "nobody")
        assert Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text() == ""
        daemon.end()


def test_show_config_names_the_source_of_each_value(tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text("[service:a]\nprotocol = echo\nlisten = 127.0.0.1:0\n")
    done = run("--config", "x.ini", "--show-config", cwd=tmp_path)
    assert done.returncode == 0
    assert "# x.ini:3\nlisten =\n    127.0.0.1:0\n# default\npolicy = default\n" in done.stdout


def test_printed_configuration_passes_the_check(tmp_path: Path) -> None:
    printed = run("--print-config", cwd=tmp_path)
    assert printed.returncode == 0
    (tmp_path / "x.ini").write_text(printed.stdout)
    done = run("--config", "x.ini", "--check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_python_m_tcpd_is_twistd_tcpd(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tcpd", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_unix_socket_is_removed_at_the_stop(start: Callable[[str], Daemon], tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    daemon = start(
        f"[service:a]\nprotocol = echo\nlisten =\n  127.0.0.1:0\n  unix:{path} mode=0600\n"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        client.sendall(b"hi")
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b"hi"
    daemon.stop()
    assert not path.exists()


def test_dual_stack_listener_shows_ipv4_addresses(
    start: Callable[[str], Daemon],
) -> None:
    daemon = start("[service:line]\nprotocol = line\nlisten =\n  *:0\n")
    port = daemon.ports["line", ""]
    hosts = ["127.0.0.1"]
    if socket.has_ipv6:
        try:
            socket.create_connection(("::1", port), PATIENCE).close()
            hosts.append("::1")
        except OSError:
            pass
    for host in hosts:
        with socket.create_connection((host, port), PATIENCE) as client:
            client.sendall(b"WHOAMI\nQUIT\n")
            shown = f"[{host}]" if ":" in host else host
            assert f"250-address {shown}:".encode() in receive_all(client)


def test_per_address_limit_refuses_and_frees_places(
    start: Callable[[str], Daemon],
) -> None:
    daemon = start(
        "[policy:default]\nper_address = 1\n"
        "[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0\n"
    )
    with daemon.connect("line") as first:
        receive_until(first, b"\r\n")
        with daemon.connect("line") as second:
            assert receive_all(second).startswith(b"421 ")
        first.sendall(b"QUIT\n")
        receive_all(first)
    daemon.wait_for(lambda line: "refused 127.0.0.1:" in line and "address-full" in line)
    with daemon.connect("line") as third:
        assert receive_until(third, b"\r\n").startswith(b"220 ")


def test_idle_timeout_of_line_and_its_absence_in_chat(
    start: Callable[[str], Daemon],
) -> None:
    daemon = start(
        "[policy:short]\nidle = 1s\n"
        "[service:line]\nprotocol = line\npolicy = short\nlisten =\n  127.0.0.1:0\n"
        "[service:chat]\nprotocol = chat\nlisten =\n  127.0.0.1:0\n"
    )
    with daemon.connect("line") as line, daemon.connect("chat") as chat:
        chat.sendall(b"ann\n")
        receive_until(chat, b"(1): ann\r\n")
        assert b"\r\n421 " in receive_all(line)
        chat.sendall(b"/who\n")
        assert receive_until(chat, b"\r\n")


# --- clients that others wrote ---


def test_nc_with_echo(everything: Daemon) -> None:
    nc = shutil.which("nc.openbsd")
    if nc is None:
        pytest.skip("OpenBSD's nc is not installed (Debian: netcat-openbsd)")
    done = subprocess.run(
        [nc, "-N", "127.0.0.1", str(everything.ports["echo", ""])],
        input=b"hi",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"hi")


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_perls_net_time_with_time_and_daytime(everything: Daemon, protocol: str) -> None:
    perl = shutil.which("perl")
    if perl is None or subprocess.run([perl, "-MNet::Time", "-e", "1"], check=False).returncode:
        pytest.skip("Perl's Net::Time is not installed")
    words = "udp" if protocol == "udp" else ""
    # Net::Time takes no port: getservbyname is replaced to return it
    program = """
        BEGIN {
            no warnings;
            *CORE::GLOBAL::getservbyname = sub {
                my %port = (time => $ARGV[0], daytime => $ARGV[1]);
                return wantarray ? ($_[0], "", $port{$_[0]}, $_[1]) : $port{$_[0]};
            };
        }
        use Net::Time qw(inet_time inet_daytime);
        print inet_time("127.0.0.1", $ARGV[2], 5), "\\n", inet_daytime("127.0.0.1", $ARGV[2], 5);
    """
    done = subprocess.run(
        [
            perl,
            "-e",
            program,
            str(everything.ports["time", words]),
            str(everything.ports["daytime", words]),
            protocol,
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    seconds, daytime = done.stdout.split("\n", 1)
    assert abs(int(seconds) - time.time()) < PATIENCE, done.stderr
    assert "-UTC" in daytime


def test_rdate_with_time(everything: Daemon) -> None:
    rdate = shutil.which("rdate")
    if rdate is None:
        pytest.skip("rdate is not installed")
    done = subprocess.run(
        [rdate, "-p", "-o", str(everything.ports["time", ""]), "127.0.0.1"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={"TZ": "UTC", "LC_ALL": "C"},
    )
    assert done.returncode == 0, done.stderr
    assert time.strftime("%Y", time.gmtime()) in done.stdout


def test_two_sockets_from_systemd(tmp_path: Path) -> None:
    """Of one name, as a .socket unit with two ListenStream= passes them."""
    (tmp_path / "x.ini").write_text("[service:e]\nprotocol = echo\nlisten = systemd:echo\n")
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        addresses = [one.getsockname(), two.getsockname()]
        script = (
            f"exec 8<&{one.fileno()} 9<&{two.fileno()}; exec 3<&8 4<&9; "
            "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=echo:echo "
            f"exec {TWISTD} -n --pidfile= tcpd --config x.ini"
        )
        daemon = subprocess.Popen(
            ["bash", "-c", script],
            cwd=tmp_path,
            pass_fds=(one.fileno(), two.fileno()),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    try:
        for address in addresses:
            # the sockets listen already: clients wait in the backlog for the daemon
            with socket.create_connection(address, PATIENCE) as client:
                client.settimeout(PATIENCE)
                client.sendall(b"hi")
                client.shutdown(socket.SHUT_WR)
                assert receive_all(client) == b"hi"
    finally:
        daemon.terminate()
        _, errors = daemon.communicate(timeout=PATIENCE)
    assert errors == b""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [([], "TcpdReactor"), (["--reactor=select"], "SelectReactor")],
)
def test_show_config_names_the_reactor(tmp_path: Path, arguments: list[str], name: str) -> None:
    (tmp_path / "x.ini").write_text("[service:a]\nprotocol = echo\nlisten = 127.0.0.1:0\n")
    words = ["-n", "--pidfile=", *arguments, "tcpd", "--config", "x.ini", "--show-config"]
    done = forking.run("twistd", words, cwd=tmp_path)
    assert done.stdout.split("\n")[0] == f"# reactor: {name}"
