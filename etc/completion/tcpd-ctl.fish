# Completion of tcpd-ctl for fish. Made by: tcpd-ctl completion fish
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
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a status -d 'show the daemon\'s status'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a services -d 'list the services and their counters'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a connections -d 'list connections'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a connection -d 'show one connection in detail'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a handshake -d 'show a connection\'s three-way handshake and its layers'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a kick -d 'close a connection, or all from an address or a network'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a ban -d 'ban an address or a network, and close its connections'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a unban -d 'remove a ban'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a bans -d 'list the bans in force'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a limits -d 'show the limits and their use'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a reload -d 'reload the configuration and report the result'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a check -d 'check the configuration and change nothing'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a log -d 'show or change the log level'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a reopen -d 'open the log file again, after logrotate has moved it'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a rooms -d 'list chat rooms'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a drain -d 'close the ports of a service and let its connections end'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a resume -d 'bring a drained service back'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a events -d 'follow events, one JSON object a line, until Ctrl-C'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a top -d 'show rates and connections, updated all the time'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a hash-password -d 'make a hash of a password for an ini file'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a completion -d 'print completion for a shell'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -a probe -d 'probe a service as a client'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -l socket -r -F -d 'the daemon\'s control socket'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -l config -r -F -d 'find the socket by [tcpd] of this ini file or directory'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is ""' -l version -d 'show the version and exit'
complete -c tcpd-ctl -n '__tcpd_ctl_is status' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is status' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is status' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is services' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is services' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is services' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is connections' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is connections' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is connections' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is connections' -l service -x -a '(__tcpd_ctl_services)' -d 'only of this service'
complete -c tcpd-ctl -n '__tcpd_ctl_is connections' -l address -x -d 'only from this address or network'
complete -c tcpd-ctl -n '__tcpd_ctl_is connections' -l sort -x -a 'age new in out bytes idle' -d 'default: age'
complete -c tcpd-ctl -n '__tcpd_ctl_is connections' -l limit -x -d 'default 50, at most 1000'
complete -c tcpd-ctl -n '__tcpd_ctl_is connection' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is connection' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is connection' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is handshake' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is handshake' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is handshake' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is kick' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is kick' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is kick' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is ban' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is ban' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is ban' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is unban' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is unban' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is unban' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is bans' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is bans' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is bans' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is limits' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is limits' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is limits' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is reload' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is reload' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is reload' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is check' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is check' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is check' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is log' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is log' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is log' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is log' -a 'debug info warn error critical'
complete -c tcpd-ctl -n '__tcpd_ctl_is reopen' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is reopen' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is reopen' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is rooms' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is rooms' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is rooms' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is drain' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is drain' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is drain' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is drain' -a '(__tcpd_ctl_services)'
complete -c tcpd-ctl -n '__tcpd_ctl_is resume' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is resume' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is resume' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is resume' -a '(__tcpd_ctl_services)'
complete -c tcpd-ctl -n '__tcpd_ctl_is events' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is events' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is top' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is top' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is top' -l interval -x -d 'default: 2'
complete -c tcpd-ctl -n '__tcpd_ctl_is top' -l once -d 'show them once, as plain text, and exit'
complete -c tcpd-ctl -n '__tcpd_ctl_is top' -l connections -d 'connections, not services'
complete -c tcpd-ctl -n '__tcpd_ctl_is top' -l sort -x -a 'service protocol state open new/s ref/s in/s out/s accepted refused id peer age quiet in out tls' -d 'like in/s'
complete -c tcpd-ctl -n '__tcpd_ctl_is top' -l reverse -d 'reverse the order'
complete -c tcpd-ctl -n '__tcpd_ctl_is top' -l filter -x -d 'only rows that contain this'
complete -c tcpd-ctl -n '__tcpd_ctl_is hash-password' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is hash-password' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is completion' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is completion' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is completion' -a 'bash fish zsh'
complete -c tcpd-ctl -n '__tcpd_ctl_is probe' -s h -l help -d 'show this help, and end'
complete -c tcpd-ctl -n '__tcpd_ctl_is probe' -l timeout -x -d 'how long to wait'
complete -c tcpd-ctl -n '__tcpd_ctl_is probe' -l json -d 'one line of JSON'
complete -c tcpd-ctl -n '__tcpd_ctl_is probe' -l tls -d 'speak TLS, and verify the certificate'
complete -c tcpd-ctl -n '__tcpd_ctl_is probe' -l name -x -d 'name in the certificate; default: the host'
complete -c tcpd-ctl -n '__tcpd_ctl_is probe' -l ca -r -F -d 'PEM file to trust; default: the system\'s'
complete -c tcpd-ctl -n '__tcpd_ctl_is probe' -l send -x -d '\\r, \\n and \\xNN are escapes'
complete -c tcpd-ctl -n '__tcpd_ctl_is probe' -l expect -x -d 'text that must come'
complete -c tcpd-ctl -n '__tcpd_ctl_is probe' -l min-days -x -d 'of the certificate'
