"""IP addresses and networks, and the key for limits per address."""

from __future__ import annotations

import functools
import ipaddress

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

#: An IPv6 client has a /64 at least (RFC 6177 section 2), so limits per address count by /64.
IPV6_PREFIX = 64


@functools.lru_cache(4096)  # parsing takes longer than the rest of admission
def plain_address(text: str) -> IPAddress:
    """Parse an address as a socket reports it.

    An IPv4 client of a dual-stack socket (``::ffff:192.0.2.1``, RFC 4291 section 2.5.5.2) is an
    IPv4 address. The zone of a link-local address (``%eth0``) is dropped, as networks have none.

    :raise ValueError: if it is not an address.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if address.version == 6 and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def limit_key(address: IPAddress, ipv6_prefix: int = IPV6_PREFIX) -> int:
    """The key for limits per address: an IPv4 address, or an IPv6 network.

    :param ipv6_prefix: the length of that network's prefix in bits, 1 to 128.
    """
    if address.version == 4:
        return -1 - int(address)  # an address object takes longer to hash
    return int(address) >> (128 - ipv6_prefix)
