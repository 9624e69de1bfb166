"""The settings that the daemon itself has, and all settings together."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from tcpd.config.fields import option
from tcpd.config.files import from_system, to_system
from tcpd.config.ini import Place
from tcpd.config.listen import Listener
from tcpd.config.locations import AUTO, LONGEST_SOCKET_PATH, NONE
from tcpd.config.values import (
    ALPN,
    BOOLEAN,
    DURATION,
    FILE,
    FILES,
    NETWORKS,
    PATH,
    RATE,
    SIZE,
    TEXT,
    Network,
    Rate,
    Type,
    at_least,
    choice,
    or_word,
    whole_number,
)


def _parse_host_name(text: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,61}[A-Za-z0-9])?", text) is None:
        raise ValueError(
            f"{text!r} is not a host name; it has letters, digits, dots and hyphens, at most 63"
        )
    return text


#: NAME of a ``[policy:NAME]``, for a section that is no ``[service:NAME]``.
POLICY: Type[str] = Type("policy", str, str)

_HOST_NAME: Type[str] = Type("host name", _parse_host_name, str)


def _parse_control(text: str) -> str:
    if not text or "\n" in text:
        raise ValueError(f"it is neither {AUTO} nor {NONE} nor a path")
    if text.startswith("unix:"):  # else it is a relative path, and an odd one
        raise ValueError(f"it takes a path without unix:; write {text.removeprefix('unix:')}")
    return to_system(text)


def _place_control(text: str, directory: str) -> str:
    if text in (AUTO, NONE):
        return text
    path = os.path.join(directory, text)
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ValueError(
            f"{from_system(path)!r} is longer than the {LONGEST_SOCKET_PATH} bytes that the "
            "system allows"
        )
    return path


_CONTROL: Type[str] = Type(
    f"path, {AUTO} or {NONE}", _parse_control, from_system, place=_place_control
)


class KindOptions(Protocol):
    """What configuration has to know of a kind; :class:`tcpd.interfaces.IKind` has it all."""

    name: str
    summary: str
    settings: type
    words: Set[str]
    sample_listen: str | None


def sections_of(kind: KindOptions) -> Mapping[str, type]:
    """The sections of the ini file that a kind declares, with their settings dataclasses.

    The attribute is optional, see :class:`tcpd.interfaces.IKind`.
    """
    found: Mapping[str, type] = getattr(kind, "sections", {})
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpdSettings:
    """``[tcpd]``: the daemon as a whole."""

    server_name: str | None = option(
        or_word(_HOST_NAME, "system"),
        None,
        "The name that the daemon calls itself by; system is what the system calls itself.",
        reloadable=False,
    )
    connections: int = option(
        whole_number(1, 1_000_000), 10_000, "How many connections all services together may have."
    )
    handshake: bool = option(
        BOOLEAN,
        True,
        "Whether the kernel keeps the SYN of each TCP connection (Linux), so that clients can be "
        "told what their three-way handshake was like.",
        reloadable=False,
    )
    server_isn: bool = option(
        BOOLEAN,
        False,
        "Whether they are told the server's initial sequence number too. That takes the capability "
        "CAP_NET_ADMIN while the ports are opened.",
        reloadable=False,
    )
    drain: float = option(
        DURATION,
        10.0,
        "How long a stopping daemon waits for clients to take their last bytes before it cuts "
        "them off.",
    )
    log: str = option(
        choice("text", "json", "journald"),
        "text",
        "How the log is written: text, or json (one object a line), both to where twistd is told "
        "to log; or to journald with fields. A --logger of twistd's overrides it.",
        reloadable=False,
    )
    log_size: int = option(
        SIZE,
        1 << 20,
        "When a log file has so many bytes it is renamed to NAME.1, the one before to NAME.2 and "
        "so on, and a new one is begun. 0 leaves that to others, such as logrotate.",
        reloadable=False,
    )
    log_level: str = option(
        choice("debug", "info", "warn", "error", "critical"),
        "info",
        "How much is logged: nothing below this level.",
    )
    state: str = option(
        PATH,
        "",
        "A directory for what outlives a restart, such as bans; it is made if need be. Empty, it "
        "is the StateDirectory= of systemd's unit, or else tcpd in the user's $XDG_STATE_HOME, "
        "which is ~/.local/state; root has none then.",
        reloadable=False,
    )
    control: str = option(
        _CONTROL,
        AUTO,
        "The socket that tcpd-ctl speaks to. auto is control in systemd's RuntimeDirectory=, or "
        "/run/tcpd/control when started as root, or tcpd/control in the user's $XDG_RUNTIME_DIR, "
        "or control in state, or in /tmp/tcpd-UID; the log says where it is. none is no socket.",
        reloadable=False,
    )
    control_group: str = option(
        TEXT,
        "",
        "The group whose members may use the control socket, beside root and the daemon's own "
        "user; empty, it is the daemon's own group.",
        reloadable=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """``[policy:NAME]``: who may connect to the services that name it, and how long they may stay.

    ``[policy:default]`` is for all services that name none.
    """

    allow: tuple[Network, ...] = option(
        NETWORKS,
        (),
        "Networks that may connect; empty lets in everybody whom deny does not name. Where a "
        "client is in networks of both, the longer prefix wins, and deny wins a tie.",
    )
    deny: tuple[Network, ...] = option(NETWORKS, (), "Networks that may not connect.")
    connections: int = option(
        whole_number(1, 1_000_000), 5_000, "How many connections one service may have."
    )
    per_address: int = option(
        whole_number(1, 1_000_000),
        100,
        "How many connections to one service an address may have; for IPv6, the network that "
        "ipv6_prefix says.",
    )
    ipv6_prefix: int = option(
        whole_number(32, 128),
        64,
        "How much of an IPv6 address counts as one address in limits and in the log: hosts have a "
        "whole /64 as a rule, and customers of some providers a /56 or /48.",
    )
    connection_rate: Rate | None = option(
        RATE, None, "How many new connections one service takes in all, like 200/s burst 1000."
    )
    address_rate: Rate | None = option(
        RATE, None, "How many new connections one address may make, like 5/s burst 50."
    )
    full: str = option(
        choice("refuse", "pause"),
        "refuse",
        "What the next client meets when connections, or those of [tcpd], are used up: refuse "
        "closes its connection, with the protocol's words if it has any; pause leaves it waiting "
        "in the kernel until somebody goes. A listener of Twisted's (endpoint:) always refuses.",
    )
    idle: float | None = option(
        or_word(DURATION, "auto"),
        None,
        "A connection that is silent for so long, both ways, is ended; 0 never. Time in which "
        "the server works at a command, or has lines wait for their rate, does not count. auto is "
        "what the protocol asks for: of tcpd's own 10min, 12h for forward, and never for chat.",
    )
    proxy_header: float = option(
        at_least(DURATION, 0.1),
        3.0,
        "How long a proxy may take to send the PROXY header, on listeners that say proxy=.",
    )
    handshake: float = option(
        at_least(DURATION, 0.1),
        10.0,
        "How long a client may take for the TLS handshake, and for that of WebSocket behind it.",
    )
    first_byte: float = option(
        DURATION,
        0.0,
        "How long a client may take until it says something, behind the TLS handshake where there "
        "is one; 0 for ever.",
    )
    session: float = option(
        DURATION, 0.0, "How long a connection may last in all, however busy; 0 for ever."
    )
    stalled: float = option(
        DURATION,
        300.0,
        "How long bytes may wait for a client that takes none of them before it is cut off; 0 for "
        "ever.",
    )
    unsent: int = option(
        at_least(SIZE, 65536),
        1 << 20,
        "How many bytes may wait for a client that reads too slowly before it is cut off.",
    )
    linger: float = option(
        at_least(DURATION, 0.1),
        15.0,
        "How long a connection that the daemon closes may take to deliver its last bytes before "
        "it is cut off.",
    )
    access_log: bool = option(
        BOOLEAN,
        False,
        "Whether the end of each connection is logged: who, how long, how much, and why it ended.",
    )
    log_start: bool = option(
        BOOLEAN,
        False,
        "Whether the start of each connection is logged too, when its client is known: behind its "
        "PROXY header, before TLS. It means nothing without access_log.",
    )
    log_handshake: bool = option(
        BOOLEAN,
        False,
        "Whether the line of the end tells of the TCP handshake too: the client's options, TTL and "
        "round-trip time. It means nothing without access_log, and takes handshake = yes in "
        "[tcpd].",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSSettings:
    """``[tls:NAME]``: certificates, for listeners that say ``tls=NAME`` or ``starttls=NAME``.

    A client gets the certificate that has the name it asks for (SNI), by the exact name before a
    wildcard; the first where none fits or it asks for none. Of certificates with the same names
    and keys of different types (RSA and ECDSA) it gets the one it can use. The files are looked at
    every few seconds, and taken over when they have changed.
    """

    certificate: tuple[str, ...] = option(
        FILES,
        doc="PEM files with a certificate of the server's each, its chain behind it.",
    )
    key: tuple[str, ...] = option(
        FILES,
        (),
        "PEM files with the private keys, in any order; a key that is in none of them is looked "
        "for in the file of its certificate.",
    )
    chain: tuple[str, ...] = option(
        FILES,
        (),
        "PEM files with chains, where the certificates' files do not hold them: each certificate "
        "gets from them those that lead on to its authority.",
    )
    minimum: str = option(choice("1.2", "1.3"), "1.2", "The oldest version of TLS to speak.")
    client_ca: str = option(
        FILE,
        "",
        "A PEM file of authorities: clients are asked for a certificate that one of them signed.",
    )
    client_certificate: str = option(
        choice("required", "optional"),
        "required",
        "Whether clients have to show one, where client_ca is given; one that no authority of it "
        "signed is never let in.",
    )
    alpn: tuple[str, ...] = option(
        ALPN,
        (),
        "The protocols to agree on with clients that offer some (ALPN), like imap or http/1.1, the "
        "best first. A client that offers only others is refused, and one that offers none is "
        "not. Empty, nothing is agreed on, whatever is offered.",
    )


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """``[service:NAME]``.

    :ivar name: NAME.
    :ivar protocol: the name of its kind.
    :ivar listen: where it listens.
    :ivar policy: NAME of its ``[policy:NAME]``.
    :ivar options: an instance of its kind's ``settings``.
    :ivar sections: titles of the sections that its kind declares.
    """

    name: str
    protocol: str
    listen: tuple[Listener, ...]
    policy: str
    options: Any
    sections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration, checked.

    :ivar tcpd: ``[tcpd]``.
    :ivar services: by name, in the order of the files.
    :ivar policies: by name; ``default`` is always there.
    :ivar tls: by name.
    :ivar sections: by title, the sections that the daemon and the kinds declare (``chat``).
    :ivar places: by (section, key), where a value was given; a key that was not is not there.
    """

    tcpd: TcpdSettings
    services: Mapping[str, ServiceSettings]
    policies: Mapping[str, PolicySettings]
    tls: Mapping[str, TLSSettings]
    sections: Mapping[str, Any]
    places: Mapping[tuple[str, str], Place] = field(compare=False)

    def place(self, section: str, key: str = "") -> str:
        """Say where a key, or else its section, stands: ``FILE:LINE``."""
        found = self.places.get((section, key)) or self.places.get((section, ""))
        return str(found) if found else "built-in defaults"
