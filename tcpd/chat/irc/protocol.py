"""IRC on a Twisted transport."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tcpd.chat.edge import ChatFactory, ChatProtocol
from tcpd.chat.hosts import Address
from tcpd.chat.irc.commands.connection import send_capabilities
from tcpd.chat.irc.commands.server_facts import send_tokens
from tcpd.chat.irc.dispatch import LINE_BYTES, IrcConversation
from tcpd.chat.irc.isupport import changed
from tcpd.chat.irc.message import write
from tcpd.chat.irc.reply import IrcReply
from tcpd.chat.irc.reverse import ReverseNames
from tcpd.chat.irc.server import IrcServer
from tcpd.chat.irc.settings import IrcSettings
from tcpd.chat.outbox import Outbox
from tcpd.config.errors import SettingError
from tcpd.config.files import Unreadable, read_file
from tcpd.interfaces import IConnection, IContext, IRefusing, IRereading, IWebSocketFactory
from tcpd.lines.linebuffer import LineFault
from tcpd.net.directory import ServiceEntry, stream_port
from tcpd.net.lookups import Lookups
from tcpd.net.websocket_settings import IRCV3, WebSocketOptions
from tcpd.ops.versions import version_of
from tcpd.policy.checks import Checks, Run, run_inline
from tcpd.policy.reasons import Refusal
from tcpd.policy.workqueue import Walk
from tcpd.wire.lineends import LineEnds

_log = Logger()

#: Maximum size of the message of the day: it is put into a client's outbox at once.
_MOTD_LINES = 200
_MOTD_CHARACTERS = 8192

#: Checks for idle clients per ``ping`` interval.
_CHECKS_PER_PING = 4


class IrcProtocol(ChatProtocol):
    """One IRC connection."""

    __slots__ = ("_ends", "_irc", "_received", "_silent")

    def __init__(self, factory: IrcFactory) -> None:
        super().__init__(factory)
        self._irc = factory
        self._ends: LineEnds | None = None
        self._received = True
        self._silent = 0

    def converse(self, outbox: Outbox, connection: IConnection | None) -> IrcConversation:
        self._irc.protocols[self] = None
        client = IrcConversation(
            self._irc.server,
            outbox,
            None if connection is None else connection.address,
            connection is not None and _is_secure(connection),
            self,
        )
        self._look_up_host(client)
        return client

    def _look_up_host(self, client: IrcConversation) -> None:
        """Look up the host name of the client's address, if ``resolve`` is set."""
        address = client.address
        shown = self._irc.hub.hosts.shown == "address"
        if address is None or address.is_loopback or not (shown and self._irc.settings.resolve):
            return

        def found(name: str) -> None:
            # WEBIRC may have changed the address meanwhile
            if client.over or client.address != address:
                return
            client.host = name
            if client.person is not None:
                self._irc.hub.set_host(client, name)

        self._irc.names.ask(address, found)

    def replace_address(self, address: Address) -> Refusal | None:
        """See :class:`tcpd.chat.conversation.GatewayEdge`."""
        connection = IConnection(self.transport, None)
        refusal: Refusal | None = (
            None if connection is None else connection.replace_address(address)
        )
        return refusal

    def split(self, data: bytes) -> list[bytes | LineFault]:
        """Split data into lines. A CR alone ends a line, too; empty lines are dropped.

        RFC 2812 section 2.3.1: "Empty messages are silently ignored". Of nothing but empty lines
        one is kept, so that the rate limits a flood of them.
        """
        self._received = True
        if self._ends is None and b"\r" in data and data.count(b"\r") != data.count(b"\r\n"):
            self._ends = LineEnds()  # on first use; few clients send a CR alone
        if self._ends is not None:
            data = self._ends.feed(data)
        lines = self._buffer.feed(data)
        if b"" in lines:
            return [line for line in lines if line] or lines[:1]
        return lines

    def connectionLost(self, reason: Any = None) -> None:
        self._irc.protocols.pop(self, None)
        super().connectionLost(reason)

    def send_tokens(self, words: Iterable[str]) -> None:
        """Send changed tokens of RPL_ISUPPORT to the client."""
        client = self._session
        if isinstance(client, IrcConversation) and client.person is not None and not self.over:
            send_tokens(IrcReply(client), words)

    def send_capabilities(self, before: Mapping[bool | None, Mapping[str, str]]) -> None:
        """Announce changed capabilities to the client."""
        client = self._session
        if isinstance(client, IrcConversation) and not self.over:
            send_capabilities(IrcReply(client), before)

    def check_idle(self) -> None:
        """Send PING to an idle client, or disconnect a client that did not answer. A failure
        affects this client only."""
        self.attempt(self._check_idle)

    def _check_idle(self) -> None:
        session = self._session
        received, self._received = self._received, False
        stopped, self._stopped_reading = self._stopped_reading, not self._reading
        if received:
            self._silent = 0
            return
        if stopped or not self._reading:
            return  # the PONG may be unread in the socket
        self._silent += 1
        if self.over or not isinstance(session, IrcConversation) or not session.entered:
            return
        if self._silent == _CHECKS_PER_PING:
            session.put(session.timed(write("PING", self._irc.server_name, colon=True)))
        elif self._silent >= 2 * _CHECKS_PER_PING:
            seconds = round(2 * self._irc.settings.ping)
            # thousands may time out at once
            self.when_there_is_time(partial(session.finish, f"Ping timeout: {seconds} seconds"))


@implementer(IRereading, IRefusing, IWebSocketFactory)
class IrcFactory(ChatFactory):
    """Protocol factory of one IRC service.

    :param settings: settings of the service.
    :param context: see :class:`tcpd.interfaces.IContext`.
    :raise SettingError: if the message of the day cannot be read.
    """

    line_bytes = LINE_BYTES
    no_method_is_a_name = True

    def __init__(self, settings: IrcSettings, context: IContext) -> None:
        super().__init__(context)
        self.protocols: dict[IrcProtocol, None] = {}
        self._idle_check: IDelayedCall | None = None
        # thousands may be idle at once
        self._idle_walk: Walk[IrcProtocol] = Walk(self.work, IrcProtocol.check_idle)
        now = context.wall_clock()
        self.server = IrcServer(
            service=self.service,
            name=self.server_name,
            version=f"tcpd-{version_of('tcpd')}",
            hub=self.hub,
            settings=settings,
            motd=None,
            created=now - (self.clock.seconds() - context.started),
            started=context.started,
            wall_clock=context.wall_clock,
            clock=self.clock.seconds,
            count=self.counters.events,
            passwords=Checks(thread_runner(context.reactor), self.clock.seconds),
            reload=context.reload,
            tls_port=partial(_tls_port, context),
            text_port=lambda: stream_port(context.directory(), "chat", tls=False),
        )
        self.names = ReverseNames(Lookups(context.reactor))
        self.reconfigure(settings)

    @property
    def read(self) -> tuple[str, ...] | None:
        """See :class:`tcpd.interfaces.IRereading`: the message of the day."""
        return self.server.motd

    def reconfigure(self, settings: IrcSettings) -> None:
        """See :class:`tcpd.interfaces.IReconfigurable`."""
        self.server.motd = read_motd(settings.motd)
        tokens, capabilities = self.server.tokens(), self._capabilities()
        self.settings = self.server.settings = settings
        self.websocket = WebSocketOptions(
            longest=LINE_BYTES,
            subprotocols=IRCV3,
            origins=settings.websocket_origins,
            ping=settings.websocket_ping,
        )
        if news := changed(tokens, self.server.tokens()):
            for protocol in list(self.protocols):
                protocol.send_tokens(news)
        if capabilities != self._capabilities():
            for protocol in list(self.protocols):
                protocol.send_capabilities(capabilities)
        self.rate = settings.rate
        self.entry_timeout = settings.register_timeout
        self._schedule_idle_check()

    def doStart(self) -> None:
        super().doStart()
        self._schedule_idle_check()

    def doStop(self) -> None:
        super().doStop()
        self._schedule_idle_check()

    def buildProtocol(self, addr: IAddress | None) -> IrcProtocol:
        return IrcProtocol(self)

    def refusal(self, reason: Refusal) -> bytes:
        """See :class:`tcpd.interfaces.IRefusing`."""
        return write("ERROR", f"Closing Link: {reason.sentence}", colon=True)

    def _capabilities(self) -> dict[bool | None, dict[str, str]]:
        """Return capabilities by the parameter of
        :meth:`tcpd.chat.irc.server.IrcServer.capabilities`."""
        return {secure: self.server.capabilities(secure) for secure in (None, False, True)}

    def _schedule_idle_check(self) -> None:
        """Schedule the next check for idle clients, while the service listens or has clients."""
        if self._idle_check is not None and self._idle_check.active():
            self._idle_check.cancel()
        self._idle_check = None
        if self.settings.ping and (self.numPorts or self.protocols):
            self._idle_check = self.clock.callLater(
                self.settings.ping / _CHECKS_PER_PING, self._check_idle
            )

    def _check_idle(self) -> None:
        self._schedule_idle_check()
        if not self._idle_walk.under_way:
            self._idle_walk.begin(list(self.protocols))


def _is_secure(connection: Any) -> bool:
    """Return whether the connection uses TLS, up to us or a trusted proxy, or a UNIX socket."""
    proxy = connection.proxy
    return (
        connection.tls is not None
        or connection.address is None
        or (proxy is not None and proxy.ssl is not None)
    )


def thread_runner(reactor: Any) -> Run:
    """Return a function that runs work in the reactor's thread pool."""
    if not IReactorThreads.providedBy(reactor):
        return run_inline

    def run(work: Callable[[], bool], done: Callable[[bool], None]) -> None:
        def failed(failure: Failure) -> None:
            _log.failure("password check failed", failure)
            done(False)

        running = deferToThreadPool(reactor, reactor.getThreadPool(), work)
        running.addCallbacks(done, failed)
        running.addErrback(lambda failure: _log.failure("registration failed", failure))

    return run


def _tls_port(context: IContext) -> int | None:
    entries: list[ServiceEntry] = context.directory()
    own = (entry for entry in entries if entry.name == context.service)
    return next((entry.stream_port(tls=True) for entry in own), None)


def read_motd(path: str) -> tuple[str, ...] | None:
    if not path:
        return None
    try:
        text = read_file(path)[0].decode("utf-8-sig")
    except Unreadable as error:
        raise SettingError("motd", f"cannot read {path}: {error}") from None
    except UnicodeDecodeError:
        raise SettingError("motd", f"{path} is not UTF-8; convert it") from None
    lines = tuple(line.expandtabs().rstrip() for line in text.splitlines())
    if "\0" in text:
        raise SettingError("motd", f"{path} contains a NUL, which IRC cannot carry")
    if len(text) > _MOTD_CHARACTERS or len(lines) > _MOTD_LINES:
        raise SettingError(
            "motd",
            f"{path} is longer than {_MOTD_LINES} lines or {_MOTD_CHARACTERS} characters; "
            "shorten it",
        )
    return lines
