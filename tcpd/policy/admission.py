"""Who may connect, and how many."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tcpd.policy.reasons import Refusal

if TYPE_CHECKING:
    from tcpd.policy.bans import Bans

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

#: IPv6 clients own a /64 at least (RFC 6177 section 2), so a limit for one address counts those.
_IPV6_PREFIX = 64


@functools.lru_cache(4096)  # reading one takes longer than all the rest of admission
def plain_address(text: str) -> IPAddress:
    """Read an address as a socket tells it.

    An IPv4 client of a dual-stack socket (``::ffff:192.0.2.1``, RFC 4291 section 2.5.5.2) is an
    IPv4 address; the zone of a link-local one (``%eth0``) is dropped, for no network holds it.

    :raise ValueError: if it is not an address.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if address.version == 6 and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def limit_key(address: IPAddress) -> object:
    """What a limit for one address counts: an IPv4 address, or the /64 of an IPv6 one."""
    if address.version == 4:
        return -1 - int(address)  # an address object takes longer to hash
    return int(address) >> (128 - _IPV6_PREFIX)


class Networks:
    """Allowed and denied networks.

    The longest prefix that holds an address decides, and deny wins a tie. Where no network holds
    it, it may connect if and only if nothing was explicitly allowed.

    An address is looked up by each length of prefix that is in use, the longest first, so that a
    list of thousands costs a newcomer as little as a short one.
    """

    __slots__ = ("_default", "_lengths")

    def __init__(self, allow: Iterable[IPNetwork], deny: Iterable[IPNetwork]) -> None:
        allow = tuple(allow)
        found: dict[int, dict[int, dict[int, bool]]] = {4: {}, 6: {}}
        # of equals, those denied come later and stay
        for networks, verdict in ((allow, True), (deny, False)):
            for network in networks:
                shift = network.max_prefixlen - network.prefixlen
                prefixes = found[network.version].setdefault(shift, {})
                prefixes[int(network.network_address) >> shift] = verdict
        #: by IP version: how far to shift an address, and the verdicts by what then is left
        self._lengths = {version: sorted(by.items(), key=_shift) for version, by in found.items()}
        self._default = not allow

    def allows(self, address: IPAddress) -> bool:
        """Tell whether an address may connect."""
        lengths = self._lengths[address.version]
        if lengths:
            number = int(address)
            for shift, prefixes in lengths:
                verdict = prefixes.get(number >> shift)
                if verdict is not None:
                    return verdict
        return self._default


def _shift(item: tuple[int, object]) -> int:
    return item[0]


class Tally:
    """How many connections the whole daemon has, and may have."""

    __slots__ = ("count", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0


class Admission:
    """Decides for one service who is let in.

    :param networks: who may connect at all.
    :param connections: how many connections the service may have.
    :param per_address: how many of them from one address (:func:`limit_key`).
    :param tally: the whole daemon's.
    :param bans: the whole daemon's; ``None`` for none ever.
    """

    __slots__ = (
        "_bans",
        "_by_address",
        "_connections",
        "_count",
        "_networks",
        "_per_address",
        "_tally",
    )

    def __init__(
        self,
        networks: Networks,
        connections: int,
        per_address: int,
        tally: Tally,
        bans: Bans | None = None,
    ) -> None:
        self._bans = bans
        self.reconfigure(networks, connections, per_address)
        self._tally = tally
        self._count = 0
        self._by_address: dict[object, int] = {}

    def reconfigure(self, networks: Networks, connections: int, per_address: int) -> None:
        """Decide by other rules from now on. Who was let in stays, and counts."""
        self._networks = networks
        self._connections = connections
        self._per_address = per_address

    @property
    def count(self) -> int:
        """How many connections the service has."""
        return self._count

    @property
    def busiest(self) -> int:
        """How many of them the address has that has the most."""
        return max(self._by_address.values(), default=0)

    def admit(self, address: IPAddress | None) -> Refusal | None:
        """Let a client in, which then has to be released, or say why not.

        :param address: the client's; ``None`` for a UNIX socket, where only the totals count.
        """
        if address is None:
            return self.take_place()
        refusal = self._judge(address) or self._full()
        if refusal is None:
            refusal = self._count_address(address)
        if refusal is None:
            self._count += 1
            self._tally.count += 1
        return refusal

    def take_place(self) -> Refusal | None:
        """Let a client in whose address is not known, or not yet: only the totals count.

        It has to be released, with no address until :meth:`identify` let that in.
        """
        refusal = self._full()
        if refusal is None:
            self._count += 1
            self._tally.count += 1
        return refusal

    def identify(self, address: IPAddress) -> Refusal | None:
        """Let the address in of a client that has its place already, or say why not.

        A place that is let in has to be released with the address, and one that is not without.
        """
        return self._judge(address) or self._count_address(address)

    def _judge(self, address: IPAddress) -> Refusal | None:
        """What is refused whoever else is there."""
        if self._bans is not None and self._bans.find(address) is not None:
            return Refusal.BANNED
        if not self._networks.allows(address):
            return Refusal.DENIED
        return None

    def _full(self) -> Refusal | None:
        """Whether there is a place."""
        if self._tally.count >= self._tally.limit:
            return Refusal.DAEMON_FULL
        if self._count >= self._connections:
            return Refusal.SERVICE_FULL
        return None

    def _count_address(self, address: IPAddress) -> Refusal | None:
        """Whether the address may have one more, which then is counted."""
        key = limit_key(address)
        held = self._by_address.get(key, 0)
        if held >= self._per_address:
            return Refusal.ADDRESS_FULL
        self._by_address[key] = held + 1
        return None

    def release(self, address: IPAddress | None) -> None:
        """Take back what was granted, when the connection is gone.

        :param address: the one that was let in; ``None`` where none was.
        """
        self._count -= 1
        self._tally.count -= 1
        if address is None:
            return
        key = limit_key(address)
        left = self._by_address[key] - 1
        if left:
            self._by_address[key] = left
        else:
            del self._by_address[key]
