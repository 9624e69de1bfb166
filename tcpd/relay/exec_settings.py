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

#: Variables that tell of the connection: an operator's own by such a name would be a slip.
_OURS = re.compile(r"PROTO|(TCP6?|UNIX)(LOCAL|REMOTE|INTERFACE)[A-Z]*|SSL_.*|TCPD_.*")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _parse_command(text: str) -> tuple[str, ...]:
    try:
        words = shlex.split(text)
    except ValueError as error:  # a quotation that does not end
        raise ValueError(f"{text!r} cannot be split into words: {error}") from None
    if not words:
        raise ValueError("there is no program in it; write its path and its arguments")
    if any("\n" in word for word in words):
        raise ValueError("an argument has a line end in it, which cannot be passed on")
    if not words[0].startswith("/"):
        raise ValueError(
            f"{words[0]!r} is not an absolute path; no shell and no PATH looks for the program"
        )
    return tuple(map(to_system, words))


def _show_command(words: tuple[str, ...]) -> str:
    return shlex.join(map(from_system, words))


#: A program and its arguments, in quotes where there are blanks in one; never through a shell.
COMMAND: Type[tuple[str, ...]] = Type("program and arguments", _parse_command, _show_command)


def _parse_environment(text: str) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.strip().partition("=")
        if not (name or equals):
            continue
        if not equals or _VARIABLE.fullmatch(name) is None:
            raise ValueError(f"{line.strip()!r} is not NAME=VALUE, one a line")
        if _OURS.fullmatch(name):
            raise ValueError(f"{name} is set by tcpd for each connection; take another name")
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
    :ivar user: whom it runs as, a name or a number; empty for the daemon's own.
    :ivar group: its primary group; empty for the user's.
    :ivar directory: its working directory; empty for ``/``.
    :ivar environment: variables, beside those of the connection.
    :ivar stderr: what becomes of what it writes there.
    :ivar stop: seconds between SIGTERM and SIGKILL.
    :ivar memory: bytes of address space; ``None`` for no limit of ours.
    :ivar cpu: seconds of processor time; ``None`` as above.
    :ivar files: open files; ``None`` as above.
    :ivar processes: of its user, all together; ``None`` as above.
    """

    command: tuple[str, ...] = option(
        COMMAND,
        doc="The program that is run for each connection, an absolute path, and its arguments, in "
        "quotes where there are blanks in one. No shell reads it.",
    )
    user: str = option(
        TEXT,
        "",
        "The user that it runs as, by name or number, with that user's groups. Only a daemon that "
        "stays root can do so; it has to be given there, and is root if that is meant.",
    )
    group: str = option(TEXT, "", "Its primary group; empty, it is the user's.")
    directory: str = option(PATH, "", "Its working directory; empty, it is /.")
    environment: tuple[tuple[str, str], ...] = option(
        ENVIRONMENT,
        (),
        "More of its environment, which has PATH, LANG and TZ of the daemon's own, and variables "
        "that tell of the connection.",
    )
    stderr: str = option(
        choice("log", "client", "none"),
        "log",
        "What becomes of what it writes to its standard error: log is a line of the log for each, "
        "client sends it to the client as its output, none throws it away.",
    )
    stop: float = option(
        DURATION,
        5.0,
        "How long it has to end once its connection has, and it was sent SIGTERM; then it is "
        "killed.",
    )
    memory: int | None = option(
        or_word(at_least(SIZE, 1 << 20), "none"), None, "How much address space it may have."
    )
    cpu: float | None = option(
        or_word(at_least(DURATION, 1.0), "none"), None, "How much processor time it may take."
    )
    files: int | None = option(
        or_word(whole_number(3, 1_000_000), "none"), None, "How many files it may have open."
    )
    processes: int | None = option(
        or_word(whole_number(1, 1_000_000), "none"),
        None,
        "How many processes its user may have, all programs of this user together.",
    )
