"""The catalogue of events: all that the daemon reports as a fact, for people and for programs.

An event has an id that never changes its meaning, a level, a sentence, and fields with stated
units. Whoever reports one takes it from here::

    catalogue.SERVICE_LISTENING.emit(self._log, service="echo", listener="127.0.0.1:7007")

Events are reported where a decision is made and where a connection begins or ends, never for a
message, and always from the reactor's thread. What only a programmer of the daemon would read is
logged without an id. The reference page is generated from this module, and a test keeps the events
that are emitted, this catalogue and the page equal.
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

DAEMON_STARTED = EventType(
    "daemon.started",
    LogLevel.info,
    "tcpd {version} started: services {services}, listeners {listeners}, process {pid}, user {uid}",
    {
        "version": "of tcpd",
        "services": "how many, the daemon's own not counted",
        "listeners": "how many they have, all together",
        "pid": "process id",
        "uid": "the user id it runs as; 0 is root",
    },
    "All ports are open and, if it was started as root, root was given up.",
)
DAEMON_START_FAILED = EventType(
    "daemon.start-failed",
    LogLevel.critical,
    "{error}",
    {"error": "a sentence that says what to change"},
    "The daemon could not start: a port could not be opened. The process ends with status 1.",
)
DAEMON_DESCRIPTORS = EventType(
    "daemon.descriptors",
    LogLevel.warn,
    "{warning}",
    {"warning": "a sentence with the limit and what to do about it"},
    "The system allows fewer open files than the configuration promises connections.",
)
DAEMON_SOCKET_UNUSED = EventType(
    "daemon.socket-unused",
    LogLevel.warn,
    "systemd holds a socket {name}, and no service has listen = systemd:{name}: who connects to it "
    "waits and is never answered; stop and disable its .socket unit, or listen on it",
    {"name": "its FileDescriptorName="},
    "At a start or a reload no service takes a socket that systemd opened.",
)
DAEMON_LOG_LEVEL = EventType(
    "daemon.log-level",
    LogLevel.info,
    "the log level is now {threshold}",
    {"threshold": "debug, info, warn, error or critical"},
    "An operator or a reload changed how much is logged.",
)
DAEMON_STOPPING = EventType(
    "daemon.stopping",
    LogLevel.info,
    "stopping: {connections} connections have {drain} s to end",
    {"connections": "how many are open", "drain": "seconds, [tcpd] drain"},
    "The daemon was told to stop. Ports are closed, and clients are told.",
)
DAEMON_CUT = EventType(
    "daemon.cut",
    LogLevel.warn,
    "told to stop at once: {connections} connections are cut",
    {"connections": "how many were still open"},
    "A second SIGTERM or SIGINT came while the daemon waited for clients to go.",
)
DAEMON_STOPPED = EventType(
    "daemon.stopped",
    LogLevel.info,
    "stopped after {seconds:.3f} s",
    {"seconds": "since it was told to stop"},
    "All services have ended; the process does so now.",
)
DAEMON_MEMORY = EventType(
    "daemon.memory",
    LogLevel.error,
    "out of memory: what failed is ended, connections one by one",
    {},
    "Something failed for want of memory; more that fail are counted until there is memory again.",
)
DAEMON_MEMORY_BACK = EventType(
    "daemon.memory-back",
    LogLevel.warn,
    "there is memory again, after {count} failures",
    {"count": "what failed, connections for the most part"},
    "The reserve that was given up at the first failure could be had again.",
)
DAEMON_GAVE_UP = EventType(
    "daemon.gave-up",
    LogLevel.critical,
    "{error}; the process ends with status 1",
    {"error": "a sentence"},
    "The daemon cannot go on: memory is out, or the main loop has ended. A supervisor restarts it.",
)
SERVICE_LISTENING = EventType(
    "service.listening",
    LogLevel.info,
    "service {service}: listening on {listener}",
    {
        "service": _SERVICE,
        "listener": "as the ini file writes it, with the port that was really opened",
    },
    "A service started; once for each of its listeners.",
)
SERVICE_STOPPED = EventType(
    "service.stopped",
    LogLevel.info,
    "service {service}: stopped after {accepted} connections and {refused} refused, "
    "{datagrams} datagrams, {bytes_in} bytes in and {bytes_out} bytes out",
    {
        "service": _SERVICE,
        "accepted": "connections let in since the daemon started",
        "refused": "clients not let in",
        "datagrams": "datagrams received",
        "bytes_in": "bytes received",
        "bytes_out": "bytes sent",
    },
    "A service has closed its ports, and its last connection is gone.",
)
CONNECTION_REFUSED = EventType(
    "connection.refused",
    LogLevel.warn,
    "service {service}: refused {peer}: {refusal} ({since} more since last told)",
    {
        "service": _SERVICE,
        "peer": _PEER,
        "refusal": "denied, banned, untrusted-proxy, address-rate, address-full, http, tls, "
        "service-rate, service-full, daemon-full or no-descriptor",
        "since": "clients refused for the same reason (but the last four: from the same address) "
        "and not told of since the last such event",
    },
    "A client was not let in. It is told every 10 seconds at most for each service, address and "
    "reason; for the last four reasons, which are nobody's fault in particular, for each service "
    "and reason.",
)
CONNECTION_MISBEHAVED = EventType(
    "connection.misbehaved",
    LogLevel.warn,
    "service {service}: misbehaviour of {peer}: {end}{why} ({since} more since last told)",
    {
        "service": _SERVICE,
        "peer": _PEER,
        "end": "first-byte, slow-reader, stalled, tls-failed or tls-timeout",
        "why": "for tls-failed, a colon, a space and OpenSSL's reason; else empty",
        "since": "connections from the same address that ended so and were not told of since the "
        "last such event",
    },
    "A connection was ended for what its client did, or did not do. It is told every 10 seconds at "
    "most for each service, address and reason; never of who connects and goes without a byte.",
)
TLS_REFUSED = EventType(
    "tls.refused",
    LogLevel.warn,
    "service {service}: no TLS with {peer}: {reason} ({since} more since last told)",
    {
        "service": _SERVICE,
        "peer": _PEER,
        "reason": "OpenSSL's, such as 'tlsv1 alert unknown ca' for an alert that the client sent, "
        "or 'no shared cipher'; or that the connection was closed in the handshake",
        "since": "connections with the same reason and not told of since the last such event",
    },
    "A client sent a TLS hello, and the handshake did not come to its end: the client distrusts "
    "the certificate, or has no version or cipher in common with the server. That is no "
    "misbehaviour. It is told every 10 seconds at most for each service and reason.",
)
CONNECTION_UNTOLD = EventType(
    "connection.untold",
    LogLevel.warn,
    "service {service}: {count} more were refused or misbehaved, from more addresses than are told",
    {"service": _SERVICE, "count": "connections"},
    "So many addresses were refused or misbehaved within 10 seconds that not each is told: 1024 "
    "are, for each service. All are counted.",
)
CONNECTION_STARTED = EventType(
    "connection.started",
    LogLevel.info,
    "service {service}: connection {id} from {peer} started{via}",
    {
        "service": _SERVICE,
        "id": "of the connection, unique while the daemon runs; connection.ended has it too",
        "peer": _PEER + "; on a UNIX socket with who connected: unix (uid 0 gid 0 pid 4711)",
        "via": "empty, or what a PROXY header told beside the client's address: "
        "', proxy 192.0.2.1:4711 id 4F2A name example.org'",
    },
    "A client was let in: after its PROXY header, where there is one, and before its TLS "
    "handshake. Only where the policy says access_log = yes and log_start = yes; not for a proxy's "
    "own connections, such as health checks.",
)
CONNECTION_ENDED = EventType(
    "connection.ended",
    LogLevel.info,
    "service {service}: connection {id} from {peer} ended after {seconds:.3f} s: {end}, "
    "{bytes_in} bytes in, {bytes_out} bytes out, {tls}{via}{handshake}{error}",
    {
        "service": _SERVICE,
        "id": "of the connection, unique while the daemon runs",
        "peer": _PEER + "; on a UNIX socket with who connected: unix (uid 0 gid 0 pid 4711)",
        "seconds": "how long it lasted",
        "bytes_in": "bytes received on the wire, those of TLS included",
        "bytes_out": "bytes sent, those of TLS included",
        "tls": "version and cipher, e.g. TLSv1.3 TLS_AES_256_GCM_SHA384, and subject and "
        "fingerprint of the client's certificate if it showed one; or no TLS. Where TLS failed, a "
        "colon and OpenSSL's reason: no TLS: http request",
        "end": "why: client, server, lost, truncated, first-byte, idle, session, slow-reader, "
        "stalled, linger, proxy-failed, proxy-timeout, tls-failed, tls-refused, tls-timeout, "
        "websocket-failed, websocket-timeout, ping-timeout, shutdown, kicked, banned",
        "via": "empty, or what a PROXY header told beside the client's address: "
        "', proxy 192.0.2.1:4711 id 4F2A name example.org'",
        "handshake": "empty without log_handshake = yes, or what the client's SYN asked for and "
        "the round-trip time of the handshake in microseconds: ', mss=1460 wscale=7 sack=yes "
        "ts=yes ttl=64 rtt=120'; a value that is not known is a hyphen",
        "error": "empty, or the system's error of a connection that was lost: ', error: Connection "
        "reset by peer'",
    },
    "A connection is over. The access log: only where the policy says access_log = yes.",
)
PROXY_FAILED = EventType(
    "proxy.failed",
    LogLevel.warn,
    "service {service}: no PROXY header from {peer}: {fault}: {error} ({since} more since last "
    "told)",
    {
        "service": _SERVICE,
        "peer": "the proxy: address and port, or unix",
        "fault": "timeout, cut-short, no-header, line-too-long, line, address, port, version, "
        "command, family, too-long, too-short, tlv, unique-id or checksum",
        "error": "the same as a sentence",
        "since": "connections with the same fault and not told of since the last such event",
    },
    "A proxy that a listener trusts did not say for whom it connected, and the connection was cut. "
    "For each service and fault it is told every 10 seconds at most.",
)
CONNECTION_FAILED = EventType(
    "connection.failed",
    LogLevel.critical,
    "service {service}: connection {id} from {peer} failed in {doing}",
    {"service": _SERVICE, "id": "of the connection", "peer": _PEER, "doing": "at what"},
    "The service's protocol raised an exception, which is its bug; the connection was cut.",
)
DATAGRAM_FAILED = EventType(
    "datagram.failed",
    LogLevel.critical,
    "service {service}: a datagram could not be answered; further failures are only counted",
    {"service": _SERVICE},
    "What answers a service's datagrams raised an exception. Told once for a listener.",
)
COMMAND_FAILED = EventType(
    "command.failed",
    LogLevel.critical,
    "command {command} failed for {peer} of {service}: {error}, reference {reference}",
    {
        "command": "its name",
        "peer": _PEER,
        "service": _SERVICE,
        "error": "what was raised",
        "reference": "also stands in the reply that the client got",
    },
    "A command of a line service raised an exception, which is its bug.",
)
CHAT_MEMBER_DROPPED = EventType(
    "chat.member-dropped",
    LogLevel.info,
    "service {service}: {nick} from {peer} did not read, and was dropped",
    {"service": _SERVICE, "nick": "their nickname, or empty", "peer": _PEER},
    "So much waited for a chat member who did not read that they were put out.",
)
CHAT_OPERATOR_REFUSED = EventType(
    "chat.operator-refused",
    LogLevel.warn,
    "service {service}: {address} is not operator {name}: the name or the password is wrong",
    {
        "service": _SERVICE,
        "name": "of the operator, as the ini file has it; empty if there is none of that name",
        "address": "the client's, or unix",
    },
    "An IRC client wanted to become an operator (OPER) and could not. After three times its "
    "connection is ended.",
)
CHAT_GATEWAY_REFUSED = EventType(
    "chat.gateway-refused",
    LogLevel.warn,
    "service {service}: {address} is no gateway: {why}",
    {"service": _SERVICE, "address": "the client's, or unix", "why": "a sentence"},
    "An IRC client said that it connects for another (WEBIRC), was not believed, and its "
    "connection was ended.",
)
FORWARD_FAILED = EventType(
    "forward.failed",
    LogLevel.warn,
    "service {service}: {to} cannot be reached for {peer}: {reason}: {error} ({since} more since "
    "last told)",
    {
        "service": _SERVICE,
        "to": "the far side, as the ini file writes it",
        "peer": _PEER,
        "reason": "refused, unreachable, timeout, unresolved, untrusted, tls-failed or failed",
        "error": "a sentence on what is wrong",
        "since": "clients it failed for by the same reason and not told of since the last such "
        "event",
    },
    "The far side of a forward service is not there, or is not who it must be, and the client's "
    "connection was closed. For each service and reason it is told every 10 seconds at most.",
)
EXEC_FAILED = EventType(
    "exec.failed",
    LogLevel.error,
    "service {service}: {command} could not be started for {peer}: {error} ({since} more since "
    "last told)",
    {
        "service": _SERVICE,
        "command": "the path of the program",
        "peer": _PEER,
        "error": "what the system says",
        "since": "clients it failed for and not told of since the last such event",
    },
    "A program could not be started, and its client's connection was closed. Told every 10 seconds "
    "at most for each service.",
)
EXEC_STDERR = EventType(
    "exec.stderr",
    LogLevel.warn,
    "service {service}: program {pid} for {peer}: {line} ({lost} lines lost before it)",
    {
        "service": _SERVICE,
        "pid": "process id of the program",
        "peer": _PEER,
        "line": "what it wrote, at most 1024 bytes of it, with unsafe characters escaped",
        "lost": "lines that programs of the service wrote and that are not in the log",
    },
    "A program wrote a line to its standard error. All programs of a service together get 10 lines "
    "a second into the log, and 50 at once.",
)
EXEC_STDERR_LOST = EventType(
    "exec.stderr-lost",
    LogLevel.warn,
    "service {service}: {lost} lines that programs wrote to their standard error are not in the "
    "log",
    {"service": _SERVICE, "lost": "lines; those that an exec.stderr reported do not count"},
    "Programs of a service wrote more to their standard error than the log takes, and nothing for "
    "10 seconds that it took.",
)
EXEC_ENDED = EventType(
    "exec.ended",
    LogLevel.debug,
    "service {service}: program {pid} for {peer} {word}: {status}",
    {
        "service": _SERVICE,
        "pid": "process id of the program",
        "peer": _PEER,
        "status": "its exit status, or the signal that ended it",
        "word": "ended, by itself and well; stopped, because its connection had ended; or killed, "
        "because it did not stop",
    },
    "A program has ended as it should.",
)
EXEC_ENDED_BADLY = EventType(
    "exec.ended-badly",
    LogLevel.info,
    "service {service}: program {pid} for {peer} {word}: {status}",
    {
        "service": _SERVICE,
        "pid": "process id of the program",
        "peer": _PEER,
        "status": "its exit status, or the signal that ended it",
        "word": "failed, with another exit status than 0; or died, of a signal that tcpd did not "
        "send",
    },
    "A program has ended by itself, and not as it should.",
)
RELOAD_DONE = EventType(
    "reload.done",
    LogLevel.info,
    "reload: {line}",
    {"line": "one thing that was changed, or: nothing has changed"},
    "A reload succeeded; once for each thing that it changed.",
)
RELOAD_REFUSED = EventType(
    "reload.refused",
    LogLevel.error,
    "reload refused, nothing has changed: {line}",
    {"line": "one thing that is wrong, with file and line where it stands in one"},
    "A reload found something wrong and left all as it was; once for each thing.",
)
TLS_RENEWED = EventType(
    "tls.renewed",
    LogLevel.info,
    "tls {tls}: its files have changed and are in use: {certificates}",
    {"tls": _TLS, "certificates": "each certificate: file, type of key, names, last day"},
    "The files of certificates were replaced. Handshakes have the new ones from now on.",
)
TLS_STALE = EventType(
    "tls.stale",
    LogLevel.error,
    "tls {tls}: its files have changed and cannot be used, the old certificates stay: {error}",
    {"tls": _TLS, "error": "a sentence that says what to change"},
    "The files of certificates were replaced by what is incomplete or wrong. Told once for each "
    "change; they are tried again at the next, and every minute.",
)
TLS_EXPIRING = EventType(
    "tls.expiring",
    LogLevel.warn,
    "tls {tls}: {certificate} expires in {days} days, on {until}",
    {
        "tls": _TLS,
        "certificate": "its file",
        "until": "its last day, in UTC",
        "days": "how many days it is still valid, rounded down",
    },
    "A certificate ends within 14 days. Told at the start and at a reload, and once a day.",
)
TLS_EXPIRED = EventType(
    "tls.expired",
    LogLevel.error,
    "tls {tls}: {certificate} has expired on {until}, clients refuse it",
    {"tls": _TLS, "certificate": "its file", "until": "its last day, in UTC"},
    "A certificate has ended, and is still shown. Told as that it expires.",
)
TLS_KEY_EXPOSED = EventType(
    "tls.key-exposed",
    LogLevel.warn,
    "tls {tls}: the private key in {file} can be read or written by every user of this system "
    "(mode {mode}); chmod o= takes that away",
    {"tls": _TLS, "file": "its file", "mode": "permissions of the file, in octal"},
    "A private key is open to others than its owner and its group. Told as that it expires.",
)
KERNEL_WITHOUT = EventType(
    "kernel.without",
    LogLevel.warn,
    "the kernel does not tell {what}: {why}; reports of handshakes go without",
    {"what": "what it was asked for", "why": "the reason, by the system or in words"},
    "This system has no such option, or the daemon may not use it. Told once for each.",
)
CONTROL_UNAVAILABLE = EventType(
    "control.unavailable",
    LogLevel.warn,
    "{error}; the daemon goes on without a control socket, [tcpd] control can name its place",
    {"error": "what is in the way"},
    "No place was given for the control socket, and there is none at the usual one.",
)
OPERATOR_COMMAND = EventType(
    "operator.command",
    LogLevel.info,
    "operator {operator}: {command}",
    {
        "operator": "user id and process id of who asked, as the system knows them; of an operator "
        "in chat the nickname, the address and the service",
        "command": "what was asked, with its arguments",
    },
    "An operator gave a command that changes something, and it was done.",
)
BANS_NOT_SAVED = EventType(
    "bans.not-saved",
    LogLevel.error,
    "the bans could not be written to {file}, and will not outlive a restart: {error}",
    {"file": "its path, in [tcpd] state", "error": "what the system says"},
    "A ban was made or taken back; it holds, but only in memory.",
)
EVENTS_DROPPED = EventType(
    "events.dropped",
    LogLevel.warn,
    "{count} events were left out here, for they were not read in time",
    {"count": "how many"},
    "Told to a reader of the control socket's events who was too slow, and to nobody else.",
)
LOG_FALLBACK = EventType(
    "log.fallback",
    LogLevel.warn,
    "journald cannot be reached ({error}); until it can, the log goes on here as text",
    {"error": "what the system says"},
    "With log = journald: the journal's socket is not there, or nobody reads it.",
)
LOG_LOST = EventType(
    "log.lost",
    LogLevel.warn,
    "{count} log records were lost: {error}",
    {
        "count": "how many, since the last such event",
        "error": "why: what the system says, such as No space left on device, or that journald did "
        "not take them in time",
    },
    "The log could not be written, and can be again: a disk was full, or the journal's queue, for "
    "which the daemon does not wait.",
)


def _by_id(found: Iterable[object]) -> dict[str, EventType]:
    return {each.id: each for each in found if isinstance(each, EventType)}


#: All events, by id, in the order of the reference page.
CATALOGUE: Mapping[str, EventType] = MappingProxyType(_by_id(list(globals().values())))
