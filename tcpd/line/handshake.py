"""HANDSHAKE, LAYERS and TCPINFO: clients are told of their own connection, and of no other."""

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
from tcpd.line.command import Command, Request
from tcpd.line.reply import Reply, WrongArguments

_USAGE = "[json|utf8]"
_FORMS = "\njson is one line of JSON; utf8 allows box-drawing characters."


def _telling(
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
    """What the connection layer knows, and what the conversation does."""
    talk = request.scene.talk
    return replace(
        request.connection.facts(),
        commands=talk.commands + 1,  # this one is counted when it is answered
        encoding="UTF-8",
        line_ending=talk.line_ending,
    )


handshake = _telling(
    "HANDSHAKE",
    "Draws your connection's three-way handshake, tells it step by step, and what stands out.",
    drawing_and_steps,
    handshake_json,
)

layers = _telling(
    "LAYERS",
    "Tells your connection layer by layer, after the OSI model.",
    layers_lines,
    layers_json,
)

tcpinfo = _telling(
    "TCPINFO",
    "Tells what the kernel measures of your connection, by its names (TCP_INFO).",
    tcpinfo_lines,
    tcpinfo_json,
)
