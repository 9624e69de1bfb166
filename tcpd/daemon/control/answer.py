"""What operators' commands are made of: words in; out a table for people, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tcpd.line.command import Command, Request
from tcpd.line.reply import Reply, WrongArguments
from tcpd.line.stream import Stream

#: As code of a reply: what was asked for cannot be done, as things are.
REFUSED = 550


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, in both forms.

    :ivar text: for people, one line or several; what makes it, where that takes long and programs
        that ask for JSON would wait for nothing.
    :ivar data: for programs; its keys are documented, and stay.
    :ivar code: of the reply.
    """

    text: str | Callable[[], str]
    data: Mapping[str, Any]
    code: int = 250


Function = Callable[[list[str], str], Told | Stream | Awaitable[Told]]
"""Does a command; gets its words, ``json`` taken out, and the operator, for people to read."""


def operator_command(
    name: str,
    usage: str,
    help: str,
    function: Function,
    *,
    at_least: int = 0,
    at_most: int | None = None,
    free_text: bool = False,
) -> Command:
    """Make a command.

    :param name: upper-case.
    :param usage: the arguments as HELP shows them, without ``[json]``.
    :param help: what it does.
    :param function: does it.
    :param at_least: fewer words are answered with 501 and the usage.
    :param at_most: the same for more words; ``None`` for no limit.
    :param free_text: its last words are the operator's own, so ``json`` counts as the first only.
    """

    def call(request: Request) -> Any:
        words = request.words
        in_json = bool(words) and words[0].lower() == "json"
        if in_json:
            del words[0]
        elif words and not free_text and words[-1].lower() == "json":
            in_json = True
            del words[-1]
        if len(words) < at_least or (at_most is not None and len(words) > at_most):
            raise WrongArguments
        told = function(words, request.connection.peer)
        if isinstance(told, Stream):
            return told
        return _reply(told, in_json) if isinstance(told, Told) else _later(told, in_json)

    return Command(name, f"[json] {usage}".rstrip(), help, call)


def _reply(told: Told, in_json: bool) -> Reply:
    if in_json:
        return Reply(told.code, (json.dumps(told.data, separators=(",", ":")),))
    text = told.text if isinstance(told.text, str) else told.text()
    return Reply.of(told.code, text)


async def _later(told: Awaitable[Told], in_json: bool) -> Reply:
    return _reply(await told, in_json)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as what is in them. One whose heading begins with ``>`` is set to the right.

    What peers have sent has to be escaped before; a reply does that once more, line by line.
    """
    right = [heading.startswith(">") for heading in headings]
    lines = [[heading.lstrip(">") for heading in headings]]
    lines += [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def pairs(rows: Sequence[tuple[str, object]]) -> str:
    """A name and a value on each line."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


def moment(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(count: int, noun: str) -> str:
    """``1 connection``, ``2 connections``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
