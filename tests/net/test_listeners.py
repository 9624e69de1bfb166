"""Listeners that cannot be opened: a sentence for the operator, never a traceback."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.testing import MemoryReactorClock

from tcpd.config.listen import Address, EndpointString, Listener
from tcpd.net.listeners import ListenError, open_datagrams, open_stream

FACTORY: Any = Factory.forProtocol(Protocol)


@pytest.mark.parametrize(
    ("description", "says"),
    [
        ("frob:1", "no endpoint of Twisted's"),
        ("tcp:x", "no endpoint of Twisted's"),
        ("tcp", "no endpoint of Twisted's"),
        ("systemd:domain=INET:index=7", "no endpoint of Twisted's"),  # an IndexError
        ("ssl:0:privateKey=/nonexistent", "No such file"),
        # a StandardIO is no port: the daemon would run deaf
        ("stdio:", "no port that clients connect to"),
    ],
)
def test_an_endpoint_that_is_none_is_told_in_a_sentence(
    description: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdio = staticmethod(lambda *_args, **_named: object())
    monkeypatch.setattr("twisted.internet.endpoints.StandardIOEndpoint._stdio", stdio)
    listener = Listener(EndpointString(description))
    with pytest.raises(ListenError) as caught:
        open_stream(MemoryReactorClock(), listener, FACTORY, {}, None)
    assert str(caught.value).startswith(f"cannot listen on endpoint:{description}: ")
    assert says in str(caught.value)


def test_what_a_port_of_an_endpoint_raises_is_told_too() -> None:
    class Reactor(MemoryReactorClock):
        def listenTCP(self, *args: Any, **named: Any) -> Any:
            raise OverflowError("bind(): port must be 0-65535.")

    with pytest.raises(ListenError, match=r"endpoint:tcp:99999: .*port must be 0-65535"):
        open_stream(
            Reactor(),
            Listener(EndpointString("tcp:99999")),
            FACTORY,
            {},
            None,
        )


class _WithoutIPv6(MemoryReactorClock):
    """Refuses IPv6 as a kernel does that knows it and has no address of it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def _listen(self, port: int, interface: str) -> Any:
        self.asked.append(interface)
        if interface == "::":
            reason = OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
            raise CannotListenError(interface, port, reason)
        return "a port"

    def listenUDP(self, port: int, *args: Any, interface: str = "", **named: Any) -> Any:
        return self._listen(port, interface)

    def listenTCP(self, port: int, *args: Any, interface: str = "", **named: Any) -> Any:
        return self._listen(port, interface)


@pytest.mark.parametrize("udp", [False, True])
def test_every_address_is_ipv4_alone_where_there_is_no_ipv6(
    udp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs: "``*:PORT``: every address, IPv6 and IPv4, by one socket"."""
    monkeypatch.setattr("tcpd.net.listeners._everywhere", lambda: "::")
    reactor = _WithoutIPv6()
    listener = Listener(Address("*", 7), udp=udp)
    opened: Any
    if udp:
        opened = open_datagrams(reactor, listener, DatagramProtocol())
    else:
        opened = open_stream(reactor, listener, FACTORY, {}, None)
    assert opened == "a port"
    assert reactor.asked == ["::", ""]


def test_an_ipv6_address_that_is_not_here_stays_an_error() -> None:
    with pytest.raises(ListenError, match="Cannot assign"):
        open_datagrams(_WithoutIPv6(), Listener(Address("::", 7), udp=True), DatagramProtocol())
