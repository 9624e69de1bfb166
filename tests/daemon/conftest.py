"""Fixtures of the daemon's tests."""

from __future__ import annotations

from typing import Any

import pytest
from daemon.harness import DaemonReactor
from in_memory import listeners_in_memory

from tcpd.config.listen import Listener
from tcpd.net.datagram import Datagrams

__all__ = ["listeners_in_memory"]


@pytest.fixture(autouse=True)
def no_sockets_for_connections(listeners_in_memory: None) -> None:
    """Open TCP ports on the reactor in memory."""


@pytest.fixture(autouse=True)
def no_sockets_for_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Open UDP ports on the reactor in memory."""

    def open_datagrams(reactor: Any, listener: Listener, server: Datagrams) -> Any:
        assert isinstance(reactor, DaemonReactor)
        return reactor.open_datagrams(listener, server)

    monkeypatch.setattr("tcpd.net.service.open_datagrams", open_datagrams)
