"""Line commands, requests, and the command table."""

from __future__ import annotations

import difflib
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from zope.interface import implementer

from tcpd.handshake.facts import Absence, NoServerIsn, Transport
from tcpd.handshake.facts import Facts as HandshakeFacts
from tcpd.interfaces import IContext, ILineCommand
from tcpd.line.reply import Reply, WrongArguments
from tcpd.line.stream import Stream
from tcpd.lines.linebuffer import LineBuffer

Answer = str | Reply | Stream | Awaitable[str | Reply]
"""What a command may return: text (sent as a 250 reply), a reply, an awaitable of either, or a
stream of lines until the client sends something."""

#: Maximum length of a word that gets a suggestion; difflib takes quadratic time.
SUGGESTION_LENGTH = 32

Many = Callable[[list[str]], list[str] | None]
"""Called with the arguments of two or more requests; returns a text for each, in a new list or in
the given one, or ``None`` to have the command called for each."""

_NAME = re.compile(r"[A-Z][A-Z0-9-]*", re.ASCII)


class ConnectionFacts(Protocol):
    """Read-only facts of the connection, for commands: a part of
    :class:`tcpd.interfaces.IConnection`.

    :ivar service: the service's name.
    :ivar peer: the client's address, for display.
    :ivar credentials: ``uid``, ``gid`` and ``pid``, all int, on a UNIX socket; otherwise ``None``.
    :ivar tls: ``version`` and ``cipher``, both str; ``None`` without TLS.
    :ivar can_start_tls: whether STARTTLS may be used now.
    """

    @property
    def service(self) -> str: ...
    @property
    def peer(self) -> str: ...
    @property
    def credentials(self) -> Any: ...
    @property
    def tls(self) -> Any: ...
    @property
    def can_start_tls(self) -> bool: ...
    def facts(self) -> HandshakeFacts:
        """See :meth:`tcpd.interfaces.IConnection.facts`."""
        ...

    def tcp_sample(self) -> dict[str, int] | None:
        """See :meth:`tcpd.interfaces.IConnection.tcp_sample`."""
        ...


@dataclass(frozen=True, slots=True)
class PlainFacts:
    """:class:`ConnectionFacts` without a connection layer, as in tests."""

    service: str
    peer: str
    tls: Any = None
    can_start_tls: bool = False
    credentials: Any = None

    def facts(self) -> HandshakeFacts:
        """See :class:`ConnectionFacts`; without a handshake."""
        return HandshakeFacts(
            transport=Transport.OTHER,
            no_saved_syn=Absence.NOT_TCP,
            no_server_isn=NoServerIsn.NOT_TCP,
            service=self.service,
        )

    def tcp_sample(self) -> dict[str, int] | None:
        """See :class:`ConnectionFacts`; ``None``."""
        return None


class SessionStats:
    """Statistics of a session.

    :ivar commands: the number of commands, up to the last reply.
    :ivar buffer: the session's; ``None`` before the session exists.
    """

    __slots__ = ("buffer", "commands")

    def __init__(self) -> None:
        self.commands = 0
        self.buffer: LineBuffer | None = None

    @property
    def line_ending(self) -> str | None:
        """The line end of the last lines, ``CRLF`` or ``LF``; ``None`` before the first."""
        return None if self.buffer is None else self.buffer.line_ending


class Suggestions:
    """Suggests the closest command for the first unknown words of a client.

    A suggestion takes the time of a hundred requests, so their number is limited: programs that
    send unknown commands do not delay other clients.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = 16

    def closest(self, word: str, commands: Iterable[ILineCommand]) -> str | None:
        """Return the closest name; ``None`` if none is close, or the limit is reached.

        :param commands: the commands that the client may use.
        """
        if not self._left or len(word) > SUGGESTION_LENGTH:
            return None
        self._left -= 1
        found = difflib.get_close_matches(word.upper(), [each.name for each in commands], 1)
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class ConnectionScope:
    """State that all requests of a connection share.

    :ivar connection: the facts of the connection.
    :ivar context: the service's context.
    :ivar commands: all commands of the service.
    :ivar suggestions: finds the closest command to an unknown one.
    :ivar stats: the statistics of the session.
    """

    connection: ConnectionFacts
    context: IContext
    commands: CommandTable
    suggestions: Suggestions = field(default_factory=Suggestions)
    stats: SessionStats = field(default_factory=SessionStats)


class Request:
    """One request.

    Made by the session, and in tests by :func:`tcpd.line.testing.make_request`.

    :ivar argument: the text after the command and one space, verbatim; may contain control
        characters.
    :ivar scope: shared by the requests of the connection.
    """

    # no constructor: setting the attributes from outside takes half the time, for each line
    __slots__ = ("argument", "scope")

    argument: str
    scope: ConnectionScope

    @property
    def words(self) -> list[str]:
        """The argument split at white space."""
        return self.argument.split()

    @property
    def connection(self) -> ConnectionFacts:
        """The client's connection."""
        return self.scope.connection

    @property
    def context(self) -> IContext:
        """The service's context: clock, counters, directory."""
        return self.scope.context

    @property
    def commands(self) -> CommandTable:
        """All commands of the service."""
        return self.scope.commands


@implementer(ILineCommand)
@dataclass(frozen=True, slots=True)
class Command:
    """A command that calls a function; made by the decorator :func:`command`.

    :ivar name: upper-case ASCII letters, digits and ``-``, starting with a letter.
    :ivar usage: the arguments as HELP shows them, e.g. ``[token]``; may be empty.
    :ivar help: the description that HELP shows; one or more lines.
    :ivar call: see :meth:`tcpd.interfaces.ILineCommand.call`.
    :ivar many: an optional batch form, for a reply that depends only on the argument: several
        times as fast for pipelined requests. Its results must equal those of ``call``.
    :ivar usable: whether a connection can use it now, for HELP and suggestions; ``None`` if every
        connection can.
    :raise ValueError: if the name is invalid.
    """

    name: str
    usage: str
    help: str
    call: Callable[[Request], Answer]
    many: Many | None = None
    usable: Callable[[ConnectionFacts], bool] | None = None

    def __post_init__(self) -> None:
        check_name(self.name)


def command(
    name: str,
    usage: str = "",
    *,
    help: str,
    at_least: int = 0,
    at_most: int | None = None,
    many: Many | None = None,
    usable: Callable[[ConnectionFacts], bool] | None = None,
) -> Callable[[Callable[[Request], Answer]], Command]:
    """Make a :class:`Command` of the decorated function.

    :param name: upper-case.
    :param usage: the arguments as HELP shows them.
    :param help: the description.
    :param at_least: fewer words get the reply 501 with the usage, without a call.
    :param at_most: more words get the same reply; ``None`` for no limit.
    :param many: see :class:`Command`; the limits of words do not apply to it.
    :param usable: see :class:`Command`.
    """

    def decorate(function: Callable[[Request], Answer]) -> Command:
        if at_least == 0 and at_most is None:
            return Command(name, usage, help, function, many, usable)

        def counted(request: Request) -> Answer:
            count = len(request.words)
            if count < at_least or (at_most is not None and count > at_most):
                raise WrongArguments
            return function(request)

        return Command(name, usage, help, counted, many, usable)

    return decorate


def check_name(name: object) -> None:
    """Check a command's name.

    :raise ValueError: if it is invalid; the message says what is valid.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} is not a command's name; use upper-case ASCII letters, digits and '-', "
            "starting with a letter"
        )


def synopsis(command: ILineCommand) -> str:
    """A command and its arguments, on one line."""
    return f"{command.name} {command.usage}".rstrip()


def is_usable(command: ILineCommand, connection: ConnectionFacts) -> bool:
    """Whether a connection can use a command now."""
    usable = getattr(command, "usable", None)
    return usable is None or usable(connection)


class CommandTable:
    """The commands of a service, by name.

    :param commands: providers of :class:`tcpd.interfaces.ILineCommand`.
    :raise ValueError: if a name is invalid or not unique.
    """

    __slots__ = ("_by_name", "_by_word", "many_by_word")

    def __init__(self, commands: Iterable[ILineCommand]) -> None:
        self._by_name: dict[str, ILineCommand] = {}
        self._by_word: dict[bytes, ILineCommand] = {}
        #: The commands with ``many``, by the same keys as :attr:`by_word`; not to be changed.
        self.many_by_word: dict[bytes, tuple[ILineCommand, Many]] = {}
        for each in commands:
            check_name(each.name)
            if each.name in self._by_name:
                raise ValueError(f"two commands have the name {each.name}")
            self._by_name[each.name] = each
            # the two usual spellings, found without case folding
            self._by_word[each.name.encode()] = each
            self._by_word[each.name.lower().encode()] = each
            many = getattr(each, "many", None)
            if many is not None:
                self.many_by_word[each.name.encode()] = (each, many)
                self.many_by_word[each.name.lower().encode()] = (each, many)

    @property
    def by_word(self) -> dict[bytes, ILineCommand]:
        """By the name in upper and in lower case, as bytes; not to be changed."""
        return self._by_word

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._by_name)

    def find(self, word: str) -> ILineCommand | None:
        """Return the command of this name, regardless of case; ``None`` if there is none."""
        return self._by_name.get(word.upper()) if word.isascii() else None

    def usable(self, connection: ConnectionFacts) -> list[ILineCommand]:
        """The commands that a connection can use now, sorted by name."""
        return [each for each in self if is_usable(each, connection)]

    def __iter__(self) -> Iterator[ILineCommand]:
        return iter(self._by_name[name] for name in self.names)
