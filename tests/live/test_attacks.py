"""Attacks and faults on the live daemon, as listed in docs/explanation/attacks.rst.

The page names the tests of other files. No test sleeps for a fixed time: each waits for a line of
the log, a count or the socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from processes import has_exited
from prometheus_client.parser import text_string_to_metric_families
from running import (
    PATIENCE,
    Daemon,
    client_context,
    descriptors,
    metrics,
    receive_all,
    receive_until,
    resident,
)
from streams import fill, reset

from tcpd.ops.heap import glibc
from tcpd.wire.proxy_header import AddressPair, version_2

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc"),
]

GREETING = b"220 test.example line service ready, HELP lists the commands\r\n"

MEBIBYTE = 1 << 20

#: tcpd's own reactor: options for behaviour that the page promises with the default reactor only.
OWN_REACTOR: tuple[str, ...] = ()


def config(policy: str, *kinds: str, more: str = "") -> str:
    """Return a configuration: services on loopback, plain and over TLS, and the metrics page."""
    services = "".join(
        f"[service:{kind}]\nprotocol = {kind}\nlisten =\n  127.0.0.1:0\n  127.0.0.1:0 tls=main\n"
        for kind in kinds
    )
    return (
        "[tcpd]\nserver_name = test.example\ndrain = 1s\n"
        f"[policy:default]\n{policy}\n[policy:open]\nper_address = 1000\n"
        "[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"
        f"[metrics]\npolicy = open\nlisten =\n  127.0.0.1:0\n{services}{more}"
    )


def samples(daemon: Daemon, name: str, **labels: str) -> float:
    """Return the current sum of a metric's samples with these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics(daemon))
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def until(daemon: Daemon, expected: float, name: str, **labels: str) -> None:
    """Wait until a metric has this value: the reactor sees a close in its next turn."""
    deadline = time.monotonic() + PATIENCE
    while (found := samples(daemon, name, **labels)) != expected:
        assert time.monotonic() < deadline, f"{name} {labels} is {found}, not {expected}"


def none_open(daemon: Daemon, service: str) -> None:
    """Wait until a service has no open connection."""
    deadline = time.monotonic() + PATIENCE
    while found := daemon.counts(service)["connections"]:
        assert time.monotonic() < deadline, f"{service} has {found} connections"


def no_more_descriptors(daemon: Daemon, than: int) -> bool:
    """Wait until a daemon has at most the given number of descriptors; return whether it does."""
    deadline = time.monotonic() + PATIENCE
    while descriptors(daemon) > than and time.monotonic() < deadline:
        daemon.counts("control")
    return descriptors(daemon) <= than


def answers(daemon: Daemon, service: str = "line", source: str = "127.0.0.1") -> bool:
    """Return whether another client is served."""
    where = ("127.0.0.1", daemon.ports[service, ""])
    with socket.create_connection(where, PATIENCE, (source, 0)) as client:
        if receive_until(client, b"\r\n") != GREETING:
            return False
        client.sendall(b"PING x\r\nQUIT\r\n")
        return b"250 PONG x\r\n" in receive_all(client)


def closed(client: socket.socket) -> bytes:
    """Read until the connection is closed or reset; return the data."""
    received = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while piece := client.recv(65536):
            received += piece
    return received


def drip(client: socket.socket, data: Iterator[bytes]) -> bytes:
    """Send a piece every 50 ms until the peer answers or closes; return its answer."""
    deadline = time.monotonic() + PATIENCE
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while not select.select([client], [], [], 0.05)[0]:
            assert time.monotonic() < deadline, "the peer neither answers nor closes"
            client.sendall(next(data))
    return closed(client)


def forever(data: bytes) -> Iterator[bytes]:
    """Yield the same data without end."""
    while True:
        yield data


def hello() -> bytes:
    """Return a ClientHello."""
    out = ssl.MemoryBIO()
    context = ssl.create_default_context()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost").do_handshake()
    return out.read()


def cpu_of(daemon: Daemon) -> float:
    """Return the CPU time of a daemon in seconds, from /proc/PID/schedstat."""
    return int(Path(f"/proc/{daemon.process.pid}/schedstat").read_text().split()[0]) / 1e9


def echoes(client: socket.socket, data: bytes = b"hello") -> bool:
    client.sendall(data)
    return receive_until(client, data) == data


# --- TLS ---


def test_slow_tls_handshake_times_out(start: Callable[[str], Daemon]) -> None:
    """``handshake`` is the timeout of the whole handshake, not of a record."""
    daemon = start(config("handshake = 0.5s\naccess_log = yes", "line"))
    first = hello()
    with daemon.connect("line", "tls=main") as slow:
        assert drip(slow, (first[at : at + 1] for at in range(len(first)))) == b""
    daemon.wait_for(
        lambda line: re.search(r"ended after [0-4]\.\d+ s: tls-timeout", line) is not None
    )


@pytest.mark.serial
def test_idle_handshakes_use_little_memory(start: Callable[[str], Daemon]) -> None:
    """OpenSSL would allocate 20 KB for an idle client, and 50 KB for half a record."""
    daemon = start(config("per_address = 10000", "line"))
    first = hello()
    with contextlib.ExitStack() as clients:

        def crowd(size: int) -> None:
            for at in range(size):
                client = clients.enter_context(daemon.connect("line", "tls=main"))
                client.sendall(first[:-1] if at % 2 else b"")

        crowd(10)
        until(daemon, 10, "tcpd_connections_open", service="line")
        before = resident(daemon)
        crowd(1000)
        until(daemon, 1010, "tcpd_connections_open", service="line")
        assert resident(daemon) - before < 5 * MEBIBYTE


@pytest.mark.long
@pytest.mark.serial
def test_memory_of_aborted_handshakes_is_returned(start: Callable[[str], Daemon]) -> None:
    """malloc_trim(3): one small block in use would otherwise keep the heap from shrinking."""
    if glibc() is None:
        pytest.skip("another C library, or one before glibc 2.33")
    daemon = start(config("per_address = 10000", "line"))
    first = hello()

    def crowd(size: int) -> int:
        """Return the daemon's memory while ``size`` clients stop after their ClientHello."""
        with contextlib.ExitStack() as clients:
            for _ in range(size):
                client = clients.enter_context(daemon.connect("line", "tls=main"))
                client.sendall(first)
                assert client.recv(5)
            return resident(daemon)

    crowd(5)
    before = resident(daemon)
    full = crowd(800)
    assert full - before > 20 * MEBIBYTE, "too little memory to measure"
    deadline = time.monotonic() + PATIENCE
    while resident(daemon) - before > 6 * MEBIBYTE:
        assert time.monotonic() < deadline, resident(daemon) - before
        time.sleep(0.1)


def test_resets_during_tls_leak_nothing(start: Callable[[str], Daemon]) -> None:
    daemon = start(config("per_address = 1000", "line"))
    first = hello()
    context = client_context(daemon.directory)

    def round_of_resets(times: int) -> tuple[int, int]:
        for _ in range(times):
            for sent in (b"", first[:50], first, b"\x16\x03\x01\xff\xff" + first):
                client = daemon.connect("line", "tls=main")
                client.sendall(sent)
                reset(client)
            secured = context.wrap_socket(
                daemon.connect("line", "tls=main"), server_hostname="localhost"
            )
            secured.sendall(b"PING x\r\n")
            reset(secured)
        none_open(daemon, "line")
        return descriptors(daemon), resident(daemon)

    before = round_of_resets(50)
    after = round_of_resets(200)
    assert after[0] <= before[0] + 1
    assert after[1] - before[1] < 2 * MEBIBYTE
    assert answers(daemon)


def test_client_that_does_not_answer_close_notify_is_reset(start: Callable[[str], Daemon]) -> None:
    """``linger``: "How long a connection that the daemon closes may take"."""
    daemon = start(config("linger = 0.5s\naccess_log = yes", "line"))
    with daemon.connect_tls("line") as client:
        client.sendall(b"QUIT\r\n")
        daemon.wait_for(lambda line: ": linger, " in line)
        none_open(daemon, "line")


# --- floods ---


def test_connection_flood_is_refused_with_a_message(start: Callable[[str], Daemon]) -> None:
    """Open connections are served, the log has one line, and freed slots are reused."""
    daemon = start(config("connections = 50\nper_address = 1000", "line"))
    with contextlib.ExitStack() as clients:
        inside = [clients.enter_context(daemon.connect("line")) for _ in range(50)]
        for client in inside:
            receive_until(client, GREETING)
        for _ in range(500):
            with daemon.connect("line") as refused:
                assert receive_all(refused) == (
                    b"421 test.example this service is full, try again later\r\n"
                )
        for client in inside:
            client.sendall(b"PING x\r\n")
            assert receive_until(client, b"\r\n") == b"250 PONG x\r\n"
        labels = {"service": "line", "reason": "service-full"}
        assert samples(daemon, "tcpd_connections_refused_total", **labels) == 500
        assert len(daemon.wait_for(lambda line: "refused 127.0.0.1:" in line)) <= 3
    none_open(daemon, "line")
    assert answers(daemon)


def test_full_pause_leaves_a_flood_in_the_backlog(start: Callable[[str], Daemon]) -> None:
    """``full = pause``: "in the kernel's backlog until another connection closes"."""
    daemon = start(config("connections = 5\nfull = pause", "line"))
    with contextlib.ExitStack() as clients:
        waiting = [clients.enter_context(daemon.connect("line")) for _ in range(50)]
        for at, client in enumerate(waiting):
            assert receive_until(client, GREETING) == GREETING
            assert daemon.counts("line")["connections"] <= 5
            assert not select.select(waiting[at + 5 :], [], [], 0)[0]
            client.sendall(b"QUIT\r\n")
            receive_all(client)
    assert samples(daemon, "tcpd_connections_refused_total", service="line") == 0


@pytest.mark.parametrize(
    ("policy", "reason"),
    [("per_address = 10", "address-full"), ("address_rate = 1/s burst 10", "address-rate")],
    ids=["places", "rate"],
)
def test_flood_from_one_address_does_not_affect_others(
    start: Callable[[str], Daemon], policy: str, reason: str
) -> None:
    daemon = start(config(policy, "line"))
    began = time.monotonic()
    with contextlib.ExitStack() as clients:
        for _ in range(300):
            receive_until(clients.enter_context(daemon.connect("line")), b"\r\n")
        most = 10 + (time.monotonic() - began if "rate" in policy else 0)
        assert answers(daemon, source="127.0.0.2")
        assert 10 <= daemon.counts("line")["accepted"] - 1 <= most
    refused = samples(daemon, "tcpd_connections_refused_total", service="line", reason=reason)
    assert refused >= 290 - (most - 10)
    lines = daemon.wait_for(lambda line: f": {reason} (" in line)
    assert len(lines) <= 2
    assert re.search(rf"service line: refused 127\.0\.0\.1:\d+: {reason} \(0 more since", lines[0])


def test_connection_rate_of_a_service(start: Callable[[str], Daemon]) -> None:
    """``connection_rate`` counts connections from all addresses."""
    daemon = start(config("connection_rate = 1/s burst 20", "line"))
    began = time.monotonic()
    served = sum(answers(daemon, source=f"127.0.0.{host}") for host in range(1, 201))
    assert 20 <= served <= 20 + time.monotonic() - began + 1
    until(
        daemon,
        200 - served,
        "tcpd_connections_refused_total",
        service="line",
        reason="service-rate",
    )


def test_slow_connections_do_not_affect_others(
    start: Callable[..., Daemon],
) -> None:
    """Slow loris: clients with half a command send a byte now and then. Another client costs no
    more CPU time beside them, and ``session`` closes them."""
    count = min(3000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    policy = "per_address = 10000\nconnections = 10000\n"
    text = config(policy, "line")
    daemon = start(text, OWN_REACTOR)

    def work() -> float:
        """Return the CPU time that a conversation with another client takes."""
        with daemon.connect("line") as client:
            receive_until(client, GREETING)
            before = cpu_of(daemon)
            for _ in range(3000):
                client.sendall(b"PING x\r\n")
                receive_until(client, b"\r\n")
            return cpu_of(daemon) - before

    alone = min(work() for _ in range(3))
    with contextlib.ExitStack() as clients:
        slow = [clients.enter_context(daemon.connect("line")) for _ in range(count)]
        for client in slow:
            client.sendall(b"PIN")
        for client in slow:
            receive_until(client, GREETING)
        memory = resident(daemon)
        beside = min(work() for _ in range(3))
        for _ in range(3):
            for client in slow:
                client.sendall(b"G")
        assert answers(daemon)
        assert resident(daemon) - memory < count * 1000
        (daemon.directory / "tcpd.ini").write_text(config(policy + "session = 0.1s\n", "line"))
        assert daemon.ctl("reload").returncode == 0
        for client in slow:
            assert b"421 test.example connections may not last longer" in closed(client)
    assert beside < alone * 1.5 + 0.01, f"{alone:.3f} s alone, {beside:.3f} s beside them"
    none_open(daemon, "line")


def test_silent_health_checks_are_not_logged(start: Callable[[str], Daemon]) -> None:
    daemon = start(config("per_address = 1000", "line", "echo"))
    daemon.wait_for(lambda line: " started: " in line)
    before = len(daemon.log)
    for service in ("line", "echo"):
        for words in ("", "tls=main"):
            for at in range(100):
                client = daemon.connect(service, words)
                if at % 2:
                    reset(client)
                else:
                    client.close()
        none_open(daemon, service)
    assert daemon.log[before:] == []


# --- slow peers and floods ---


def test_stalled_reader_is_reset(start: Callable[[str], Daemon]) -> None:
    """``stalled``: "How long sent data may wait while the client reads none of it"."""
    daemon = start(config("stalled = 0.5s\naccess_log = yes", "chargen", "line"))
    with daemon.connect("chargen") as plain, daemon.connect_tls("chargen") as secured:
        assert plain.recv(1) == secured.recv(1) == b" "
        daemon.wait_for(lambda line: ": stalled, " in line, 2)
        assert answers(daemon)
        with pytest.raises(ConnectionResetError):
            receive_all(plain)
    (logged,) = daemon.wait_for(lambda line: "misbehaviour" in line)
    assert re.search(r"service chargen: misbehaviour of 127\.0\.0\.1:\d+: stalled \(0 more", logged)


def test_room_member_that_does_not_read_is_reset(start: Callable[[str], Daemon]) -> None:
    """``unsent`` bounds the output buffer; the room does not wait."""
    daemon = start(
        config(
            "unsent = 64KiB\naccess_log = yes",
            "chat",
            more="rate = 100000/s burst 100000\n",
        )
    )
    with daemon.connect("chat") as ann, daemon.connect("chat") as bob:
        bob.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        bob.sendall(b"bob\n")
        receive_until(bob, b"(1): bob\r\n")
        ann.sendall(b"ann\n")
        receive_until(ann, b"(2): bob, ann\r\n")
        before = resident(daemon)
        turn = (b"x" * 350 + b"\n") * 100 + b"/who\n"
        for _ in range(200):
            ann.sendall(turn)
            seen = b""
            while b"In #lobby (" not in seen:
                seen += ann.recv(65536)
            if b"(1): ann" in seen:
                break
        daemon.wait_for(lambda line: ": slow-reader, " in line)
        assert resident(daemon) - before < 8 * MEBIBYTE
        with contextlib.suppress(ConnectionResetError):
            receive_all(bob)


def test_slow_sender_is_disconnected(start: Callable[[str], Daemon]) -> None:
    """``session`` and ``first_byte``: a client that sends a byte now and then is never idle."""
    daemon = start(
        config("session = 1s\nfirst_byte = 0.4s\naccess_log = yes", "line"),
    )
    with daemon.connect("line") as silent, daemon.connect("line") as slow:
        receive_until(slow, GREETING)
        assert drip(slow, forever(b"P")) == (
            b"421 test.example connections may not last longer than this\r\n"
        )
        assert closed(silent) == (
            GREETING + b"421 test.example you did not say anything in time\r\n"
        )
    daemon.wait_for(lambda line: ": first-byte, " in line)
    daemon.wait_for(lambda line: ": session, 2" in line or ": session, 1" in line)


@pytest.mark.parametrize("service", ["line", "chat"])
def test_line_without_end_uses_no_memory(start: Callable[[str], Daemon], service: str) -> None:
    """256 MiB without a line end get one error reply; the next line is executed."""
    daemon = start(config("", service))
    with daemon.connect(service) as client:
        if service == "chat":
            client.sendall(b"ann\n")
            receive_until(client, b"(1): ann\r\n")
        else:
            receive_until(client, GREETING)
        client.sendall(b"x" * MEBIBYTE)
        error = receive_until(client, b"\r\n")
        before = resident(daemon)
        for _ in range(255):
            client.sendall(b"x" * MEBIBYTE)
        client.sendall(b"\n/who\n" if service == "chat" else b"\nPING x\r\n")
        answer = receive_until(client, b"\r\n")
        assert resident(daemon) - before < 2 * MEBIBYTE
    assert b"too long" in error or b"longer than" in error
    assert b"ann" in answer if service == "chat" else answer == b"250 PONG x\r\n"


@pytest.mark.parametrize("service", ["line", "chat"])
@pytest.mark.parametrize(
    "flood",
    [b"\xff\xfd\x06", b"\xff\xfa" + b"x" * 4000, b"\xff", b"\r\0"],
    ids=["requests", "subnegotiation", "escapes", "returns"],
)
def test_telnet_command_flood_is_bounded(
    start: Callable[..., Daemon], service: str, flood: bytes
) -> None:
    """Replies are no longer than requests; a client that does not read them is not read from."""
    daemon = start(config("", service, "echo"), OWN_REACTOR)
    with daemon.connect(service) as client:
        if service == "chat":
            client.sendall(b"ann\n")
            receive_until(client, b"(1): ann\r\n")
        else:
            receive_until(client, GREETING)
        before = resident(daemon)
        sent = fill(client, flood * (3000 // len(flood) + 1), 8 * MEBIBYTE)
        with daemon.connect("echo") as other:
            assert echoes(other)
        assert resident(daemon) - before < 8 * MEBIBYTE
        reset(client)
    none_open(daemon, service)
    received = samples(daemon, "tcpd_sent_bytes_total", service=service)
    if flood == b"\xff\xfd\x06":
        assert received <= sent + 10_000


def test_history_and_masks_of_rooms_are_bounded(
    start: Callable[..., Daemon],
) -> None:
    """Fault: multiline messages took 3.4 MB a room, and lists of masks 1 MB."""
    more = (
        "join_rate = none\nrate = none\n"
        "[chat]\nhistory_bytes = 64KiB\nhistory_in_all = 512KiB\nbans_in_all = 1000\n"
    )
    daemon = start(config("", "irc", more=more), OWN_REACTOR)
    with daemon.connect("irc") as client:
        client.sendall(b"CAP REQ :batch draft/multiline\nNICK ann\nUSER ann 0 * :a\nCAP END\n")
        receive_until(client, b"MOTD File is missing\r\n")
        client.sendall(b"".join(b"JOIN #room%d\n" % room for room in range(20)) + b"PING 1\n")
        receive_until(client, b"PONG test.example :1\r\n")
        before = resident(daemon)
        for room in range(20):
            line = b"@batch=1 PRIVMSG #room%d :%s\n" % (room, b"x" * 160)
            message = b"BATCH +1 draft/multiline #room%d\n" % room + line * 24 + b"BATCH -1\n"
            client.sendall(message * 100)
            for number in range(100):
                mask = b"%d%s" % (number, b"?a*" * 45)
                client.sendall(b"MODE #room%d +beI %s %s %s\n" % (room, mask, mask, mask))
            client.sendall(b"PING 2\n")
            receive_until(client, b"PONG test.example :2\r\n")
        assert resident(daemon) - before < 16 * MEBIBYTE
        assert 0 < samples(daemon, "tcpd_chat_history_bytes") <= 512 * 1024
        assert samples(daemon, "tcpd_chat_history_dropped_total", bound="room") > 0
        assert samples(daemon, "tcpd_chat_history_dropped_total", bound="all") > 0
        client.sendall(b"MODE #room1 +b again\nPING 3\n")
        assert b" 478 " in receive_until(client, b"PONG test.example :3\r\n")


def test_half_closed_connections_are_closed(start: Callable[[str], Daemon]) -> None:
    """A client that half-closes, and neither reads nor closes, holds no descriptor of the daemon;
    one of chargen, which keeps writing, for ``stalled`` at most."""
    kinds = ("echo", "discard", "line", "chat", "chargen")
    daemon = start(config("stalled = 0.5s\nlinger = 0.5s", *kinds))
    none_open(daemon, "line")  # the first control connection opens descriptors that stay
    before = descriptors(daemon)
    with contextlib.ExitStack() as clients:
        for kind in kinds:
            for at in range(40):
                words = "tls=main" if at % 2 else ""
                client = clients.enter_context(daemon.connect(kind, words))
                if at % 4 == 0:
                    client.sendall(b"ann\n" * 10)
                client.shutdown(socket.SHUT_WR)
        for kind in kinds:
            none_open(daemon, kind)
        assert no_more_descriptors(daemon, before)


def test_descriptor_exhaustion_is_survived(start: Callable[[str], Daemon]) -> None:
    """Refusals are counted, logged and sent to the client; open connections are served."""
    daemon = start(config("per_address = 1000", "line", "echo"))
    assert answers(daemon)
    pid = daemon.process.pid
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    with daemon.connect("echo") as bystander:
        assert echoes(bystander)
        before = descriptors(daemon)
        highest = max(int(each) for each in os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 10, usual[1]))
        with contextlib.ExitStack() as clients:
            lines = [
                receive_until(clients.enter_context(daemon.connect("line")), b"\r\n")
                for _ in range(100)
            ]
            refused = lines.count(b"421 test.example this server is full, try again later\r\n")
            assert lines.count(GREETING) == 100 - refused
            assert 80 <= refused < 100
            assert echoes(bystander)
            # operators and the metrics page have descriptors in reserve
            for _ in range(2):
                status = daemon.ctl("status", "--json")
                assert status.returncode == 0, status.stderr
                assert json.loads(status.stdout)["memory"] > MEBIBYTE
                assert daemon.ctl("connections").returncode == 0
                labels = {"service": "line", "reason": "no-descriptor"}
                assert samples(daemon, "tcpd_connections_refused_total", **labels) == refused
                assert samples(daemon, "process_resident_memory_bytes") > MEBIBYTE
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        none_open(daemon, "line")
        labels = {"service": "line", "reason": "no-descriptor"}
        assert samples(daemon, "tcpd_connections_refused_total", **labels) == refused
        assert len(daemon.wait_for(lambda line: ": no-descriptor (" in line)) <= 2
        assert echoes(bystander)
        assert no_more_descriptors(daemon, before + 1)
        assert answers(daemon)


def test_reset_is_seen_while_reading_is_paused(
    start: Callable[..., Daemon],
) -> None:
    """Reading is paused while lines wait for their rate, or a far side does not read. A reset frees
    place and nickname at once."""
    with socket.create_server(("127.0.0.1", 0)) as far:
        service = (
            f"[service:forward]\nprotocol = forward\nto = 127.0.0.1:{far.getsockname()[1]}\n"
            "listen =\n  127.0.0.1:0\n"
        )
        daemon = start(config("", "chat", more=service), OWN_REACTOR)
        none_open(daemon, "chat")
        before = descriptors(daemon)
        with daemon.connect("chat") as client:
            client.sendall(b"ann\n")
            receive_until(client, b"(1): ann\r\n")
            fill(client, b"\n" * 1000, 100_000)
            reset(client)
        with daemon.connect("forward") as client:
            fill(client, b"x" * 65536)
            reset(client)
        none_open(daemon, "chat")
        none_open(daemon, "forward")
        assert no_more_descriptors(daemon, before)
        with daemon.connect("chat") as client:
            client.sendall(b"ann\n")
            receive_until(client, b"(1): ann\r\n")


# --- datagrams ---


@pytest.mark.parametrize("kind", ["echo", "chargen", "qotd", "daytime", "time"])
def test_datagrams_do_not_amplify(start: Callable[[str], Daemon], kind: str) -> None:
    """Replies to a forged address are no longer than the requests, or bounded by ``udp_rate``; the
    others are counted."""
    service = f"[service:{kind}]\nprotocol = {kind}\nlisten =\n  127.0.0.1:0 udp\n"
    daemon = start(config("", "line", more=service))
    began = time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.connect(("127.0.0.1", daemon.ports[kind, "udp"]))
        for sent in range(50, 501, 50):  # more at once might be dropped by the kernel
            for _ in range(50):
                victim.send(b"x")
            while daemon.counts(kind)["bytes_in"] < sent:
                assert time.monotonic() < began + PATIENCE
        victim.setblocking(False)
        received = []
        with contextlib.suppress(BlockingIOError):
            while True:
                received.append(len(victim.recv(65536)))
    seconds = time.monotonic() - began
    if kind in ("echo", "chargen"):
        assert set(received) == {1}
        assert len(received) <= 100 + 20 * seconds
    else:
        assert len(received) <= 5 + seconds
    assert received
    dropped = samples(daemon, "tcpd_datagrams_dropped_total", service=kind, reason="rate")
    assert dropped == 500 - len(received)


# --- the log ---

EVIL = "\x1b[2J\r\n2026-01-01T00:00:00 service line: refused 192.0.2.66:1: denied\x07\u202e\x9b31m"


def test_control_characters_are_escaped_everywhere(start: Callable[[str], Daemon]) -> None:
    """Text from the network is escaped in the log, in output of tcpd-ctl, and in replies."""
    here = f"{sys.executable} -c 'import sys; sys.stderr.write(sys.stdin.readline() * 2)'"
    user = "user = root\n" if os.geteuid() == 0 else ""
    daemon = start(
        config(
            "access_log = yes",
            "chat",
            more="[service:line]\nprotocol = line\nlisten =\n  127.0.0.1:0 proxy=127.0.0.0/8\n"
            f"[service:exec]\nprotocol = exec\ncommand = {here}\n{user}listen =\n  127.0.0.1:0\n",
        )
    )
    seen = b""
    ends = AddressPair(ip_address("192.0.2.1"), 4711, ip_address("198.51.100.7"), 7100)
    name = EVIL.encode()[:100]
    with daemon.connect("line", "proxy=127.0.0.0/8") as client:
        client.sendall(version_2(ends, unique_id=name, authority=EVIL[:40]))
        seen += receive_until(client, GREETING)
        client.sendall(EVIL.replace("\r\n", "").encode() + b"\r\n")
        seen += receive_until(client, b"\r\n")
        shown = daemon.ctl("connections", "--service", "line").stdout
        client.sendall(b"QUIT\r\n")
        seen += receive_all(client)
    with daemon.connect("exec") as client:
        client.sendall(EVIL.replace("\n", "").encode() + b"\n")
        closed(client)
    with daemon.connect("chat") as client:
        client.sendall(EVIL.encode() + b"\nann\n" + EVIL.encode() + b"\n/quit\n")
        seen += receive_all(client)
    daemon.wait_for(lambda line: "ended after" in line, 3)
    (quoted,) = daemon.wait_for(lambda line: "proxy 127.0.0.1:" in line and "\\x1b" in line)
    assert "refused" in quoted
    everything = [*daemon.log, *shown.split("\n"), *seen.decode("latin-1").split("\r\n")]
    unsafe = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
    assert [line for line in everything if unsafe.search(line)] == []
    assert "\u202e" not in "".join([*daemon.log, shown, seen.decode()])
    assert "\x9b" not in "".join([*daemon.log, shown, seen.decode()])
    assert not [line for line in daemon.log if re.match(r"\S+ service line: refused", line)]


# --- programs ---


def test_program_that_ignores_sigterm_is_killed(start: Callable[[str], Daemon]) -> None:
    """The process group of the program gets SIGKILL ``stop`` after the client has closed."""
    script = 'trap "" TERM; sleep 1000 & echo $! $$; while :; do sleep 0.1; done'
    user = "user = root\n" if os.geteuid() == 0 else ""
    service = (
        f"[service:exec]\nprotocol = exec\ncommand = /bin/sh -c '{script}'\n"
        f"{user}stop = 0.2s\nlisten =\n  127.0.0.1:0\n"
    )
    daemon = start(config("", "line", more=service))
    none_open(daemon, "exec")  # the first control connection opens descriptors that stay
    before = descriptors(daemon)
    clients = [daemon.connect("exec") for _ in range(5)]
    numbers = [int(each) for client in clients for each in receive_until(client, b"\n").split()]
    assert all(os.path.exists(f"/proc/{each}") for each in numbers)
    for client in clients:
        reset(client)
    labels = {"service": "exec", "event": "program-killed"}
    until(daemon, 5, "tcpd_protocol_events_total", **labels)
    assert all(has_exited(each) for each in numbers)
    assert no_more_descriptors(daemon, before)
    assert answers(daemon)


def test_programs_are_bounded_by_connections(start: Callable[[str], Daemon]) -> None:
    """Clients close at once, and their programs ignore SIGTERM."""
    script = 'trap "" TERM; echo; while :; do sleep 0.1; done'
    user = "user = root\n" if os.geteuid() == 0 else ""
    service = (
        f"[service:exec]\nprotocol = exec\ncommand = /bin/sh -c '{script}'\n"
        f"{user}stop = 1s\npolicy = few\nlisten =\n  127.0.0.1:0\n"
        "[policy:few]\nconnections = 5\n"
    )
    daemon = start(config("", "line", more=service))
    most = 0
    pid = daemon.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for _ in range(100):
        reset(daemon.connect("exec"))
        most = max(most, len(children.read_text().split()))
    assert most <= 5
    assert answers(daemon)
