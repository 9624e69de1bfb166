"""Commands, what they are told about a request, and the table that they are found in."""

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
"""What a command may return: text (sent as a 250 reply), a reply, an awaitable of either, or lines
that go on until the client has had enough of them."""

#: The longest word that a guess is made at, in characters; difflib takes quadratic time.
LONGEST_GUESS = 32

Many = Callable[[list[str]], list[str] | None]
"""Called with the arguments of two or more requests; returns a text for each, in a list of its own
or in the one given, or ``None`` to have the command called for each."""

_NAME = re.compile(r"[A-Z][A-Z0-9-]*", re.ASCII)


class Facts(Protocol):
    """What a command may know of the connection: the part of
    :class:`tcpd.interfaces.IConnection` that is told rather than done.

    :ivar service: the service's name.
    :ivar peer: where the client is, as people write it.
    :ivar credentials: None but on a UNIX socket; there has ``uid``, ``gid`` and ``pid``, all int.
    :ivar tls: None in the clear; otherwise has ``version`` and ``cipher``, both str.
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


@dataclass(frozen=True, slots=True)
class PlainFacts:
    """:class:`Facts` of a connection that has no connection layer, such as a test's."""

    service: str
    peer: str
    tls: Any = None
    can_start_tls: bool = False
    credentials: Any = None

    def facts(self) -> HandshakeFacts:
        """There is nothing to be known of a handshake."""
        return HandshakeFacts(
            transport=Transport.OTHER,
            no_saved_syn=Absence.NOT_TCP,
            no_server_isn=NoServerIsn.NOT_TCP,
            service=self.service,
        )


class Talk:
    """What a conversation tells of itself; kept by its session.

    :ivar commands: how many it had, up to the last reply.
    :ivar buffer: takes the lines apart; ``None`` before there is a session.
    """

    __slots__ = ("buffer", "commands")

    def __init__(self) -> None:
        self.commands = 0
        self.buffer: LineBuffer | None = None

    @property
    def line_ending(self) -> str | None:
        """``CRLF`` or ``LF``, as the lines had it that came last; ``None`` before there was one."""
        return None if self.buffer is None else self.buffer.line_ending


class Guesses:
    """Names the command that a client may have meant, for its first few typing errors.

    Each guess takes the time of a hundred requests: people get some, and the typing errors of a
    machine do not keep everybody else waiting.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = 16

    def near(self, word: str, commands: Iterable[ILineCommand]) -> str | None:
        """The name most like a word; ``None`` if none is, or no guess is left.

        :param commands: those that the client may use.
        """
        if not self._left or len(word) > LONGEST_GUESS:
            return None
        self._left -= 1
        found = difflib.get_close_matches(word.upper(), [each.name for each in commands], 1)
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Scene:
    """What stays the same for all requests of a connection.

    :ivar connection: the connection, as far as commands are concerned.
    :ivar context: what the service may use of the rest of the daemon.
    :ivar commands: all commands of the service.
    :ivar guesses: what its typing errors may have meant.
    :ivar talk: what the conversation tells of itself.
    """

    connection: Facts
    context: IContext
    commands: CommandTable
    guesses: Guesses = field(default_factory=Guesses)
    talk: Talk = field(default_factory=Talk)


class Request:
    """One request, as a command is called with it; each has an object of its own.

    Made by the session, and in tests by :func:`tcpd.line.testing.make_request`.

    :ivar argument: what followed the command and the one blank behind it; verbatim, so it may hold
        control characters.
    :ivar scene: who asks, and where.
    """

    # neither a dataclass nor an __init__: one is made for every line, and setting the attributes
    # from outside costs half of what a constructor does
    __slots__ = ("argument", "scene")

    argument: str
    scene: Scene

    @property
    def words(self) -> list[str]:
        """The argument split at white space."""
        return self.argument.split()

    @property
    def connection(self) -> Facts:
        """Who asks."""
        return self.scene.connection

    @property
    def context(self) -> IContext:
        """What the service may use of the rest of the daemon: clock, counters, directory."""
        return self.scene.context

    @property
    def commands(self) -> CommandTable:
        """All commands of the service."""
        return self.scene.commands


@implementer(ILineCommand)
@dataclass(frozen=True, slots=True)
class Command:
    """A command made of a function; :func:`command` makes one as a decorator.

    :ivar name: upper-case ASCII letters, digits and ``-``, starting with a letter.
    :ivar usage: the arguments as HELP shows them, e.g. ``[token]``; may be empty.
    :ivar help: what it does, for HELP; one or more lines.
    :ivar call: does it; see :meth:`tcpd.interfaces.ILineCommand.call`.
    :ivar many: what a command may have whose answer depends on nothing but the argument: it answers
        what a client sent in one go several times as fast. ``call`` has to come to the same.
    :ivar usable: whether a connection can use it now, for HELP and for guesses; ``None`` for a
        command that every connection can use.
    :raise ValueError: for a name that no request could have.
    """

    name: str
    usage: str
    help: str
    call: Callable[[Request], Answer]
    many: Many | None = None
    usable: Callable[[Facts], bool] | None = None

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
    usable: Callable[[Facts], bool] | None = None,
) -> Callable[[Callable[[Request], Answer]], Command]:
    """Make a :class:`Command` of the function that follows.

    :param name: upper-case.
    :param usage: the arguments as HELP shows them.
    :param help: what it does.
    :param at_least: fewer words than this are answered with 501 and the usage, without a call.
    :param at_most: the same for more words than this; ``None`` for no limit.
    :param many: see :class:`Command`; it counts the words of its arguments itself.
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
    """Refuse a name that no request could have.

    :raise ValueError: with a sentence that says what would be right.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError(
            f"{name!r} is not a command's name; use upper-case ASCII letters, digits and '-', "
            "starting with a letter"
        )


def synopsis(command: ILineCommand) -> str:
    """A command and its arguments, on one line."""
    return f"{command.name} {command.usage}".rstrip()


def is_usable(command: ILineCommand, connection: Facts) -> bool:
    """Whether a connection can use a command now."""
    usable = getattr(command, "usable", None)
    return usable is None or usable(connection)


class CommandTable:
    """The commands of a service, by name.

    :param commands: providers of :class:`tcpd.interfaces.ILineCommand`.
    :raise ValueError: for a name that no request could have, or that two of them have.
    """

    __slots__ = ("_by_name", "_by_word", "many_by_word")

    def __init__(self, commands: Iterable[ILineCommand]) -> None:
        self._by_name: dict[str, ILineCommand] = {}
        self._by_word: dict[bytes, ILineCommand] = {}
        #: Those that have ``many``, by the bytes that clients mostly send; not to be changed.
        self.many_by_word: dict[bytes, tuple[ILineCommand, Many]] = {}
        for each in commands:
            check_name(each.name)
            if each.name in self._by_name:
                raise ValueError(f"two commands have the name {each.name}")
            self._by_name[each.name] = each
            # the two spellings that clients use are found without folding
            self._by_word[each.name.encode()] = each
            self._by_word[each.name.lower().encode()] = each
            many = getattr(each, "many", None)
            if many is not None:
                self.many_by_word[each.name.encode()] = (each, many)
                self.many_by_word[each.name.lower().encode()] = (each, many)

    @property
    def by_word(self) -> dict[bytes, ILineCommand]:
        """By the bytes that clients mostly send, all upper or all lower case; not to be changed."""
        return self._by_word

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._by_name)

    def find(self, word: str) -> ILineCommand | None:
        """The command of that name, however its ASCII letters are cased."""
        return self._by_name.get(word.upper()) if word.isascii() else None

    def usable(self, connection: Facts) -> list[ILineCommand]:
        """Those that a connection can use now, sorted by name."""
        return [each for each in self if is_usable(each, connection)]

    def __iter__(self) -> Iterator[ILineCommand]:
        return iter(self._by_name[name] for name in self.names)
