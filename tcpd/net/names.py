"""Names of hosts to addresses, and connections to names."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from tcpd.net.lookups import LookupFailed, Lookups

Addresses = Sequence[IPv4Address | IPv6Address]

_FAMILIES = {
    frozenset([IPv4Address]): socket.AF_INET,
    frozenset([IPv6Address]): socket.AF_INET6,
}
_MISSING = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def addresses_of(
    name: str, port: int, family: int = socket.AF_UNSPEC, kind: int = socket.SOCK_STREAM
) -> Addresses:
    """The addresses of a name, by ``getaddrinfo(3)``, best first. Blocks: for threads.

    :param family: ``AF_INET``, ``AF_INET6`` or ``AF_UNSPEC`` for both.
    :param kind: ``SOCK_STREAM`` or ``SOCK_DGRAM``.
    :raise LookupFailed: if there is none.
    """
    try:
        found = socket.getaddrinfo(name, port, family, kind)
    except socket.gaierror as error:
        if error.errno in _MISSING:
            raise LookupFailed(f"the name has no address: {error.strerror}") from error
        raise LookupFailed(f"the system's resolver failed: {error.strerror}") from error
    except (OSError, UnicodeError) as error:
        raise LookupFailed(f"the name cannot be looked up: {type(error).__name__}") from error
    protocol: Literal["TCP", "UDP"] = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
    made: list[IPv4Address | IPv6Address] = []
    for each, _, _, _, place in found:
        if each == socket.AF_INET:
            made.append(IPv4Address(protocol, str(place[0]), port))
        elif each == socket.AF_INET6:
            made.append(IPv6Address(protocol, str(place[0]), port, *place[2:]))
    return made


@implementer(IStreamClientEndpoint)
class NameEndpoint:
    """Connects to a port of a name, by any of its addresses (RFC 8305).

    :param reactor: IReactorTCP and IReactorTime.
    :param name: of a host.
    :param port: 1 to 65535.
    :param timeout: seconds for each address.
    :param lookups: the service's.
    """

    def __init__(
        self, reactor: Any, name: str, port: int, timeout: float, lookups: Lookups
    ) -> None:
        self._reactor = reactor
        self._name = name
        self._port = port
        self._timeout = timeout
        self._lookups = lookups

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See ``IStreamClientEndpoint``. Fails with :class:`LookupFailed` where no address is
        found, also when it is cancelled before that."""
        key = self._name, self._port
        found = self._lookups.ask(key, partial(addresses_of, *key))
        return found.addCallback(self._connect, protocolFactory)

    def _connect(self, addresses: Addresses, factory: IProtocolFactory) -> Deferred[IProtocol]:
        from twisted.internet.endpoints import HostnameEndpoint

        # it takes names with an underscore for wrong, and does not need the name any more
        known = _Known(self._reactor, addresses)
        endpoint = HostnameEndpoint(known, "known", self._port, timeout=self._timeout)
        connected: Deferred[IProtocol] = endpoint.connect(factory)
        return connected


@implementer(IReactorPluggableNameResolver)
class _Known:
    """As much of a reactor as HostnameEndpoint needs, with the answer to its one question."""

    def __init__(self, reactor: Any, addresses: Addresses) -> None:
        self.connectTCP = reactor.connectTCP
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds
        self.nameResolver = _Answer(addresses)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError


@implementer(IHostnameResolver)
class _Answer:
    """Resolves every name to the same addresses."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        _deliver(self._addresses, resolutionReceiver)
        return resolution


@implementer(IHostnameResolver)
class NameResolver:
    """The reactor's resolver for all who ask it, such as services of other packages.

    Twisted's own waits in the reactor's thread pool, which the checks of passwords need, and for
    which the end of the process waits.

    :param lookups: for these questions.
    """

    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """See ``IHostnameResolver``. A failed look-up has no addresses, as with Twisted's own."""
        kind = socket.SOCK_DGRAM if transportSemantics == "UDP" else socket.SOCK_STREAM
        family = _FAMILIES.get(frozenset(addressTypes or ()), socket.AF_UNSPEC)
        question = hostName, portNumber, family, kind
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        found = self._lookups.ask(question, partial(addresses_of, *question))
        found.addErrback(lambda _: ())
        found.addCallback(_deliver, resolutionReceiver)
        return resolution


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """The answer comes, or its time is over: who asked may ignore it."""


def _deliver(addresses: Addresses, receiver: IResolutionReceiver) -> None:
    for address in addresses:
        receiver.addressResolved(address)
    receiver.resolutionComplete()
