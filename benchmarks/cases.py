"""Cases of the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.beside import LOADS
from benchmarks.servers import STOCK, TCPD


@dataclass(frozen=True, slots=True)
class Case:
    """A measurement.

    :ivar name: for ``--case``.
    :ivar title: description.
    :ivar kind: the service: echo, line, tls, chat, irc.
    :ivar program: source of the load.
    :ivar arguments: of the load.
    :ivar operation: the unit of the count.
    :ivar unit: the server that others are compared with.
    :ivar key: type of the server's key, see :class:`benchmarks.ground.Ground`.
    """

    name: str
    title: str
    kind: str
    program: str
    arguments: dict[str, str | int] = field(default_factory=dict)
    operation: str = "message"
    unit: str = STOCK
    key: str = "ec"

    @property
    def conns(self) -> int:
        """Number of concurrent connections."""
        return int(self.arguments.get("conns", 1))


def _echo(name: str, title: str, **arguments: int) -> Case:
    return Case(name, f"echo, {title}", "echo", "load.c", {"case": "echo", **arguments})


def _line(name: str, depth: int, title: str = "PING", **more: int) -> Case:
    arguments: dict[str, str | int] = {"case": "line", "conns": 16, "depth": depth, **more}
    title = f"line, {title}, 16 connections, depth {depth}"
    return Case(name, title, "line", "load.c", arguments, "request")


def _chat(name: str, members: int, title: str, window: int, **more: int) -> Case:
    arguments: dict[str, str | int] = {"case": "chat", "conns": members, "window": window, **more}
    title = f"text chat, {members} members, {title}"
    return Case(name, title, "chat", "load.c", arguments, "delivery", TCPD)


def _irc(name: str, members: int, title: str, window: int) -> Case:
    arguments: dict[str, str | int] = {"case": "irc", "conns": members, "window": window}
    title = f"IRC, {members} members, {title}"
    return Case(name, title, "irc", "load.c", arguments, "delivery", TCPD)


def _handshakes(suffix: str, title: str, version: int, key: str) -> tuple[Case, Case]:
    """Return the cases of new and of resumed sessions."""
    new, resumed = (
        Case(
            f"tls-{case}{suffix}",
            f"TLS 1.{version - 10}, {title}, {case} connections, 32 at a time",
            "tls",
            "tls.c",
            {"case": case, "conns": 32, "version": version},
            "connection",
            key=key,
        )
        for case in ("new", "resumed")
    )
    return new, resumed


#: Cases with a load generator.
CASES = (
    _echo("echo-1", "1 connection, 64 bytes", conns=1),
    _echo("echo-64", "64 connections, 64 bytes", conns=64),
    _echo("echo-1000", "1,000 connections, 64 bytes", conns=1000),
    _echo("echo-depth16", "64 connections, depth 16, 64 bytes", conns=64, depth=16),
    _echo("bulk", "8 connections, 64 KiB, depth 16", conns=8, depth=16, size=65536),
    Case(
        "connect",
        "connect, echo, close, 32 at a time",
        "echo",
        "load.c",
        {"case": "connect", "conns": 32},
        "connection",
    ),
    _line("line-1", 1),
    _line("line-16", 16),
    _line("line-256", 256),
    _line("line-mixed", 256, "adjacent requests differ", mixed=1),
    _chat("chat-100-flood", 100, "flood", 256),
    _chat("chat-1000-flood", 1000, "flood", 256),
    _chat("chat-100-senders", 100, "flood of 10 senders", 256, senders=10),
    _chat("chat-1000-senders", 1000, "flood of 10 senders", 256, senders=10),
    _chat("chat-100-window4", 100, "window 4", 4),
    _chat("chat-1000-window4", 1000, "window 4", 4),
    _irc("irc-100-flood", 100, "flood", 256),
    _irc("irc-1000-flood", 1000, "flood", 256),
    _irc("irc-100-window4", 100, "window 4", 4),
    _irc("irc-1000-window4", 1000, "window 4", 4),
    Case(
        "irc-joins",
        "IRC, 10,000 clients join one room at once, and one outside of it sends PING meanwhile",
        "irc",
        "load.c",
        {"case": "joins", "conns": 10_000},
        "join",
        TCPD,
    ),
    Case(
        "tls-echo",
        "TLS, echo, 64 connections, 64 bytes",
        "tls",
        "tls.c",
        {"case": "echo", "conns": 64},
    ),
    *_handshakes("", "P-256", 13, "ec"),
    *_handshakes("-rsa", "RSA-2048", 13, "rsa"),
    *_handshakes("-12", "P-256", 12, "ec"),
    *_handshakes("-12-rsa", "RSA-2048", 12, "rsa"),
)

IDLE = "idle"
IDLE_IRC = "irc-idle"
START = "start"

#: Cases of ``protocol = web``; benchmarks.pages has their loads.
PAGES = (
    "web-page",
    "web-text",
    "web-svg",
    "web-file",
    "web-live",
    "web-status",
    "web-chat",
    "web-chat-irc",
    "web-room",
    "web-room-irc",
)

NAMES = (
    *(case.name for case in CASES),
    *(load.name for load in LOADS),
    *PAGES,
    IDLE,
    IDLE_IRC,
    START,
)
