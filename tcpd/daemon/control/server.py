"""The control socket, one of the daemon's own services: its path, and who may use it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol, cast

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.logger import Logger

from tcpd.config.listen import Listener, PrivateSocket
from tcpd.config.locations import AUTO, control_path, is_own
from tcpd.config.settings import PolicySettings, TcpdSettings
from tcpd.daemon.control.access import Peer, group_id, may_operate, peer_of
from tcpd.daemon.internal import Internal
from tcpd.daemon.startup_environment import StartupEnvironment
from tcpd.interfaces import IConnection, IContext
from tcpd.line.builtin import help_, ping, quit_
from tcpd.line.command import Command, CommandTable, ConnectionFacts, PlainFacts
from tcpd.line.factory import LineFactory
from tcpd.line.protocol import LineProtocol
from tcpd.line.reply import Reply
from tcpd.line.settings import LineSettings
from tcpd.ops import catalogue
from tcpd.policy.log_throttle import LogThrottle
from tcpd.policy.reasons import Refusal

NAME = "control"

_MODE = 0o660

#: Seconds that a refused peer has to read the reason and to close.
_REFUSED_LINGER = 2.0

#: Maximum number of refused peers at a time; a further one aborts the oldest. They do not count as
#: connections.
_REFUSED_MOST = 32

#: No idle timeout, as an operator may follow rare events.
_POLICY = PolicySettings(idle=0.0)


class HasCommands(Protocol):
    """A group of operators' commands."""

    def commands(self) -> list[Command]:
        """The commands of the group."""


def operator_commands(*groups: HasCommands | list[Command]) -> CommandTable:
    """The commands of the control socket: those of some groups, and HELP, PING and QUIT."""
    lists = (group if isinstance(group, list) else group.commands() for group in groups)
    return CommandTable([help_, ping, quit_, *itertools.chain.from_iterable(lists)])


def control(
    settings: TcpdSettings, environment: StartupEnvironment, commands: Callable[[], CommandTable]
) -> Internal:
    """Describe the service.

    The path of the socket and its owner do not change while the daemon runs: root privileges may
    have been dropped, and a reload would disconnect the operator that requested it.

    :param settings: the settings at the start.
    :param environment: that of the process.
    :param commands: makes the commands, when the service is made.
    """
    environ, uid = environment.environ, environment.uid
    path = control_path(settings.control, settings.state, environ, uid)
    auto = settings.control == AUTO
    group = settings.control_group
    if not group and environment.group is not None:
        group = str(environment.group)
    owner = "" if environment.owner is None else str(environment.owner)
    closed = auto and is_own(path, environ, uid)
    private = PrivateSocket(path, _MODE, owner, group, required=not auto, closed=closed)
    listeners = (Listener(private),) if path else ()
    return Internal(
        name=NAME,
        section="tcpd",
        keys=frozenset(),
        kind=ControlKind(commands, settings.control_group),
        listen=lambda _: listeners,
        policy=lambda _: _POLICY,
    )


class ControlKind:
    """The kind of the service.

    :param commands: makes the commands.
    :param group: ``[tcpd] control_group``.
    """

    idle = 0.0

    def __init__(self, commands: Callable[[], CommandTable], group: str) -> None:
        self._commands = commands
        self._group = group

    def make_factory(self, settings: object, context: IContext) -> ControlFactory:
        """See :meth:`tcpd.interfaces.IKind.make_factory`."""
        return ControlFactory(context, self._commands(), self._group)


class ControlFactory(LineFactory):
    """Makes the protocols of operators' connections.

    :param context: the context of the service.
    :param commands: the commands of operators.
    :param group: the group whose members are operators; empty for the daemon's own group.
    """

    _log = Logger()

    def __init__(self, context: IContext, commands: CommandTable, group: str) -> None:
        super().__init__(LineSettings(), context, commands)
        self._group = group
        self._throttle = LogThrottle()
        self._lingering: dict[ControlProtocol, None] = {}
        group_id(group)  # looked up now, while there is a descriptor for it

    def buildProtocol(self, addr: IAddress | None) -> LineProtocol:
        """Make the protocol of a connection, which checks whether the peer is an operator."""
        return ControlProtocol(self)

    def greeting(self) -> bytes:
        """See :class:`tcpd.line.factory.LineFactory`."""
        text = f"{self.context.server_name} tcpd control ready, HELP lists the commands"
        return Reply(220, (text,)).encode()

    def identify(self, handle: Any) -> tuple[Peer | None, bool]:
        """Identify the peer; count and log it if it is refused.

        :param handle: the connected socket.
        :return: the peer, ``None`` where it is unknown, and whether it is an operator.
        """
        peer = peer_of(handle)
        allowed = may_operate(peer, self._group)
        if not allowed:
            self.context.counters.refused[Refusal.DENIED] += 1
            since = self._throttle.record(peer and peer.uid, self.context.clock.seconds())
            if since is not None:
                catalogue.CONNECTION_REFUSED.emit(
                    self._log,
                    service=self.context.service,
                    peer=str(peer),
                    refusal=str(Refusal.DENIED),
                    since=since,
                )
        return peer, allowed

    def linger(self, refused: ControlProtocol) -> None:
        """Give a refused peer time to read the reply; cut the oldest one if there are too many."""
        self._lingering[refused] = None
        if len(self._lingering) > _REFUSED_MOST:
            next(iter(self._lingering)).cut()

    def forget(self, refused: ControlProtocol) -> None:
        """Remove a refused peer whose connection is lost."""
        self._lingering.pop(refused, None)

    def refused(self, peer: Peer | None) -> bytes:
        """The reply to a refused peer."""
        group = self._group or "the daemon's own"
        text = (
            f"{self.context.server_name} you ({peer}) may not operate this daemon; root may, "
            f"its own user, and members of the group [tcpd] control_group names ({group})"
        )
        return Reply(421, (text,)).encode()


class ControlProtocol(LineProtocol):
    """One connection of an operator."""

    _shared: ControlFactory

    #: Cuts a refused peer; ``None`` for an operator.
    _patience: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Identify the peer before anything is sent."""
        transport: Any = self.transport
        self._operator, allowed = self._shared.identify(transport.getHandle())
        if allowed:
            super().connectionMade()
        else:
            # half-close: closing with unread input sends a reset, and a peer that sends first would
            # lose the reply
            self.finish()
            transport.write(self._shared.refused(self._operator))
            transport.loseWriteConnection()
            clock = self._shared.context.clock
            self._patience = clock.callLater(_REFUSED_LINGER, self.cut)
            connection = IConnection(transport, None)
            if connection is not None:
                connection.release_slot()
            self._shared.linger(self)

    def cut(self) -> None:
        """Close the connection of a refused peer, which has had time to read the reply."""
        self._shared.forget(self)
        cast(Any, self.transport).loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Pass input of operators on; ignore that of refused peers."""
        if not self.over:
            super().dataReceived(data)

    def readConnectionLost(self) -> None:
        """Pass input of operators on; ignore that of refused peers."""
        if self._patience is None:
            super().readConnectionLost()
        else:
            cast(Any, self.transport).loseConnection()

    def writeConnectionLost(self) -> None:
        """Pass it on for operators."""
        if self._patience is None:
            super().writeConnectionLost()

    def connectionLost(self, reason: Any = None) -> None:
        """Pass it on for operators."""
        self._shared.forget(self)
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        if hasattr(self, "session"):
            super().connectionLost(reason)

    def facts(self, connection: Any) -> ConnectionFacts:
        """Return facts with the operator as peer, for the log."""
        who = "an operator" if self._operator is None else str(self._operator)
        return PlainFacts(self._shared.context.service, who)
