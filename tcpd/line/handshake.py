"""HANDSHAKE, LAYERS and TCPINFO: reports on the client's own connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tcpd.handshake.as_json import handshake_json, layers_json, tcpinfo_json
from tcpd.handshake.facts import Facts
from tcpd.handshake.page import drawing_and_steps
from tcpd.handshake.report import Report, build
from tcpd.handshake.text import REPLY_WIDTH, layers_lines, tcpinfo_lines
from tcpd.line.command import Answer, Command, Request
from tcpd.line.reply import Reply, WrongArguments
from tcpd.line.watch import TcpInfoWatch

_USAGE = "[json|utf8]"

#: The seconds of TCPINFO watch.
_WATCH = range(1, 61)
_FORMS = "\njson is one line of JSON; utf8 allows box-drawing characters."


def _report_command(
    name: str,
    help: str,
    as_lines: Callable[[Report, bool, int], list[str]],
    as_json: Callable[[Report], dict[str, Any]],
) -> Command:
    def call(request: Request) -> Reply:
        word = request.argument.strip().lower()
        if word not in ("", "json", "utf8"):
            raise WrongArguments
        report = build(_facts(request))
        if word == "json":
            return Reply(250, (json.dumps(as_json(report), separators=(",", ":")),))
        return Reply(250, tuple(as_lines(report, word == "utf8", REPLY_WIDTH)))

    return Command(name, _USAGE, help + _FORMS, call)


def _facts(request: Request) -> Facts:
    """The facts of the connection layer and of the session."""
    stats = request.scope.stats
    return replace(
        request.connection.facts(),
        commands=stats.commands + 1,  # this one is counted with its reply
        encoding="UTF-8",
        line_ending=stats.line_ending,
    )


handshake = _report_command(
    "HANDSHAKE",
    "Draws your connection's three-way handshake and explains it step by step, with hints.",
    drawing_and_steps,
    handshake_json,
)

layers = _report_command(
    "LAYERS",
    "Describes your connection layer by layer, after the OSI model.",
    layers_lines,
    layers_json,
)

_tcpinfo = _report_command(
    "TCPINFO",
    "Shows the kernel's measurements of your connection (TCP_INFO).",
    tcpinfo_lines,
    tcpinfo_json,
)


def _tcpinfo_or_watch(request: Request) -> Answer:
    words = request.words
    if not words or words[0].lower() != "watch":
        return _tcpinfo.call(request)
    if len(words) != 2 or not (words[1].isascii() and words[1].isdigit()) or len(words[1]) > 2:
        raise WrongArguments
    seconds = int(words[1])
    if seconds not in _WATCH:
        raise WrongArguments
    connection = request.connection
    if connection.tcp_sample() is None:
        return Reply(250, ("not available: not a TCP connection",))
    return TcpInfoWatch(connection, request.context.clock, seconds)


tcpinfo = Command(
    "TCPINFO",
    "[json|utf8|watch SECONDS]",
    f"{_tcpinfo.help}\nwatch sends a line of figures each second, for 1 to 60 seconds or until you "
    "send anything.",
    _tcpinfo_or_watch,
)
