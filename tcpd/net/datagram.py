"""The edge of every ``udp`` listener: which datagrams are answered, and how often.

A datagram's source address is whatever its sender wrote there, so whoever answers datagrams can be
made to send to strangers. Two old abuses shape this module:

- *loops*: two services that answer anything, each told that the other asked, talk to each other for
  ever (CERT advisory CA-1996-01, CVE-1999-0103; again in 2024, CVE-2024-2169). So source ports at
  which services answer are never answered, nor is the daemon itself; and every answer takes a token
  of its address, which ends what still gets round.
- *amplification*: a small question in a victim's name, a large answer to the victim. Echo and
  chargen never answer with more than they were sent; a kind that must, because its RFC has it
  answer the empty datagram, has a low rate.

A listener on every address also hears what is broadcast. It answers its sender alone, like any
other datagram. :mod:`tcpd.net.datagram_port` has the socket.
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

#: Where a datagram came from, as sockets give it: host and port, and for IPv6 flow and scope.
Address = tuple[Any, ...]

#: From the payload of a datagram to that of its answer; ``None`` for no answer.
Responder = Callable[[bytes], bytes | None]

# Clients ask from ephemeral ports; what sends from a port below this is a service, or a forgery
# in a service's name: echo, discard, daytime, qotd, chargen and time among them, and DNS, TFTP, NTP
# and the others that have been made to loop. OpenBSD's inetd draws the same line.
_FIRST_CLIENT_PORT = 1024


class Drop(StrEnum):
    """Why a datagram was not answered: the words of ``ServiceCounters.datagrams_dropped``."""

    #: It claims to come from a port at which services answer, or this daemon does.
    PORT = "port"
    #: It claims to come from an address that is no single host's.
    ADDRESS = "address"
    #: The policy's ``allow`` and ``deny`` shut its address out.
    DENIED = "denied"
    #: Its address has had its share of answers.
    RATE = "rate"
    #: The service has no answer to it (discard never has).
    NO_ANSWER = "no-answer"
    #: The service failed at it; the first time is logged.
    FAILED = "failed"
    #: The answer could not be sent.
    UNSENT = "unsent"


def source_key(host: str) -> bytes | None:
    """Tell by what a source is counted.

    :param host: an address as sockets give it; on a dual-stack socket IPv4 looks like
        ``::ffff:192.0.2.1``.
    :return: an IPv4 address, packed; of an IPv6 address its /64, packed, since one host has as many
        addresses in it as it likes; ``None`` for what is never one host's: multicast, broadcast and
        unspecified addresses, 0.0.0.0/8 and 240.0.0.0/4.
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
    """Answers the datagrams of one service's ``udp`` listener.

    Each datagram received is counted in ``counters.datagrams_in`` and then either in
    ``datagrams_out`` or, by :class:`Drop`, in ``datagrams_dropped``. ``bytes_in`` and ``bytes_out``
    grow by payloads.

    :ivar service: its name.
    :param service: its name.
    :param responder: answers one payload; what it raises is logged once in the life of the
        listener, counted each time, and costs that datagram alone.
    :param counters: the service's.
    :param clock: for the rate.
    :param allows: from a source address, whether the policy's networks let it in; asked each time,
        for a reload changes them.
    :param rate: how many answers one address gets (IPv6: one /64); ``None`` for no limit.
    :param own_ports: the ports of all the daemon's own ``udp`` listeners, a set that they share and
        each adds its own to; none of them is answered at any address.
    :param capacity: how many addresses to remember at once.
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

    def become(self, other: Datagrams) -> None:
        """Answer as another would, from the next datagram on: the port stays open."""
        self._responder = other._responder
        self._counters = other._counters
        self._allows = other._allows
        self._buckets = other._buckets
        self._failure_logged = False

    def opened(self, port: int) -> None:
        """A port of this number is open. Called once it is."""
        self._own_ports.add(port)

    def received(self, datagram: bytes, address: Address) -> bytes | None:
        """Take a datagram. Never raises.

        :param datagram: its payload.
        :param address: where it came from.
        :return: the answer, of which :meth:`sent` or :meth:`unsent` has to be called then; ``None``
            for none, which is counted.
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
        """An answer of so many bytes is on its way."""
        self._counters.datagrams_out += 1
        self._counters.bytes_out += size

    def unsent(self) -> None:
        """An answer could not be sent."""
        self._counters.datagrams_dropped[Drop.UNSENT] += 1

    def _refusal(self, host: str, port: int) -> Drop | None:
        """Tell why a source may not be answered at all; take a token if it may."""
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
