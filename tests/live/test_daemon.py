"""The daemon as an operator starts it, and every service as a client meets it."""

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
from running import PATIENCE, TWISTD, Daemon, client_context, receive_all, receive_until

pytestmark = [pytest.mark.live, pytest.mark.reactor]

BOTH = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])


def connect(daemon: Daemon, service: str, secure: bool) -> socket.socket:
    return daemon.connect_tls(service) if secure else daemon.connect(service)


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return forking.run("twistd", ["-n", "--pidfile=", "tcpd", *arguments], cwd=cwd)


@BOTH
def test_every_service_answers(everything: Daemon, secure: bool) -> None:
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


def test_a_half_closed_echo_comes_back_whole(everything: Daemon) -> None:
    """``printf hi | nc -N`` gets its ``hi`` back; so do 16 MB."""
    data = random.Random(1).randbytes(16 << 20)
    received = bytearray()
    with everything.connect("echo") as client:
        client.setblocking(False)
        view = memoryview(data)

        while True:
            readable, writable, _ = select.select([client], [client] if view else [], [], PATIENCE)
            assert readable or writable, "nothing moves any more"
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


def test_two_people_in_one_room_one_in_the_clear_one_over_tls(everything: Daemon) -> None:
    with everything.connect("chat") as ann, everything.connect_tls("chat") as bob:
        ann.sendall(b"ann\n")
        receive_until(ann, b"(1): ann\r\n")
        bob.sendall(b"bob\n")
        receive_until(ann, b"* bob joined #lobby\r\n")
        receive_until(bob, b"(2): ann, bob\r\n")
        bob.sendall("grüß dich \x1b[2Jann\n".encode())
        said = receive_until(ann, b"ann\r\n").decode()
        assert said.startswith("#lobby <bob> grüß dich ")
        assert "\x1b" not in said
        ann.sendall(b"/msg bob psst\n")
        assert b"psst" in receive_until(bob, b"\r\n")
        ann.close()
        receive_until(bob, b"\r\n")


def test_starttls_on_the_wire(everything: Daemon) -> None:
    client = everything.connect("line", "starttls=main")
    with client:
        receive_until(client, b"\r\n")
        # what was smuggled in behind STARTTLS in the clear must not be taken as said in TLS
        client.sendall(b"STARTTLS\r\nPING smuggled\r\n")
        assert receive_until(client, b"\r\n").startswith(b"220 ")

        with client_context(everything.directory).wrap_socket(
            client, server_hostname="localhost"
        ) as secured:
            secured.sendall(b"WHOAMI\r\nSTARTTLS\r\nQUIT\r\n")
            text = receive_all(secured)
            assert b"smuggled" not in text
            assert b"TLSv1.3" in text
            assert b"\r\n503 " in text


def test_openssl_negotiates_alpn_and_is_not_refused(everything: Daemon) -> None:
    """A client that offers ALPN is not refused for it."""
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


def test_a_stop_says_farewell_and_flushes(everything: Daemon) -> None:
    with everything.connect("line") as line, everything.connect_tls("chat") as chat:
        receive_until(line, b"\r\n")
        chat.sendall(b"ann\n")
        receive_until(chat, b"(1): ann\r\n")
        # a death by the signal it was sent is what systemd takes for a clean stop
        assert everything.stop() == -15
        assert receive_all(line).startswith(b"421 ")
        assert b"shutting down" in receive_all(chat)


@pytest.mark.parametrize(
    "service", ["echo", "discard", "daytime", "time", "qotd", "chargen", "line", "chat"]
)
def test_random_bytes_leave_the_daemon_serving(everything: Daemon, service: str) -> None:
    """Bad input anywhere: a clear error or a clean close; nothing is lost for others."""
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
        bystander.sendall(b"/who\n")
        receive_until(bystander, b"witness\r\n")


@pytest.mark.soak
@pytest.mark.parametrize(
    "service", ["echo", "discard", "daytime", "time", "qotd", "chargen", "line", "chat"]
)
def test_a_hundred_thousand_random_strings(everything: Daemon, service: str) -> None:
    """100,000 random byte strings into each service leave the daemon serving."""
    source = random.Random(service)
    sent = 0
    while sent < soak(100_000):
        with everything.connect(service) as client, contextlib.suppress(OSError):
            if service == "chat":
                client.sendall(f"nick{sent}\n".encode())  # else it is all bad nicknames
            for _ in range(soak(1000)):
                readable, writable, _ = select.select([client], [client], [], PATIENCE)
                assert readable or writable, "neither reads nor writes"
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


# --- starting, and not starting ---


def test_with_no_file_the_built_in_sample_is_right(tmp_path: Path) -> None:
    done = run("--check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_wrong_configuration_stops_the_start_with_its_lines(tmp_path: Path) -> None:
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


def test_check_reads_the_files_that_the_settings_name(tmp_path: Path) -> None:
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


def test_check_finds_directories_that_are_missing_with_all_else_that_is_wrong(
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
        "make it\n"
    )
    done = run("--config", "x.ini", cwd=tmp_path)
    assert done.returncode == 1, "and the start fails"


def test_a_port_in_use_stops_the_start_with_a_sentence(tmp_path: Path) -> None:
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


def test_a_port_in_use_stops_a_daemon_too(tmp_path: Path) -> None:
    """Never a daemon that runs deaf: the parent, which waits, fails; and "the sentence must come
    whole in both modes"."""
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
    # what is behind it is Twisted's, which has 100 bytes for it
    assert done.stderr == (
        f"tcpd: {sentence}\n"
        "An error has occurred: b'tcpd.daemon.starting.StartFailed: see above'\n"
        "Please look at log file for more information.\n"
    )
    pidfile = tmp_path / "twistd.pid"
    # the parent is told before the daemon has written its log, and has ended
    with contextlib.suppress(OSError), os.fdopen(os.pidfd_open(int(pidfile.read_text()))) as ending:
        select.select([ending], [], [], PATIENCE)
    assert not pidfile.exists()
    log = (tmp_path / "twistd.log").read_text()
    assert sentence in log
    assert "Traceback" not in log


class Background:
    """A daemon that twistd sent into the background."""

    def __init__(self, directory: Path, *options: str) -> None:
        (directory / "x.ini").write_text(
            "[tcpd]\ncontrol = none\n[service:a]\nprotocol = echo\nlisten = 127.0.0.1:0\n"
        )
        self.pidfile = directory / "twistd.pid"
        command = [TWISTD, *options, "tcpd", "--config", "x.ini"]
        # it ends when nobody holds its output any more: the daemon does not
        self.done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert self.done.returncode == 0, self.done.stderr
        self.pid = int(self.pidfile.read_text())
        self._watch = os.pidfd_open(self.pid)

    def end(self, number: signal.Signals) -> None:
        """Have it end, and wait until it has, and who waits for it too."""
        signal.pidfd_send_signal(self._watch, number)
        assert select.select([self._watch], [], [], PATIENCE)[0]
        os.close(self._watch)
        deadline = time.monotonic() + PATIENCE
        while self.pidfile.exists():
            assert time.monotonic() < deadline, "a stale pidfile"


def test_a_daemon_lets_go_of_the_terminal(tmp_path: Path) -> None:
    daemon = Background(tmp_path)
    assert daemon.done.stdout == daemon.done.stderr == ""
    daemon.end(signal.SIGTERM)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_daemon_that_gave_up_root_leaves_no_pidfile(
    tmp_path: Path, number: signal.Signals
) -> None:
    """ "`twistd -u nobody` leaves a stale pidfile": the directory is root's."""
    daemon = Background(tmp_path, "-u", "nobody")
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    assert len(children) == 1
    daemon.end(number)
    if number == signal.SIGTERM:
        assert "No permission to delete pid file" not in (tmp_path / "twistd.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="gives up root")
def test_nobody_waits_for_a_pidfile_that_its_user_may_remove() -> None:
    with tempfile.TemporaryDirectory() as directory:  # pytest's cannot be reached by others
        os.chown(directory, pwd.getpwnam("nobody").pw_uid, -1)
        daemon = Background(Path(directory), "-u", "nobody")
        assert Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text() == ""
        daemon.end(signal.SIGTERM)


def test_show_config_tells_where_a_value_comes_from(tmp_path: Path) -> None:
    (tmp_path / "x.ini").write_text("[service:a]\nprotocol = echo\nlisten = 127.0.0.1:0\n")
    done = run("--config", "x.ini", "--show-config", cwd=tmp_path)
    assert done.returncode == 0
    assert "# x.ini:3\nlisten =\n    127.0.0.1:0\n# default\npolicy = default\n" in done.stdout


def test_print_config_prints_a_configuration_that_is_right(tmp_path: Path) -> None:
    printed = run("--print-config", cwd=tmp_path)
    assert printed.returncode == 0
    (tmp_path / "x.ini").write_text(printed.stdout)
    done = run("--config", "x.ini", "--check", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_python_m_tcpd_is_the_same_door(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tcpd", "--check"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_unix_socket_serves_and_leaves_no_file(
    start: Callable[[str], Daemon], tmp_path: Path
) -> None:
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


def test_one_socket_takes_ipv4_and_ipv6_and_shows_ipv4_as_ipv4(
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


def test_who_is_one_too_many_is_told_and_the_place_is_freed(
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


def test_idle_connections_are_ended_in_the_protocols_words_and_chat_is_exempt(
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


# --- clients that nobody here wrote ---


def test_nc_gets_its_hi_back(everything: Daemon) -> None:
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
def test_perls_net_time_understands_time_and_daytime(everything: Daemon, protocol: str) -> None:
    perl = shutil.which("perl")
    if perl is None or subprocess.run([perl, "-MNet::Time", "-e", "1"], check=False).returncode:
        pytest.skip("Perl's Net::Time is not installed")
    words = "udp" if protocol == "udp" else ""
    # Net::Time knows services by name only; it is told the port by way of getservbyname
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


def test_rdate_reads_the_time(everything: Daemon) -> None:
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


def test_sockets_from_systemd(tmp_path: Path) -> None:
    """Two sockets of one name, as a .socket unit with two ListenStream= passes them."""
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
            # the sockets listen already: whoever comes before the daemon waits for it
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
def test_show_config_tells_which_reactor_it_would_be(
    tmp_path: Path, arguments: list[str], name: str
) -> None:
    (tmp_path / "x.ini").write_text("[service:a]\nprotocol = echo\nlisten = 127.0.0.1:0\n")
    words = ["-n", "--pidfile=", *arguments, "tcpd", "--config", "x.ini", "--show-config"]
    done = forking.run("twistd", words, cwd=tmp_path)
    assert done.stdout.split("\n")[0] == f"# reactor: {name}"
