"""The built-in commands of line services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tcpd.line.command import (
    SUGGESTION_LENGTH,
    ConnectionFacts,
    Request,
    command,
    is_usable,
    synopsis,
)
from tcpd.line.reply import CommandError, Reply, Then, WrongArguments, split_lines
from tcpd.wire.safe_text import escape_controls


def _echo_many(arguments: list[str]) -> list[str]:
    return arguments


@command("ECHO", "text", help="Sends the text back, verbatim.", many=_echo_many)
def echo(request: Request) -> str:
    """ECHO text."""
    return request.argument


@command("HELP", "[command]", help="Lists the commands, or describes one.", at_most=1)
def help_(request: Request) -> Reply:
    """HELP [command]."""
    connection = request.connection
    if not request.words:
        listed = (synopsis(each) for each in request.commands.usable(connection))
        return Reply(214, ("commands; HELP and a name describes one:", *listed))
    [word] = request.words
    found = request.commands.find(word)
    if found is None:
        near = request.scope.suggestions.closest(word, request.commands.usable(connection))
        hint = f"did you mean {near}?" if near else "HELP lists the commands"
        raise CommandError(501, f"{word[:SUGGESTION_LENGTH]} is not a command, {hint}")
    if not is_usable(found, connection):
        raise CommandError(502, f"{found.name} is not available here")
    return Reply(214, (synopsis(found), *split_lines(found.help)))


def _ping_many(arguments: list[str]) -> list[str] | None:
    together = "".join(arguments)
    if " " in together or "\t" in together or not all(arguments):
        return None
    return ["PONG " + argument for argument in arguments]


@command("PING", "[token]", help="Answers PONG, and the token if there is one.", many=_ping_many)
def ping(request: Request) -> str:
    """PING [token]. Optimized, as programs send it most often."""
    argument = request.argument
    if not argument:
        return "PONG"
    if " " in argument or "\t" in argument:
        words = argument.split()
        if len(words) > 1:
            raise WrongArguments
        return " ".join(["PONG", *words])
    return "PONG " + argument


@command("QUIT", help="Ends the conversation.", at_most=0)
def quit_(request: Request) -> Reply:
    """Execute QUIT."""
    return Reply(221, (f"{request.context.server_name} goodbye",), Then.CLOSE)


@command("SERVICES", help="Lists the services of the daemon: name, protocol, listeners.", at_most=0)
def services(request: Request) -> str:
    """Execute SERVICES."""
    entries = request.context.directory()
    return "\n".join(
        f"{entry.name} {entry.protocol} {', '.join(entry.listeners) or '-'}" for entry in entries
    )


def _can_start_tls(connection: ConnectionFacts) -> bool:
    return connection.can_start_tls


@command(
    "STARTTLS",
    help="Starts TLS; wait for the reply before the TLS handshake.",
    at_most=0,
    usable=_can_start_tls,
)
def starttls(request: Request) -> Reply:
    """STARTTLS, after RFC 3207; the session discards cleartext input after it."""
    if request.connection.tls is not None:
        raise CommandError(503, "TLS is already active")
    if not request.connection.can_start_tls:
        raise CommandError(502, "STARTTLS is not available here")
    return Reply(220, ("ready for TLS",), Then.START_TLS)


@command("TIME", help="Shows the time in UTC (RFC 3339).", at_most=0)
def time(request: Request) -> str:
    """Execute TIME."""
    now = datetime.fromtimestamp(request.context.wall_clock(), UTC)
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


@command("UPTIME", help="Shows how long the daemon has been running.", at_most=0)
def uptime(request: Request) -> str:
    """Execute UPTIME."""
    seconds = int(request.context.clock.seconds() - request.context.started)
    return f"{seconds} seconds ({timedelta(seconds=seconds)})"


@command("WHOAMI", help="Shows your address as the server sees it, and your TLS.", at_most=0)
def whoami(request: Request) -> Reply:
    """Execute WHOAMI."""
    connection = request.connection
    lines = [f"address {connection.peer}"]
    if connection.credentials is not None:
        lines.append(f"credentials {connection.credentials}")
    if connection.tls is None:
        lines.append("tls none")
    else:
        lines += [f"tls {connection.tls.version}", f"cipher {connection.tls.cipher}"]
        if connection.tls.fingerprint is not None:
            lines.append(f"certificate {connection.tls.fingerprint}")
            # escaped here: a line end in a name would start a new line of the reply
            names = map(escape_controls, connection.tls.client_names)
            lines.append(f"subject {escape_controls(connection.tls.subject or '')}")
            lines += [f"name {name}" for name in names]
    return Reply(250, tuple(lines))
