"""The catalogue of log events that have an id, for people and for programs.

An event has an id that never changes its meaning, a level, a text, and fields with units::

    catalogue.SERVICE_LISTENING.emit(self._log, service="echo", listener="127.0.0.1:7007")

Events are emitted for decisions and at the start and end of connections, never for each message,
and always in the reactor thread. Diagnostics for developers are logged without an id. The reference
page is generated from this module; a test compares emitters, catalogue and page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from twisted.logger import LogLevel

from tcpd.ops.event_type import EVENT_ID, EventType

__all__ = ["CATALOGUE", "EVENT_ID", "EventType"]

_SERVICE = "NAME of its [service:NAME]"
_TLS = "NAME of its [tls:NAME]"
_PEER = "the client: address and port, or unix"
_PEER_WITH_UID = f"{_PEER}; for a UNIX socket with the credentials: unix (uid 0 gid 0 pid 4711)"
_VIA = (
    "empty, or further contents of the PROXY header: "
    "', proxy 192.0.2.1:4711 id 4F2A name example.org'"
)
_PROGRAM_PID = "process id of the program"

DAEMON_STARTED = EventType(
    "daemon.started",
    LogLevel.info,
    "tcpd {version} started: services {services}, listeners {listeners}, process {pid}, user {uid}",
    {
        "version": "version of tcpd",
        "services": "number of services, internal ones not counted",
        "listeners": "number of listeners of these services",
        "pid": "process id",
        "uid": "the user id that the daemon runs as; 0 is root",
    },
    "All ports are open. If the daemon was started as root, it has dropped root privileges.",
)
DAEMON_START_FAILED = EventType(
    "daemon.start-failed",
    LogLevel.critical,
    "{error}",
    {"error": "what failed, and what to change"},
    "The daemon could not start, for example because a port could not be opened. The process "
    "exits with status 1.",
)
DAEMON_DESCRIPTORS = EventType(
    "daemon.descriptors",
    LogLevel.warn,
    "{warning}",
    {"warning": "the limit, and what to do about it"},
    "The system's limit of open files is too low for the configured number of connections.",
)
DAEMON_SOCKET_UNUSED = EventType(
    "daemon.socket-unused",
    LogLevel.warn,
    "no service listens on the systemd socket {name}, so its clients wait without a reply; stop "
    "and disable its .socket unit, or add listen = systemd:{name}",
    {"name": "its FileDescriptorName="},
    "At a start or a reload, systemd passed a socket that no service uses.",
)
DAEMON_LOG_LEVEL = EventType(
    "daemon.log-level",
    LogLevel.info,
    "the log level is now {threshold}",
    {"threshold": "debug, info, warn, error or critical"},
    "An operator or a reload changed the log level.",
)
DAEMON_STOPPING = EventType(
    "daemon.stopping",
    LogLevel.info,
    "stopping: {connections} connections have {drain} s to end",
    {"connections": "number of open connections", "drain": "seconds, [tcpd] drain"},
    "The daemon received a request to stop. Its ports are closed, and clients are notified.",
)
DAEMON_CUT = EventType(
    "daemon.cut",
    LogLevel.warn,
    "second request to stop: {connections} connections are cut",
    {"connections": "number of connections that were still open"},
    "A second SIGTERM or SIGINT arrived while the daemon was draining connections.",
)
DAEMON_STOPPED = EventType(
    "daemon.stopped",
    LogLevel.info,
    "stopped after {seconds:.3f} s",
    {"seconds": "since the request to stop"},
    "All services have stopped; the process exits.",
)
DAEMON_MEMORY = EventType(
    "daemon.memory",
    LogLevel.error,
    "out of memory: operations that fail are aborted and their connections closed",
    {},
    "An allocation failed. Further failures are counted until memory is available again.",
)
DAEMON_MEMORY_BACK = EventType(
    "daemon.memory-back",
    LogLevel.warn,
    "memory is available again, after {count} failures",
    {"count": "number of failed operations, mostly connections"},
    "The memory reserve that was released at the first failure could be allocated again.",
)
DAEMON_GAVE_UP = EventType(
    "daemon.gave-up",
    LogLevel.critical,
    "{error}; the process exits with status 1",
    {"error": "what failed"},
    "The daemon cannot continue: it is out of memory, or its main loop has ended. A supervisor "
    "should restart it.",
)
SERVICE_LISTENING = EventType(
    "service.listening",
    LogLevel.info,
    "service {service}: listening on {listener}",
    {"service": _SERVICE, "listener": "as in the ini file, with the actual port"},
    "A service opened a listener.",
)
SERVICE_STOPPED = EventType(
    "service.stopped",
    LogLevel.info,
    "service {service}: stopped after {accepted} connections and {refused} refused, "
    "{datagrams} datagrams, {bytes_in} bytes in and {bytes_out} bytes out",
    {
        "service": _SERVICE,
        "accepted": "connections accepted since the daemon started",
        "refused": "connections refused",
        "datagrams": "datagrams received",
        "bytes_in": "bytes received",
        "bytes_out": "bytes sent",
    },
    "A service closed its listeners, and its last connection has ended.",
)
CONNECTION_REFUSED = EventType(
    "connection.refused",
    LogLevel.warn,
    "service {service}: refused {peer}: {refusal} ({since} more since last logged)",
    {
        "service": _SERVICE,
        "peer": _PEER,
        "refusal": "denied, banned, untrusted-proxy, address-rate, address-full, http, tls, "
        "service-rate, service-full, daemon-full or no-descriptor",
        "since": "further refusals for the same reason (and, except for the last four reasons, "
        "from the same address) that were not logged since the last such event",
    },
    "A connection was refused. Logged at most every 10 seconds for each service, address and "
    "reason. The last four reasons do not depend on the address and are logged for each service "
    "and reason.",
)
CONNECTION_MISBEHAVED = EventType(
    "connection.misbehaved",
    LogLevel.warn,
    "service {service}: misbehaviour of {peer}: {end}{why} ({since} more since last logged)",
    {
        "service": _SERVICE,
        "peer": _PEER,
        "end": "first-byte, slow-reader, stalled, tls-failed or tls-timeout",
        "why": "for tls-failed, a colon, a space and OpenSSL's reason; otherwise empty",
        "since": "further connections from the same address that ended for the same reason and "
        "were not logged since the last such event",
    },
    "A connection was closed because its client misbehaved. Logged at most every 10 seconds for "
    "each service, address and reason. A client that connects and disconnects without sending a "
    "byte is not logged.",
)
TLS_REFUSED = EventType(
    "tls.refused",
    LogLevel.warn,
    "service {service}: no TLS with {peer}: {reason} ({since} more since last logged)",
    {
        "service": _SERVICE,
        "peer": _PEER,
        "reason": "OpenSSL's reason, such as 'tlsv1 alert unknown ca' for an alert from the "
        "client, or 'no shared cipher'; or that the client closed the connection "
        "during the handshake",
        "since": "further connections with the same reason that were not logged since the last "
        "such event",
    },
    "A client sent a TLS hello, but the handshake failed: the client does not trust the "
    "certificate, or has no version or cipher in common with the server. This is not "
    "misbehaviour. Logged at most every 10 seconds for each service and reason.",
)
CONNECTION_UNTOLD = EventType(
    "connection.untold",
    LogLevel.warn,
    "service {service}: {count} more connections were refused or misbehaved, from more "
    "addresses than are logged",
    {"service": _SERVICE, "count": "connections"},
    "Within 10 seconds, more than 1024 addresses were refused or misbehaved. The log names 1024 "
    "for each service; the metrics count all.",
)
CONNECTION_STARTED = EventType(
    "connection.started",
    LogLevel.info,
    "service {service}: connection {id} from {peer} started{via}",
    {
        "service": _SERVICE,
        "id": "id of the connection, unique while the daemon runs; connection.ended has it too",
        "peer": _PEER_WITH_UID,
        "via": _VIA,
    },
    "A connection was accepted, after its PROXY header, if any, and before its TLS handshake. "
    "Needs access_log = yes and log_start = yes in the policy. Connections that a proxy makes "
    "for itself, such as health checks, are not logged.",
)
CONNECTION_ENDED = EventType(
    "connection.ended",
    LogLevel.info,
    "service {service}: connection {id} from {peer} ended after {seconds:.3f} s: {end}, "
    "{bytes_in} bytes in, {bytes_out} bytes out, {tls}{via}{handshake}{error}",
    {
        "service": _SERVICE,
        "id": "id of the connection, unique while the daemon runs",
        "peer": _PEER_WITH_UID,
        "seconds": "duration",
        "bytes_in": "bytes received, TLS overhead included",
        "bytes_out": "bytes sent, TLS overhead included",
        "tls": "version and cipher, e.g. TLSv1.3 TLS_AES_256_GCM_SHA384, and subject and "
        "fingerprint of the client's certificate, if any; or no TLS. If TLS failed, a "
        "colon and OpenSSL's reason follow: no TLS: http request",
        "end": "the reason: client, server, lost, truncated, first-byte, idle, session, "
        "slow-reader, stalled, linger, proxy-failed, proxy-timeout, tls-failed, "
        "tls-refused, tls-timeout, websocket-failed, websocket-timeout, ping-timeout, "
        "shutdown, kicked, banned",
        "via": _VIA,
        "handshake": "empty without log_handshake = yes; otherwise the TCP options of the "
        "client's SYN, its TTL, and the round-trip time of the handshake in "
        "microseconds: ', mss=1460 wscale=7 sack=yes ts=yes ttl=64 rtt=120'; an "
        "unknown value is a hyphen",
        "error": "empty, or the system's error for a lost connection: ', error: Connection "
        "reset by peer'",
    },
    "A connection ended. This is the access log; it needs access_log = yes in the policy.",
)
PROXY_FAILED = EventType(
    "proxy.failed",
    LogLevel.warn,
    "service {service}: no PROXY header from {peer}: {fault}: {error} ({since} more since last "
    "logged)",
    {
        "service": _SERVICE,
        "peer": "the proxy: address and port, or unix",
        "fault": "timeout, cut-short, no-header, line-too-long, line, address, port, version, "
        "command, family, too-long, too-short, tlv, unique-id or checksum",
        "error": "the fault as a sentence",
        "since": "further connections with the same fault that were not logged since the last "
        "such event",
    },
    "A trusted proxy did not send a valid PROXY header, and the connection was closed. Logged "
    "at most every 10 seconds for each service and fault.",
)
CONNECTION_FAILED = EventType(
    "connection.failed",
    LogLevel.critical,
    "service {service}: connection {id} from {peer} failed in {doing}",
    {
        "service": _SERVICE,
        "id": "id of the connection",
        "peer": _PEER,
        "doing": "the operation that raised the exception",
    },
    "The service's protocol raised an exception, which is a bug in it. The connection was closed.",
)
DATAGRAM_FAILED = EventType(
    "datagram.failed",
    LogLevel.critical,
    "service {service}: a datagram could not be answered; further failures are only counted",
    {"service": _SERVICE},
    "The service raised an exception for a datagram, which is a bug in it. Logged once for each "
    "listener.",
)
COMMAND_FAILED = EventType(
    "command.failed",
    LogLevel.critical,
    "command {command} failed for {peer} of {service}: {error}, reference {reference}",
    {
        "command": "name of the command",
        "peer": _PEER,
        "service": _SERVICE,
        "error": "the exception",
        "reference": "the reference that the client's error reply contains",
    },
    "A command of a line service raised an exception, which is a bug in it.",
)
CHAT_MEMBER_DROPPED = EventType(
    "chat.member-dropped",
    LogLevel.info,
    "service {service}: {nick} from {peer} was disconnected: the send queue is full",
    {"service": _SERVICE, "nick": "nickname, or empty", "peer": _PEER},
    "A chat client did not read, its send queue exceeded [chat] outbox, and it was disconnected.",
)
CHAT_OPERATOR_REFUSED = EventType(
    "chat.operator-refused",
    LogLevel.warn,
    "service {service}: OPER from {address} as {name} was refused: wrong name or password",
    {
        "service": _SERVICE,
        "name": "of the operator, as in the ini file; empty if there is no such operator",
        "address": "address of the client, or unix",
    },
    "An IRC client failed to become an operator (OPER). Its connection is closed after three "
    "failures.",
)
CHAT_GATEWAY_REFUSED = EventType(
    "chat.gateway-refused",
    LogLevel.warn,
    "service {service}: WEBIRC from {address} was refused: {why}",
    {"service": _SERVICE, "address": "address of the client, or unix", "why": "a sentence"},
    "An IRC client claimed to be a gateway (WEBIRC) and was refused. Its connection is closed.",
)
FORWARD_FAILED = EventType(
    "forward.failed",
    LogLevel.warn,
    "service {service}: {to} cannot be reached for {peer}: {reason}: {error} ({since} more since "
    "last logged)",
    {
        "service": _SERVICE,
        "to": "the far side, as in the ini file",
        "peer": _PEER,
        "reason": "refused, unreachable, timeout, unresolved, untrusted, tls-failed or failed",
        "error": "a sentence on what failed",
        "since": "further clients with the same reason that were not logged since the last such "
        "event",
    },
    "A forward service could not connect to its far side, or could not verify its certificate. "
    "The client's connection was closed. Logged at most every 10 seconds for each service and "
    "reason.",
)
EXEC_FAILED = EventType(
    "exec.failed",
    LogLevel.error,
    "service {service}: {command} could not be started for {peer}: {error} ({since} more since "
    "last logged)",
    {
        "service": _SERVICE,
        "command": "path of the program",
        "peer": _PEER,
        "error": "the system's error",
        "since": "further failures that were not logged since the last such event",
    },
    "A program could not be started, and the client's connection was closed. Logged at most "
    "every 10 seconds for each service.",
)
EXEC_STDERR = EventType(
    "exec.stderr",
    LogLevel.warn,
    "service {service}: program {pid} for {peer}: {line} ({lost} lines lost before it)",
    {
        "service": _SERVICE,
        "pid": _PROGRAM_PID,
        "peer": _PEER,
        "line": "the line, at most 1024 bytes, with unsafe characters escaped",
        "lost": "lines of programs of this service that were not logged since the last such event",
    },
    "A program wrote a line to its standard error. At most 10 lines a second are logged for "
    "each service, with a burst of 50.",
)
EXEC_STDERR_LOST = EventType(
    "exec.stderr-lost",
    LogLevel.warn,
    "service {service}: {lost} lines that programs wrote to their standard error were not logged",
    {
        "service": _SERVICE,
        "lost": "number of lines, without those that an exec.stderr event reported",
    },
    "Programs of a service exceeded the rate limit of exec.stderr, and no line was logged for "
    "10 seconds.",
)
EXEC_ENDED = EventType(
    "exec.ended",
    LogLevel.debug,
    "service {service}: program {pid} for {peer} {word}: {status}",
    {
        "service": _SERVICE,
        "pid": _PROGRAM_PID,
        "peer": _PEER,
        "status": "exit status, or the signal that ended the program",
        "word": "ended: exit status 0; stopped: by tcpd's SIGTERM after the connection ended; "
        "killed: it did not stop in time",
    },
    "A program ended normally.",
)
EXEC_ENDED_BADLY = EventType(
    "exec.ended-badly",
    LogLevel.info,
    "service {service}: program {pid} for {peer} {word}: {status}",
    {
        "service": _SERVICE,
        "pid": _PROGRAM_PID,
        "peer": _PEER,
        "status": "its exit status, or the signal that ended it",
        "word": "failed: exit status other than 0; died: by a signal that tcpd did not send",
    },
    "A program ended with an error.",
)
RELOAD_DONE = EventType(
    "reload.done",
    LogLevel.info,
    "reload: {line}",
    {"line": "one change, or: nothing has changed"},
    "A reload succeeded. Logged once for each change.",
)
RELOAD_REFUSED = EventType(
    "reload.refused",
    LogLevel.error,
    "reload refused, nothing has changed: {line}",
    {"line": "one error, with file and line if it is in a file"},
    "A reload found errors and changed nothing. Logged once for each error.",
)
TLS_RENEWED = EventType(
    "tls.renewed",
    LogLevel.info,
    "tls {tls}: the changed certificate files are in use: {certificates}",
    {"tls": _TLS, "certificates": "each certificate: file, key type, names, last day"},
    "Certificate files were replaced. New handshakes use them.",
)
TLS_STALE = EventType(
    "tls.stale",
    LogLevel.error,
    "tls {tls}: the changed certificate files cannot be used, the old certificates stay in use: "
    "{error}",
    {"tls": _TLS, "error": "what failed, and what to change"},
    "Certificate files were replaced by incomplete or invalid ones. Logged once for each "
    "change; the files are tried again every minute and at the next change.",
)
TLS_EXPIRING = EventType(
    "tls.expiring",
    LogLevel.warn,
    "tls {tls}: {certificate} expires in {days} days, on {until}",
    {
        "tls": _TLS,
        "certificate": "file of the certificate",
        "until": "last day of its validity, in UTC",
        "days": "days until it expires, rounded down",
    },
    "A certificate expires within 14 days. Logged at the start, at a reload, and once a day.",
)
TLS_EXPIRED = EventType(
    "tls.expired",
    LogLevel.error,
    "tls {tls}: {certificate} expired on {until}, clients refuse it",
    {
        "tls": _TLS,
        "certificate": "file of the certificate",
        "until": "last day of its validity, in UTC",
    },
    "A certificate in use has expired. Logged at the start, at a reload, and once a day.",
)
TLS_KEY_EXPOSED = EventType(
    "tls.key-exposed",
    LogLevel.warn,
    "tls {tls}: every user of this system can read or write the private key in {file} (mode "
    "{mode}); run chmod o= on it",
    {"tls": _TLS, "file": "file of the key", "mode": "permissions of the file, in octal"},
    "A private key is accessible to users other than its owner and group. Logged at the start, "
    "at a reload, and once a day.",
)
KERNEL_WITHOUT = EventType(
    "kernel.without",
    LogLevel.warn,
    "the kernel does not provide {what}: {why}; handshake reports omit it",
    {"what": "the missing information", "why": "the system's error, or a reason"},
    "This system lacks a socket option, or the daemon may not use it. Logged once for each option.",
)
CONTROL_UNAVAILABLE = EventType(
    "control.unavailable",
    LogLevel.warn,
    "{error}; the daemon runs without a control socket; set [tcpd] control to a path",
    {"error": "what failed"},
    "[tcpd] control is auto, and the control socket could not be created at its default place.",
)
OPERATOR_COMMAND = EventType(
    "operator.command",
    LogLevel.info,
    "operator {operator}: {command}",
    {
        "operator": "user id and process id as the system reports them; for a chat operator the "
        "nickname, the address and the service",
        "command": "the command and its arguments",
    },
    "An operator's command changed something.",
)
BANS_NOT_SAVED = EventType(
    "bans.not-saved",
    LogLevel.error,
    "the bans could not be written to {file} and will be lost at a restart: {error}",
    {"file": "its path, in [tcpd] state", "error": "the system's error"},
    "A ban was added or removed. The change is in force, but only in memory.",
)
EVENTS_DROPPED = EventType(
    "events.dropped",
    LogLevel.warn,
    "{count} events were dropped here: the reader was too slow",
    {"count": "number of events"},
    "A client that follows events on the control socket read too slowly. Only that client gets "
    "this event.",
)
LOG_FALLBACK = EventType(
    "log.fallback",
    LogLevel.warn,
    "journald cannot be reached ({error}); the log is written here as text until it can be",
    {"error": "the system's error"},
    "With log = journald: the journal's socket does not exist, or nothing reads it.",
)
LOG_LOST = EventType(
    "log.lost",
    LogLevel.warn,
    "{count} log records were lost: {error}",
    {
        "count": "number of records since the last such event",
        "error": "the reason: the system's error, such as No space left on device, or that "
        "journald did not accept the records in time",
    },
    "Log records could not be written, because a disk or the journal's queue was full. The "
    "daemon does not wait for either. The log works again.",
)


def _by_id(found: Iterable[object]) -> dict[str, EventType]:
    return {each.id: each for each in found if isinstance(each, EventType)}


#: All events by id, in the order of the reference page.
CATALOGUE: Mapping[str, EventType] = MappingProxyType(_by_id(list(globals().values())))
