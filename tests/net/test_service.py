"""An open port that takes over another listener's words."""

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


def test_a_reload_gives_a_unix_socket_its_new_permissions(tmp_path: Path) -> None:
    """The socket is where it was: nobody's connection to it is refused meanwhile."""
    path = tmp_path / "socket"
    path.touch(0o600)
    port = OpenPort(Listener(UnixSocket(str(path), 0o600)), ListenerFactory(ANY), ANY)
    wanted = Listener(UnixSocket(str(path), 0o666))
    assert port.serves(wanted)
    assert not port.serves(Listener(UnixSocket(str(path) + "2", 0o600)))
    port.switch_to(wanted, ListenerFactory(ANY))
    assert os.stat(path).st_mode & 0o777 == 0o666
    assert port.listener == wanted


def test_permissions_that_cannot_be_given_are_told(tmp_path: Path) -> None:
    seen: list[LogEvent] = []
    globalLogPublisher.addObserver(seen.append)
    try:
        path = str(tmp_path / "gone")
        port = OpenPort(Listener(UnixSocket(path, 0o600)), ListenerFactory(ANY), ANY)
        port.switch_to(Listener(UnixSocket(path, 0o666)), ListenerFactory(ANY))
    finally:
        globalLogPublisher.removeObserver(seen.append)
    assert [event["socket"] for event in seen] == [f"unix:{path}"]


def opened(place: UnixSocket, user: tuple[int, int | None] | None) -> OpenPort:
    """A port as a service opens it that is going to be run by a user."""
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
def test_what_root_opens_is_its_users_who_can_take_it_away(tmp_path: Path) -> None:
    """twistd -u USER: the socket is as if the user had opened it, and none is left behind."""
    tmp_path.chmod(0o1777)  # as /tmp: only the owner of a file may take it away
    place = UnixSocket(str(tmp_path / "s"), 0o660)
    port = opened(place, (65534, 65533))
    found = os.stat(place.path)
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (65534, 65533, 0o660)
    assert port.listener.bind == place, "a reload compares what was configured"
    script = (
        "import os, sys; os.chdir(sys.argv[1]); os.setgroups([]); os.setgid(65533); "
        "os.setuid(65534); os.unlink('s')"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    port.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root opens a socket for another user")
def test_what_a_listener_says_of_its_owner_goes_before(tmp_path: Path) -> None:
    place = UnixSocket(str(tmp_path / "s"), 0o660, owner="7", group="8")
    port = opened(place, (65534, None))
    found = os.stat(place.path)
    assert (found.st_uid, found.st_gid) == (7, 8)
    port.close()
    assert not os.path.exists(place.path)


def test_a_socket_of_a_daemon_that_stays_who_it_is_is_its_own(tmp_path: Path) -> None:
    place = UnixSocket(str(tmp_path / "s"), 0o660)
    port = opened(place, None)
    assert os.stat(place.path).st_uid == os.geteuid()
    port.close()
    assert not os.path.exists(place.path)
