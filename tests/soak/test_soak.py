"""Structured inputs over all frontends of a live daemon.

``TCPD_SOAK_INPUTS`` is their number, by default 200,000 scaled by ``TCPD_TEST_SOAK`` (see
:mod:`amounts`). A seed, ``TCPD_SOAK_SEED``, makes the same inputs each time; it is printed, also
at a failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import amounts
import certificates
import pytest
from running import PATIENCE, Daemon, client_context, descriptors, resident
from soak import inputs
from soak.driving import DrivenConnection, Ending, drive
from twisted.internet.task import Clock

from tcpd.config.errors import ConfigError
from tcpd.config.load import load
from tcpd.config.settings import Settings
from tcpd.config.show import sample, show_config
from tcpd.daemon.compose import SECTIONS, make_daemon
from tcpd.daemon.registry import Kinds
from tcpd.policy.passwords import hash_password
from tcpd.wire.proxy import Header, HeaderReader, ProxyError

pytestmark = [
    pytest.mark.soak,
    pytest.mark.live,
    pytest.mark.serial,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc"),
]

INPUTS = int(os.environ.get("TCPD_SOAK_INPUTS") or amounts.soak(200_000))
SEED = os.environ.get("TCPD_SOAK_SEED") or str(random.SystemRandom().randrange(10**9))

#: Number of concurrent conversations.
AT_ONCE = 60

#: Maximum growth of the daemon's memory in bytes after the warm-up. Caches of bounded size (whowas,
#: safe characters) are not yet full then.
GROWTH = 12 << 20

#: Share of the inputs that is the warm-up.
WARM = 0.3

CONFIG = """
[tcpd]
server_name = test.example
drain = 2s
[policy:default]
per_address = 10000
# no timeout ends a stuck connection
linger = 1h
handshake = 1h
proxy_header = 1h
idle = 0
stalled = 0
[tls:main]
certificate = localhost.pem
key = localhost-key.pem
[metrics]
listen =
  127.0.0.1:0
[service:line]
protocol = line
listen =
  127.0.0.1:0
  127.0.0.1:0 tls=main
  127.0.0.1:0 starttls=main
  127.0.0.1:0 proxy=127.0.0.0/8
  127.0.0.1:0 tls=main proxy=127.0.0.0/8
  unix:{directory}/line tls=main proxy=unix
[service:chat]
protocol = chat
rate = none
nick_timeout = 0
listen =
  127.0.0.1:0
  127.0.0.1:0 tls=main
[service:irc]
protocol = irc
rate = none
operators = oper {oper}
register_timeout = 0
ping = 0
websocket_ping = 0
join_rate = none
nick_rate = none
listen =
  127.0.0.1:0
  127.0.0.1:0 tls=main
  127.0.0.1:0 websocket
  127.0.0.1:0 tls=main websocket
[service:spare]
protocol = discard
listen =
  127.0.0.1:0
[service:echo]
protocol = echo
udp_rate = none
listen =
  127.0.0.1:0
  127.0.0.1:0 tls=main
  127.0.0.1:0 udp
  unix:{directory}/echo
[service:forward]
protocol = forward
to = unix:{directory}/echo
listen =
  127.0.0.1:0
  127.0.0.1:0 tls=main
[service:far]
protocol = forward
to = unix:{directory}/line
tls = yes
tls_name = localhost
ca = localhost.pem
send_proxy = v2
listen =
  127.0.0.1:0
[service:exec]
protocol = exec
command = /bin/cat
{user}
listen =
  127.0.0.1:0
""" + "".join(
    f"[service:{kind}]\nprotocol = {kind}\nlisten =\n  127.0.0.1:0\n  127.0.0.1:0 udp\n"
    for kind in ("discard", "daytime", "time", "qotd", "chargen")
)

#: Appended to the configuration from time to time, for reloads by IRC and the control socket.
MORE = (
    "[service:more]\nprotocol = echo\nlisten =\n  127.0.0.1:0\n  127.0.0.1:0 udp\n",
    "[service:more]\nprotocol = irc\nnetwork = More\nlisten = 127.0.0.1:0 tls=main websocket\n",
    "[service:handshake]\nprotocol = handshake\npolicy = p\nlisten = 127.0.0.1:0\n[policy:p]\n",
    "[chat]\nhistory_kept = 5\nlobby_topic = More\n",
    "[service:more]\nprotocol = nope\n",
    "rubbish\n",
)


class Frontend(NamedTuple):
    """A service, and the generator of its inputs.

    :ivar weight: relative frequency.
    :ivar generate: makes the inputs of one conversation.
    :ivar service: the service.
    :ivar words: the options of its listener.
    :ivar tls: whether the inputs are sent over TLS.
    """

    weight: int
    generate: inputs.Generator
    service: str
    words: str = ""
    tls: bool = False


FRONTENDS = {
    "line": Frontend(10, inputs.lines, "line"),
    "line by TLS": Frontend(4, inputs.lines, "line", "tls=main", True),
    "line with STARTTLS": Frontend(4, inputs.lines, "line", "starttls=main"),
    "text": Frontend(16, inputs.text, "chat"),
    "text by TLS": Frontend(3, inputs.text, "chat", "tls=main", True),
    "IRC": Frontend(18, inputs.irc, "irc"),
    "IRC by TLS": Frontend(3, inputs.irc, "irc", "tls=main", True),
    "IRC by WebSocket": Frontend(14, inputs.websocket, "irc", "websocket"),
    "IRC by WebSocket and TLS": Frontend(2, inputs.websocket, "irc", "tls=main websocket", True),
    "PROXY": Frontend(10, inputs.proxied, "line", "proxy=127.0.0.0/8"),
    "PROXY before TLS": Frontend(2, inputs.proxied, "line", "tls=main proxy=127.0.0.0/8"),
    "TLS records": Frontend(8, inputs.tls_records, "echo", "tls=main"),
    "control": Frontend(5, inputs.control, "control"),
    "metrics": Frontend(3, inputs.http, "metrics"),
    "echo": Frontend(2, inputs.octets, "echo"),
    "forward": Frontend(2, inputs.octets, "forward"),
    "forward by TLS": Frontend(2, inputs.octets, "forward", "tls=main", True),
    "forward to PROXY and TLS": Frontend(2, inputs.lines, "far"),
    "exec": Frontend(1, inputs.octets, "exec"),
    "discard": Frontend(1, inputs.octets, "discard"),
    "daytime": Frontend(1, inputs.octets, "daytime"),
}

#: Services with a UDP listener.
DATAGRAMS = ("echo", "discard", "daytime", "time", "qotd", "chargen")


class Soak:
    """A run.

    :param seed: of all random sources.

    :ivar counts: number of inputs sent, by frontend.
    :ivar started: number of connections.
    """

    def __init__(self, daemon: Daemon, seed: str) -> None:
        self.daemon = daemon
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._names = list(FRONTENDS)
        self._weights = [frontend.weight for frontend in FRONTENDS.values()]
        self.started = 0
        self._tls = client_context(daemon.directory)
        self._config = (daemon.directory / "tcpd.ini").read_text()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setblocking(False)

    def run(self, count: int) -> None:
        """Send the given number of inputs, and wait until all connections have ended."""
        until = self.counts.total() + count
        checked = 0
        for ended in drive(self._conversations(until), AT_ONCE):
            name = ended.name.partition(" #")[0]
            self.counts[name] += ended.sent
            if self.counts.total() - checked > 2000:
                checked = self.counts.total()
                self.check()

    def _conversations(self, until: int) -> Iterator[DrivenConnection]:
        while self.counts.total() < until:
            if self._chance.random() < 0.05:
                self._send_datagrams()
                continue
            if self._chance.random() < 0.02:
                more = self._chance.choice(("", *MORE))
                (self.daemon.directory / "tcpd.ini").write_text(self._config + more)
            (name,) = self._chance.choices(self._names, self._weights)
            self.started += 1
            yield self._conversation(name, self.started)

    def _conversation(self, name: str, number: int) -> DrivenConnection:
        frontend = FRONTENDS[name]
        chance = random.Random(f"{self.seed}/{number}")
        endings = (Ending.HALF_CLOSE,) * 6 + (Ending.CLOSE, Ending.RESET, Ending.DEAF)
        return DrivenConnection(
            f"{name} #{number}",
            lambda: self._connect(frontend),
            frontend.generate(chance, chance.randint(2, 60)),
            chance.choice(endings),
            chance,
            self._tls if frontend.tls else None,
        )

    def _connect(self, frontend: Frontend) -> socket.socket:
        if frontend.service == "control":
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(self.daemon.control))
            return client
        return self.daemon.connect(frontend.service, frontend.words)

    def _send_datagrams(self) -> None:
        chance = self._chance
        port = self.daemon.ports[chance.choice(DATAGRAMS), "udp"]
        for payload in inputs.datagrams(chance, 20):
            try:
                self._udp.sendto(payload, ("127.0.0.1", port))
                self.counts["UDP"] += 1
            except BlockingIOError:
                pass
        # replies are read, so that the receive buffer does not fill
        try:
            while self._udp.recv(1 << 16):
                pass
        except BlockingIOError:
            pass

    def check(self) -> None:
        """Check that the daemon runs, serves a new client, and has logged no traceback."""
        log = "\n".join(self.daemon.log)
        found = log.find("Traceback")
        about = log[max(0, found - 1000) : found + 4000]
        assert found < 0, f"seed {self.seed}, after {self.counts.total()} inputs: {about}"
        assert self.daemon.process.poll() is None, (
            f"seed {self.seed}: the daemon has exited: {log[-5000:]}"
        )
        self._expect("echo", b"probe", b"probe")
        self._expect("line", b"PING probe\r\n", b"250 PONG probe\r\n")
        self._expect("chat", b"/nick probe1\n/who\n", b"probe1")
        self._expect("irc", b"NICK probe2\r\nUSER p 0 * :p\r\nPING probe\r\n", b"probe\r\n")
        self._expect("forward", b"probe", b"probe")
        self._expect("far", b"PING probe\r\n", b"250 PONG probe\r\n")

    def _expect(self, service: str, request: bytes, answer: bytes) -> None:
        with self.daemon.connect(service) as client:
            client.sendall(request)
            received = b""
            while answer not in received:
                piece = client.recv(65536)
                assert piece, f"seed {self.seed}: {service} closed after {received[-2000:]!r}"
                received += piece

    def close(self) -> None:
        """Close its sockets, and reload the original configuration."""
        (self.daemon.directory / "tcpd.ini").write_text(self._config)
        reloaded = self.daemon.ctl("reload")
        assert reloaded.returncode == 0, reloaded.stdout + reloaded.stderr
        self._udp.close()

    def wait_for_ends(self) -> None:
        """Wait until the daemon has no open connection."""
        end = time.monotonic() + PATIENCE
        while (left := self._open()) and time.monotonic() < end:
            time.sleep(0.05)
        assert not left, f"seed {self.seed}: connections without a client: {left}"

    def _open(self) -> list[str]:
        rows = json.loads(self.daemon.ctl("connections", "--json").stdout)["connections"]
        asking = [row for row in rows if row["service"] == "control"][-1]
        return [str(row) for row in rows if row is not asking]


def test_structured_inputs_over_all_frontends(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """'0 tracebacks, 0 stuck connections, no growth.'"""
    certificates.make(tmp_path, "localhost")
    config = CONFIG.format(
        directory=tmp_path,
        user="user = root" if os.geteuid() == 0 else "",
        oper=hash_password(inputs.OPER_PASSWORD),
    )
    daemon = Daemon(tmp_path, config)
    try:
        summary = soaked(daemon)
    except BaseException:
        with contextlib.suppress(AssertionError):
            daemon.stop()
        raise
    daemon.stop()
    with capfd.disabled():
        print(f"\nseed {SEED}: {summary}")


def soaked(daemon: Daemon) -> str:
    """Run the soak; return a summary."""
    soak = Soak(daemon, SEED)
    begun = time.monotonic()
    soak.check()
    soak.wait_for_ends()
    open_before = descriptors(daemon)
    soak.run(round(INPUTS * WARM))
    soak.wait_for_ends()
    warm = resident(daemon)
    soak.run(INPUTS - soak.counts.total())
    soak.check()
    soak.wait_for_ends()
    grown = resident(daemon) - warm
    counts = ", ".join(f"{name} {count:,}" for name, count in soak.counts.most_common())
    soak.close()
    summary = (
        f"{soak.counts.total():,} inputs in {soak.started:,} connections, "
        f"{time.monotonic() - begun:.0f} s; memory {warm >> 20} MiB warm, "
        f"{grown / (1 << 20):+.1f} MiB since ({counts})"
    )
    end = time.monotonic() + PATIENCE
    while (left := descriptors(daemon) - open_before) > 0 and time.monotonic() < end:
        time.sleep(0.05)  # the connection of the reload may still be open
    assert left <= 0, f"seed {SEED}: {left} descriptors more; {summary}"
    assert grown < GROWTH, f"seed {SEED}: {summary}"
    return summary


def test_structured_ini_files(localhost: certificates.Made, tmp_path: Path) -> None:
    """A file is valid or a ConfigError, nothing else is raised. A valid file can be shown and read
    back."""
    kinds = Kinds(entry_points=())
    file = tmp_path / "tcpd.ini"
    good = good_file(localhost, kinds)
    read(file, good.encode(), kinds)
    valid = 0
    for number in range(max(1, INPUTS // 40)):
        name = f"seed {SEED}, ini {number}"
        data = inputs.ini(random.Random(f"{SEED}/ini/{number}"), good)
        try:
            settings = read(file, data, kinds)
            make_daemon(settings, kinds, Clock(), time.time)
        except ConfigError as error:
            assert str(error), name
            continue
        except Exception as error:
            raise AssertionError(f"{name}: {data!r}") from error
        valid += 1
        try:
            again = read(file, show_config(settings).encode(), kinds)
        except ConfigError as error:
            raise AssertionError(f"{name}: {data!r}") from error
        assert again == settings, f"{name}: {data!r}"
    assert valid


def good_file(localhost: certificates.Made, kinds: Kinds) -> str:
    """Return the sample with all sections and the required keys of all services."""
    good = sample(kinds.built_in(), SECTIONS)
    good = re.sub(r"^#(?=\[|(protocol|listen|to) = )", "", good, flags=re.MULTILINE)
    good = good.replace("#certificate =", f"certificate = {localhost.certificate_file}", 1)
    good = good.replace("#key =", f"key = {localhost.key_file}", 1)
    if os.geteuid() == 0:
        good = good.replace("#user =", "user = root")
    good = good.replace("#command =", "command = /bin/cat")
    return good.replace("127.0.0.1:7000", "127.0.0.1:7001", 1)  # the port of the other relay


def read(file: Path, data: bytes, kinds: Kinds) -> Settings:
    file.write_bytes(data)
    return load([str(file)], "", kinds, SECTIONS)


def test_structured_proxy_headers() -> None:
    """'However the stream is cut, the result is the same'; no other exception is raised."""

    def result(pieces: list[bytes]) -> object:
        reader = HeaderReader()
        for piece in pieces:
            try:
                header = reader.feed(piece)
            except ProxyError as error:
                return error.fault
            if header is not None:
                return header
        return None

    valid = 0
    for number in range(max(1, INPUTS // 10)):
        chance = random.Random(f"{SEED}/proxy/{number}")
        data = inputs.proxy_header(chance, 0.3)
        whole = result([data])
        valid += isinstance(whole, Header)
        cut = chance.randint(0, len(data))
        assert result([data[:cut], data[cut:]]) == whole, f"seed {SEED}, header {number}: {data!r}"
    assert valid
