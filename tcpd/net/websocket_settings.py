"""What a kind says of its WebSocket listeners: keys for its section, and how messages go."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

from tcpd.config.fields import option
from tcpd.config.values import DURATION, Type

_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?", re.ASCII
)

_DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}

#: Words that stand for origins, beside those written out; ``null`` is what browsers say of pages
#: from files and in sandboxes (RFC 6454 section 7.3).
_WORDS = ("same", "any", "null")


class Frames(Enum):
    """The frames that messages go in, by their opcode (RFC 6455 section 5.2)."""

    TEXT = 1
    BINARY = 2


#: The subprotocols of IRC: https://ircv3.net/specs/extensions/websocket
IRCV3: Mapping[str, Frames] = MappingProxyType(
    {"text.ircv3.net": Frames.TEXT, "binary.ircv3.net": Frames.BINARY}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketOptions:
    """How a kind's WebSocket listeners treat clients; see
    :class:`tcpd.interfaces.IWebSocketFactory`.

    :ivar longest: bytes of a message that a client may send, its line end not counted.
    :ivar subprotocols: by name, those a client may choose from; one that asks for none of them is
        sent text and may send either.
    :ivar origins: the pages that are let in: what :func:`origins_option` declares.
    :ivar ping: seconds of silence before a client is asked whether it is there; 0 for never.
    """

    longest: int
    subprotocols: Mapping[str, Frames]
    origins: tuple[str, ...] = ("same",)
    ping: float = 45.0


def _split(origin: str) -> tuple[str, str, str] | None:
    """Scheme, host and port of an origin; no port where it is the scheme's own."""
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return None
    scheme, host, port = match[1], match[2], match[3] or ""
    return scheme, host, "" if port == _DEFAULT_PORTS.get(scheme) else port


def _written(scheme: str, host: str, port: str) -> str:
    return f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"


def _parse_origins(text: str) -> tuple[str, ...]:
    found = []
    for word in text.replace(",", " ").split():
        split = _split(word)
        if word in _WORDS:
            found.append(word)
        elif split is not None:
            found.append(_written(*split))
        else:
            raise ValueError(
                f"{word!r} is not an origin; write SCHEME://HOST or SCHEME://HOST:PORT and nothing "
                "behind it, like https://chat.example, or same, any or null"
            )
    return tuple(dict.fromkeys(found))


#: A tuple of origins as browsers write them (RFC 6454 section 6.2), and of the words above.
ORIGINS: Type[tuple[str, ...]] = Type(
    "origins, separated by commas or blanks", _parse_origins, ", ".join
)


def allows(origins: tuple[str, ...], origin: str, host: str, is_own: Callable[[str], bool]) -> bool:
    """Whether pages of an origin are let in.

    :param origins: of :data:`ORIGINS`.
    :param origin: the request's ``Origin``.
    :param host: its ``Host``: what the page thinks that it connects to. A page whose name was
        pointed here (DNS rebinding) has the same name in both.
    :param is_own: tells of a host without its port whether the daemon knows itself by it.
    """
    if "any" in origins:
        return True
    split = _split(origin)
    if split is None:
        return origin == "null" and "null" in origins
    if _written(*split) in origins:
        return True
    # the scheme is not compared: a proxy in front may have taken the TLS off
    scheme, name, port = split
    asked = host.lower().removesuffix(f":{_DEFAULT_PORTS.get(scheme, '')}")
    same = asked == (f"{name}:{port}" if port else name)
    return "same" in origins and same and is_own(name)


def origins_option() -> Any:
    """Declare ``websocket_origins``, in the settings of a kind."""
    return option(
        ORIGINS,
        ("same",),
        "Origins of web pages that may connect to websocket listeners, such as "
        "https://chat.example or https://chat.example:8443. same: pages from the host and port "
        "that they connect to, if the host is server_name, a name in the certificate, or the "
        "address of the listener's end. null: pages from files. any: all pages. Clients that send "
        "no Origin header are always allowed.",
    )


def ping_option() -> Any:
    """Declare ``websocket_ping``, in the settings of a kind."""
    return option(
        DURATION,
        45.0,
        "Idle time after which a WebSocket client is pinged. Without a pong within the same time "
        "it is disconnected; 0 disables this. Many proxies cut connections that are idle for a "
        "minute.",
    )
