"""The keys of a web service."""

from __future__ import annotations

from dataclasses import dataclass

from tcpd.config.fields import option
from tcpd.config.values import NETWORKS, TEXT, Network, whole_number


@dataclass(frozen=True, kw_only=True, slots=True)
class WebSettings:
    """The keys of a ``[service:NAME]`` section with ``protocol = web``."""

    chat: str = option(
        TEXT,
        "auto",
        "NAME of the [service:NAME] with protocol = irc that the page /chat speaks to, over "
        "WebSocket on this port. auto: the first such service. none: no page /chat.",
    )
    status: tuple[Network, ...] = option(
        NETWORKS,
        NETWORKS.parse("127.0.0.0/8, ::1"),
        "Networks whose clients may see the page /status; behind a proxy, use proxy in listen. "
        "Clients of a UNIX socket may see it, too. Empty: no page /status.",
    )
    streams: int = option(
        whole_number(0, 100_000),
        200,
        "Number of event streams, of the pages / and /status, that may be open at once. One "
        "address may have 8.",
    )
