"""Completion for bash."""

from __future__ import annotations

import argparse

from tcpd.ctl.completion.table import HEAD, described

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
    return HEAD.format(shell="bash") + script.replace("@COMMANDS@", "\n".join(words))


def _quoted(values: str | tuple[str, ...]) -> str:
    return f"'{values if isinstance(values, str) else ' '.join(values)}'"
