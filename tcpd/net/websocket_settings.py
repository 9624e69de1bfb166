"""The options of WebSocket listeners, and the keys that kinds declare for them."""

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

#: Words for groups of origins. Browsers send ``null`` for pages from files and in sandboxes (RFC
#: 6454 section 7.3).
_WORDS = ("same", "any", "null")


class Frames(Enum):
    """The type of data frames, by opcode (RFC 6455 section 5.2)."""

    TEXT = 1
    BINARY = 2


#: The subprotocols of IRC: https://ircv3.net/specs/extensions/websocket
IRCV3: Mapping[str, Frames] = MappingProxyType(
    {"text.ircv3.net": Frames.TEXT, "binary.ircv3.net": Frames.BINARY}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketOptions:
    """The options of a service's WebSocket listeners; see
    :class:`tcpd.interfaces.IWebSocketFactory`.

    :ivar longest: the maximum size of a message from a client in bytes, without line end.
    :ivar subprotocols: the supported subprotocols, by name. A client without one of them gets text
        messages and may send both types.
    :ivar origins: the allowed origins of web pages: the value of :func:`origins_option`.
    :ivar ping: seconds without input before a client is pinged; 0 for never.
    """

    longest: int
    subprotocols: Mapping[str, Frames]
    origins: tuple[str, ...] = ("same",)
    ping: float = 45.0


def _split(origin: str) -> tuple[str, str, str] | None:
    """Return scheme, host and port of an origin; the scheme's default port as ``""``."""
    match = _ORIGIN.fullmatch(origin.lower())
    if match is None:
        return None
    scheme, host, port = match[1], match[2], match[3] or ""
    return scheme, host, "" if port == _DEFAULT_PORTS.get(scheme) else port


def _join(scheme: str, host: str, port: str) -> str:
    return f"{scheme}://{host}:{port}" if port else f"{scheme}://{host}"


def _parse_origins(text: str) -> tuple[str, ...]:
    found = []
    for word in text.replace(",", " ").split():
        split = _split(word)
        if word in _WORDS:
            found.append(word)
        elif split is not None:
            found.append(_join(*split))
        else:
            raise ValueError(
                f"{word!r} is not an origin; write SCHEME://HOST or SCHEME://HOST:PORT without "
                "a path, such as https://chat.example, or same, any or null"
            )
    return tuple(dict.fromkeys(found))


#: A tuple of origins as browsers send them (RFC 6454 section 6.2), and of the words above.
ORIGINS: Type[tuple[str, ...]] = Type(
    "origins, separated by commas or blanks", _parse_origins, ", ".join
)


def allows(origins: tuple[str, ...], origin: str, host: str, is_own: Callable[[str], bool]) -> bool:
    """Whether pages of an origin may connect.

    :param origins: the allowed origins, of the type :data:`ORIGINS`.
    :param origin: the request's ``Origin``.
    :param host: the request's ``Host``. After DNS rebinding it is the same as in ``Origin``.
    :param is_own: returns whether a host, without port, is this daemon.
    """
    if "any" in origins:
        return True
    split = _split(origin)
    if split is None:
        return origin == "null" and "null" in origins
    if _join(*split) in origins:
        return True
    # the scheme is not compared: a proxy may terminate TLS
    scheme, name, port = split
    requested = host.lower().removesuffix(f":{_DEFAULT_PORTS.get(scheme, '')}")
    same = requested == (f"{name}:{port}" if port else name)
    return "same" in origins and same and is_own(name)


def origins_option() -> Any:
    """Declare the key ``websocket_origins``."""
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
    """Declare the key ``websocket_ping``."""
    return option(
        DURATION,
        45.0,
        "Idle time after which a WebSocket client is pinged. Without a pong within the same time "
        "it is disconnected; 0 disables this. Many proxies cut connections that are idle for a "
        "minute.",
    )
