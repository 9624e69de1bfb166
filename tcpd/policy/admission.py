"""Admission control: decides whether a service accepts a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tcpd.policy.addresses import IPV6_PREFIX, IPAddress, IPNetwork, limit_key
from tcpd.policy.bans import Bans
from tcpd.policy.buckets import Buckets, RateLike, TokenBucket
from tcpd.policy.reasons import Refusal

# The number of addresses that a service remembers for address_rate. An address is
# forgotten once its bucket is full again, so these are the addresses of the last seconds.
_ADDRESSES = 32768


class Networks:
    """Allowed and denied networks.

    The longest prefix that contains an address decides, and deny wins a tie. An address in no
    network is allowed if and only if the list of allowed networks is empty.

    A look-up takes one step for each prefix length in use, independent of the number of networks.
    """

    __slots__ = ("_default", "_lengths")

    def __init__(self, allow: Iterable[IPNetwork], deny: Iterable[IPNetwork]) -> None:
        allow = tuple(allow)
        found: dict[int, dict[int, dict[int, bool]]] = {4: {}, 6: {}}
        # a denied network replaces the same network in allow
        for networks, verdict in ((allow, True), (deny, False)):
            for network in networks:
                shift = network.max_prefixlen - network.prefixlen
                prefixes = found[network.version].setdefault(shift, {})
                prefixes[int(network.network_address) >> shift] = verdict
        #: by IP version: (shift, verdicts by the shifted address), the longest prefix first
        self._lengths = {version: sorted(by.items(), key=_shift) for version, by in found.items()}
        self._default = not allow

    def allows(self, address: IPAddress) -> bool:
        """Whether an address may connect."""
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


class ConnectionCount:
    """The connections of the whole daemon, and their limit.

    :ivar count: the number of connections.
    """

    __slots__ = ("_limit", "_waiting", "count")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[Callable[[], None]] = []
        self.count = 0

    @property
    def limit(self) -> int:
        """The limit; can be set."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self.wake()

    def wait(self, call: Callable[[], None]) -> None:
        """Call back once when a connection may be accepted: one ended, or limits changed."""
        self._waiting.append(call)

    def leave(self) -> None:
        """Count the end of a connection."""
        self.count -= 1
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """Run all callbacks of :meth:`wait`. A callback may wait again."""
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()


@dataclass(frozen=True, slots=True)
class Limits:
    """The admission limits of a service's policy.

    :ivar networks: the allowed and denied networks.
    :ivar connections: the maximum number of connections of the service.
    :ivar per_address: the maximum number of connections from one address (:func:`limit_key`).
    :ivar ipv6_prefix: the prefix length at which IPv6 addresses count as one address.
    :ivar connection_rate: the rate of accepted connections; ``None`` for no limit.
    :ivar address_rate: the rate of attempts from one address; ``None`` for no limit.
    """

    networks: Networks
    connections: int
    per_address: int
    ipv6_prefix: int = IPV6_PREFIX
    connection_rate: RateLike | None = None
    address_rate: RateLike | None = None


class Admission:
    """Accepts or refuses the connections of one service.

    A client that is refused for its address takes no token of the service's rate, so that one
    address cannot use up the rate of all.

    :param limits: the limits.
    :param connection_count: the count of the whole daemon.
    :param bans: the bans of the whole daemon; ``None`` for no bans.
    :param clock: seconds, of any clock. Read only if there is a rate limit.
    """

    __slots__ = (
        "_bans",
        "_bucket",
        "_buckets",
        "_by_address",
        "_clock",
        "_connection_count",
        "_count",
        "_limits",
    )

    def __init__(
        self,
        limits: Limits,
        connection_count: ConnectionCount,
        bans: Bans | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._bans = bans
        self._connection_count = connection_count
        self._clock = clock
        self._count = 0
        self._by_address: dict[int, int] = {}
        self._limits = limits
        self._bucket = self._make_bucket()
        self._buckets = self._make_buckets()

    def reconfigure(self, limits: Limits, present: Iterable[IPAddress | None]) -> None:
        """Replace the limits. Accepted connections stay and count.

        :param present: the address of each accepted connection, as :meth:`release` gets it.
        """
        before, self._limits = self._limits, limits
        if before.connection_rate != limits.connection_rate:
            self._bucket = self._make_bucket()
        if before.address_rate != limits.address_rate or before.ipv6_prefix != limits.ipv6_prefix:
            self._buckets = self._make_buckets()
        if before.ipv6_prefix != limits.ipv6_prefix:
            self._by_address = {}
            for address in present:
                if address is not None:
                    key = limit_key(address, limits.ipv6_prefix)
                    self._by_address[key] = self._by_address.get(key, 0) + 1
        self._connection_count.wake()

    def _make_bucket(self) -> TokenBucket | None:
        rate = self._limits.connection_rate
        return None if rate is None else TokenBucket(rate, self._clock())

    def _make_buckets(self) -> Buckets | None:
        rate = self._limits.address_rate
        return None if rate is None else Buckets(rate, _ADDRESSES)

    def allows(self, address: IPAddress) -> bool:
        """Whether the networks allow an address; bans and counts are not checked."""
        return self._limits.networks.allows(address)

    @property
    def full(self) -> Refusal | None:
        """Why every new connection is refused now; ``None`` if below the limits."""
        if self._connection_count.count >= self._connection_count.limit:
            return Refusal.DAEMON_FULL
        if self._count >= self._limits.connections:
            return Refusal.SERVICE_FULL
        return None

    def wait(self, call: Callable[[], None]) -> None:
        """Call back once when :attr:`full` may have changed."""
        self._connection_count.wait(call)

    def wake(self) -> None:
        """Run all callbacks of :meth:`wait`."""
        self._connection_count.wake()

    @property
    def count(self) -> int:
        """The number of connections of the service."""
        return self._count

    @property
    def addresses(self) -> int:
        """The number of addresses that have connections."""
        return len(self._by_address)

    @property
    def busiest(self) -> int:
        """The number of connections of the address that has the most."""
        return max(self._by_address.values(), default=0)

    def admit(self, address: IPAddress | None) -> Refusal | None:
        """Accept or refuse a client. An accepted one must be released.

        :param address: the address of the client; ``None`` for a UNIX socket, where limits per
            address and networks do not apply.
        :return: ``None`` if accepted.
        """
        if address is None:
            refusal = self.full or self._too_fast()
        else:
            refusal = self._judge(address) or self.full or self._count_address(address)
        if refusal is None:
            self._count += 1
            self._connection_count.count += 1
        return refusal

    def admit_unidentified(self) -> Refusal | None:
        """Accept or refuse a client with a yet unknown address, by the totals alone.

        An accepted one must be released, without an address until :meth:`identify` accepts it.

        :return: ``None`` if accepted.
        """
        refusal = self.full
        if refusal is None:
            self._count += 1
            self._connection_count.count += 1
        return refusal

    def identify(self, address: IPAddress) -> Refusal | None:
        """Accept or refuse the address of a client that :meth:`admit_unidentified` accepted.

        An accepted client must be released with the address, a refused one without.

        :return: ``None`` if accepted.
        """
        return self._judge(address) or self._count_address(address)

    def _judge(self, address: IPAddress) -> Refusal | None:
        """Check bans and networks."""
        if self._bans is not None and self._bans.find(address) is not None:
            return Refusal.BANNED
        if not self._limits.networks.allows(address):
            return Refusal.DENIED
        return None

    def _count_address(self, address: IPAddress) -> Refusal | None:
        """Check the limits per address and the service's rate; count the address if accepted."""
        limits = self._limits
        key = limit_key(address, limits.ipv6_prefix)
        if self._buckets is not None and not self._buckets.take(key, self._clock()):
            return Refusal.ADDRESS_RATE
        held = self._by_address.get(key, 0)
        if held >= limits.per_address:
            return Refusal.ADDRESS_FULL
        refusal = self._too_fast()
        if refusal is None:
            self._by_address[key] = held + 1
        return refusal

    def _too_fast(self) -> Refusal | None:
        """Check the service's rate."""
        if self._bucket is None or self._bucket.take(self._clock()):
            return None
        return Refusal.SERVICE_RATE

    def release(self, address: IPAddress | None) -> None:
        """Count the end of an accepted connection.

        :param address: the accepted address; ``None`` if there was none.
        """
        self._count -= 1
        self.forget(address)
        self._connection_count.leave()

    def forget(self, address: IPAddress | None) -> None:
        """Uncount an address whose connection stays, with another address.

        :param address: the accepted address; ``None`` if there was none.
        """
        if address is not None:
            key = limit_key(address, self._limits.ipv6_prefix)
            left = self._by_address[key] - 1
            if left:
                self._by_address[key] = left
            else:
                del self._by_address[key]
