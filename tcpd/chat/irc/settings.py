"""The keys of a ``protocol = irc`` service."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tcpd.chat.irc.trusted import GATEWAYS, OPERATORS, Gateway, Operator
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
        raise ValueError(f"a line has at most {_ADMIN_BYTES} bytes, all of them to be seen")
    return lines


#: The longest name of a network, and description of a server, in bytes of UTF-8: what fits the
#: lines that carry them, the escapes of RPL_ISUPPORT included.
_SHOWN_BYTES = 100


def _parse_shown(text: str) -> str:
    if "\n" in text or not text.isprintable():
        raise ValueError("it is one line, without control characters")
    if len(text.encode()) > _SHOWN_BYTES:
        raise ValueError(f"it has more than {_SHOWN_BYTES} bytes, which no line of IRC can carry")
    return text


#: Text that stands in the server's replies.
_SHOWN: Type[str] = Type("text of one line", _parse_shown, str)


_ADMIN: Type[tuple[str, ...]] = Type(
    f"up to {_ADMIN_LINES} lines of text", _parse_admin, "\n    ".join
)

_TAG = re.compile(r"\*|-?[^\0\r\n ;=,+*-][^\0\r\n ;=,]*")


def _parse_tags(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.replace(",", " ").split()))
    for name in names:
        if not (_TAG.fullmatch(name) and name.isascii() and name.isprintable()):
            raise ValueError(f"{name!r} is no name of a tag; one is written without its +")
    if len(",".join(names)) > _TAGS_CHARACTERS:
        raise ValueError(f"these are more than {_TAGS_CHARACTERS} characters; deny all with *")
    return names


#: What fits the line that tells clients of them.
_TAGS_CHARACTERS = 300

_TAGS: Type[tuple[str, ...]] = Type("names of tags, separated by commas", _parse_tags, ", ".join)


def _parse_password(text: str) -> PasswordHash | None:
    return PasswordHash.parse(text) if text else None


#: The hash of a password, or ``None`` for nothing.
PASSWORD: Type[PasswordHash | None] = Type(
    "password hash", _parse_password, lambda value: "" if value is None else str(value)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class IrcSettings:
    """How the IRC door calls itself and treats its clients."""

    network: str = option(
        _SHOWN,
        "tcpd",
        "The name of the network, as clients show it; at most 100 bytes.",
    )
    server_description: str = option(
        _SHOWN,
        "",
        "What the server is, in words for people: LINKS, WHOIS, VERSION, INFO and the second line "
        "of the welcome show it; at most 100 bytes. Empty: they show the name of the network.",
    )
    motd: str = option(
        PATH,
        "",
        "A file of text, UTF-8, that is shown to who connects, read at the start and at each "
        "reload; at most 200 lines. Empty: there is none.",
    )
    admin: tuple[str, ...] = option(
        _ADMIN,
        (),
        "Who runs the server and how to reach them, for ADMIN.",
    )
    operators: tuple[Operator, ...] = option(
        OPERATORS,
        (),
        "Who becomes an operator of the daemon in chat by OPER: a name, and the hash of a "
        "password. Operators put people out (KILL), operate the house's rooms, see addresses and "
        "reload.",
        secret=True,
    )
    webirc: tuple[Gateway, ...] = option(
        GATEWAYS,
        (),
        "Gateways, such as web clients, that tell by WEBIRC whom they stand for: the networks that "
        "they connect from, and the hash of a password.",
        secret=True,
    )
    password: PasswordHash | None = option(
        PASSWORD,
        None,
        "What clients have to say with PASS to be let in, as tcpd-ctl hash-password makes it of "
        "the password. Empty: nothing.",
        secret=True,
    )
    plain_passwords: bool = option(
        BOOLEAN,
        False,
        "Whether passwords are taken on connections that others can read along: neither TLS nor "
        "loopback nor a UNIX socket.",
    )
    sts: float | None = option(
        or_word(DURATION, "off"),
        None,
        "For how long clients that connected by TLS are to do so each time; those that did not are "
        "told the port of a listener of this service that has tls. 0 takes back what was said "
        "before; off says nothing. It holds for all that such a client finds on this host.",
    )
    multiline_bytes: int = option(
        between(SIZE, 512, 64 * 1024),
        4096,
        "How many bytes a message of several lines may have (draft/multiline).",
    )
    multiline_lines: int = option(
        whole_number(0, 1000),
        32,
        "How many lines one may have; 0 for no such messages.",
    )
    deny_tags: tuple[str, ...] = option(
        _TAGS,
        (),
        "Tags of clients that are not passed on, without their +, such as typing; * for all, and "
        "a - before one that is passed on all the same.",
    )
    resolve: bool = option(
        BOOLEAN,
        False,
        "Whether clients are shown by the names of their addresses, where [chat] says hosts = "
        "address. Nobody waits for a name: one that comes late is told as a change.",
    )
    register_timeout: float = option(
        DURATION,
        60.0,
        "How long a client may take to register; 0 for ever.",
    )
    ping: float = option(
        DURATION,
        120.0,
        "After so long a silence a client is asked whether it is there, and has as long again to "
        "answer; 0 for never. Time in which its lines wait, as for their rate, does not count.",
    )
    rate: Rate | None = option(
        RATE,
        Rate(5.0, 40.0),
        "How many lines a client may send. Faster ones are not lost: they wait, and it is read no "
        "further until they were taken.",
    )
    join_rate: Rate | None = option(
        RATE,
        Rate(1.0, 30.0),
        "How many rooms a client may come into. Beyond it is told to wait.",
    )
    nick_rate: Rate | None = option(
        RATE,
        Rate(0.1, 5.0),
        "How often a client may change its nickname. Beyond it is told to wait.",
    )
    websocket_origins: tuple[str, ...] = origins_option()
    websocket_ping: float = ping_option()
