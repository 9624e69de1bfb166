"""etc/fail2ban: its filter on log lines of a live daemon, and its action on that daemon.

If fail2ban is installed, fail2ban-regex must agree.
"""

from __future__ import annotations

import configparser
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import certificates
import pytest
from running import PATIENCE, Daemon

from tcpd.ops import catalogue
from tcpd.policy.reasons import End, Refusal

pytestmark = pytest.mark.live

FAIL2BAN = Path(__file__).resolve().parents[2] / "etc" / "fail2ban"
FILTER = FAIL2BAN / "filter.d" / "tcpd.conf"
ACTION = FAIL2BAN / "action.d" / "tcpd.conf"

HEADER = b"PROXY TCP4 %s 127.0.0.1 4711 7100\r\n"

CONFIG = """
[tcpd]
server_name = test.example
drain = 1s
log = {log}
[policy:one]
per_address = 1
[policy:full]
connections = 1
[policy:denied]
deny = 127.0.0.1
[service:one]
protocol = line
policy = one
listen =
    127.0.0.1:0
    127.0.0.1:0 proxy=127.0.0.1
[service:full]
protocol = line
policy = full
listen =
    127.0.0.1:0 proxy=127.0.0.1
[service:denied]
protocol = line
policy = denied
listen =
    127.0.0.1:0
[tls:main]
certificate = expired.pem
key = expired-key.pem
[service:tls]
protocol = line
listen =
    127.0.0.1:0 tls=main
    127.0.0.1:0 tls=main proxy=127.0.0.1
[service:stranger]
protocol = line
listen =
    127.0.0.1:0 proxy=192.0.2.1
"""


def expressions() -> list[re.Pattern[str]]:
    """Return the filter's expressions, with a group in place of fail2ban's ``<ADDR>``."""
    parser = configparser.ConfigParser()
    parser.read(FILTER)
    lines = parser["Definition"]["failregex"].split("\n")
    return [re.compile(line.replace("<ADDR>", r"(?P<ip>[0-9a-fA-F.:]+)")) for line in lines]


def found(line: str) -> str | None:
    """Return the address that the filter finds in a line of the log."""
    # fail2ban removes the time from a line first
    line = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d{4})", "", line, count=1)
    for expression in expressions():
        match = expression.search(line)
        if match:
            return str(ip_address(match["ip"]))
    return None


def line_of(event: catalogue.EventType, **fields: object) -> str:
    text = event.text.format(**fields)
    return f"2026-11-22T20:10:03+0000 [tcpd.net.connection_log.ConnectionLog#warn] {text}"


@pytest.mark.parametrize("refusal", Refusal)
@pytest.mark.parametrize("peer", ["192.0.2.66:4711", "[2001:db8::66]:4711"])
def test_refusals_that_the_client_causes_match(refusal: Refusal, peer: str) -> None:
    """A full service bans nobody: before its PROXY header, the address of a connection is the
    proxy's. A proxy that is missing in ``proxy=`` is not banned."""
    line = line_of(
        catalogue.CONNECTION_REFUSED, service="line", peer=peer, refusal=refusal, since=3
    )
    by_client = refusal in (Refusal.DENIED, Refusal.ADDRESS_FULL, Refusal.ADDRESS_RATE)
    assert found(line) == (peer.rpartition(":")[0].strip("[]") if by_client else None)


@pytest.mark.parametrize("end", End)
def test_misbehaviour_matches(end: End) -> None:
    line = line_of(
        catalogue.CONNECTION_MISBEHAVED,
        service="line",
        peer="192.0.2.66:4711",
        end=end,
        why=": record layer failure, ssl/tls what's wrong" if end is End.TLS_FAILED else "",
        since=0,
    )
    expected = end in (End.FIRST_BYTE, End.TLS_FAILED, End.TLS_TIMEOUT)
    assert found(line) == ("192.0.2.66" if expected else None)


def test_client_that_distrusts_the_certificate_does_not_match() -> None:
    """ "With an expired certificate honest clients would be banned"."""
    reason = "tlsv1 alert certificate expired"
    line = line_of(
        catalogue.TLS_REFUSED, service="line", peer="192.0.2.66:4711", reason=reason, since=0
    )
    assert found(line) is None


REFUSED = "service line: refused 192.0.2.66:4711: denied (0 more since last logged)"


@pytest.mark.parametrize(
    "line",
    [
        line_of(
            catalogue.EXEC_STDERR, service="x", pid=1, peer="198.51.100.1:1", line=REFUSED, lost=0
        ),
        line_of(
            catalogue.PROXY_FAILED,
            service="line",
            peer="192.0.2.66:4711",
            fault="no-header",
            error="the first bytes are not those of a PROXY header",
            since=0,
        ),
        line_of(
            catalogue.CONNECTION_ENDED,
            service="line",
            id=1,
            peer="198.51.100.1:1",
            seconds=1.0,
            bytes_in=1,
            bytes_out=1,
            tls="no TLS",
            end="client",
            via=f", proxy 198.51.100.2:1 id {REFUSED}",
            handshake="",
            error="",
        ),
        f"\t{REFUSED}",
        '{"time":"2026-11-22T20:10:08.913Z","level":"warn","event":"exec.stderr","message":"'
        f'{REFUSED}","logger":"x"}}',
    ],
    ids=["exec", "proxy", "unique-id", "traceback", "json"],
)
def test_text_of_a_client_does_not_match(line: str) -> None:
    """Text that imitates a line of the log is never at the beginning of one."""
    assert found(line) is None


@pytest.fixture(params=["text", "json"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Daemon]:
    certificates.make(tmp_path, "localhost", days=-1, file="expired")
    daemon = Daemon(tmp_path, CONFIG.format(log=request.param))
    yield daemon
    daemon.stop()


def port_of(daemon: Daemon, service: str, words: str) -> int:
    """Return the port of a listener, from a log in text or JSON."""
    pattern = re.compile(rf"service {service}: listening on 127\.0\.0\.1:(\d+){words}")
    return int(next(match[1] for line in daemon.log if (match := pattern.search(line))))


def connect(daemon: Daemon, service: str, header: bytes = b"") -> socket.socket:
    """Connect to a service, with a PROXY header if given, and read its greeting."""
    words = " proxy=" if header else ""
    client = socket.create_connection(("127.0.0.1", port_of(daemon, service, words)), PATIENCE)
    client.sendall(header)
    assert client.recv(1024)
    return client


def test_filter_matches_lines_of_a_live_daemon(daemon: Daemon, tmp_path: Path) -> None:
    """ "One stable log line per burst with the address; a fail2ban filter for it in etc/, tested
    against the real lines"."""
    connect(daemon, "denied").close()
    with connect(daemon, "one"):
        connect(daemon, "one").close()
    with connect(daemon, "one", HEADER % b"192.0.2.66"):
        connect(daemon, "one", HEADER % b"192.0.2.66").close()
    with connect(daemon, "full", HEADER % b"192.0.2.67"):
        connect(daemon, "full", HEADER % b"192.0.2.68").close()
    connect(daemon, "stranger", b"\n").close()
    port = port_of(daemon, "tls", " tls=main proxy=")
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(HEADER % b"192.0.2.69" + b"GET / HTTP/1.1\r\n\r\n")
        client.recv(1024)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "expired.pem"))
    with (
        socket.create_connection(("127.0.0.1", port_of(daemon, "tls", " tls=main"))) as client,
        pytest.raises(ssl.SSLCertVerificationError, match="has expired"),
    ):
        trusting.wrap_socket(client, server_hostname="localhost")
    (refused,) = daemon.wait_for(lambda line: "no TLS with 127.0.0.1:" in line)
    assert "alert certificate expired" in refused
    assert len(daemon.wait_for(lambda line: "more since last logged" in line, 7)) == 7
    banned = [address for line in daemon.log if (address := found(line))]
    assert banned == ["127.0.0.1", "127.0.0.1", "192.0.2.66", "192.0.2.69"]
    if not (program := shutil.which("fail2ban-regex")):
        return
    log = tmp_path / "log"
    log.write_text("\n".join(daemon.log) + "\n")
    done = subprocess.run(
        [program, "--out", "ip", str(log), str(FILTER)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout.split() == banned, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("family", "address", "network"),
    [
        ("inet4", "192.0.2.66", "192.0.2.66/32"),
        ("inet6", "2001:db8::1:66", "2001:db8::/64"),
    ],
)
@pytest.mark.parametrize("seconds", ["600", "-1"])
def test_action_bans_and_unbans(
    family: str, address: str, network: str, seconds: str, tmp_path: Path
) -> None:
    """The commands as fail2ban runs them, by sh; a bantime of -1 is permanent."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ACTION)
    tags = {**parser["Init"], "ctl": f"{sys.executable} -m tcpd.ctl --socket run/control"}
    if family == "inet6":
        tags.update(parser["Init?family=inet6"])
    certificates.make(tmp_path, "localhost", days=-1, file="expired")
    daemon = Daemon(tmp_path, CONFIG.format(log="text"))

    def run(name: str) -> subprocess.CompletedProcess[str]:
        command = parser["Definition"][name]
        for tag in ("ctl", "net"):
            command = command.replace(f"<{tag}>", tags[tag])
        command = command.replace("<ip>", address).replace("<bantime>", seconds)
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    done = run("actionban")
    assert done.returncode == 0, done.stderr
    assert network in daemon.ctl("bans").stdout
    done = run("actionunban")
    assert done.returncode == 0, done.stderr
    assert network not in daemon.ctl("bans").stdout
    assert run("actionunban").returncode == 0  # the ban may have expired
    daemon.stop()
