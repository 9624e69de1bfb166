"""A port that is free on every address."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A TCP and UDP port that no socket uses, on any address.

    For tests that bind one port on several addresses. A port that the kernel chose for one address
    may be the source port of a client on another, also in TIME_WAIT, and bind(2) to a wildcard then
    fails with EADDRINUSE. This port lies below the kernel's range (ip(7)). It is random, so that
    tests side by side choose different ones.
    """
    lowest = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768
    while True:
        port = random.SystemRandom().randrange(10_000, lowest)
        with ExitStack() as sockets:
            try:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    sock = sockets.enter_context(socket.socket(socket.AF_INET6, kind))
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                    sock.bind(("::", port))
            except OSError:
                continue
        return port
