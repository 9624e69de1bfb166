"""Settings of the daemon, of policies and of TLS, and the whole configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Protocol

from tcpd.config.fields import option
from tcpd.config.files import from_system, to_system
from tcpd.config.ini import SourceLine
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


#: NAME of a ``[policy:NAME]``, for sections other than ``[service:NAME]``.
POLICY: Type[str] = Type("policy", str, str)

_HOST_NAME: Type[str] = Type("host name", _parse_host_name, str)


def _parse_control(text: str) -> str:
    if not text or "\n" in text:
        raise ValueError(f"it is not {AUTO}, {NONE} or a path")
    if text.startswith("unix:"):  # otherwise it is a relative path, most likely by mistake
        raise ValueError(f"it takes a path without unix:; write {text.removeprefix('unix:')}")
    return to_system(text)


def _resolve_control(text: str, directory: str) -> str:
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
    f"path, {AUTO} or {NONE}", _parse_control, from_system, resolve=_resolve_control
)


class KindOptions(Protocol):
    """The part of :class:`tcpd.interfaces.IKind` that the configuration uses."""

    name: str
    summary: str
    settings: type
    words: Set[str]
    sample_listen: str | None


def sections_of(kind: KindOptions) -> Mapping[str, type]:
    """Return the ini sections that a kind declares, with their settings dataclasses."""
    found: Mapping[str, type] = getattr(kind, "sections", {})
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpdSettings:
    """``[tcpd]``: the daemon as a whole."""

    server_name: str | None = option(
        or_word(_HOST_NAME, "system"),
        None,
        "The host name that the daemon reports to clients. system is the host name of the system.",
        reloadable=False,
    )
    connections: int = option(
        whole_number(1, 1_000_000),
        10_000,
        "Maximum number of open connections of all services together.",
    )
    handshake: bool = option(
        BOOLEAN,
        True,
        "Whether the kernel keeps the SYN of each TCP connection (Linux). Handshake reports to "
        "clients need it.",
        reloadable=False,
    )
    server_isn: bool | None = option(
        or_word(BOOLEAN, "auto"),
        None,
        "Whether handshake reports include the server's initial sequence number. This needs the "
        "capability CAP_NET_ADMIN while the ports are opened. auto: if the daemon has it; yes: "
        "log a warning if the number is not available.",
        reloadable=False,
    )
    drain: float = option(
        DURATION,
        10.0,
        "How long a stopping daemon waits for clients to read their last bytes. It then resets "
        "the remaining connections.",
    )
    log: str = option(
        choice("text", "json", "journald"),
        "text",
        "Format of the log. text and json (one object a line) go to the log file of twistd; "
        "journald sends records with fields to the journal. The --logger option of twistd "
        "overrides this key.",
        reloadable=False,
    )
    log_size: int = option(
        SIZE,
        1 << 20,
        "Size at which a log file is rotated: it becomes NAME.1, the previous NAME.1 becomes "
        "NAME.2, and so on. 0 never rotates; use it with logrotate.",
        reloadable=False,
    )
    log_level: str = option(
        choice("debug", "info", "warn", "error", "critical"),
        "info",
        "Lowest level that is logged.",
    )
    state: str = option(
        PATH,
        "",
        "Directory for data that survives a restart, such as bans. It is created if it does not "
        "exist. Empty: the StateDirectory= of the systemd unit, or tcpd in the user's "
        "$XDG_STATE_HOME (default ~/.local/state). A daemon that is started as root without a "
        "unit has none.",
        reloadable=False,
    )
    control: str = option(
        _CONTROL,
        AUTO,
        "Path of the control socket, which tcpd-ctl connects to. auto: control in systemd's "
        "RuntimeDirectory=, /run/tcpd/control if started as root, tcpd/control in the user's "
        "$XDG_RUNTIME_DIR, control in the state directory, or a file in /tmp/tcpd-UID; the log "
        "has the path. none: no control socket.",
        reloadable=False,
    )
    control_group: str = option(
        TEXT,
        "",
        "Group whose members may use the control socket, like root and the daemon's own "
        "user. Empty: the daemon's own group.",
        reloadable=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySettings:
    """``[policy:NAME]``: access control, limits and timeouts of the services that refer to it.

    ``[policy:default]`` applies to services without a ``policy`` key.
    """

    allow: tuple[Network, ...] = option(
        NETWORKS,
        (),
        "Networks that may connect. Empty: every address that deny does not match. If a client "
        "matches both, the longer prefix wins; deny wins a tie.",
    )
    deny: tuple[Network, ...] = option(NETWORKS, (), "Networks that may not connect.")
    connections: int = option(
        whole_number(1, 1_000_000), 5_000, "Maximum number of open connections of one service."
    )
    per_address: int = option(
        whole_number(1, 1_000_000),
        100,
        "Maximum number of open connections from one address to one service. IPv6 addresses "
        "count by network; see ipv6_prefix.",
    )
    ipv6_prefix: int = option(
        whole_number(32, 128),
        64,
        "Prefix length of the IPv6 network that limits and the log treat as one address. Most "
        "hosts have a whole /64; customers of some providers have a /56 or /48.",
    )
    connection_rate: Rate | None = option(
        RATE, None, "Rate of new connections to one service, for example 200/s burst 1000."
    )
    address_rate: Rate | None = option(
        RATE, None, "Rate of new connections from one address, for example 5/s burst 50."
    )
    full: str = option(
        choice("refuse", "pause"),
        "refuse",
        "What happens to a new client when a connections limit, of the policy or of [tcpd], is "
        "reached. refuse closes the connection, after an error message if the protocol has one. "
        "pause leaves it in the kernel's backlog until another connection closes. endpoint: "
        "listeners always refuse.",
    )
    idle: float | None = option(
        or_word(DURATION, "auto"),
        None,
        "Idle timeout, both directions; 0 disables it. Time during which the server executes a "
        "command or holds lines back for their rate does not count. auto is the default of the "
        "protocol: 10min, 12h for forward, disabled for chat and irc.",
    )
    proxy_header: float = option(
        at_least(DURATION, 0.1),
        3.0,
        "Timeout for the PROXY header, on listeners with proxy=.",
    )
    handshake: float = option(
        at_least(DURATION, 0.1),
        10.0,
        "Timeout for the TLS handshake, and for the WebSocket handshake that follows it.",
    )
    first_byte: float = option(
        DURATION,
        0.0,
        "Timeout for the client's first byte, after the TLS handshake if there is one; 0 "
        "disables it.",
    )
    session: float = option(
        DURATION, 0.0, "Maximum duration of a connection, however busy; 0 disables it."
    )
    stalled: float = option(
        DURATION,
        300.0,
        "How long sent data may wait while the client reads none of it. The connection is then "
        "cut; 0 disables this.",
    )
    unsent: int = option(
        at_least(SIZE, 65536),
        1 << 20,
        "Maximum size of the send buffer of a connection. A client that reads too slowly and "
        "exceeds it is cut off.",
    )
    linger: float = option(
        at_least(DURATION, 0.1),
        15.0,
        "How long a connection that the daemon closes may take to deliver its last bytes. It is "
        "then cut.",
    )
    access_log: bool = option(
        BOOLEAN,
        False,
        "Whether the end of each connection is logged: peer, duration, bytes and reason.",
    )
    log_start: bool = option(
        BOOLEAN,
        False,
        "Whether the start of each connection is logged too, after the PROXY header and before "
        "TLS. Needs access_log = yes.",
    )
    log_handshake: bool = option(
        BOOLEAN,
        False,
        "Whether the log line of a connection's end includes its TCP handshake: the client's "
        "options, TTL and round-trip time. Needs access_log = yes, and handshake = yes in "
        "[tcpd].",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSSettings:
    """``[tls:NAME]``: certificates, for listeners with ``tls=NAME`` or ``starttls=NAME``.

    The server presents the certificate that matches the client's SNI name, an exact name before a
    wildcard; without SNI or a match, the first one. Of certificates with the same names and keys of
    different types (RSA and ECDSA) it presents one that the client supports. The files are checked
    every few seconds and loaded when they have changed.
    """

    certificate: tuple[str, ...] = option(
        FILES,
        doc="PEM files, each with a server certificate followed by its chain.",
    )
    key: tuple[str, ...] = option(
        FILES,
        (),
        "PEM files with the private keys, in any order. A key that none of them has is read "
        "from the certificate's file.",
    )
    chain: tuple[str, ...] = option(
        FILES,
        (),
        "PEM files with intermediate certificates, if the certificate files do not include "
        "them. Each certificate is sent with those that link it to its authority.",
    )
    minimum: str = option(choice("1.2", "1.3"), "1.2", "Lowest version of TLS that is accepted.")
    client_ca: str = option(
        FILE,
        "",
        "PEM file of authorities. Requests client certificates that one of them signed.",
    )
    client_certificate: str = option(
        choice("required", "optional"),
        "required",
        "Whether a client must present a certificate; needs client_ca. A certificate that no "
        "authority in client_ca signed is always refused.",
    )
    alpn: tuple[str, ...] = option(
        ALPN,
        (),
        "Protocols to negotiate by ALPN, such as imap or http/1.1, in order of preference. A "
        "client that offers only other protocols is refused; a client that offers none is "
        "accepted. Empty: ALPN is not used.",
    )


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """One ``[service:NAME]``.

    :ivar name: NAME.
    :ivar protocol: the name of its kind.
    :ivar listen: the listeners.
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
    :ivar services: the services by name, in the order of the files.
    :ivar policies: the policies by name; ``default`` is always there.
    :ivar tls: the TLS sections by name.
    :ivar sections: by title, the sections that the daemon and the kinds declare (``chat``).
    :ivar sources: file and line of each key that the files give, by (section, key).
    """

    tcpd: TcpdSettings
    services: Mapping[str, ServiceSettings]
    policies: Mapping[str, PolicySettings]
    tls: Mapping[str, TLSSettings]
    sections: Mapping[str, Any]
    sources: Mapping[tuple[str, str], SourceLine] = field(compare=False)

    def source(self, section: str, key: str = "") -> str:
        """Return ``FILE:LINE`` of a key, or of its section if the key is not given."""
        found = self.sources.get((section, key)) or self.sources.get((section, ""))
        return str(found) if found else "built-in defaults"
