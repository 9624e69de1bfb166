"""Loads line commands: the built-in ones, and those of other packages by entry points."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name

from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from tcpd.config.errors import SettingError
from tcpd.interfaces import ILineCommand
from tcpd.line.command import CommandTable, check_name

#: The entry point group for commands of other packages.
GROUP = "tcpd.line.commands"

BUILT_IN = (
    "tcpd.line.builtin:echo",
    "tcpd.line.builtin:help_",
    "tcpd.line.builtin:ping",
    "tcpd.line.builtin:quit_",
    "tcpd.line.builtin:services",
    "tcpd.line.builtin:starttls",
    "tcpd.line.builtin:time",
    "tcpd.line.builtin:uptime",
    "tcpd.line.builtin:whoami",
    "tcpd.line.handshake:handshake",
    "tcpd.line.handshake:layers",
    "tcpd.line.handshake:tcpinfo",
)


def load_commands(
    extra: Iterable[ILineCommand] = (), points: Iterable[EntryPoint] | None = None
) -> CommandTable:
    """Collect the commands of a line service. Called once for each service, before ports open.

    :param extra: additional commands, such as those of the control service.
    :param points: replaces the installed entry points of :data:`GROUP`.
    :raise SettingError: if a command cannot be loaded, is invalid, or its name is not unique; the
        message names the package.
    """
    found: dict[str, str] = {}
    commands: list[ILineCommand] = []

    def add(command: ILineCommand, origin: str) -> None:
        if command.name in found:
            first = found[command.name]
            if first == origin:
                return  # one package on two paths of sys.path
            raise SettingError(
                "", f"the command {command.name} is defined twice, by {first} and by {origin}"
            )
        found[command.name] = origin
        commands.append(command)

    for name in BUILT_IN:
        add(resolve_name(name), name)
    for number, each in enumerate(extra):
        add(each, f"the daemon ({number})")
    for point in entry_points(group=GROUP) if points is None else points:
        add(_load(point), _origin(point))
    return CommandTable(commands)


def _load(point: EntryPoint) -> ILineCommand:
    origin = _origin(point)
    try:
        command = point.load()
    except Exception as error:  # the module of a third party
        raise SettingError(
            "", f"the command of {origin} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not ILineCommand.providedBy(command):
        kind = type(command).__name__
        raise SettingError(
            "", f"{origin} is not a line command: it is a {kind} and does not provide ILineCommand"
        )
    try:
        verifyObject(ILineCommand, command)
        check_name(command.name)
    except Invalid as error:
        sentence = " ".join(str(error).split())
        raise SettingError("", f"{origin} is not a line command: {sentence}") from error
    except ValueError as error:
        raise SettingError("", f"{origin} is not a line command: {error}") from error
    return command


def _origin(point: EntryPoint) -> str:
    package = f" of the package {point.dist.name}" if point.dist is not None else ""
    return f"{point.value}{package}"
