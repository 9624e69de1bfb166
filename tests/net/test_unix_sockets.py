"""UNIX sockets: owner, mode, stale files and peer credentials."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import stat
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol

from tcpd.config.listen import Listener, SystemdSocket, UnixSocket, parse_listener
from tcpd.config.owners import group_id, groups_of, user_id
from tcpd.config.settings import PolicySettings
from tcpd.net import sockets
from tcpd.net.credentials import Credentials, credentials_of
from tcpd.net.layer import ConnectionLayer
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listeners import open_stream
from tcpd.net.service import OpenPort
from tcpd.net.sockets import listen_unix
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.admission import ConnectionCount
from tcpd.policy.reasons import End
from tcpd.small.echo import EchoFactory

ANY: Any = object()
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
SELF = (str(os.geteuid()), str(os.getegid()))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("unix:/x owner=root group=0", UnixSocket("/x", 0o660, "root", "0")),
        ("unix:/x owner=4711 mode=0600", UnixSocket("/x", 0o600, "4711")),
    ],
)
def test_unix_listener_is_parsed(text: str, place: UnixSocket) -> None:
    listener = parse_listener(text, frozenset())
    assert listener == Listener(place)
    assert parse_listener(str(listener), frozenset()) == listener


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:7 owner=root", "owner= goes with unix: only"),
        ("systemd:x group=0", "group= goes with unix: only"),
        ("unix:/x owner=nobody-there", "owner=nobody-there: there is no user"),
        ("unix:/x group=nobody-there", "group=nobody-there: there is no group"),
        ("unix:/x owner=4294967295", "too large"),
    ],
)
def test_invalid_unix_listener_is_a_value_error(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        parse_listener(text, frozenset())


def test_owner_and_group_by_name_or_number() -> None:
    assert (user_id("root"), user_id("4711")) == (0, 4711)
    assert (group_id("root"), group_id("4711")) == (0, 4711)
    assert groups_of(4_000_000, 5) == (5, [5])
    with pytest.raises(ValueError, match="give a group"):
        groups_of(4_000_000, None)


@ROOT
def test_permissions_are_set_before_listen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bind, chown, chmod, listen"""
    path = tmp_path / "s"
    states: list[tuple[int, int, int]] = []
    real = sockets.set_permissions

    def watched(place: UnixSocket) -> None:
        for when in (lambda: None, lambda: real(place)):
            when()
            found = os.stat(path)
            states.append((stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid))
        with socket.socket(socket.AF_UNIX) as early, pytest.raises(ConnectionRefusedError):
            early.connect(str(path))

    monkeypatch.setattr(sockets, "set_permissions", watched)
    listen_unix(UnixSocket(str(path), 0o620, "4711", "4712")).close()
    assert states == [(0, 0, 0), (0o620, 4711, 4712)]


def test_socket_is_closed_if_chown_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(PermissionError, match="to the user 4711, which requires root"):
        listen_unix(UnixSocket(str(tmp_path / "a"), 0o600, "4711"))
    with pytest.raises(PermissionError, match="to the group 4712, as the daemon is not in it"):
        listen_unix(UnixSocket(str(tmp_path / "b"), 0o600, "", "4712"))


@ROOT
def test_reload_changes_the_owner(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.touch()
    port = OpenPort(Listener(UnixSocket(str(path), 0o600)), ListenerFactory(ANY), ANY)
    wanted = Listener(UnixSocket(str(path), 0o640, "4711", "4712"))
    assert port.serves(wanted)
    port.switch_to(wanted, ListenerFactory(ANY))
    found = os.stat(path)
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, 4711, 4712)


def test_peer_credentials() -> None:
    """unix(7), SO_PEERCRED: "the credentials of the peer process connected to this socket" """
    one, other = socket.socketpair()
    with one, other:
        wanted = Credentials(os.getpid(), os.geteuid(), os.getegid())
        assert credentials_of(one) == wanted
        assert str(wanted) == f"uid {wanted.uid} gid {wanted.gid} pid {wanted.pid}"
    with socket.socket() as internet:
        assert credentials_of(internet) is None
    assert credentials_of(object()) is None


def test_systemd_unix_socket_has_peer_credentials(tmp_path: Path) -> None:
    from tcpd.net.reactor import TcpdReactor
    from tcpd.net.turns import TurnScheduler

    reactor = TcpdReactor()
    path = str(tmp_path / "s")
    made = EchoFactory()
    layer = ConnectionLayer(
        service="x",
        factory=made,
        policy=PolicySettings(),
        idle=0,
        connection_count=ConnectionCount(9),
        counters=ServiceCounters(),
        clock=reactor,
        ids=itertools.count(1),
    )
    with listen_unix(UnixSocket(path, 0o600)) as passed, socket.socket(socket.AF_UNIX) as client:
        listener = Listener(SystemdSocket("x"))
        sockets_of = {"x": [passed.fileno()]}
        port = open_stream(
            reactor, listener, ListenerFactory(layer), sockets_of, TurnScheduler(reactor)
        )
        client.connect(path)
        client.sendall(b"hi")
        client.setblocking(False)
        end = time.monotonic() + 30
        received = b""
        while received != b"hi":
            assert time.monotonic() < end
            reactor.runUntilCurrent()
            reactor.doIteration(0.01)
            with contextlib.suppress(BlockingIOError):
                received += client.recv(10)
        (connection,) = layer.connections
        assert connection.credentials == Credentials(os.getpid(), os.geteuid(), os.getegid())
        port.stopListening()
        connection.abort(End.SHUTDOWN)
        while layer.connections:
            assert time.monotonic() < end
            reactor.runUntilCurrent()
            reactor.doIteration(0.01)


def test_systemd_unix_socket_keeps_mode_and_file(tmp_path: Path) -> None:
    """systemd.socket(5), SocketMode="""
    from tcpd.net.reactor import TcpdReactor
    from tcpd.net.turns import TurnScheduler

    reactor = TcpdReactor()
    path = str(tmp_path / "s")
    layer: Any = SimpleNamespace(service="x", factory=Factory.forProtocol(Protocol))
    factory = ListenerFactory(layer)
    with listen_unix(UnixSocket(path, 0o600)) as passed:
        listener = Listener(SystemdSocket("x"))
        port = open_stream(
            reactor, listener, factory, {"x": [passed.fileno()]}, TurnScheduler(reactor)
        )
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        port.stopListening()
        reactor.runUntilCurrent()
        assert os.path.exists(path)
