"""Completion for zsh."""

from __future__ import annotations

import argparse

from tcpd.ctl.completion.table import FILES, HEAD, NAMES_OF_SERVICES, Option, described

_ZSH = """\
# Load it as a file _tcpd-ctl in one of the directories of $fpath.

# Of the daemon, if one answers: the first word of each line but the headings; more listeners of a
# service stand on lines that begin with a space.
_tcpd_ctl_services() {
    local -a names
    names=("${(@f)$($program $socket --timeout 1 services 2>/dev/null)}")
    names=(${names:#SERVICE *})
    names=(${names:# *})
    compadd -- ${names%% *}
}

_tcpd_ctl() {
    local program=${(Q)words[1]} curcontext=$curcontext state line
    local -A opt_args
    local -a socket commands
    _arguments -C \\
@BEFORE@
        '1: :->command' \\
        '*:: :->argument' && return
    [[ -n $opt_args[--socket] ]] && socket+=(--socket ${(Q)opt_args[--socket]})
    [[ -n $opt_args[--config] ]] && socket+=(--config ${(Q)opt_args[--config]})
    case $state in
    command)
        commands=(
@NAMES@
        )
        _describe command commands
        ;;
    argument)
        case $line[1] in
@COMMANDS@
        esac
        ;;
    esac
}

_tcpd_ctl "$@"
"""


def zsh(parser: argparse.ArgumentParser) -> str:
    """For zsh 5 or later."""
    before, commands = described(parser)
    arguments = []
    for command in commands:
        specs = [_zsh_option(option) for option in command.options]
        if command.values:
            specs.append(f"'1: :{_zsh_values(command.values)}'")
        joined = " \\\n            ".join(specs)
        arguments.append(
            f"        {command.name})\n            _arguments \\\n            {joined} ;;"
        )
    script = _ZSH
    for mark, lines in (
        ("@BEFORE@", [f"        {_zsh_option(option)} \\" for option in before.options]),
        ("@NAMES@", [f"            {_zsh_quote(f'{each.name}:{each.help}')}" for each in commands]),
        ("@COMMANDS@", arguments),
    ):
        script = script.replace(mark, "\n".join(lines))
    return "#compdef tcpd-ctl\n" + HEAD.format(shell="zsh") + script


def _zsh_option(option: Option) -> str:
    help_ = "".join(f"\\{each}" if each in "[]\\" else each for each in option.help)
    value = f":{option.takes.lower()}:{_zsh_values(option.values)}" if option.takes else ""
    specs = [
        _zsh_quote(f"{flag}{'=' if option.takes else ''}[{help_}]{value}") for flag in option.flags
    ]
    return " ".join(specs)


def _zsh_values(values: str | tuple[str, ...]) -> str:
    if values == FILES:
        return "_files"
    if values == NAMES_OF_SERVICES:
        return "_tcpd_ctl_services"
    return f"({' '.join(values)})" if values else " "


def _zsh_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
