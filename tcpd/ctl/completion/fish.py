"""Completion for fish."""

from __future__ import annotations

import argparse

from tcpd.ctl.completion.table import FILES, HEAD, NAMES_OF_SERVICES, described

_FISH = """\
# Load it as ~/.config/fish/completions/tcpd-ctl.fish.

# Whether this is the command so far; "" is none.
function __tcpd_ctl_is --argument-names wanted
    set -l words (commandline -opc)
    while set -q words[2]
        set -e words[1]
        switch $words[1]
            case --socket --config --timeout
                set -q words[2]; and set -e words[1]
            case '-*'
            case '*'
                test "$words[1]" = "$wanted"
                return
        end
    end
    test -z "$wanted"
end

# Of the daemon, if one answers: the first word of each line but the headings; more listeners of a
# service stand on lines that begin with a space.
function __tcpd_ctl_services
    set -l words (commandline -opc)
    set -l program $words[1]
    set -l socket
    while set -q words[2]
        set -e words[1]
        switch $words[1]
            case --socket --config
                set -a socket $words[1..2]
            case '--socket=*' '--config=*'
                set -a socket $words[1]
        end
    end
    $program $socket --timeout 1 services 2>/dev/null |
        string match -rv '^(SERVICE)? ' | string replace -r ' .*' ''
end

complete -c tcpd-ctl -f
"""


def fish(parser: argparse.ArgumentParser) -> str:
    """For fish 3 or later."""
    before, commands = described(parser)
    lines = [
        f"complete -c tcpd-ctl -n '__tcpd_ctl_is \"\"' -a {each.name} -d {_quote(each.help)}"
        for each in commands
    ]
    for command in [before, *commands]:
        where = f"complete -c tcpd-ctl -n '__tcpd_ctl_is {_double(command.name)}'"
        for option in command.options:
            flags = " ".join(
                f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}"
                for flag in option.flags
            )
            takes = f" {_fish_values(option.values)}" if option.takes else ""
            lines.append(f"{where} {flags}{takes} -d {_quote(option.help)}")
        if command is not before and command.values:
            lines.append(f"{where} {_fish_values(command.values).removeprefix('-x ')}")
    return HEAD.format(shell="fish") + _FISH + "\n".join(lines) + "\n"


def _fish_values(values: str | tuple[str, ...]) -> str:
    if values == FILES:
        return "-r -F"
    if values == NAMES_OF_SERVICES:
        return "-x -a '(__tcpd_ctl_services)'"
    return f"-x -a '{' '.join(values)}'" if values else "-x"


def _double(name: str) -> str:
    return name or '""'


def _quote(text: str) -> str:
    """In single quotes, for fish."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
