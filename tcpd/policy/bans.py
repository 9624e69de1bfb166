"""Networks that an operator has banned while the daemon runs, with or without an expiry."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tcpd.policy.addresses import IPAddress, IPNetwork

# The end of the year 9999, the last that datetime supports.
_LATEST = 253402300799


@dataclass(frozen=True, slots=True)
class Ban:
    """One banned network.

    :ivar network: the network.
    :ivar since: the time of the ban, in seconds since 1970 UTC.
    :ivar until: the time when the ban expires, in seconds since 1970 UTC; ``None`` for never.
    :ivar reason: the operator's reason; may be empty.
    :ivar by: the operator, for display.
    """

    network: IPNetwork
    since: float
    until: float | None
    reason: str
    by: str

    def holds(self, now: float) -> bool:
        """Whether it has not expired.

        :param now: seconds since 1970 UTC.
        """
        return self.until is None or now < self.until

    def plain(self) -> dict[str, Any]:
        """The ban as JSON types; see :meth:`from_plain`."""
        return {
            "network": str(self.network),
            "since": self.since,
            "until": self.until,
            "reason": self.reason,
            "by": self.by,
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Ban:
        """Make a ban from the result of :meth:`plain`.

        :raise ValueError: if it is not a ban.
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
    """All bans of the daemon. One ban that contains an address is enough to refuse it.

    A look-up takes one step for each prefix length in use, independent of the number of bans.

    :param wall_clock: seconds since 1970 UTC. Bans persist over restarts, so they expire by it.
    """

    __slots__ = ("_networks", "_wall_clock")

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        #: bans by IP version and prefix length, then by prefix as a number
        self._networks: dict[tuple[int, int], dict[int, Ban]] = {}

    def __len__(self) -> int:
        """The number of bans, expired ones that are not removed yet included."""
        return sum(map(len, self._networks.values()))

    def __iter__(self) -> Iterator[Ban]:
        """The bans that have not expired, the newest last."""
        now = self._wall_clock()
        every = (ban for bans in self._networks.values() for ban in bans.values())
        return iter(sorted((ban for ban in every if ban.holds(now)), key=lambda ban: ban.since))

    def add(self, ban: Ban) -> None:
        """Add a ban; it replaces one of the same network."""
        key, prefix = _key(ban.network)
        self._networks.setdefault(key, {})[prefix] = ban

    def adopt(self, bans: Iterable[Ban]) -> None:
        """Add several bans."""
        for ban in bans:
            self.add(ban)

    def remove(self, network: IPNetwork) -> Ban | None:
        """Remove the ban of exactly this network.

        :return: the ban; ``None`` if there was none, or it had expired.
        """
        key, prefix = _key(network)
        bans = self._networks.get(key, {})
        ban = bans.pop(prefix, None)
        if not bans:
            self._networks.pop(key, None)
        return ban if ban is not None and ban.holds(self._wall_clock()) else None

    def find(self, address: IPAddress) -> Ban | None:
        """Return a ban that contains an address; ``None`` if there is none."""
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
        """Remove expired bans. Called when a ban is added or bans are listed."""
        now = self._wall_clock()
        for key, bans in list(self._networks.items()):
            self._networks[key] = {at: ban for at, ban in bans.items() if ban.holds(now)}
            if not self._networks[key]:
                del self._networks[key]


def _key(network: IPNetwork) -> tuple[tuple[int, int], int]:
    bits, length = network.max_prefixlen, network.prefixlen
    return (network.version, length), int(network.network_address) >> (bits - length)
