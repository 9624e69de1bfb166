"""The rate of replies to datagrams from one address: the key ``udp_rate``.

Every kind that understands ``udp`` has ``udp_rate`` in its settings; the listener enforces it.
"""

from __future__ import annotations

from tcpd.config.values import Rate

#: For replies that are never longer than the request. The rate ends packet loops with a round trip
#: below 50 ms, and exceeds that of monitors.
NOT_LONGER = Rate(per_second=20.0, burst=100.0)

#: For replies that may be longer than the request: too slow for an amplification attack with forged
#: addresses. A client sends one request.
LONGER = Rate(per_second=1.0, burst=5.0)

#: The description of the key in the reference.
UDP_RATE = (
    "Rate of replies to datagrams from one address (IPv6: one /64). The rest are dropped and "
    "counted. Source addresses are easily forged: without a limit, the service could be used to "
    "flood others."
)
