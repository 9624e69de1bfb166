"""Who may connect, and how many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tcpd.policy.addresses import IPV6_PREFIX, IPAddress, IPNetwork, limit_key
from tcpd.policy.bans import Bans
from tcpd.policy.buckets import Buckets, RateLike, TokenBucket
from tcpd.policy.reasons import Refusal

# How many addresses a service remembers for address_rate. An address is forgotten as soon as it
# would have its whole burst again, so this is for those that connected in the last seconds.
_ADDRESSES = 32768


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


class ConnectionCount:
    """How many connections the whole daemon has, and may have.

    :ivar count: how many there are.
    """

    __slots__ = ("_limit", "_waiting", "count")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[Callable[[], None]] = []
        self.count = 0

    @property
    def limit(self) -> int:
        """How many there may be. It can be set."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        self.wake()

    def wait(self, call: Callable[[], None]) -> None:
        """Call this once, when there may be a place: somebody went, or limits changed."""
        self._waiting.append(call)

    def leave(self) -> None:
        """Somebody went."""
        self.count -= 1
        if self._waiting:
            self.wake()

    def wake(self) -> None:
        """Call all who wait. Whoever finds no place then waits again."""
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a service's policy says of who is let in.

    :ivar networks: who may connect at all.
    :ivar connections: how many connections the service may have.
    :ivar per_address: how many of them from one address (:func:`limit_key`).
    :ivar ipv6_prefix: how much of an IPv6 address counts as one address, in bits.
    :ivar connection_rate: of all that are let in; ``None`` for no limit.
    :ivar address_rate: of those that one address tries; ``None`` for no limit.
    """

    networks: Networks
    connections: int
    per_address: int
    ipv6_prefix: int = IPV6_PREFIX
    connection_rate: RateLike | None = None
    address_rate: RateLike | None = None


class Admission:
    """Decides for one service who is let in.

    Who is refused for the address takes no token of the service's rate: one address alone cannot
    shut out the others.

    :param limits: by which it decides.
    :param connection_count: the whole daemon's.
    :param bans: the whole daemon's; ``None`` for none ever.
    :param clock: seconds, of any clock. It is asked only where there is a rate.
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
        """Decide by other limits from now on. Who was let in stays, and counts.

        :param present: what :meth:`release` will be called with for those who were let in.
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
        """Whether the networks let an address in. Bans and bounds are not looked at."""
        return self._limits.networks.allows(address)

    @property
    def full(self) -> Refusal | None:
        """Why there is no place just now, for anybody; ``None`` if there is one."""
        if self._connection_count.count >= self._connection_count.limit:
            return Refusal.DAEMON_FULL
        if self._count >= self._limits.connections:
            return Refusal.SERVICE_FULL
        return None

    def wait(self, call: Callable[[], None]) -> None:
        """Call this once, when :attr:`full` may have changed."""
        self._connection_count.wait(call)

    def wake(self) -> None:
        """Call all who wait."""
        self._connection_count.wake()

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

        :param address: the client's; ``None`` for a UNIX socket, where only what is for all counts.
        """
        if address is None:
            refusal = self.full or self._too_fast()
        else:
            refusal = self._judge(address) or self.full or self._count_address(address)
        if refusal is None:
            self._count += 1
            self._connection_count.count += 1
        return refusal

    def take_place(self) -> Refusal | None:
        """Let a client in whose address is not known yet: only the totals count.

        It has to be released, with no address until :meth:`identify` let that in.
        """
        refusal = self.full
        if refusal is None:
            self._count += 1
            self._connection_count.count += 1
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
        if not self._limits.networks.allows(address):
            return Refusal.DENIED
        return None

    def _count_address(self, address: IPAddress) -> Refusal | None:
        """Whether the address may have one more, which then is counted."""
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
        """Whether all of them together come too fast."""
        if self._bucket is None or self._bucket.take(self._clock()):
            return None
        return Refusal.SERVICE_RATE

    def release(self, address: IPAddress | None) -> None:
        """Take back what was granted, when the connection is gone.

        :param address: the one that was let in; ``None`` where none was.
        """
        self._count -= 1
        self.forget(address)
        self._connection_count.leave()

    def forget(self, address: IPAddress | None) -> None:
        """Take back what was granted to an address, but for the place, which is another's now.

        :param address: the one that was let in; ``None`` where none was.
        """
        if address is not None:
            key = limit_key(address, self._limits.ipv6_prefix)
            left = self._by_address[key] - 1
            if left:
                self._by_address[key] = left
            else:
                del self._by_address[key]
