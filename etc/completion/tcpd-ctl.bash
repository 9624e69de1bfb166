# Completion of tcpd-ctl for bash. Made by: tcpd-ctl completion bash
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
            [[ $option == --timeout ]] || socket+=("$option" "${COMP_WORDS[i]/#\~/$HOME}")
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
    :--socket) values='%files' ;;
    :--config) values='%files' ;;
    :--timeout) values='' ;;
    status:--timeout) values='' ;;
    services:--timeout) values='' ;;
    connections:--timeout) values='' ;;
    connections:--service) values='%services' ;;
    connections:--address) values='' ;;
    connections:--sort) values='age new in out bytes idle' ;;
    connections:--limit) values='' ;;
    connection:--timeout) values='' ;;
    handshake:--timeout) values='' ;;
    kick:--timeout) values='' ;;
    ban:--timeout) values='' ;;
    unban:--timeout) values='' ;;
    bans:--timeout) values='' ;;
    limits:--timeout) values='' ;;
    reload:--timeout) values='' ;;
    check:--timeout) values='' ;;
    log:--timeout) values='' ;;
    reopen:--timeout) values='' ;;
    rooms:--timeout) values='' ;;
    drain:--timeout) values='' ;;
    resume:--timeout) values='' ;;
    events:--timeout) values='' ;;
    top:--timeout) values='' ;;
    top:--interval) values='' ;;
    top:--sort) values='service protocol state open new/s ref/s in/s out/s accepted refused id peer age quiet in out tls' ;;
    top:--filter) values='' ;;
    hash-password:--timeout) values='' ;;
    completion:--timeout) values='' ;;
    probe:--timeout) values='' ;;
    probe:--name) values='' ;;
    probe:--ca) values='%files' ;;
    probe:--send) values='' ;;
    probe:--expect) values='' ;;
    probe:--min-days) values='' ;;
    # the first argument, or an option
    *)
        case $command in
        '') values='status services connections connection handshake kick ban unban bans limits reload check log reopen rooms drain resume events top hash-password completion probe' flags='-h --help --socket --config --timeout --version' ;;
        status) values='' flags='-h --help --timeout --json' ;;
        services) values='' flags='-h --help --timeout --json' ;;
        connections) values='' flags='-h --help --timeout --json --service --address --sort --limit' ;;
        connection) values='' flags='-h --help --timeout --json' ;;
        handshake) values='' flags='-h --help --timeout --json' ;;
        kick) values='' flags='-h --help --timeout --json' ;;
        ban) values='' flags='-h --help --timeout --json' ;;
        unban) values='' flags='-h --help --timeout --json' ;;
        bans) values='' flags='-h --help --timeout --json' ;;
        limits) values='' flags='-h --help --timeout --json' ;;
        reload) values='' flags='-h --help --timeout --json' ;;
        check) values='' flags='-h --help --timeout --json' ;;
        log) values='debug info warn error critical' flags='-h --help --timeout --json' ;;
        reopen) values='' flags='-h --help --timeout --json' ;;
        rooms) values='' flags='-h --help --timeout --json' ;;
        drain) values='%services' flags='-h --help --timeout --json' ;;
        resume) values='%services' flags='-h --help --timeout --json' ;;
        events) values='' flags='-h --help --timeout' ;;
        top) values='' flags='-h --help --timeout --interval --once --connections --sort --reverse --filter' ;;
        hash-password) values='' flags='-h --help --timeout' ;;
        completion) values='bash fish zsh' flags='-h --help --timeout' ;;
        probe) values='' flags='-h --help --timeout --json --tls --name --ca --send --expect --min-days' ;;
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
            [[ $name == SERVICE\ * || $name == \ * ]] && continue
            name=${name%% *}
            [[ $name == "$current"* ]] && COMPREPLY+=("$name")
        done < <("${COMP_WORDS[0]/#\~/$HOME}" "${socket[@]}" --timeout 1 services 2>/dev/null)
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
