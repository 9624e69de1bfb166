"""Completion of ``tcpd-ctl``'s command line for shells, made from what its parser knows.

So a command or an option cannot be there and not be completed. The values that an argument may have
are those of its ``choices``, or what its name in usage lines stands for.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from tcpd.ctl.top.tables import CONNECTIONS, SERVICES
from tcpd.ops.levels import LEVELS

#: What an argument stands for, beside words that are known.
FILES, NAMES_OF_SERVICES = "%files", "%services"

_COLUMNS = dict.fromkeys(
    column.heading.lower() for table in (SERVICES, CONNECTIONS) for column in table.columns
)

_STAND_FOR: dict[str, str | tuple[str, ...]] = {
    "PATH": FILES,
    "FILE": FILES,
    "SERVICE": NAMES_OF_SERVICES,
    "LEVEL": LEVELS,
    "COLUMN": tuple(_COLUMNS),
}


@dataclass(frozen=True, slots=True)
class Option:
    """An option.

    :ivar flags: like ``--json``.
    :ivar help: one line.
    :ivar takes: what its value is called; empty if it has none.
    :ivar values: :data:`FILES`, :data:`NAMES_OF_SERVICES`, or words; none if nothing is known.
    """

    flags: tuple[str, ...]
    help: str
    takes: str
    values: str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or all that stands before one.

    :ivar values: of its first argument, as in :class:`Option`.
    """

    name: str
    help: str
    options: tuple[Option, ...]
    values: str | tuple[str, ...]


def described(parser: argparse.ArgumentParser) -> tuple[Command, list[Command]]:
    """What a parser knows: what stands before a command, and the commands."""
    commands = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            commands = [_command(name, helps[name], each) for name, each in action.choices.items()]
    names = tuple(each.name for each in commands)
    before = _command("", "", parser)
    return Command("", "", before.options, names), commands


def _command(name: str, help: str, parser: argparse.ArgumentParser) -> Command:
    options = []
    values: str | tuple[str, ...] = ()
    for action in parser._actions:
        if action.option_strings:
            takes = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
            flags = tuple(action.option_strings)
            help_ = "show this help, and end" if "--help" in flags else action.help or ""
            options.append(Option(flags, help_, takes, _values(action) if takes else ()))
        elif not values and not isinstance(action, argparse._SubParsersAction):
            values = _values(action)
    return Command(name, help, tuple(options), values)


def _values(action: argparse.Action) -> str | tuple[str, ...]:
    if action.choices is not None:
        return tuple(map(str, action.choices))
    return _STAND_FOR.get(str(action.metavar or action.dest.upper()), ())


#: The first line of each script.
HEAD = "# Completion of tcpd-ctl for {shell}. Made by: tcpd-ctl completion {shell}\n"
