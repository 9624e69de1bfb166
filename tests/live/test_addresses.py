"""The addresses of listeners: wildcards, the source of datagrams, link-local ones, and layouts."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import forking
import pytest
from ports import free_port
from running import PATIENCE, Daemon, receive_until
from wires import VethPair

from tcpd.ctl.client import Control

pytestmark = pytest.mark.live

ECHO = "[service:echo]\nprotocol = echo\nudp_rate = none\nlisten =\n"


def listens(*listeners: str) -> str:
    lines = "".join(f"  {each}\n" for each in listeners)
    return f"{ECHO}{lines}"


def ask(host: str, port: int, client: socket.socket | None = None) -> None:
    """Have a datagram echoed by the address that was asked: no other's is received."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with client or socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(PATIENCE)
        asking.connect(socket.getaddrinfo(host, port, family, socket.SOCK_DGRAM)[0][4])
        asking.send(host.encode())
        assert asking.recv(1000) == host.encode()


def echoes(host: str, port: int) -> None:
    with socket.create_connection((host, port), PATIENCE) as client:
        client.sendall(b"hello")
        assert receive_until(client, b"hello") == b"hello"


def refuses(host: str, port: int) -> None:
    """Nothing listens there, neither for connections nor for datagrams."""
    with pytest.raises(ConnectionRefusedError):
        echoes(host, port)
    with pytest.raises(ConnectionRefusedError):
        ask(host, port)


def test_a_policys_networks_hold_for_datagrams_and_through_a_reload(
    start: Callable[[str], Daemon],
) -> None:
    """docs: "the policy's ``allow`` and ``deny`` shut its address out" """
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
        with ours[0] as shut_out:
            shut_out.sendto(b"x", ("127.0.0.1", port))
            # what is sent later is answered, by one socket that takes its datagrams in order
            ask("127.0.0.1", port, ours[1])
            shut_out.setblocking(False)
            with pytest.raises(BlockingIOError):
                shut_out.recv(10)


# --- the source of datagrams ---


@pytest.mark.parametrize(
    ("host", "hosts"),
    [
        ("0.0.0.0", ["127.0.0.1", "127.0.0.5"]),
        ("*", ["127.0.0.1", "127.0.0.5", "::1"]),
        ("[::]", ["::1"]),
        ("127.0.0.5", ["127.0.0.5"]),
    ],
)
def test_a_datagram_is_answered_from_the_address_that_was_asked(
    start: Callable[[str], Daemon], host: str, hosts: list[str]
) -> None:
    """docs: "An answer leaves from the address that the client asked" """
    daemon = start(listens(f"{host}:0 udp"))
    for each in hosts:
        ask(each, daemon.ports["echo", "udp"])


@pytest.fixture(scope="module")
def wire() -> Iterator[VethPair]:
    made = VethPair()
    try:
        made.connect_up()
        yield made
    finally:
        made.close()


def ask_inside(wire: VethPair, host: str, port: int) -> None:
    """The same from the client's namespace."""
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
def test_a_host_with_many_addresses_answers_from_each(
    start: Callable[[str], Daemon], wire: VethPair, host: str
) -> None:
    """Over a wire: three IPv4 addresses, three IPv6 addresses and a link-local one, of which the
    kernel prefers one of each kind by default."""
    daemon = start(listens(f"{host}:0 udp"))
    addresses = wire.more_addresses()
    assert len(addresses) == 7
    for each in addresses:
        if host == "*" or (":" in each) == (":" in host):
            ask_inside(wire, each, daemon.ports["echo", "udp"])


def test_a_link_local_address_is_listened_to_and_answers(
    start: Callable[[str], Daemon], wire: VethPair
) -> None:
    """``[fe80::1%eth0]:7007``, for connections and for datagrams; the peer is link-local too."""
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


def test_each_family_alone_and_both_beside_each_other(start: Callable[[str], Daemon]) -> None:
    """docs: "``[::]:PORT``: every IPv6 address, and no IPv4 address"; "``0.0.0.0:PORT`` may stand
    beside it"."""
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


# --- layouts that exclude each other ---


def change(daemon: Daemon, text: str) -> None:
    """Have a configuration taken over."""
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
def test_a_reload_goes_from_each_layout_to_the_next_and_back(
    start: Callable[[str], Daemon], words: str
) -> None:
    """Ports move, addresses widen and narrow, and a client that is connected stays so."""
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


def test_a_layout_that_fails_leaves_the_one_before(start: Callable[[str], Daemon]) -> None:
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


# --- what --check finds ---


def check(directory: Path, text: str) -> str:
    (directory / "x.ini").write_text(text)
    words = ["-n", "tcpd", "--config", "x.ini", "--check"]
    return forking.run("twistd", words, cwd=directory).stderr


def test_check_finds_listeners_that_exclude_each_other(tmp_path: Path) -> None:
    """In one service, in two, in the daemon's own, for datagrams, and by their paths."""
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
