"""The command line of ``tcpd-ctl``.

Exit status: 0 success; 1 refused by the daemon, or failed by the probed service; 2 usage error;
3 no daemon is running; 4 permission denied.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from tcpd.ctl.arguments import USAGE, Parser
from tcpd.ctl.client import TIMEOUT, Control, NotAllowed, Unreachable, find_socket
from tcpd.wire.output import discard_output, typed, use_utf8
from tcpd.wire.safe_text import escape_controls

DONE, REFUSED = 0, 1
NO_DAEMON, NOT_ALLOWED = 3, 4

#: Seconds that ``top`` waits for a reply; after that the daemon counts as lost.
_TOP_TIMEOUT = 10.0

_TIMEOUT_HELP = "maximum wait for a reply"

_EPILOG = """exit status: 0 done, 1 refused by the daemon or failed by the probed service,
2 wrong usage, 3 no daemon is running, 4 permission denied"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :param arguments: the command line; by default that of the process.
    :return: the exit status.
    """
    use_utf8()
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has seen enough
        discard_output()
        return DONE
    except OSError as error:
        discard_output()
        what = error.filename or "standard output"
        return _fail(f"{what}: {error.strerror or error}", REFUSED)


def _run(arguments: Sequence[str] | None) -> int:
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:
        from tcpd.ctl.completion import complete

        complete(parser)
    asked = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = asked.run
    try:
        return run(asked)
    except Unreachable as error:
        return _fail(str(error), NO_DAEMON)
    except NotAllowed as error:
        return _fail(str(error), NOT_ALLOWED)
    except ValueError as error:
        return _fail(str(error), USAGE)
    except KeyboardInterrupt:
        return 130


def make_parser() -> Parser:
    parser = Parser(prog="tcpd-ctl", description="Controls a running tcpd.", epilog=_EPILOG)
    parser.add_argument("--socket", metavar="PATH", help="the daemon's control socket")
    parser.add_argument(
        "--config", metavar="FILE", help="find the socket by [tcpd] of this ini file or directory"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help=_TIMEOUT_HELP)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def add(
        name: str, help: str, run: Callable[[argparse.Namespace], int] = _ask, json: bool = True
    ) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=f"{help[:1].upper()}{help[1:]}.")
        made.set_defaults(run=run)
        # also after the command; SUPPRESS keeps the default from overriding an earlier option
        made.add_argument(
            "--timeout",
            type=float,
            metavar="SECONDS",
            help=_TIMEOUT_HELP,
            default=argparse.SUPPRESS,
        )
        if json:
            made.add_argument("--json", action="store_true", help="one line of JSON")
        return made

    add("status", "show the daemon's status")
    add("services", "list the services and their counters")
    listing = add("connections", "list connections", _connections)
    listing.add_argument("--service", help="only of this service")
    listing.add_argument("--address", metavar="NETWORK", help="only from this address or network")
    listing.add_argument(
        "--sort", choices=("age", "new", "in", "out", "bytes", "idle"), help="default: age"
    )
    listing.add_argument("--limit", metavar="ROWS", help="default 50, at most 1000")
    add("connection", "show one connection in detail").add_argument("words", metavar="ID", nargs=1)
    handshake = add("handshake", "show a connection's three-way handshake and its layers")
    handshake.add_argument("words", metavar="ID", nargs=1)
    kick = add("kick", "close a connection, or all from an address or a network")
    kick.add_argument("words", metavar="ID|NETWORK", nargs=1)
    kick.add_argument("reason", nargs="*", help="for the log")
    ban = add("ban", "ban an address or a network, and close its connections", _ban)
    ban.add_argument("network")
    ban.add_argument("duration", nargs="?", help="like 30min, 12h or 7d; 0 or none: permanent")
    ban.add_argument("reason", nargs="*")
    add("unban", "remove a ban").add_argument("words", metavar="NETWORK", nargs=1)
    add("bans", "list the bans in force")
    add("limits", "show the limits and their use")
    add("reload", "reload the configuration and report the result")
    add("check", "check the configuration and change nothing")
    log = add("log", "show or change the log level")
    log.add_argument("words", metavar="LEVEL", nargs="?")
    add("reopen", "open the log file again, after logrotate has moved it")
    add("rooms", "list chat rooms")
    for name, help in (
        ("drain", "close the ports of a service and let its connections end"),
        ("resume", "open a drained service again"),
    ):
        add(name, help).add_argument("words", metavar="SERVICE", nargs=1)
    add("events", "follow events, one JSON object a line, until Ctrl-C", _events, json=False)
    top = add("top", "show rates and connections, refreshed at an interval", _top, json=False)
    top.add_argument(
        "--interval", type=_interval, default=2.0, metavar="SECONDS", help="default: 2"
    )
    top.add_argument("--once", action="store_true", help="print the table once as plain text")
    top.add_argument("--connections", action="store_true", help="show connections, not services")
    top.add_argument("--sort", metavar="COLUMN", help="sort by this column, for example in/s")
    top.add_argument("--reverse", action="store_true", help="reverse the order")
    top.add_argument("--filter", metavar="TEXT", default="", help="show only rows with this text")
    add("hash-password", "make a hash of a password for an ini file", _hash_password, json=False)
    completion = add("completion", "print completion for a shell", _completion, json=False)
    completion.add_argument("shell", choices=("bash", "fish", "zsh"))
    probe = add("probe", "probe a service as a client", _probe)
    probe.add_argument("host")
    probe.add_argument("port", type=_port)
    probe.add_argument("--tls", action="store_true", help="use TLS and verify the certificate")
    probe.add_argument("--name", help="expected name in the certificate; default: the host")
    probe.add_argument("--ca", metavar="FILE", help="PEM file to trust; default: the system's")
    probe.add_argument("--send", metavar="TEXT", default="", help=r"with escapes \r, \n and \xNN")
    probe.add_argument("--expect", metavar="TEXT", default="", help="text to wait for")
    probe.add_argument(
        "--min-days",
        type=float,
        default=0.0,
        metavar="DAYS",
        help="minimum remaining validity of the certificate",
    )
    return parser


class _Version(argparse.Action):
    """Looks up the version on demand, as that takes longer than everything else."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: object, *_: object) -> NoReturn:
        from tcpd.ops.versions import version_of

        _out(f"tcpd-ctl {version_of('tcpd')}")
        parser.exit()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not the number of a port, which is from 1 to 65535"
        )
    return int(text)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.1 to 3600")
    return seconds


def _out(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fail(text: str, status: int) -> int:
    sys.stderr.write(f"tcpd-ctl: {text}\n")
    return status


def _control(asked: argparse.Namespace) -> Control:
    paths = find_socket(asked.socket, asked.config, os.environ, os.geteuid())
    return Control(paths, asked.timeout or TIMEOUT)


def _ask(asked: argparse.Namespace) -> int:
    words = getattr(asked, "words", None) or []
    words = [words] if isinstance(words, str) else [*words]
    return _say(asked, [*words, *getattr(asked, "reason", [])])


def _connections(asked: argparse.Namespace) -> int:
    names = ("service", "address", "sort", "limit")
    given = ((name.upper(), getattr(asked, name)) for name in names)
    return _say(asked, [f"{name}={value}" for name, value in given if value is not None])


def _ban(asked: argparse.Namespace) -> int:
    return _say(asked, [asked.network, *filter(None, [asked.duration]), *asked.reason])


def _say(asked: argparse.Namespace, words: Sequence[str]) -> int:
    line = [asked.command.upper(), *(["json"] if asked.json else []), *words]
    with _control(asked) as control:
        answer = control.ask(" ".join(line))
    text = "\n".join(answer.lines)
    if answer.code < 400:
        _out(text)
        return DONE
    # JSON if requested and available
    if asked.json and text.startswith("{"):
        _out(text)
    else:
        sys.stderr.write(f"tcpd-ctl: {text}\n")
    if answer.code in (500, 501):
        return USAGE
    return NOT_ALLOWED if answer.code == 421 else REFUSED


def _events(asked: argparse.Namespace) -> int:
    try:
        with _control(asked) as control:
            for line in control.follow("EVENTS"):
                _out(line)
    except KeyboardInterrupt:
        pass
    return DONE


def _top(asked: argparse.Namespace) -> int:
    from tcpd.ctl.top.plain import once
    from tcpd.ctl.top.view import make_view

    view = make_view(asked.connections, asked.sort, asked.reverse, asked.filter)

    def connect() -> Control:
        paths = find_socket(asked.socket, asked.config, os.environ, os.geteuid())
        return Control(paths, asked.timeout or _TOP_TIMEOUT)

    if not asked.once and _is_terminal():
        try:
            from tcpd.ctl.top.watch import watch
        except ModuleNotFoundError:
            sys.stderr.write("tcpd-ctl: the live display requires rich: pip install 'tcpd[top]'\n")
        else:
            with contextlib.suppress(KeyboardInterrupt):
                watch(connect, view, asked.interval)
            return DONE
    sys.stdout.write(once(connect, view, asked.interval))
    return DONE


def _is_terminal() -> bool:
    """Whether a live display can be drawn, and keys can be read."""
    has_cursor = os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
    return has_cursor and sys.stdin.isatty() and sys.stdout.isatty()


def _hash_password(asked: argparse.Namespace) -> int:
    from tcpd.policy.passwords import hash_password

    if sys.stdin.isatty():
        from getpass import getpass

        password = getpass("Password: ")
        if getpass("Again: ") != password:
            return _fail("the two are not the same", REFUSED)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        return _fail("an empty password is none", REFUSED)
    _out(hash_password(typed(password)))
    return DONE


def _completion(asked: argparse.Namespace) -> int:
    try:
        from tcpd.ctl.completion import script
    except ModuleNotFoundError:
        return _fail("completion requires argcomplete: pip install 'tcpd[completion]'", REFUSED)

    sys.stdout.write(script(asked.shell))
    return DONE


def _probe(asked: argparse.Namespace) -> int:
    from tcpd.ctl.probe import Found, Probe, ProbeFailed

    probe = Probe(
        host=asked.host,
        port=asked.port,
        tls=asked.tls,
        name=asked.name or asked.host,
        ca=asked.ca,
        send=unescape(asked.send),
        expect=unescape(asked.expect),
        min_days=asked.min_days,
        timeout=asked.timeout or 10.0,
    )
    found = Found()
    fault = ""
    try:
        probe.run(found)
    except ProbeFailed as error:
        fault = str(error)
    if asked.json:
        import json

        times = {name: round(seconds, 6) for name, seconds in found.times.items()}
        _out(
            json.dumps(
                {
                    "ok": not fault,
                    "error": fault or None,
                    "address": found.address or None,
                    "seconds": times,
                    "tls": found.tls or None,
                }
            )
        )
        return REFUSED if fault else DONE
    took = {name: f"{seconds * 1000:.1f} ms" for name, seconds in found.times.items()}
    if found.address:
        _out(f"connected to {found.address} in {took['connect']}")
    if found.tls:
        _out(f"{found.tls['version']}, {found.tls['cipher']}, handshake in {took['tls']}")
        _out(
            f"certificate of {escape_controls(found.tls['subject'])}, "
            f"{found.tls['days_left']} days left, until {found.tls['not_after']}"
        )
    if "expect" in took:
        _out(f"received the expected text in {took['expect']}")
    return _fail(escape_controls(fault), REFUSED) if fault else DONE


def unescape(text: str) -> bytes:
    r"""Bytes of a text in which ``\r``, ``\n``, ``\t``, ``\\`` and ``\xNN`` are escapes."""
    import re

    known = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}

    def piece(match: re.Match[str]) -> bytes:
        escape = match[1]
        if escape is None:
            return os.fsencode(match[0])
        return known[escape] if escape in known else bytes([int(escape[1:], 16)])

    pieces = re.finditer(r"\\(r|n|t|\\|x[0-9a-fA-F]{2})|.", text, re.S)
    return b"".join(map(piece, pieces))
