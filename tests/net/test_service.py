"""An open port that takes over another listener's words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.logger import LogEvent, globalLogPublisher

from tcpd.config.listen import Listener, UnixSocket
from tcpd.net.layer import ListenerFactory
from tcpd.net.service import OpenPort

ANY: Any = object()


def test_a_reload_gives_a_unix_socket_its_new_permissions(tmp_path: Path) -> None:
    """The socket is where it was: nobody's connection to it is refused meanwhile."""
    path = tmp_path / "socket"
    path.touch(0o600)
    port = OpenPort(Listener(UnixSocket(str(path), 0o600)), ListenerFactory(ANY), ANY)
    wanted = Listener(UnixSocket(str(path), 0o666))
    assert port.serves(wanted)
    assert not port.serves(Listener(UnixSocket(str(path) + "2", 0o600)))
    port.become(wanted, ListenerFactory(ANY))
    assert os.stat(path).st_mode & 0o777 == 0o666
    assert port.listener == wanted


def test_permissions_that_cannot_be_given_are_told(tmp_path: Path) -> None:
    seen: list[LogEvent] = []
    globalLogPublisher.addObserver(seen.append)
    try:
        path = str(tmp_path / "gone")
        port = OpenPort(Listener(UnixSocket(path, 0o600)), ListenerFactory(ANY), ANY)
        port.become(Listener(UnixSocket(path, 0o666)), ListenerFactory(ANY))
    finally:
        globalLogPublisher.removeObserver(seen.append)
    assert [event["place"] for event in seen] == [f"unix:{path}"]
