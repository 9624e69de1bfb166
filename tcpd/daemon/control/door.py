"""The control socket as a service of the daemon's own: where it is, and who may come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.logger import Logger

from tcpd.config.listen import Listener, PrivateSocket
from tcpd.config.locations import AUTO, control_path, is_own
from tcpd.config.settings import PolicySettings, TcpdSettings
from tcpd.daemon.control.access import Peer, group_id, may_operate, peer_of
from tcpd.daemon.control.banning import Banning
from tcpd.daemon.control.connections import Connections
from tcpd.daemon.control.following import following
from tcpd.daemon.control.looking import Looking
from tcpd.daemon.control.running import Running
from tcpd.daemon.internal import Internal
from tcpd.daemon.surroundings import Surroundings
from tcpd.interfaces import IConnection, IContext
from tcpd.line.builtin import help_, ping, quit_
from tcpd.line.command import CommandTable, Facts, PlainFacts
from tcpd.line.factory import LineFactory
from tcpd.line.protocol import LineProtocol
from tcpd.line.reply import Reply
from tcpd.line.settings import LineSettings
from tcpd.ops import catalogue
from tcpd.policy.bursts import Bursts
from tcpd.policy.reasons import Refusal

if TYPE_CHECKING:
    from tcpd.daemon.daemon import Daemon

NAME = "control"

_MODE = 0o660

#: Seconds that a peer that may not operate has to read why, and to hang up.
_REFUSED_LINGER = 2.0

#: Such peers at a time: with one more the oldest is cut. They take no places of operators.
_REFUSED_MOST = 32

#: Operators are not put out for being quiet: one may follow events that are rare.
_POLICY = PolicySettings(idle=0.0)


def control(daemon: Daemon, settings: TcpdSettings, surroundings: Surroundings) -> Internal:
    """Describe it. Called by the daemon, whose parts are looked at only when a command needs them.

    Where the socket is and whose does not change while the daemon runs: root may have been given
    up, and whoever asks for the reload would be cut off by it.

    :param settings: those that it starts with.
    :param surroundings: what it was started in.
    """
    environ, uid = surroundings.environ, surroundings.uid
    path = control_path(settings.control, settings.state, environ, uid)
    auto = settings.control == AUTO
    group = settings.control_group
    if not group and surroundings.group is not None:
        group = str(surroundings.group)
    owner = "" if surroundings.owner is None else str(surroundings.owner)
    closed = auto and is_own(path, environ, uid)
    place = PrivateSocket(path, _MODE, owner, group, required=not auto, closed=closed)
    listeners = (Listener(place),) if path else ()
    return Internal(
        name=NAME,
        section="tcpd",
        keys=frozenset(),
        kind=ControlKind(daemon),
        listen=lambda _: listeners,
        policy=lambda _: _POLICY,
    )


class ControlKind:
    """What stands behind the socket.

    :param daemon: that is operated.
    """

    idle = 0.0

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def make_factory(self, settings: object, context: IContext) -> ControlFactory:
        """See :meth:`tcpd.interfaces.IKind.make_factory`."""
        return ControlFactory(self._daemon, context)


def operator_commands(daemon: Daemon) -> CommandTable:
    """All that an operator can ask of a daemon, and nothing else."""
    return CommandTable(
        [
            help_,
            ping,
            quit_,
            *Looking(daemon).commands(),
            *Connections(daemon).commands(),
            *Banning(daemon).commands(),
            *Running(daemon).commands(),
            *following(daemon),
        ]
    )


class ControlFactory(LineFactory):
    """Makes the conversations with operators.

    :param daemon: that is operated.
    :param context: of the service.
    """

    _log = Logger()

    def __init__(self, daemon: Daemon, context: IContext) -> None:
        super().__init__(LineSettings(), context, operator_commands(daemon))
        self._daemon = daemon
        self._bursts = Bursts()
        self._lingering: dict[ControlProtocol, None] = {}
        group_id(daemon.settings.tcpd.control_group)  # while there is a descriptor to look with

    def buildProtocol(self, addr: IAddress | None) -> LineProtocol:
        """One for each who connects; whether it is an operator is found out then."""
        return ControlProtocol(self)

    def greeting(self) -> bytes:
        """See :class:`tcpd.line.factory.LineFactory`."""
        text = f"{self.context.server_name} tcpd control ready, HELP lists the commands"
        return Reply(220, (text,)).encode()

    def look(self, handle: Any) -> tuple[Peer | None, bool]:
        """See who is there.

        :param handle: the connected socket.
        :return: who it is, as far as the system tells, and whether to let them in.
        """
        peer = peer_of(handle)
        group = self._daemon.settings.tcpd.control_group
        allowed = may_operate(peer, group)
        if not allowed:
            self.context.counters.refused[Refusal.DENIED] += 1
            since = self._bursts.happened(peer and peer.uid, self.context.clock.seconds())
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
        """Let a refused peer read why, and cut the one that has had the longest time for it."""
        self._lingering[refused] = None
        if len(self._lingering) > _REFUSED_MOST:
            next(iter(self._lingering)).cut()

    def forget(self, refused: ControlProtocol) -> None:
        """A refused peer is gone."""
        self._lingering.pop(refused, None)

    def refused(self, peer: Peer | None) -> bytes:
        """The words for who is not let in."""
        group = self._daemon.settings.tcpd.control_group or "the daemon's own"
        text = (
            f"{self.context.server_name} you ({peer}) may not operate this daemon; root may, "
            f"its own user, and members of the group [tcpd] control_group names ({group})"
        )
        return Reply(421, (text,)).encode()


class ControlProtocol(LineProtocol):
    """One conversation with an operator."""

    _shared: ControlFactory

    #: How long who was refused may still take; ``None`` for who was let in.
    _patience: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Look who it is before a word is said."""
        transport: Any = self.transport
        self._operator, allowed = self._shared.look(transport.getHandle())
        if allowed:
            super().connectionMade()
        else:
            # only our side is closed: a socket that is closed with input unread is reset, which
            # would cost who speaks first the words that say why
            self.finish()
            transport.write(self._shared.refused(self._operator))
            transport.loseWriteConnection()
            clock = self._shared.context.clock
            self._patience = clock.callLater(_REFUSED_LINGER, self.cut)
            connection: Any = IConnection(transport, None)
            if connection is not None:
                connection.give_up_place()
            self._shared.linger(self)

    def cut(self) -> None:
        """End the connection of a peer that was refused. It has had its time to read why."""
        self._shared.forget(self)
        cast(Any, self.transport).loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """As any line service, for who is let in."""
        if not self.over:
            super().dataReceived(data)

    def readConnectionLost(self) -> None:
        """As any line service, for who is let in."""
        if self._patience is None:
            super().readConnectionLost()
        else:
            cast(Any, self.transport).loseConnection()

    def writeConnectionLost(self) -> None:
        """As any line service, for who was let in."""
        if self._patience is None:
            super().writeConnectionLost()

    def connectionLost(self, reason: Any = None) -> None:
        """As any line service, for who was let in."""
        self._shared.forget(self)
        if self._patience is not None and self._patience.active():
            self._patience.cancel()
        if hasattr(self, "_session"):
            super().connectionLost(reason)

    def facts(self, connection: Any) -> Facts:
        """Commands are told who the operator is, for the log."""
        who = "an operator" if self._operator is None else str(self._operator)
        return PlainFacts(self._shared.context.service, who)
