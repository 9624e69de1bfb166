"""The keys of ``protocol = exec``."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from tcpd.config.fields import option
from tcpd.config.files import from_system, to_system
from tcpd.config.values import (
    DURATION,
    PATH,
    SIZE,
    TEXT,
    Type,
    at_least,
    choice,
    or_word,
    whole_number,
)

#: The variables that tcpd sets for each connection.
_OURS = re.compile(r"PROTO|(TCP6?|UNIX)(LOCAL|REMOTE|INTERFACE)[A-Z]*|SSL_.*|TCPD_.*")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _parse_command(text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:  # a quotation that does not end
        raise ValueError(f"{text!r} cannot be split into words: {error}") from None
    if not words:
        raise ValueError("it is empty; write the program's path and its arguments")
    if any("\n" in word for word in words):
        raise ValueError("an argument contains a line end; remove it")
    if not words[0].startswith("/"):
        raise ValueError(f"{words[0]!r} is not an absolute path; PATH is not searched")
    return tuple(map(to_system, words))


def _show_command(words: tuple[str, ...]) -> str:
    return shlex.join(map(from_system, words))


#: A program and its arguments, quoted as in a shell; no shell is involved.
COMMAND: Type[tuple[str, ...]] = Type("program and arguments", _parse_command, _show_command)


def _parse_environment(text: str) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if not (name or equals):
            continue
        if not equals or _VARIABLE.fullmatch(name) is None:
            raise ValueError(f"{line.strip()!r} is not NAME=VALUE; write one on each line")
        if _OURS.fullmatch(name):
            raise ValueError(f"{name} is set by tcpd for each connection; use another name")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = to_system(value)
    return tuple(found.items())


def _show_environment(variables: tuple[tuple[str, str], ...]) -> str:
    return "\n    ".join(f"{name}={from_system(value)}" for name, value in variables)


#: Variables and their values, in order.
ENVIRONMENT: Type[tuple[tuple[str, str], ...]] = Type(
    "lines of NAME=VALUE", _parse_environment, _show_environment
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecSettings:
    """The keys of an exec service.

    :ivar command: the program, an absolute path, and its arguments.
    :ivar user: the user it runs as, a name or a number; empty for the daemon's.
    :ivar group: the primary group; empty for the user's.
    :ivar directory: the working directory; empty for ``/``.
    :ivar environment: further variables.
    :ivar stderr: the destination of standard error.
    :ivar stop: seconds between SIGTERM and SIGKILL.
    :ivar memory: limit of its address space in bytes; ``None`` for no limit.
    :ivar cpu: limit of its processor time in seconds; ``None`` for no limit.
    :ivar files: limit of its open files; ``None`` for no limit.
    :ivar processes: limit of its user's processes; ``None`` for no limit.
    """

    command: tuple[str, ...] = option(
        COMMAND,
        doc="Program to run for each connection: an absolute path and arguments. Quote "
        "arguments that contain blanks. No shell is involved.",
    )
    user: str = option(
        TEXT,
        "",
        "User to run the program as, by name or number, with that user's groups. Required if "
        "the daemon keeps running as root, and not allowed otherwise; write root if you mean it.",
    )
    group: str = option(TEXT, "", "Primary group of the program. Empty: that of the user.")
    directory: str = option(PATH, "", "Working directory of the program. Empty: /.")
    environment: tuple[tuple[str, str], ...] = option(
        ENVIRONMENT,
        (),
        "Further environment variables. The program also has PATH, LANG and TZ of the daemon, "
        "and variables that describe the connection.",
    )
    stderr: str = option(
        choice("log", "client", "none"),
        "log",
        "Where the standard error of the program goes: log writes each line to the log, client "
        "sends it to the client, none discards it.",
    )
    stop: float = option(
        DURATION,
        5.0,
        "Time between SIGTERM, which is sent when the connection has ended, and SIGKILL.",
    )
    memory: int | None = option(
        or_word(at_least(SIZE, 1 << 20), "none"), None, "Limit of the program's address space."
    )
    cpu: float | None = option(
        or_word(at_least(DURATION, 1.0), "none"), None, "Limit of the program's processor time."
    )
    files: int | None = option(
        or_word(whole_number(3, 1_000_000), "none"), None, "Limit of the program's open files."
    )
    processes: int | None = option(
        or_word(whole_number(1, 1_000_000), "none"),
        None,
        "Limit of the number of processes of its user, over all programs of this user.",
    )
