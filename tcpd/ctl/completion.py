"""Completion of ``tcpd-ctl``'s command line for shells, made from what its parser knows.

So a command or an option cannot be there and not be completed. The values that an argument may have
are those of its ``choices``, or what its name in usage lines stands for.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
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


_HEAD = "# Completion of tcpd-ctl for {shell}. Made by: tcpd-ctl completion {shell}\n"

_BASH = """\
# Load it by a line in ~/.bashrc, or as a file tcpd-ctl among those of the package bash-completion.

_tcpd_ctl() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local command= values= flags= option name i
    local -a socket=()
    # --option=VALUE is three words here
    [[ $current == = ]] && current=
    [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD - 2]}
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --socket | --config | --timeout)
            option=${COMP_WORDS[i]}
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            ((i++))
            [[ $option == --timeout ]] || socket+=("$option" "${COMP_WORDS[i]/#\\~/$HOME}")
            ;;
        -* | =) ;;
        *)
            command=${COMP_WORDS[i]}
            break
            ;;
        esac
    done
    case $command:$before in
    # the value of an option
@VALUES@
    # the first argument, or an option
    *)
        case $command in
@COMMANDS@
        esac
        ;;
    esac
    COMPREPLY=()
    case $values in
    %files)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    %services)
        # of the daemon, if one answers: the first word of each line but the headings; more
        # listeners of a service stand on lines that begin with a space
        while IFS= read -r name; do
            [[ $name == SERVICE\\ * || $name == \\ * ]] && continue
            name=${name%% *}
            [[ $name == "$current"* ]] && COMPREPLY+=("$name")
        done < <("${COMP_WORDS[0]/#\\~/$HOME}" "${socket[@]}" --timeout 1 services 2>/dev/null)
        ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W "$values" -- "$current")
        ;;
    esac
    if [[ $current == -* || (-z $values && -n $flags) ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
    fi
}
complete -F _tcpd_ctl tcpd-ctl
"""


def bash(parser: argparse.ArgumentParser) -> str:
    """For bash 4 or later, which needs no package for it."""
    before, commands = described(parser)
    values = []
    words = []
    for command in [before, *commands]:
        for option in command.options:
            if option.takes:
                patterns = " | ".join(f"{command.name}:{flag}" for flag in option.flags)
                values.append(f"    {patterns}) values={_quoted(option.values)} ;;")
        flags = tuple(flag for option in command.options for flag in option.flags)
        words.append(
            f"        {command.name or _quoted(())}) "
            f"values={_quoted(command.values)} flags={_quoted(flags)} ;;"
        )
    script = _BASH.replace("@VALUES@", "\n".join(values))
    return _HEAD.format(shell="bash") + script.replace("@COMMANDS@", "\n".join(words))


def _quoted(values: str | tuple[str, ...]) -> str:
    return f"'{values if isinstance(values, str) else ' '.join(values)}'"


SHELLS: dict[str, Callable[[argparse.ArgumentParser], str]] = {"bash": bash}
