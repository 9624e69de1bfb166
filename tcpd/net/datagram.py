"""Decides which datagrams of a ``udp`` listener are answered, and at which rate.

The source address of a datagram is easily forged, so a server can be made to send to a victim. This
module limits two attacks:

- *loops*: two servers that reply to anything reply to each other without end (CERT advisory
  CA-1996-01, CVE-1999-0103; in 2024 CVE-2024-2169). So tcpd does not reply to source ports of
  services or to its own ports. Each reply takes a token of the source's rate, which ends any
  other loop.
- *amplification*: a small request with the victim's address causes a large reply to the victim.
  Echo and chargen never reply with more bytes than the request. A kind that must, because its RFC
  has it reply to an empty datagram, has a low rate.

A listener on all addresses also receives broadcasts and replies to their sender.
:mod:`tcpd.net.datagram_port` has the socket.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcpd.config.values import Rate
from tcpd.ops import catalogue
from tcpd.ops.counters import ServiceCounters
from tcpd.policy.buckets import CAPACITY, Buckets

#: The source of a datagram, from ``recvmsg``: host and port, and for IPv6 flow and scope id.
Address = tuple[Any, ...]

#: Maps the payload of a datagram to the payload of the reply; ``None`` for no reply.
Responder = Callable[[bytes], bytes | None]

# Clients use ephemeral ports. A lower source port is a service or a forgery: echo, chargen, DNS,
# TFTP and NTP have all been made to loop. OpenBSD's inetd has the same limit.
_FIRST_CLIENT_PORT = 1024


class Drop(StrEnum):
    """Why a datagram got no reply: the keys of ``ServiceCounters.datagrams_dropped``."""

    #: The source port is below 1024 or one of this daemon's.
    PORT = "port"
    #: The source address is not of a single host.
    ADDRESS = "address"
    #: The policy's ``allow`` and ``deny`` exclude the source.
    DENIED = "denied"
    #: The source exceeds its rate.
    RATE = "rate"
    #: The service sends no reply (discard never does).
    NO_ANSWER = "no-answer"
    #: The service raised an exception; the first is logged.
    FAILED = "failed"
    #: The reply could not be sent.
    UNSENT = "unsent"


def source_key(host: str) -> bytes | None:
    """Return the key by which a source is rate limited.

    :param host: an address from ``recvmsg``; on a dual-stack socket IPv4 is ``::ffff:192.0.2.1``.
    :return: a packed IPv4 address, or the packed /64 of an IPv6 address, as one host can use
        the whole /64. ``None`` for addresses that are not of a single host: multicast, broadcast,
        unspecified, 0.0.0.0/8 and 240.0.0.0/4.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return None
    packed = address.packed
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return None if address.is_multicast or address.is_unspecified else packed[:8]
        packed = address.ipv4_mapped.packed
    # 0 is "this network", 224 and up are multicast, reserved and the limited broadcast
    return packed if 0 < packed[0] < 224 else None


class Datagrams:
    """Answers the datagrams of one ``udp`` listener.

    Each datagram is counted in ``counters.datagrams_in``, and then either in ``datagrams_out`` or,
    by :class:`Drop`, in ``datagrams_dropped``. ``bytes_in`` and ``bytes_out`` count payloads.

    :param service: the service's name.
    :param responder: makes the replies. An exception drops the datagram; each is counted, and the
        first in the life of the listener is logged.
    :param counters: the counters of the service.
    :param clock: the clock of the rate limit.
    :param allows: returns whether the policy's networks admit a source address. Called for each
        datagram, because a reload changes them.
    :param rate: replies to one address (IPv6: one /64); ``None`` for no limit.
    :param own_ports: the ports of all ``udp`` listeners of the daemon, which share this set. No
        datagram from one of them gets a reply, whatever its address.
    :param capacity: the number of addresses whose rate is tracked at a time.

    :ivar service: the service's name.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        service: str,
        responder: Responder,
        counters: ServiceCounters,
        clock: IReactorTime,
        allows: Callable[[str], bool],
        rate: Rate | None,
        own_ports: set[int],
        capacity: int = CAPACITY,
    ) -> None:
        self.service = service
        self._responder = responder
        self._counters = counters
        self._clock = clock
        self._allows = allows
        self._buckets = None if rate is None else Buckets(rate, capacity)
        self._own_ports = own_ports
        self._failure_logged = False

    def switch_to(self, other: Datagrams) -> None:
        """Take over the options of another, for the next datagrams; the port stays open."""
        self._responder = other._responder
        self._counters = other._counters
        self._allows = other._allows
        self._buckets = other._buckets
        self._failure_logged = False

    def opened(self, port: int) -> None:
        """Add a port number to the daemon's own. Called when the port opens."""
        self._own_ports.add(port)

    def received(self, datagram: bytes, address: Address) -> bytes | None:
        """Process a datagram. Never raises.

        :param datagram: the payload of the datagram.
        :param address: the source of the datagram.
        :return: the reply, after which the caller calls :meth:`sent` or :meth:`unsent`; ``None``
            for no reply.
        """
        counters = self._counters
        counters.datagrams_in += 1
        counters.bytes_in += len(datagram)
        dropped = self._refusal(address[0], address[1])
        if dropped is None:
            try:
                answer = self._responder(datagram)
            except Exception:
                dropped = Drop.FAILED
                if not self._failure_logged:
                    self._failure_logged = True
                    catalogue.DATAGRAM_FAILED.fail(self._log, service=self.service)
            else:
                if answer is not None:
                    return answer
                dropped = Drop.NO_ANSWER
        counters.datagrams_dropped[dropped] += 1
        return None

    def sent(self, size: int) -> None:
        """Count a reply that was sent, of this size in bytes."""
        self._counters.datagrams_out += 1
        self._counters.bytes_out += size

    def unsent(self) -> None:
        """Count a reply that could not be sent."""
        self._counters.datagrams_dropped[Drop.UNSENT] += 1

    def _refusal(self, host: str, port: int) -> Drop | None:
        """Return why a source gets no reply, or take a token of its rate and return ``None``."""
        if port < _FIRST_CLIENT_PORT or port in self._own_ports:
            return Drop.PORT
        key = source_key(host)
        if key is None:
            return Drop.ADDRESS
        if not self._allows(host):
            return Drop.DENIED
        if self._buckets is not None and not self._buckets.take(key, self._clock.seconds()):
            return Drop.RATE
        return None
