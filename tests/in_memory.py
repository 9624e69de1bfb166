"""Fixture that opens a daemon's listeners on a memory reactor."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from twisted.internet.error import CannotListenError

from tcpd.config.listen import Address, Listener, UnixSocket
from tcpd.net.handshake_capture import HandshakeCapture
from tcpd.net.listener_factory import ListenerFactory
from tcpd.net.listeners import ListenError
from tcpd.net.turns import TurnScheduler


@pytest.fixture
def listeners_in_memory() -> Iterator[None]:
    """Open all listeners of services on the memory reactor instead of on sockets."""

    def open_stream(
        reactor: Any,
        listener: Listener,
        factory: ListenerFactory,
        systemd: Mapping[str, Sequence[int]],
        turns: TurnScheduler,
        handshake_capture: HandshakeCapture | None = None,
    ) -> Any:
        place = listener.bind
        try:
            if isinstance(place, Address):
                return reactor.listenTCP(place.port, factory, interface=place.host)
            assert isinstance(place, UnixSocket)
            return reactor.listenUNIX(place.path, factory)
        except CannotListenError as error:
            sentence = f"cannot listen on {listener}: {error.socketError.strerror}"
            in_use = error.socketError.errno == errno.EADDRINUSE
            raise ListenError(sentence, in_use) from error

    # not the monkeypatch fixture, which tests undo
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tcpd.net.service.open_stream", open_stream)
        yield
