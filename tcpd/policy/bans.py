"""Networks that an operator has shut out while the daemon runs, each for a time or for good."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tcpd.policy.addresses import IPAddress, IPNetwork

#: The end of the year 9999, behind which no date can be written.
_LATEST = 253402300799


@dataclass(frozen=True, slots=True)
class Ban:
    """One network that is shut out.

    :ivar network: which.
    :ivar since: when it was banned, in seconds since 1970 UTC.
    :ivar until: when that ends, in seconds since 1970 UTC; ``None`` for never.
    :ivar reason: why, in the operator's words; may be empty.
    :ivar by: who did it, for people.
    """

    network: IPNetwork
    since: float
    until: float | None
    reason: str
    by: str

    def holds(self, now: float) -> bool:
        """Whether it has not expired yet.

        :param now: seconds since 1970 UTC.
        """
        return self.until is None or now < self.until

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it; :meth:`from_plain` reads it back."""
        return {
            "network": str(self.network),
            "since": self.since,
            "until": self.until,
            "reason": self.reason,
            "by": self.by,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Ban:
        """Read what :meth:`plain` made.

        :raise ValueError: if it is anything else.
        """
        if not isinstance(plain, dict):
            raise ValueError(f"{plain!r} is not a ban")
        until = plain.get("until")
        return cls(
            ipaddress.ip_network(str(plain.get("network"))),
            _moment(plain.get("since")),
            None if until is None else _moment(until),
            str(plain.get("reason", "")),
            str(plain.get("by", "")),
        )


def _moment(value: object) -> float:
    if not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise ValueError(f"{value!r} is not a time in seconds since 1970")
    return value


class Bans:
    """All bans of the daemon. Any ban that holds an address shuts it out; there is no exception.

    An address is looked up by each length of prefix that is in use, so that thousands of banned
    addresses cost a newcomer as little as one.

    :param wall_clock: seconds since 1970 UTC, which bans expire by, for they outlive a restart.
    """

    __slots__ = ("_networks", "_wall_clock")

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        #: by (IP version, length of the prefix), the bans by their prefix as a number
        self._networks: dict[tuple[int, int], dict[int, Ban]] = {}

    def __len__(self) -> int:
        """How many there are, those that have expired and were not noticed yet included."""
        return sum(map(len, self._networks.values()))

    def __iter__(self) -> Iterator[Ban]:
        """Those that hold now, the newest last."""
        now = self._wall_clock()
        every = (ban for bans in self._networks.values() for ban in bans.values())
        return iter(sorted((ban for ban in every if ban.holds(now)), key=lambda ban: ban.since))

    def add(self, ban: Ban) -> None:
        """Shut a network out; an older ban of the same network is forgotten."""
        key, prefix = _key(ban.network)
        self._networks.setdefault(key, {})[prefix] = ban

    def adopt(self, bans: Iterable[Ban]) -> None:
        """Add all of them."""
        for ban in bans:
            self.add(ban)

    def remove(self, network: IPNetwork) -> Ban | None:
        """Take back the ban of exactly this network.

        :return: the ban that held; ``None`` if there was none.
        """
        key, prefix = _key(network)
        bans = self._networks.get(key, {})
        ban = bans.pop(prefix, None)
        if not bans:
            self._networks.pop(key, None)
        return ban if ban is not None and ban.holds(self._wall_clock()) else None

    def find(self, address: IPAddress) -> Ban | None:
        """A ban that holds an address; ``None`` if it may come in."""
        if not self._networks:
            return None
        number = int(address)
        version, bits = address.version, address.max_prefixlen
        for (other, length), bans in self._networks.items():
            if other == version:
                ban = bans.get(number >> (bits - length))
                if ban is not None and ban.holds(self._wall_clock()):
                    return ban
        return None

    def forget_expired(self) -> None:
        """Drop those that hold no more. Called when another is added or all are shown."""
        now = self._wall_clock()
        for key, bans in list(self._networks.items()):
            self._networks[key] = {at: ban for at, ban in bans.items() if ban.holds(now)}
            if not self._networks[key]:
                del self._networks[key]


def _key(network: IPNetwork) -> tuple[tuple[int, int], int]:
    bits, length = network.max_prefixlen, network.prefixlen
    return (network.version, length), int(network.network_address) >> (bits - length)
