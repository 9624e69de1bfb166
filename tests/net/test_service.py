"""Open ports: reload of permissions, and the owner of UNIX sockets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from net.doubles import MemoryReactor
from twisted.internet.protocol import Factory
from twisted.logger import LogEvent, globalLogPublisher

from tcpd.config.listen import Listener, UnixSocket
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.service import ListeningService, OpenPort
from tcpd.net.turns import TurnScheduler

ANY: Any = object()


def test_reload_changes_the_permissions_of_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    path.touch(0o600)
    port = OpenPort(Listener(UnixSocket(str(path), 0o600)), ListenerFactory(ANY), ANY)
    wanted = Listener(UnixSocket(str(path), 0o666))
    assert port.serves(wanted)
    assert not port.serves(Listener(UnixSocket(str(path) + "2", 0o600)))
    port.switch_to(wanted, ListenerFactory(ANY))
    assert os.stat(path).st_mode & 0o777 == 0o666
    assert port.listener == wanted


def test_failure_to_change_permissions_is_logged(tmp_path: Path) -> None:
    logged: list[LogEvent] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        path = str(tmp_path / "gone")
        port = OpenPort(Listener(UnixSocket(path, 0o600)), ListenerFactory(ANY), ANY)
        port.switch_to(Listener(UnixSocket(path, 0o666)), ListenerFactory(ANY))
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert [event["socket"] for event in logged] == [f"unix:{path}"]


def opened(place: UnixSocket, user: tuple[int, int | None] | None) -> OpenPort:
    """Open a port as a service does that will switch to a user."""
    layer: Any = SimpleNamespace(service="s", factory=Factory())
    reactor = MemoryReactor()
    service = ListeningService(
        layer=layer,
        wanted=(),
        reactor=reactor,
        systemd={},
        drain=0,
        turns=TurnScheduler(reactor),
        user=user,
    )
    return service.open(Listener(place), ListenerFactory(layer))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root opens a socket for another user")
def test_socket_opened_by_root_belongs_to_the_daemons_user(tmp_path: Path) -> None:
    """twistd(1), ``--uid``"""
    tmp_path.chmod(0o1777)  # as /tmp: only the owner of a file may delete it
    place = UnixSocket(str(tmp_path / "s"), 0o660)
    port = opened(place, (65534, 65533))
    found = os.stat(place.path)
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (65534, 65533, 0o660)
    assert port.listener.bind == place, "a reload compares the configured address"
    script = (
        "import os, sys; os.chdir(sys.argv[1]); os.setgroups([]); os.setgid(65533); "
        "os.setuid(65534); os.unlink('s')"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    port.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root opens a socket for another user")
def test_owner_of_the_listener_overrides_the_daemons_user(tmp_path: Path) -> None:
    place = UnixSocket(str(tmp_path / "s"), 0o660, owner="7", group="8")
    port = opened(place, (65534, None))
    found = os.stat(place.path)
    assert (found.st_uid, found.st_gid) == (7, 8)
    port.close()
    assert not os.path.exists(place.path)


def test_socket_belongs_to_the_process_without_user(tmp_path: Path) -> None:
    place = UnixSocket(str(tmp_path / "s"), 0o660)
    port = opened(place, None)
    assert os.stat(place.path).st_uid == os.geteuid()
    port.close()
    assert not os.path.exists(place.path)
