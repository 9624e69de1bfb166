"""Addresses of listeners: wildcards, link-local addresses, source addresses of replies, reloads."""

from __future__ import annotations

import socket
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import forking
import pytest
from running import PATIENCE, Daemon, receive_until
from wires import VethPair

from benchmarks.ground import free_port
from tcpd.ctl.client import Control

pytestmark = pytest.mark.live

ECHO = "[service:echo]\nprotocol = echo\nudp_rate = none\nlisten =\n"


def listens(*listeners: str) -> str:
    lines = "".join(f"  {each}\n" for each in listeners)
    return f"{ECHO}{lines}"


def ask(host: str, port: int, client: socket.socket | None = None) -> None:
    """Send a datagram, and receive its echo; a connected socket ignores other sources."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with client or socket.socket(family, socket.SOCK_DGRAM) as connected:
        connected.settimeout(PATIENCE)
        connected.connect(socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM)[0][4])
        connected.send(host.encode())
        assert connected.recv(1000) == host.encode()


def echoes(host: str, port: int) -> None:
    with socket.create_connection((host, port), PATIENCE) as client:
        client.sendall(b"hello")
        assert receive_until(client, b"hello") == b"hello"


def refuses(host: str, port: int) -> None:
    """Check that connections and datagrams are refused."""
    with pytest.raises(ConnectionRefusedError):
        echoes(host, port)
    with pytest.raises(ConnectionRefusedError):
        ask(host, port)


def test_policy_networks_apply_to_datagrams(start: Callable[[str], Daemon]) -> None:
    """docs/howto/limits.rst: "``allow`` and ``deny`` apply to datagrams, too", also after a
    reload."""
    text = listens("*:0 udp") + "[policy:default]\ndeny = {}\n"
    daemon = start(text.format("127.0.0.5"))
    port = daemon.ports["echo", "udp"]
    for denied, allowed in (("127.0.0.5", "127.0.0.6"), ("127.0.0.6", "127.0.0.5")):
        (daemon.directory / "tcpd.ini").write_text(text.format(denied))
        with Control([str(daemon.control)]) as control:
            control.ask("RELOAD")
        ours = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for client, host in zip(ours, (denied, allowed), strict=True):
            client.bind((host, 0))
        with ours[0] as denied_client:
            denied_client.sendto(b"x", ("127.0.0.1", port))
            # the server's socket handles datagrams in order
            ask("127.0.0.1", port, ours[1])
            denied_client.setblocking(False)
            with pytest.raises(BlockingIOError):
                denied_client.recv(10)


# --- source addresses of replies ---


@pytest.mark.parametrize(
    ("host", "hosts"),
    [
        ("0.0.0.0", ["127.0.0.1", "127.0.0.5"]),
        ("*", ["127.0.0.1", "127.0.0.5", "::1"]),
        ("[::]", ["::1"]),
        ("127.0.0.5", ["127.0.0.5"]),
    ],
)
def test_reply_to_a_datagram_comes_from_its_destination(
    start: Callable[[str], Daemon], host: str, hosts: list[str]
) -> None:
    """docs/reference/small-services.rst: "An answer has the address to which the client sent as its
    source." """
    daemon = start(listens(f"{host}:0 udp"))
    for each in hosts:
        ask(each, daemon.ports["echo", "udp"])


def ask_inside(wire: VethPair, host: str, port: int) -> None:
    """The same as :func:`ask`, from the client's namespace."""
    host, _, zone = host.partition("%")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    index = wire.index_inside(zone) if zone else 0

    def connected() -> socket.socket:
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.settimeout(PATIENCE)
        made.connect((host, port, 0, index) if family == socket.AF_INET6 else (host, port))
        return made

    with wire.make_inside(connected) as client:
        client.send(b"hello")
        assert client.recv(1000) == b"hello"


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "[::]"])
def test_replies_come_from_each_address_of_a_host(
    start: Callable[[str], Daemon], wire: VethPair, host: str
) -> None:
    """Three IPv4 addresses, three IPv6 addresses and a link-local one; by default the kernel
    selects one of each kind as the source."""
    daemon = start(listens(f"{host}:0 udp"))
    addresses = wire.more_addresses()
    assert len(addresses) == 7
    for each in addresses:
        if host == "*" or (":" in each) == (":" in host):
            ask_inside(wire, each, daemon.ports["echo", "udp"])


def test_link_local_address_serves_connections_and_datagrams(
    start: Callable[[str], Daemon], wire: VethPair
) -> None:
    """``[fe80::1%eth0]:7007``, with a link-local peer."""
    (ours,) = (each for each in wire.more_addresses() if each.startswith("fe80"))
    address = ours.partition("%")[0]
    daemon = start(listens(f"[{address}%{wire.here}]:0", f"[{address}%{wire.here}]:0 udp"))
    ask_inside(wire, ours, daemon.ports["echo", "udp"])
    index = wire.index_inside(wire.there)
    where = (address, daemon.ports["echo", ""], 0, index)

    def connected() -> socket.socket:
        made = socket.socket(socket.AF_INET6)
        made.settimeout(PATIENCE)
        made.connect(where)
        return made

    with wire.make_inside(connected) as client:
        client.sendall(b"hello")
        assert receive_until(client, b"hello") == b"hello"


# --- wildcards ---


def test_ipv6_and_ipv4_wildcards_do_not_overlap(start: Callable[[str], Daemon]) -> None:
    """docs/reference/configuration.rst: "``0.0.0.0:7000`` and ``[::]:7000`` do not overlap" """
    port = free_port()
    daemon = start(listens(f"[::]:{port}"))
    echoes("::1", port)
    refuses("127.0.0.1", port)
    text = listens(
        f"[::]:{port}",
        f"0.0.0.0:{port}",
        f"[::]:{port} udp",
        f"0.0.0.0:{port} udp",
    )
    change(daemon, text)
    for host in ("127.0.0.1", "127.0.0.5", "::1"):
        echoes(host, port)
        ask(host, port)


# --- reloads with overlapping listeners ---


def change(daemon: Daemon, text: str) -> None:
    """Reload the daemon with a configuration."""
    (daemon.directory / "tcpd.ini").write_text(text)
    done = daemon.ctl("reload")
    assert done.returncode == 0, done.stderr


LAYOUTS = [
    (["127.0.0.1"], ["127.0.0.1"]),
    (["*"], ["127.0.0.1", "127.0.0.5", "::1"]),
    (["0.0.0.0", "[::]"], ["127.0.0.1", "127.0.0.5", "::1"]),
    (["127.0.0.1", "[::1]"], ["127.0.0.1", "::1"]),
    (["[::]"], ["::1"]),
    (["*"], ["127.0.0.1", "127.0.0.5", "::1"]),
    (["127.0.0.5", "[::1]"], ["127.0.0.5", "::1"]),
    (["0.0.0.0"], ["127.0.0.1", "127.0.0.5"]),
    (["127.0.0.1"], ["127.0.0.1"]),
]


@pytest.mark.parametrize("words", ["", " udp"])
def test_reload_changes_any_layout_to_any_other(start: Callable[[str], Daemon], words: str) -> None:
    """NEWS.rst: "A reload can change any set of addresses into any other". Clients stay
    connected."""
    port = free_port()
    daemon = start(listens(f"127.0.0.1:{port}{words}", "127.0.0.1:0 tls=main") + TLS)
    every = {host for _, hosts in LAYOUTS for host in hosts}
    with daemon.connect_tls("echo") as before:
        sequence = [*LAYOUTS, *reversed(LAYOUTS)]
        for (_, _), (layout, hosts) in pairwise(sequence):
            lines = [f"{host}:{port}{words}" for host in layout]
            more = f"127.0.0.1:{daemon.ports['echo', 'tls=main']} tls=main"
            change(daemon, listens(*lines, more) + TLS)
            for host in every:
                reach = ask if words else echoes
                if host in hosts:
                    reach(host, port)
                else:
                    with pytest.raises(ConnectionRefusedError):
                        reach(host, port)
            before.sendall(b"still here")
            assert receive_until(before, b"still here") == b"still here"


TLS = "[tls:main]\ncertificate = localhost.pem\nkey = localhost-key.pem\n"


def test_failed_reload_keeps_the_listeners(start: Callable[[str], Daemon]) -> None:
    port, taken = free_port(), free_port()
    daemon = start(listens(f"127.0.0.1:{port}"))
    with socket.create_server(("127.0.0.9", taken)):
        for words in ("", " udp"):
            change(daemon, listens(f"127.0.0.1:{port}{words}"))
            text = listens(f"*:{port}{words}", f"127.0.0.9:{taken}")
            (daemon.directory / "tcpd.ini").write_text(text)
            done = daemon.ctl("reload")
            assert done.returncode == 1
            assert f"cannot listen on 127.0.0.9:{taken}: Address already in use" in done.stderr
            (ask if words else echoes)("127.0.0.1", port)


# --- --check ---


def check(directory: Path, text: str) -> str:
    (directory / "x.ini").write_text(text)
    words = ["-n", "tcpd", "--config", "x.ini", "--check"]
    return forking.run("twistd", words, cwd=directory).stderr


def test_check_reports_overlapping_listeners(tmp_path: Path) -> None:
    """Of one service, of two, of an internal one, for datagrams, and UNIX sockets of one path."""
    (tmp_path / "link").symlink_to(tmp_path)
    text = (
        f"[tcpd]\ncontrol = {tmp_path}/control\n{ECHO}"
        "  *:7001\n  127.0.0.1:7001\n  *:7001 udp\n  [::1]:7001 udp\n"
        f"  unix:{tmp_path}/link/control\n"
        "[service:line]\nprotocol = line\nlisten =\n  0.0.0.0:7002\n"
        "[metrics]\nlisten = 127.0.0.1:7002\n"
    )
    assert check(tmp_path, text).splitlines() == [
        f"x.ini:2: [tcpd] control: unix:{tmp_path}/control cannot be open beside "
        f"unix:{tmp_path}/link/control of [service:echo] (x.ini:11): it is the same socket",
        "x.ini:8: [service:echo] listen: 127.0.0.1:7001 cannot be open beside *:7001 of "
        "[service:echo] (x.ini:7): *:7001 is every address",
        "x.ini:10: [service:echo] listen: [::1]:7001 cannot be open beside *:7001 of "
        "[service:echo] (x.ini:9): *:7001 is every address",
        "x.ini:17: [metrics] listen: 127.0.0.1:7002 cannot be open beside 0.0.0.0:7002 of "
        "[service:line] (x.ini:15): 0.0.0.0:7002 is every IPv4 address",
    ]
