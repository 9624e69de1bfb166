"""``protocol = forward``: relays each connection to another address."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from zope.interface import implementer

from tcpd.interfaces import IAbortable, IConnection, IContext, IKind, IReconfigurable
from tcpd.net.lookups import Lookups
from tcpd.ops import catalogue
from tcpd.policy.log_throttle import LogThrottle
from tcpd.relay.forward_client import ClientSide
from tcpd.relay.forward_failures import FarFailure
from tcpd.relay.forward_route import make_route
from tcpd.relay.forward_settings import ForwardSettings
from tcpd.relay.forward_sides import Far, ForwardedClient


@implementer(IReconfigurable, IAbortable)
class ForwardFactory(ServerFactory):
    """One forward service. Provides :class:`tcpd.relay.forward_sides.Forwarding`.

    :param settings: the keys of the service.
    :param context: see :class:`tcpd.interfaces.IContext`.
    :raise SettingError: for contradicting keys or unusable files.

    :ivar lookups: resolves the far side's name.
    :ivar route: the route of new connections.
    :ivar clock: schedules timers.
    """

    _log = Logger()
    noisy = False

    def __init__(self, settings: ForwardSettings, context: IContext) -> None:
        self.lookups = Lookups(context.reactor)
        self.route = make_route(settings, context.reactor, self.lookups)
        self.clock = context.clock
        self.work = context.work
        self._context = context
        self._throttle = LogThrottle()
        self._far_sides: set[Far] = set()
        self._finished: Deferred[None] | None = None
        self._cut: IDelayedCall | None = None

    def reconfigure(self, settings: ForwardSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`: applies to new connections."""
        self.route = make_route(settings, self._context.reactor, self.lookups)

    def buildProtocol(self, addr: IAddress | None) -> ClientSide:
        """Make the protocol of one connection."""
        return ClientSide(self)

    # --- the end of the service ---

    def finish(self, seconds: float) -> Deferred[None]:
        """Wait until all data of the clients is delivered to the far sides. See
        :class:`tcpd.interfaces.IFinishing`."""
        if not self._far_sides:
            return succeed(None)
        self._finished = Deferred()
        self._cut = self.clock.callLater(seconds, self.abort)
        return self._finished

    def abort(self) -> None:
        """See :class:`tcpd.interfaces.IAbortable`."""
        for far in list(self._far_sides):
            far.abort()

    # --- from the sides ---

    def far_opened(self, far: Far) -> None:
        """See :class:`tcpd.relay.forward_sides.Forwarding`, as for the next three."""
        self._far_sides.add(far)

    def far_closed(self, far: Far) -> None:
        self._far_sides.discard(far)
        if self._far_sides or self._finished is None:
            return
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        finished, self._finished = self._finished, None
        finished.callback(None)

    def count(self, word: str) -> None:
        self._context.counters.events[f"far-{word}"] += 1

    def failed(self, why: FarFailure, client: ForwardedClient) -> None:
        self.count(why.word)
        since = self._throttle.record(why.word, self.clock.seconds())
        if since is None:
            return
        connection = IConnection(client.transport, None)
        catalogue.FORWARD_FAILED.emit(
            self._log,
            service=self._context.service,
            to=str(client.route.to),
            peer="unknown" if connection is None else connection.peer,
            reason=why.word,
            error=why.sentence,
            since=since,
        )


@implementer(IKind)
class ForwardKind:
    """``protocol = forward``."""

    name = "forward"
    summary = "Forwards each connection to another address, in the clear or by TLS."
    settings = ForwardSettings
    words: frozenset[str] = frozenset()
    #: Half a day, as in stunnel: forwarded connections are often idle for hours.
    idle = 43200.0
    sample_listen = None
    #: The client's socket and the far side's.
    descriptors = 2

    def make_factory(self, settings: ForwardSettings, context: IContext) -> ForwardFactory:
        """Make the factory of one service.

        :raise SettingError: for contradicting keys or unusable files.
        """
        return ForwardFactory(settings, context)


kind = ForwardKind()
