#compdef tcpd-ctl
# Completion of tcpd-ctl for zsh. Made by: tcpd-ctl completion zsh
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
    _arguments -C \
        '-h[show this help, and end]' '--help[show this help, and end]' \
        '--socket=[the daemon'\''s control socket]:path:_files' \
        '--config=[find the socket by \[tcpd\] of this ini file or directory]:file:_files' \
        '--timeout=[how long to wait]:seconds: ' \
        '--version[show the version and exit]' \
        '1: :->command' \
        '*:: :->argument' && return
    [[ -n $opt_args[--socket] ]] && socket+=(--socket ${(Q)opt_args[--socket]})
    [[ -n $opt_args[--config] ]] && socket+=(--config ${(Q)opt_args[--config]})
    case $state in
    command)
        commands=(
            'status:show the daemon'\''s status'
            'services:list the services and their counters'
            'connections:list connections'
            'connection:show one connection in detail'
            'handshake:show a connection'\''s three-way handshake and its layers'
            'kick:close a connection, or all from an address or a network'
            'ban:ban an address or a network, and close its connections'
            'unban:remove a ban'
            'bans:list the bans in force'
            'limits:show the limits and their use'
            'reload:reload the configuration and report the result'
            'check:check the configuration and change nothing'
            'log:show or change the log level'
            'reopen:open the log file again, after logrotate has moved it'
            'rooms:list chat rooms'
            'drain:close the ports of a service and let its connections end'
            'resume:bring a drained service back'
            'events:follow events, one JSON object a line, until Ctrl-C'
            'top:show rates and connections, updated all the time'
            'hash-password:make a hash of a password for an ini file'
            'completion:print completion for a shell'
            'probe:probe a service as a client'
        )
        _describe command commands
        ;;
    argument)
        case $line[1] in
        status)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        services)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        connections)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' \
            '--service=[only of this service]:service:_tcpd_ctl_services' \
            '--address=[only from this address or network]:network: ' \
            '--sort=[default: age]:sort:(age new in out bytes idle)' \
            '--limit=[default 50, at most 1000]:rows: ' ;;
        connection)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        handshake)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        kick)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        ban)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        unban)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        bans)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        limits)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        reload)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        check)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        log)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' \
            '1: :(debug info warn error critical)' ;;
        reopen)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        rooms)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' ;;
        drain)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' \
            '1: :_tcpd_ctl_services' ;;
        resume)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' \
            '1: :_tcpd_ctl_services' ;;
        events)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' ;;
        top)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--interval=[default: 2]:seconds: ' \
            '--once[show them once, as plain text, and exit]' \
            '--connections[connections, not services]' \
            '--sort=[like in/s]:column:(service protocol state open new/s ref/s in/s out/s accepted refused id peer age quiet in out tls)' \
            '--reverse[reverse the order]' \
            '--filter=[only rows that contain this]:text: ' ;;
        hash-password)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' ;;
        completion)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '1: :(bash fish zsh)' ;;
        probe)
            _arguments \
            '-h[show this help, and end]' '--help[show this help, and end]' \
            '--timeout=[how long to wait]:seconds: ' \
            '--json[one line of JSON]' \
            '--tls[speak TLS, and verify the certificate]' \
            '--name=[name in the certificate; default: the host]:name: ' \
            '--ca=[PEM file to trust; default: the system'\''s]:file:_files' \
            '--send=[\\r, \\n and \\xNN are escapes]:text: ' \
            '--expect=[text that must come]:text: ' \
            '--min-days=[of the certificate]:min_days: ' ;;
        esac
        ;;
    esac
}

_tcpd_ctl "$@"
