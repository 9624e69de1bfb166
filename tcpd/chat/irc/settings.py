"""Configuration keys of a ``protocol = irc`` service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tcpd.chat.irc.credentials import GATEWAYS, OPERATORS, Gateway, Operator
from tcpd.config.fields import option
from tcpd.config.values import (
    BOOLEAN,
    DURATION,
    PATH,
    RATE,
    SIZE,
    Rate,
    Type,
    between,
    or_word,
    whole_number,
)
from tcpd.net.websocket_settings import origins_option, ping_option
from tcpd.policy.passwords import PasswordHash

_ADMIN_LINES = 3
_ADMIN_BYTES = 300


def _parse_admin(text: str) -> tuple[str, ...]:
    lines = tuple(line.strip() for line in text.split("\n") if line.strip())
    if len(lines) > _ADMIN_LINES:
        raise ValueError(f"there are {len(lines)} lines; ADMIN has at most {_ADMIN_LINES}")
    if any(len(line.encode()) > _ADMIN_BYTES or not line.isprintable() for line in lines):
        raise ValueError(f"a line has at most {_ADMIN_BYTES} bytes and no control characters")
    return lines


#: Maximum bytes of a network name or server description: it fits its lines even when RPL_ISUPPORT
#: escapes every byte.
_SHOWN_BYTES = 100


def _parse_shown(text: str) -> str:
    if "\n" in text or not text.isprintable():
        raise ValueError("it must be one line without control characters")
    if len(text.encode()) > _SHOWN_BYTES:
        raise ValueError(f"it has more than {_SHOWN_BYTES} bytes, too many for a line of IRC")
    return text


#: Text in the server's replies.
_SHOWN: Type[str] = Type("text of one line", _parse_shown, str)


_ADMIN: Type[tuple[str, ...]] = Type(
    f"up to {_ADMIN_LINES} lines of text", _parse_admin, "\n    ".join
)

_TAG = re.compile(r"\*|-?[^\0\r\n ;=,+*-][^\0\r\n ;=,]*")


def _parse_tags(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for name in names:
        if not (_TAG.fullmatch(name) and name.isascii() and name.isprintable()):
            raise ValueError(f"{name!r} is not the name of a tag; write it without its +")
    if len(",".join(names)) > _TAGS_CHARACTERS:
        raise ValueError(f"the list has more than {_TAGS_CHARACTERS} characters; deny all with *")
    return names


#: Fits a token of RPL_ISUPPORT.
_TAGS_CHARACTERS = 300

_TAGS: Type[tuple[str, ...]] = Type("names of tags, separated by commas", _parse_tags, ", ".join)


def _parse_password(text: str) -> PasswordHash | None:
    return PasswordHash.parse(text) if text else None


#: Password hash; ``None`` if the value is empty.
PASSWORD: Type[PasswordHash | None] = Type(
    "password hash", _parse_password, lambda value: "" if value is None else str(value)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class IrcSettings:
    """Settings of an IRC service."""

    network: str = option(
        _SHOWN,
        "tcpd",
        "Name of the network, as clients show it; at most 100 bytes.",
    )
    server_description: str = option(
        _SHOWN,
        "",
        "Description of the server for LINKS, WHOIS, VERSION, INFO and numeric 002; at most 100 "
        "bytes. Empty: the name of the network.",
    )
    motd: str = option(
        PATH,
        "",
        "File with the message of the day: UTF-8, at most 200 lines. It is read at the start and "
        "at each reload. Empty: no message.",
    )
    admin: tuple[str, ...] = option(
        _ADMIN,
        (),
        "Administrator of the server and contact, for ADMIN.",
    )
    operators: tuple[Operator, ...] = option(
        OPERATORS,
        (),
        "Server operators: a name and a password hash for OPER. They can disconnect users (KILL), "
        "moderate the lobby, see addresses, and reload the configuration (REHASH).",
        secret=True,
    )
    webirc: tuple[Gateway, ...] = option(
        GATEWAYS,
        (),
        "Gateways, such as web clients, that send the addresses of their clients by WEBIRC: "
        "networks that they connect from, and a password hash.",
        secret=True,
    )
    password: PasswordHash | None = option(
        PASSWORD,
        None,
        "Hash of the password that clients must send with PASS, as tcpd-ctl hash-password prints "
        "it. Empty: no password.",
        secret=True,
    )
    plain_passwords: bool = option(
        BOOLEAN,
        False,
        "Whether to accept passwords on connections without TLS that are neither loopback nor a "
        "UNIX socket.",
    )
    sts: float | None = option(
        or_word(DURATION, "off"),
        None,
        "Duration of the strict transport security policy (capability sts): clients use only TLS "
        "for this time, on all ports of this host. Clients without TLS get the port of this "
        "service's TLS listener. 0 revokes the policy; off does not advertise one.",
    )
    multiline_bytes: int = option(
        between(SIZE, 512, 64 * 1024),
        4096,
        "Bytes of a multiline message (draft/multiline).",
    )
    multiline_lines: int = option(
        whole_number(0, 1000),
        32,
        "Lines of a multiline message; 0 disables them.",
    )
    deny_tags: tuple[str, ...] = option(
        _TAGS,
        (),
        "Client-only tags that are not relayed, without their +, such as typing; * for all. A - "
        "before a name makes an exception.",
    )
    resolve: bool = option(
        BOOLEAN,
        False,
        "Whether to show the DNS name of an address as the host, with [chat] hosts = address. "
        "Registration does not wait for DNS: a late name is sent as a change of host.",
    )
    register_timeout: float = option(
        DURATION,
        60.0,
        "Time in which a client must register; 0 for no limit.",
    )
    ping: float = option(
        DURATION,
        120.0,
        "Silence after which the server sends PING. A client that does not answer within the same "
        "time again is disconnected; 0 disables it. Time in which the client's lines are delayed "
        "does not count.",
    )
    rate: Rate | None = option(
        RATE,
        Rate(5.0, 40.0),
        "Rate of lines from one client. Lines above the rate are delayed, not lost: the server "
        "stops reading from the client until they are taken.",
    )
    join_rate: Rate | None = option(
        RATE,
        Rate(1.0, 30.0),
        "Rate of JOINs of one client. Those above the rate are refused.",
    )
    nick_rate: Rate | None = option(
        RATE,
        Rate(0.1, 5.0),
        "Rate of nickname changes of one client. Those above the rate are refused.",
    )
    websocket_origins: tuple[str, ...] = origins_option()
    websocket_ping: float = ping_option()
