"""The hosts that other people see.

By default a host is a keyed hash of the address (docs/decisions/0015).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: The host of loopback and UNIX socket clients.
LOCAL = "localhost"

#: Bytes of the hash in a hidden host: 80 bits make collisions unlikely.
_BYTES = 10


def subscriber(address: Address) -> Network:
    """The network of one subscriber: an IPv4 address, or the /64 of an IPv6 address."""
    bits = 32 if address.version == 4 else 64
    return ipaddress.ip_network((address, bits), strict=False)


class Hosts:
    """Derives the hosts that people see from addresses.

    :param secret: the secret of this daemon, or of all nodes; 16 bytes or more. An attacker who
        knows it can find an address by trying all.
    :param shown: ``hidden`` for hashes, ``address`` for addresses.
    """

    def __init__(self, secret: bytes, shown: str = "hidden") -> None:
        self._secret = secret
        self.shown = shown

    def __repr__(self) -> str:
        return f"Hosts(..., {self.shown!r})"

    def of(self, address: Address | None) -> str:
        """Return the host of an address; ``None`` is a UNIX socket."""
        if address is None or address.is_loopback:
            return LOCAL
        if self.shown == "address":
            # IRC's parameters cannot begin with a colon, as ::1 does (and 2001:db8:: does not)
            text = str(address)
            return f"0{text}" if text.startswith(":") else text
        network = str(subscriber(address)).encode()
        digest = hmac.digest(self._secret, network, hashlib.sha256)[:_BYTES]
        return f"{base64.b32encode(digest).decode().lower()}.hidden"
