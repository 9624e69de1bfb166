"""Listeners that cannot be opened, and the families of wildcard addresses."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock

from benchmarks.ground import free_port
from tcpd.config.listen import Address, EndpointString, Listener
from tcpd.config.overlap import overlap, spot_of
from tcpd.net.listeners import ListenError, open_datagrams, open_stream
from tcpd.net.sockets import bind_datagrams, listen_address
from tcpd.net.turns import TurnScheduler

ANY: Any = object()

FACTORY: Any = Factory.forProtocol(Protocol)


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("frob:1", "not a Twisted endpoint"),
        ("tcp:x", "not a Twisted endpoint"),
        ("tcp", "not a Twisted endpoint"),
        ("systemd:domain=INET:index=7", "not a Twisted endpoint"),  # an IndexError
        ("ssl:0:privateKey=/nonexistent", "No such file"),
        # StandardIO is not a listening port
        ("stdio:", "not a listening port"),
    ],
)
def test_invalid_endpoint_is_a_listen_error(
    description: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdio = staticmethod(lambda *_args, **_named: object())
    monkeypatch.setattr("twisted.internet.endpoints.StandardIOEndpoint._stdio", stdio)
    listener = Listener(EndpointString(description))
    with pytest.raises(ListenError) as caught:
        open_stream(MemoryReactorClock(), listener, FACTORY, {}, ANY)
    assert str(caught.value).startswith(f"cannot listen on endpoint:{description}: ")
    assert expected in str(caught.value)


def test_exception_of_an_endpoint_is_a_listen_error() -> None:
    class Reactor(MemoryReactorClock):
        def listenTCP(self, *args: Any, **named: Any) -> Any:
            raise OverflowError("bind(): port must be 0-65535.")

    with pytest.raises(ListenError, match=r"endpoint:tcp:99999: .*port must be 0-65535"):
        open_stream(
            Reactor(),
            Listener(EndpointString("tcp:99999")),
            FACTORY,
            {},
            ANY,
        )


class _WithoutIPv6(socket.socket):
    """Fails as on a kernel without IPv6, or with IPv6 disabled."""

    error = errno.EADDRNOTAVAIL

    def __init__(self, family: int = -1, *words: int, **named: Any) -> None:
        if family == socket.AF_INET6 and self.error == errno.EAFNOSUPPORT:
            raise OSError(self.error, "Address family not supported by protocol")
        super().__init__(family, *words, **named)

    def bind(self, address: Any) -> None:
        if self.family == socket.AF_INET6:
            raise OSError(self.error, "Cannot assign requested address")
        super().bind(address)


@pytest.mark.parametrize("error", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
@pytest.mark.parametrize("open_one", [bind_datagrams, listen_address])
def test_wildcard_is_ipv4_only_without_ipv6(
    open_one: Callable[[Address], socket.socket], error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_WithoutIPv6, "error", error)
    monkeypatch.setattr("socket.socket", _WithoutIPv6)
    with open_one(Address("*", 0)) as sock:
        assert sock.getsockname()[0] == "0.0.0.0"
    with pytest.raises(OSError) as caught:
        open_one(Address("::", 0))
    assert caught.value.errno == error


@pytest.mark.parametrize("udp", [False, True])
def test_missing_interface_is_named(udp: bool) -> None:
    listener = Listener(Address("fe80::1%nosuch0", 7), udp=udp)
    reactor = MemoryReactorClock()
    turns = TurnScheduler(reactor)

    def open_one() -> object:
        if udp:
            return open_datagrams(reactor, listener, ANY)
        return open_stream(reactor, listener, FACTORY, {}, turns)

    with pytest.raises(ListenError) as caught:
        open_one()
    assert str(caught.value) == (
        f"cannot listen on {listener}: there is no network interface nosuch0"
    )


@pytest.mark.parametrize("open_one", [bind_datagrams, listen_address])
def test_wildcards_cover_the_documented_families(
    open_one: Callable[[Address], socket.socket],
) -> None:
    """docs/reference/configuration.rst: ``0.0.0.0``, ``[::]`` and ``*``."""
    port = free_port()
    with open_one(Address("::", port)):
        with open_one(Address("0.0.0.0", port)):
            pass
        with pytest.raises(OSError, match="in use"):
            open_one(Address("*", port))
        with pytest.raises(OSError, match="in use"):
            open_one(Address("::1", port))
        with open_one(Address("127.0.0.1", port)), open_one(Address("127.0.0.2", port)):
            pass
    with open_one(Address("*", port)):
        for host in ("0.0.0.0", "::", "127.0.0.1", "::1"):
            with pytest.raises(OSError, match="in use"):
                open_one(Address(host, port))


# --- tcpd.config.overlap agrees with the kernel ---

_HOSTS = ["*", "0.0.0.0", "::", "127.0.0.1", "127.0.0.2", "::1"]


@pytest.mark.parametrize("udp", [False, True])
@pytest.mark.parametrize("one", _HOSTS)
@pytest.mark.parametrize("other", _HOSTS)
def test_overlap_agrees_with_the_kernel(one: str, other: str, udp: bool) -> None:
    open_one = bind_datagrams if udp else listen_address
    port = free_port()
    with open_one(Address(one, port)):
        wanted = Listener(Address(one, port), udp=udp), Listener(Address(other, port), udp=udp)
        assert spot_of(wanted[0]) == spot_of(wanted[1])
        try:
            open_one(Address(other, port)).close()
        except OSError as error:
            refused = error.errno == errno.EADDRINUSE
        else:
            refused = False
        assert bool(overlap(wanted[0].bind, wanted[1].bind)) == refused
