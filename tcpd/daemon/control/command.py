"""Operators' commands: words as arguments; the result is text for people or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tcpd.line.command import Command, Request
from tcpd.line.reply import Reply, WrongArguments
from tcpd.line.stream import Stream

#: Reply code: the command cannot be done in the present state.
REFUSED = 550


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command, in both forms.

    :ivar text: the result for people, one or more lines; or a function that makes it, if that takes
        long and JSON does not need it.
    :ivar data: the result for programs; its keys are documented and stable.
    :ivar code: the code of the reply.
    """

    text: str | Callable[[], str]
    data: Mapping[str, Any]
    code: int = 250


Function = Callable[[list[str], str], CommandResult | Stream | Awaitable[CommandResult]]
"""Runs a command. Arguments: its words without ``json``, and the operator as text."""


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
    :param help: the description.
    :param function: runs it.
    :param at_least: fewer words get the reply 501 with the usage.
    :param at_most: more words get the same reply; ``None`` for no limit.
    :param free_text: whether the last words are free text; ``json`` is then recognized only as the
        first word.
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
        result = function(words, request.connection.peer)
        if isinstance(result, Stream):
            return result
        return (
            _reply(result, in_json)
            if isinstance(result, CommandResult)
            else _await(result, in_json)
        )

    return Command(name, f"[json] {usage}".rstrip(), help, call)


def _reply(result: CommandResult, in_json: bool) -> Reply:
    if in_json:
        return Reply(result.code, (json.dumps(result.data, separators=(",", ":")),))
    text = result.text if isinstance(result.text, str) else result.text()
    return Reply.of(result.code, text)


async def _await(result: Awaitable[CommandResult], in_json: bool) -> Reply:
    return _reply(await result, in_json)


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format columns. One whose heading begins with ``>`` is aligned to the right.

    The caller escapes text from peers, so that widths are right; a reply escapes each line again.
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
    """Format a name and a value on each line."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


def moment(seconds: float) -> str:
    """Format seconds since 1970 by RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(count: int, noun: str) -> str:
    """Format a number with a noun: ``1 connection``, ``2 connections``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
