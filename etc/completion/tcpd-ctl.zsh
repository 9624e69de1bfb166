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
        '--version[tell the version, and end]' \
        '1: :->command' \
        '*:: :->argument' && return
    [[ -n $opt_args[--socket] ]] && socket+=(--socket ${(Q)opt_args[--socket]})
    [[ -n $opt_args[--config] ]] && socket+=(--config ${(Q)opt_args[--config]})
    case $state in
    command)
        commands=(
            'status:tell how the daemon is'
            'services:list the services and what they have counted'
            'connections:list connections'
            'connection:tell all about one connection'
            'handshake:tell a connection'\''s three-way handshake, and its layers'
            'kick:end a connection, or all from an address or a network'
            'ban:shut an address or a network out, and end its connections'
            'unban:take a ban back'
            'bans:list the bans that hold'
            'limits:tell the limits, and how full they are'
            'reload:have the configuration read anew, and tell how that went'
            'check:have the configuration checked, and change nothing'
            'log:tell or change the log level'
            'reopen:have the log file opened anew, after logrotate has moved it'
            'rooms:list chat rooms'
            'drain:close the ports of a service and let its connections end'
            'resume:bring a drained service back'
            'events:follow what happens, a JSON object a line, until Ctrl-C'
            'top:watch rates and connections, drawn anew all the time'
            'hash-password:make a hash of a password for an ini file'
            'completion:print completion for a shell'
            'probe:look at a service from outside, as a client would'
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
            '--once[tell once, as plain text, and end]' \
            '--connections[connections, not services]' \
            '--sort=[like in/s]:column:(service protocol state open new/s ref/s in/s out/s accepted refused id peer age quiet in out tls)' \
            '--reverse[the other way round]' \
            '--filter=[only rows with this in them]:text: ' ;;
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
            '--name=[that the certificate has to be for; default: the host]:name: ' \
            '--ca=[PEM file to trust; default: the system'\''s]:file:_files' \
            '--send=[\\r, \\n and \\xNN are escapes]:text: ' \
            '--expect=[that has to come]:text: ' \
            '--min-days=[of the certificate]:min_days: ' ;;
        esac
        ;;
    esac
}

_tcpd_ctl "$@"
