"""How often the small services answer one address's datagrams: the key ``udp_rate``.

Every kind that understands ``udp`` has ``udp_rate`` in its settings; the listener enforces it.
"""

from __future__ import annotations

from tcpd.config.values import Rate

#: For answers that are never longer than the question. A loop that goes round in less than 50 ms
#: runs dry at this rate; a monitor that asks a few times a second never meets it.
NOT_LONGER = Rate(per_second=20.0, burst=100.0)

#: For answers that may be longer than the question: who forges a victim's address gets so little
#: sent there that it is not worth the trouble. Clients ask once.
LONGER = Rate(per_second=1.0, burst=5.0)

#: What the reference says of the key.
UDP_RATE = (
    "Rate of replies to datagrams from one address (IPv6: one /64). The rest are dropped and "
    "counted. Source addresses are easily forged: without a limit, the service could be used to "
    "flood others."
)
