"""Capture of TCP handshakes, on real sockets."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest
from twisted.logger import LogEvent, globalLogPublisher

from tcpd.config.settings import TcpdSettings
from tcpd.handshake.facts import Absence, NoServerIsn
from tcpd.handshake.tcp_info import parse_tcp_info
from tcpd.net import handshake_capture as module
from tcpd.net.connection_facts import saved_syn
from tcpd.net.handshake_capture import (
    NOT_CAPTURED,
    CapturedHandshake,
    CaptureOptions,
    HandshakeCapture,
    read_handshake,
    read_syn,
    self_test,
)
from tcpd.net.route import output_interface

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these options are Linux's")

root = pytest.mark.skipif(os.geteuid() != 0, reason="TCP_REPAIR takes CAP_NET_ADMIN")


class Sockets(ExitStack):
    """Listening sockets and connections over loopback."""

    def port(self, family: int = socket.AF_INET) -> socket.socket:
        made = self.enter_context(socket.socket(family))
        made.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        return made

    def accepted(self, port: socket.socket) -> tuple[socket.socket, socket.socket]:
        """Return the server's and the client's socket."""
        client = self.enter_context(socket.create_connection(port.getsockname()[:2]))
        server, _ = port.accept()
        return self.enter_context(server), client


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with Sockets() as made:
        yield made


@pytest.fixture
def log_events() -> Iterator[list[LogEvent]]:
    """Collect the events of the catalogue."""
    collected: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "event_id" in event:
            collected.append(event)

    globalLogPublisher.addObserver(observe)
    yield collected
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("listening", [False, True])
def test_saved_syn_is_read_once(sockets: Sockets, family: int, listening: bool) -> None:
    """tcp(7), TCP_SAVED_SYN: before ``listen``, and on a socket of systemd's that listens
    already."""
    port = sockets.port(family)
    if listening:
        port.listen()
    options = HandshakeCapture().enable(port, NoServerIsn.SYSTEMD if listening else None)
    port.listen()
    server, client = sockets.accepted(port)
    captured = CapturedHandshake()
    read_syn(server, options, captured)
    syn, absence = saved_syn(options, captured)
    assert absence is None
    assert syn is not None
    assert options.mode == 2
    assert syn.link is not None
    assert syn.network.source == ip_address(client.getsockname()[0])
    assert syn.transport.source_port == client.getsockname()[1]
    before = captured.syn
    read_syn(server, options, captured)
    assert captured.syn is before
    again = CapturedHandshake()
    read_syn(server, options, again)
    assert again.syn == b""
    # a client from before the start of the daemon had no SYN cookie
    lost = Absence.COOKIES_OR_EARLY if listening else Absence.COOKIES_OR_LOST
    assert saved_syn(options, again) == (None, lost)


def test_syn_from_before_the_capture_is_missing(sockets: Sockets) -> None:
    """The client connected to systemd's socket before the daemon started."""
    port = sockets.port()
    port.listen()
    client = sockets.enter_context(socket.create_connection(port.getsockname()))
    options = HandshakeCapture().enable(port, NoServerIsn.SYSTEMD)
    server, address = port.accept()
    with server:
        assert address == client.getsockname()
        captured = read_handshake(server, options, info=True, syn=True)
        assert captured is not None
        assert saved_syn(options, captured) == (None, Absence.COOKIES_OR_EARLY)


def test_handshake_no_disables_the_capture_of_a_systemd_socket(sockets: Sockets) -> None:
    """The socket outlives the daemon that enabled the capture."""
    port = sockets.port()
    HandshakeCapture().enable(port)
    port.listen()
    options = HandshakeCapture(handshake=False).enable(port, NoServerIsn.SYSTEMD)
    assert options == NOT_CAPTURED
    server, _ = sockets.accepted(port)
    assert server.getsockopt(socket.IPPROTO_TCP, module.TCP_SAVED_SYN, 512) == b""


def test_unix_socket_has_no_handshake(sockets: Sockets) -> None:
    with socket.socket(socket.AF_UNIX) as port:
        options = HandshakeCapture(True, True).enable(port)
    assert (options.no_syn, options.no_isn) == (Absence.UNIX, NoServerIsn.UNIX)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert read_handshake(ours, options, info=True, syn=True) is None


def test_handshake_is_read_at_the_start(sockets: Sockets) -> None:
    port = sockets.port()
    options = HandshakeCapture().enable(port)
    port.listen()
    server, _ = sockets.accepted(port)
    captured = read_handshake(server, options, info=True, syn=True)
    assert captured is not None
    assert captured.syn
    assert captured.begin is not None
    begin = parse_tcp_info(captured.begin)
    assert begin.rtt > 0
    assert begin.rcv_wnd is not None
    assert captured.isn is None


@root
def test_server_isn_is_read(sockets: Sockets) -> None:
    """ "ISN = value - 1"; the client's socket reports the same; SO_REUSEADDR is unchanged."""
    assert self_test() is None
    port = socket.socket()
    with port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port.bind(("127.0.0.1", 0))
        options = HandshakeCapture(server_isn=True).enable(port)
        assert options.no_isn is None
        assert port.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        port.listen()
        server, client = sockets.accepted(port)
        captured = read_handshake(server, options, info=False, syn=False)
        assert captured is not None
        client.setsockopt(socket.IPPROTO_TCP, module.TCP_REPAIR, 1)
        client.setsockopt(socket.IPPROTO_TCP, module.TCP_REPAIR_QUEUE, 1)
        expected = client.getsockopt(socket.IPPROTO_TCP, module.TCP_QUEUE_SEQ) - 1 & 0xFFFFFFFF
        client.setsockopt(socket.IPPROTO_TCP, module.TCP_REPAIR, -1)
        assert captured.isn == expected
        # the connection works as usual
        server.sendall(b"hello")
        assert client.recv(16) == b"hello"


@root
def test_server_isn_is_not_available_on_listening_sockets(
    sockets: Sockets, log_events: list[LogEvent]
) -> None:
    """ "on sockets from systemd ... reported as not available" """
    port = sockets.port()
    port.listen()
    capture = HandshakeCapture(server_isn=True)
    assert capture.enable(port, NoServerIsn.SYSTEMD).no_isn is NoServerIsn.SYSTEMD
    assert capture.enable(port, NoServerIsn.SYSTEMD).no_isn is NoServerIsn.SYSTEMD
    assert [each["event_id"] for each in log_events] == ["kernel.without"]


@pytest.mark.parametrize(("server_isn", "events"), [(None, 0), (True, 1)])
def test_missing_capability_is_logged_only_for_yes(
    sockets: Sockets,
    monkeypatch: pytest.MonkeyPatch,
    log_events: list[LogEvent],
    server_isn: bool | None,
    events: int,
) -> None:
    """server_isn: "auto: if the daemon has it; yes: log a warning if the number is not
    available" """
    really = module._set

    def refuse(sock: socket.socket, option: int, value: int) -> None:
        if option == module.TCP_REPAIR:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        really(sock, option, value)

    monkeypatch.setattr(module, "_set", refuse)
    options = HandshakeCapture(server_isn=server_isn).enable(sockets.port())
    assert options.no_isn is NoServerIsn.NO_CAPABILITY
    assert len(log_events) == events


def test_server_isn_without_the_handshake_is_off(sockets: Sockets) -> None:
    """ "Without effect if ``handshake`` is false." """
    options = HandshakeCapture(handshake=False, server_isn=None).enable(sockets.port())
    assert options.no_isn is NoServerIsn.OFF


@root
def test_server_isn_is_read_by_default(sockets: Sockets) -> None:
    assert TcpdSettings().server_isn is None
    options = HandshakeCapture(server_isn=TcpdSettings().server_isn).enable(sockets.port())
    assert options.no_isn is None


@pytest.mark.parametrize(
    ("number", "absence"),
    [
        (errno.EPERM, NoServerIsn.NO_CAPABILITY),
        (errno.ENOPROTOOPT, NoServerIsn.NOT_SUPPORTED),
        (errno.ENETUNREACH, NoServerIsn.FAILED),
    ],
)
def test_self_test_returns_the_reason(
    monkeypatch: pytest.MonkeyPatch, number: int, absence: NoServerIsn
) -> None:
    def refuse(sock: socket.socket, option: int, value: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "_set", refuse)
    assert self_test() is absence


@pytest.mark.parametrize(("refused", "mode", "events"), [({2}, 1, 1), ({1, 2}, 0, 1)])
def test_missing_kernel_option_is_logged_once(
    sockets: Sockets,
    monkeypatch: pytest.MonkeyPatch,
    log_events: list[LogEvent],
    refused: set[int],
    mode: int,
    events: int,
) -> None:
    """TCP_SAVE_SYN 2 needs Linux 5.10; gVisor has no TCP_SAVE_SYN."""
    really = module._set

    def refuse(sock: socket.socket, option: int, value: int) -> None:
        if option == module.TCP_SAVE_SYN and value in refused:
            raise OSError(errno.EINVAL, "Invalid argument")
        really(sock, option, value)

    monkeypatch.setattr(module, "_set", refuse)
    capture = HandshakeCapture()
    for _ in range(3):
        options = capture.enable(sockets.port())
    assert options == CaptureOptions(mode, None if mode else Absence.NOT_SUPPORTED, NoServerIsn.OFF)
    assert [each["event_id"] for each in log_events] == ["kernel.without"] * events


@root
def test_output_interface_depends_on_the_source_address() -> None:
    """ip-rule(8): policy routing by source address."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("this takes unshare and ip")
    script = """
ip link add one type veth peer name two
ip addr add 192.0.2.1/24 dev one
ip link set one up; ip link set two mtu 1400 up
ip route add 192.0.2.9 dev two
ip rule add from 192.0.2.1 lookup 100
ip route add 192.0.2.0/24 dev one table 100
exec "$@"
"""
    asking = """
from ipaddress import ip_address
from tcpd.net.route import output_interface
there, here = map(ip_address, ("192.0.2.9", "192.0.2.1"))
print(output_interface(there), output_interface(there, 0, here))
"""
    done = subprocess.run(
        ["unshare", "-n", "sh", "-ec", script, "sh", sys.executable, "-c", asking],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "('two', 1400) ('one', 1500)\n"


def test_output_interface_of_loopback() -> None:
    for address in ("127.0.0.1", "::1"):
        name, mtu = output_interface(ip_address(address), 0, ip_address(address))
        assert name == "lo"
        assert mtu is not None
        assert mtu >= 1280
