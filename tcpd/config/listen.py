"""The grammar of ``listen``: one listener a line, an address and then options.

==========================  ==========================================================
``HOST:PORT``               an IPv4 address; ``0.0.0.0`` is every IPv4 address
``[V6]:PORT``               an IPv6 address; ``[::]`` is every IPv6 address, without IPv4; a
                            link-local address needs its interface, ``[fe80::1%eth0]``
``*:PORT``                  every address, IPv6 and IPv4, by one socket
``unix:PATH mode=0660``     a UNIX socket; mode, owner= and group= are optional
``systemd:NAME``            a socket passed by systemd, by its FileDescriptorName=
``endpoint:DESCRIPTION``    any endpoint string of Twisted
==========================  ==========================================================
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

from tcpd.config.files import from_system, to_system
from tcpd.config.locations import LONGEST_SOCKET_PATH
from tcpd.config.owners import group_id, user_id
from tcpd.config.values import NETWORKS, Network, Type

_WORD_NAMES = ("tls", "starttls", "udp", "websocket", "proxy", "mode", "owner", "group")

# Options of ``unix:`` only.
_OF_UNIX = ("mode", "owner", "group")

# Options without a value.
_FLAGS = ("udp", "websocket")

#: Options of some kinds of service only.
KIND_WORDS = frozenset({"starttls", *_FLAGS})


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP or UDP port.

    :ivar host: an IP address as text, or ``*`` for every address.
    :ivar port: 0 to 65535; 0 for a port that the kernel chooses.
    """

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixSocket:
    """A UNIX stream socket.

    :ivar path: absolute.
    :ivar mode: the permissions.
    :ivar owner: a user, by name or number; empty for the user that opens it.
    :ivar group: a group, in the same form.
    """

    path: str
    mode: int
    owner: str = ""
    group: str = ""

    def __str__(self) -> str:
        return f"unix:{from_system(self.path)}"


@dataclass(frozen=True, slots=True)
class PrivateSocket(UnixSocket):
    """The control socket; not configured by ``listen``.

    :ivar required: whether the daemon does not start without it.
    :ivar closed: whether its directory and parents are created with mode 0700.
    """

    required: bool = True
    closed: bool = False

    def __str__(self) -> str:
        return f"unix:{from_system(self.path)}"


@dataclass(frozen=True, slots=True)
class SystemdSocket:
    """A socket passed by systemd, by its name."""

    name: str

    def __str__(self) -> str:
        return f"systemd:{self.name}"


@dataclass(frozen=True, slots=True)
class EndpointString:
    """A server endpoint description of Twisted."""

    description: str

    def __str__(self) -> str:
        return f"endpoint:{self.description}"


BindAddress = Address | UnixSocket | SystemdSocket | EndpointString


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies whose PROXY headers are trusted.

    :ivar networks: the networks of proxies that connect by TCP.
    :ivar unix: whether every peer of a UNIX socket is one.
    """

    networks: tuple[Network, ...] = ()
    unix: bool = False

    def __str__(self) -> str:
        return ",".join(["unix"] * self.unix + [str(network) for network in self.networks])


@dataclass(frozen=True, slots=True)
class Listener:
    """One line of ``listen``.

    :ivar bind: the address.
    :ivar tls: NAME of the ``[tls:NAME]`` for TLS from the first byte.
    :ivar starttls: NAME of the ``[tls:NAME]`` for STARTTLS.
    :ivar udp: whether it receives datagrams.
    :ivar proxy: the proxies that may connect, with a PROXY header; ``None`` without proxies.
    :ivar websocket: whether the protocol's lines are sent in WebSocket messages.
    """

    bind: BindAddress
    tls: str | None = None
    starttls: str | None = None
    udp: bool = False
    proxy: TrustedProxies | None = None
    websocket: bool = False

    def __str__(self) -> str:
        words = [str(self.bind)]
        if isinstance(self.bind, UnixSocket):
            words.append(f"mode={self.bind.mode:04o}")
            words += [f"owner={self.bind.owner}"] if self.bind.owner else []
            words += [f"group={self.bind.group}"] if self.bind.group else []
        if self.tls:
            words.append(f"tls={self.tls}")
        if self.starttls:
            words.append(f"starttls={self.starttls}")
        if self.proxy:
            words.append(f"proxy={self.proxy}")
        if self.udp:
            words.append("udp")
        if self.websocket:
            words.append("websocket")
        return " ".join(words)

    def at(self, host: str, port: int) -> Listener:
        """The same listener with its actual address."""
        return replace(self, bind=Address(host, port))


class ListenerError(ValueError):
    """An invalid line of ``listen``.

    :ivar sentences: all its errors.
    """

    def __init__(self, sentences: list[str]) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = sentences


def _parse_port(text: str, whole: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise ValueError(f"{whole!r}: {text!r} is not a port from 0 to 65535")
    return int(text)


def _parse_unix_word(name: str, value: str) -> int | str:
    """Parse an option of ``unix:``; users and groups must exist."""
    if name == "mode":
        if not re.fullmatch(r"0?[0-7]{3}", value):
            raise ValueError(f"mode={value} is not three octal digits, like mode=0660")
        return int(value, 8)
    try:
        user_id(value) if name == "owner" else group_id(value)
    except ValueError as error:
        raise ValueError(f"{name}={value}: {error}") from None
    return value


def _parse_ipv6(text: str, whole: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ipaddress.AddressValueError:
        raise ValueError(f"{whole!r}: {text!r} is not an IPv6 address") from None
    if address.ipv4_mapped is not None:  # RFC 4291 section 2.5.5.2; sockets for IPv6 refuse it
        return str(address.ipv4_mapped)
    if address.is_link_local and not address.scope_id:
        raise ValueError(
            f"{whole!r}: a link-local address needs its network interface, like [{text}%eth0]"
        )
    if address.scope_id and not address.is_link_local:
        raise ValueError(
            f"{whole!r}: only a link-local address (fe80::) takes an interface after %"
        )
    return str(address)


def _parse_bind(text: str, unix: Mapping[str, Any]) -> BindAddress:
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/"):
            raise ValueError(f"{text!r}: the path of a UNIX socket must be absolute")
        path = to_system(path)
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            raise ValueError(
                f"{text!r}: the path is longer than the {LONGEST_SOCKET_PATH} bytes the system "
                "allows"
            )
        return UnixSocket(path, **{"mode": 0o660, **unix})
    if text.startswith("systemd:"):
        if text == "systemd:":
            raise ValueError("systemd: needs the name of a socket, its FileDescriptorName=")
        return SystemdSocket(text.removeprefix("systemd:"))
    if text.startswith("endpoint:"):
        if text == "endpoint:":
            raise ValueError("endpoint: needs a description, like endpoint:tcp:7000")
        return EndpointString(text.removeprefix("endpoint:"))
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f"{text!r} is not HOST:PORT, [V6]:PORT, *:PORT, unix:PATH or systemd:NAME")
    if host == "*":
        return Address("*", _parse_port(port, text))
    if host.startswith("[") and host.endswith("]"):
        return Address(_parse_ipv6(host[1:-1], text), _parse_port(port, text))
    try:
        return Address(str(ipaddress.IPv4Address(host)), _parse_port(port, text))
    except ipaddress.AddressValueError:
        if ":" in host:
            raise ValueError(
                f"{text!r}: write an IPv6 address in brackets, [{host}]:{port}"
            ) from None
        raise ValueError(
            f"{text!r}: {host!r} is not an IPv4 address; a listener takes an address, not a name"
        ) from None


def _parse_proxy(value: str, bind: str) -> TrustedProxies:
    words = value.split(",")
    unix = "unix" in words
    try:
        networks = NETWORKS.parse(",".join(word for word in words if word != "unix"))
    except ValueError as error:
        raise ValueError(f"proxy={value}: {error}") from None
    if not (unix or networks):
        raise ValueError(f"proxy={value} names no network, like proxy=192.0.2.1,2001:db8::/64")
    if bind.startswith("unix:") and networks:
        raise ValueError(
            f"proxy={value}: on a UNIX socket write proxy=unix; its mode= says who may connect"
        )
    if unix and not bind.startswith(("unix:", "systemd:", "endpoint:")):
        raise ValueError(f"proxy={value}: unix is for UNIX sockets; write the proxies' networks")
    return TrustedProxies(networks, unix)


def _parse_word(word: str, bind: str, words: Set[str]) -> tuple[str, Any]:
    """Parse one option: its name and value."""
    name, equals, value = word.partition("=")
    if name not in _WORD_NAMES or bool(equals) == (name in _FLAGS) or (equals and not value):
        raise ValueError(
            f"{word!r} is not an option of a listener; there are tls=NAME, starttls=NAME, "
            "proxy=NETWORK, udp, websocket and, for unix:PATH, mode=0660, owner=USER and "
            "group=GROUP"
        )
    if name in KIND_WORDS and name not in words:
        takes = " and ".join(
            f"{word}=NAME" if word == "starttls" else word for word in sorted(words)
        )
        raise ValueError(
            f"{name!r} is not for this protocol, whose listeners take tls=NAME"
            + (f" and {takes}" if takes else "")
        )
    if name == "proxy":
        return name, _parse_proxy(value, bind)
    if name in _OF_UNIX:
        return name, _parse_unix_word(name, value)
    return name, value or True


def parse_listener(text: str, words: Set[str]) -> Listener:
    """Parse one line.

    :param text: the line; surrounding spaces are ignored.
    :param words: the options of :data:`KIND_WORDS` that the service's kind supports.
    :raise ListenerError: with a sentence for each error.
    """
    bind_text, *rest = text.split()
    wrong: list[str] = []
    given: dict[str, Any] = {}
    for word in rest:
        try:
            name, value = _parse_word(word, bind_text, words)
        except ValueError as error:
            wrong.append(str(error))
            continue
        if name in given:
            wrong.append(f"{name!r} occurs twice")
        given[name] = value
    if not bind_text.startswith("unix:"):
        wrong += [f"{name}= goes with unix: only" for name in _OF_UNIX if name in given]
    bind: BindAddress | None = None
    try:
        bind = _parse_bind(bind_text, {name: given[name] for name in _OF_UNIX if name in given})
    except ValueError as error:
        wrong.append(str(error))
    tls, starttls, proxy = given.get("tls"), given.get("starttls"), given.get("proxy")
    udp, websocket = "udp" in given, "websocket" in given
    if tls and starttls:
        wrong.append("tls= and starttls= exclude each other on one listener")
    if udp and (tls or starttls or proxy or not isinstance(bind, Address | None)):
        wrong.append("udp takes an address and a port, and no TLS or PROXY header")
    if websocket and (udp or starttls):
        wrong.append("websocket needs TCP, or TLS with tls=NAME; it excludes udp and starttls=")
    if wrong or bind is None:
        raise ListenerError(wrong)
    return Listener(bind, tls, starttls, udp, proxy, websocket)


def _parse_listeners(text: str) -> tuple[Listener, ...]:
    return tuple(parse_listener(line, frozenset()) for line in text.split("\n") if line.strip())


def _show_listeners(listeners: tuple[Listener, ...]) -> str:
    return "\n    ".join(map(str, listeners))


#: The listeners of a section other than ``[service:NAME]``, one a line; may be empty. The options
#: in :data:`KIND_WORDS` are not allowed.
LISTENERS: Type[tuple[Listener, ...]] = Type("listeners", _parse_listeners, _show_listeners)
