"""What the tests of the daemon share."""

from __future__ import annotations

from typing import Any

import pytest
from daemon.house import Reactor
from in_memory import listeners_in_memory

from tcpd.config.listen import Listener
from tcpd.net.datagram import Datagrams

__all__ = ["listeners_in_memory"]


@pytest.fixture(autouse=True)
def no_sockets_for_connections(listeners_in_memory: None) -> None:
    """Have the reactor in memory open ports for connections."""


@pytest.fixture(autouse=True)
def no_sockets_for_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the reactor in memory open ports for datagrams, which are sockets of our own else."""

    def open_datagrams(reactor: Any, listener: Listener, server: Datagrams) -> Any:
        assert isinstance(reactor, Reactor)
        return reactor.open_datagrams(listener, server)

    monkeypatch.setattr("tcpd.net.service.open_datagrams", open_datagrams)
