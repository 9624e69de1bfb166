"""Where people are, as others may know it.

By default a host is a keyed hash of the address (docs/decisions/0015).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Of people on this very machine, and on a UNIX socket.
LOCAL = "localhost"

#: Bytes of the hash that a made name has: 80 bits, so that no two are alike by chance.
_BYTES = 10


def subscriber(address: Address) -> Network:
    """What one subscriber has: an IPv4 address, or the /64 of an IPv6 address."""
    bits = 32 if address.version == 4 else 64
    return ipaddress.ip_network((address, bits), strict=False)


class Hosts:
    """Makes hosts of addresses.

    :param secret: of this daemon, or of all nodes; 16 bytes or more. Who knows it can find out
        addresses by trying all of them.
    :param shown: ``hidden`` for made names, ``address`` for addresses as they are.
    """

    def __init__(self, secret: bytes, shown: str = "hidden") -> None:
        self._secret = secret
        self.shown = shown

    def __repr__(self) -> str:
        return f"Hosts(..., {self.shown!r})"

    def of(self, address: Address | None) -> str:
        """The host of an address; ``None`` is a UNIX socket's."""
        if address is None or address.is_loopback:
            return LOCAL
        if self.shown == "address":
            # IRC's parameters cannot begin with a colon, as ::1 does (and 2001:db8:: does not)
            text = str(address)
            return f"0{text}" if text.startswith(":") else text
        network = str(subscriber(address)).encode()
        digest = hmac.digest(self._secret, network, hashlib.sha256)[:_BYTES]
        return f"{base64.b32encode(digest).decode().lower()}.hidden"
