"""Resolution of host names through :class:`~tcpd.net.lookups.Lookups`, and connections to them."""

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
    """Resolve a name by ``getaddrinfo(3)``, in its order. Blocks, so it is called in threads.

    :param family: ``AF_INET``, ``AF_INET6`` or ``AF_UNSPEC`` for both.
    :param kind: ``SOCK_STREAM`` or ``SOCK_DGRAM``.
    :raise LookupFailed: if the name has no address or the resolver fails.
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
    for each, _, _, _, sockaddr in found:
        if each == socket.AF_INET:
            made.append(IPv4Address(protocol, str(sockaddr[0]), port))
        elif each == socket.AF_INET6:
            made.append(IPv6Address(protocol, str(sockaddr[0]), port, *sockaddr[2:]))
    return made


@implementer(IStreamClientEndpoint)
class NameEndpoint:
    """Connects to a host by name, over the first of its addresses that answers (RFC 8305).

    :param reactor: IReactorTCP and IReactorTime.
    :param name: the host name.
    :param port: 1 to 65535.
    :param timeout: seconds for each address.
    :param lookups: the lookups of the service.
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
        """See ``IStreamClientEndpoint``.

        :return: fails with :class:`LookupFailed` if no address is found, or if it is cancelled
            before one is.
        """
        key = self._name, self._port
        found = self._lookups.look_up(key, partial(addresses_of, *key))
        return found.addCallback(self._connect, protocolFactory)

    def _connect(self, addresses: Addresses, factory: IProtocolFactory) -> Deferred[IProtocol]:
        from twisted.internet.endpoints import HostnameEndpoint

        # HostnameEndpoint rejects names with an underscore, so it gets another
        resolved = _ResolvedReactor(self._reactor, addresses)
        endpoint = HostnameEndpoint(resolved, "resolved", self._port, timeout=self._timeout)
        connected: Deferred[IProtocol] = endpoint.connect(factory)
        return connected


@implementer(IReactorPluggableNameResolver)
class _ResolvedReactor:
    """The part of a reactor that HostnameEndpoint uses; its resolver returns fixed addresses."""

    def __init__(self, reactor: Any, addresses: Addresses) -> None:
        self.connectTCP = reactor.connectTCP
        self.callLater = reactor.callLater
        self.seconds = reactor.seconds
        self.nameResolver = _FixedResolver(addresses)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError  # the interface has it; HostnameEndpoint never calls it


@implementer(IHostnameResolver)
class _FixedResolver:
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
    """The reactor's resolver, for code that uses the reactor, such as kinds of other packages.

    Twisted's own resolver blocks threads of the reactor's pool, which password checks need.

    :param lookups: for these names.
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
        """See ``IHostnameResolver``. If the lookup fails there are no addresses, as in Twisted."""
        kind = socket.SOCK_DGRAM if transportSemantics == "UDP" else socket.SOCK_STREAM
        family = _FAMILIES.get(frozenset(addressTypes or ()), socket.AF_UNSPEC)
        key = hostName, portNumber, family, kind
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        found = self._lookups.look_up(key, partial(addresses_of, *key))
        found.addErrback(lambda _: ())
        found.addCallback(_deliver, resolutionReceiver)
        return resolution


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """Do nothing: the lookup cannot be cancelled, and the caller may ignore its result."""


def _deliver(addresses: Addresses, receiver: IResolutionReceiver) -> None:
    for address in addresses:
        receiver.addressResolved(address)
    receiver.resolutionComplete()
