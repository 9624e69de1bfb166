"""What the floors of tcpd, and third parties, provide to each other.

A third party's service is a *kind*: an object that provides :class:`IKind`, named by an entry point
of the group ``tcpd.protocols``. A third party's line command provides :class:`ILineCommand`, group
``tcpd.line.commands``.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IKind(Interface):
    """What ``protocol = NAME`` in a ``[service:...]`` section names.

    Three more attributes are optional:

    - ``tells_handshakes``: true where the protocol shows clients their own handshake
      (:meth:`IConnection.facts`). The layer then keeps the first state of each connection, some 300
      bytes.
    - ``descriptors``: the number of file descriptors that one connection takes, 1 by default. The
      limit of open files follows it.
    - ``sections``: a mapping of titles to settings dataclasses. Each is a section of the ini file
      that all services of the kind share, such as ``[chat]``. Several kinds may declare a section
      together, with the same class. :attr:`IContext.sections` has the values.
    """

    name = Attribute("str: the word in the ini file; lower-case ASCII letters and digits.")
    summary = Attribute("str: one sentence for the reference page and the annotated sample.")
    settings = Attribute(
        "type: a frozen dataclass whose attributes are tcpd.config.fields.option() declarations; "
        "the kind's own keys in its section."
    )
    words = Attribute(
        "frozenset[str]: the listener words that the kind understands beyond tls=NAME, "
        "which every kind has: 'udp', 'starttls', 'websocket'. For the last its factory provides "
        "IWebSocketFactory."
    )
    idle = Attribute(
        "float, seconds: the idle timeout of a policy that says `idle = auto`; 0 means none."
    )
    sample_listen = Attribute(
        "str | None: the listener in the built-in sample set; None leaves the kind out of it."
    )

    def make_factory(settings, context):
        """Make the factory of one service. Called once a service and start, before any port opens.

        :param settings: an instance of ``self.settings``.
        :param IContext context: what the service may use of the rest of the daemon.
        :return: a :class:`twisted.internet.interfaces.IProtocolFactory`; it may also provide
            :class:`IRefusing` and :class:`IReconfigurable`, and its protocols
            :class:`IFarewell` and :class:`twisted.internet.interfaces.IHalfCloseableProtocol`.
        :raise tcpd.config.errors.SettingError: for what only the kind can check, such as a file
            that cannot be read.
        """


class IDatagramKind(IKind):
    """A kind that also answers datagrams: its ``words`` hold ``udp``.

    Its ``settings`` have an attribute ``udp_rate``, a :class:`tcpd.config.values.Rate` or ``None``:
    how many answers one address gets. Where an answer can be longer than the question the default
    should be low, such as ``1/s burst 5``, for sources are easily forged.
    """

    def make_responder(settings, context):
        """Make the function that answers one service's datagrams.

        :return: ``Callable[[bytes], bytes | None]``: from the payload of a datagram to that of its
            answer; ``None`` for no answer. Who may be answered, and how often, is not its concern.
        """


class IContext(Interface):
    """What a kind gets from the rest of the daemon, built by ``tcpd.daemon.compose``."""

    service = Attribute("str: the service's name, NAME of [service:NAME].")
    clock = Attribute(
        "twisted.internet.interfaces.IReactorTime: for timers and durations. Its seconds() are "
        "monotonic, and no time of day."
    )
    reactor = Attribute(
        "IReactorTCP, IReactorUNIX, IReactorPluggableNameResolver and IReactorProcess: for kinds "
        "that open connections or start programs; the others need no more than clock."
    )
    uid = Attribute("int: the user id that the daemon is going to run as; 0 is root.")
    wall_clock = Attribute("Callable[[], float]: seconds since 1970 UTC, for dates people read.")
    server_name = Attribute("str: the name that the daemon calls itself by.")
    started = Attribute("float: clock.seconds() when the daemon started.")
    hub = Attribute("tcpd.chat.hub.Hub: the one set of rooms, shared by all doors.")
    counters = Attribute("tcpd.ops.counters.ServiceCounters: this service's counters.")
    work = Attribute(
        "tcpd.policy.workqueue.WorkQueue: the one queue of the work that clients cause; what takes "
        "more than some tens of microseconds goes through it."
    )
    sections = Attribute(
        "Mapping[str, object]: the settings of the sections that the kind declares, by title. A "
        "reload that changes them replaces the mapping and then calls "
        "IReconfigurable.reconfigure()."
    )
    reload = Attribute(
        "Callable[[Callable[[bool, Sequence[str]], None]], None]: has the daemon read its "
        "configuration again, in another turn of the reactor, and calls back with whether it was "
        "taken over, and with what was done, a line each, or the places (FILE:LINE) where "
        "something is wrong: what is wrong there is in the log. For who may ask for that."
    )

    def directory():
        """Tell what the daemon serves.

        :return: ``list[ServiceEntry]`` (:mod:`tcpd.net.directory`), in the order of the ini files.
        """


class IConnection(Interface):
    """One connection as the connection layer knows it.

    A protocol reaches it as ``IConnection(self.transport, None)``: ``None`` under a transport that
    has no such layer (a test's). Through TLS and after STARTTLS it is the same object.
    """

    id = Attribute("str: unique within this run of the daemon.")
    service = Attribute("str: the service's name.")
    peer = Attribute(
        "str: where the client is, as people write it: '192.0.2.1:4711', '[2001:db8::1]:4711' or "
        "'unix'. An IPv4 client of a dual-stack socket is shown as IPv4."
    )
    address = Attribute(
        "ipaddress.IPv4Address | ipaddress.IPv6Address | None: the client's; None on a UNIX socket."
    )
    credentials = Attribute(
        "tcpd.net.credentials.Credentials | None: pid, uid and gid of who connected to a UNIX "
        "socket, as the kernel saw it; None elsewhere."
    )
    proxy = Attribute(
        "tcpd.net.proxy.ProxyFacts | None: what a proxy told of the connection in a PROXY header, "
        "and the proxy's own address; None where there is no proxy."
    )
    tls = Attribute(
        "tcpd.net.tls.TLSFacts | None: version, cipher and server_name, and of a client that has "
        "shown a certificate fingerprint, subject and client_names, verified; None while the "
        "connection is in the clear."
    )
    can_start_tls = Attribute("bool: whether start_tls() may be called now.")
    ended = Attribute(
        "tcpd.policy.reasons.End | None: why the connection ends or has ended; None before. Known "
        "when connectionLost() is called."
    )

    def facts():
        """Gather all that is known of the connection, its three-way handshake included.

        It takes some system calls, and some 100 microseconds: for when somebody asks, not for every
        message. What only the protocol knows (commands, account, encoding, line ending) it adds
        itself: ``dataclasses.replace(connection.facts(), commands=3)``.

        :return: :class:`tcpd.handshake.facts.Facts`.
        """

    def start_tls():
        """Begin TLS (the server's side) on this connection, after what was written so far.

        ``protocol.transport`` is replaced; call it last, with nothing more to say in the clear.
        ``dataReceived`` is next called with the first bytes from inside TLS.

        :raise RuntimeError: where :attr:`can_start_tls` is false.
        """

    def stand_for(address):
        """The client is a gateway whom the protocol trusts, and has said for whom it connects.

        From now on it is counted by that address, and :attr:`address` and :attr:`peer` are its.

        :param address: ``ipaddress.IPv4Address`` or ``ipaddress.IPv6Address``.
        :return: ``None``, or the :class:`tcpd.policy.reasons.Refusal` of who is not let in, which
            is logged and counted; the protocol is then to end the connection.
        """

    def refuse(reason):
        """Count and log that the client is refused, who was let in and speaks another protocol.

        The protocol then says so and closes the connection.

        :param tcpd.policy.reasons.Refusal reason: why.
        """

    def give_up_place():
        """Count no longer among the connections that the service and the daemon may have.

        For a client that is not let in and takes a while to read why: it keeps nobody out. Whoever
        calls this bounds how many there are.
        """

    def end(reason):
        """End the connection for a reason that is logged and counted.

        The protocol's farewell (:class:`IFarewell`) is sent, except to a peer that does not read.

        :param tcpd.policy.reasons.End reason: why.
        """

    def broken(doing):
        """Log the exception that is being handled, which is the protocol's, and cut the connection.

        For a protocol that works where the transport does not see it fail.

        :param str doing: at what it failed, for the log.
        """


class IReconfigurable(Interface):
    """A factory that can take over new options while it runs; one that cannot is replaced."""

    def reconfigure(settings):
        """Take over new options. Conversations under way may keep the old ones.

        Called only after :meth:`IKind.make_factory` has succeeded with the same settings, so all
        that can be wrong with them has been found; it must not raise.

        :param settings: an instance of the kind's ``settings``.
        """


class IRereading(IReconfigurable):
    """A factory that has read files that its settings name, and takes over what else they say.

    At each reload one is made to see what they say now; where that is something else,
    ``reconfigure()`` is called, be the settings the same.
    """

    read = Attribute("what the files said, in any form that can be compared.")


class IWebSocketFactory(Interface):
    """A factory of protocols of lines that can be reached by WebSocket too.

    Its protocols need not know of it: on a listener with the word ``websocket`` their transport
    gives them a line for each message, and sends a message for each line that they write.
    """

    websocket = Attribute(
        "tcpd.net.websocket_settings.WebSocketOptions: looked at when a connection begins, so that "
        "reconfigure() may replace it."
    )


class IRefusing(Interface):
    """A factory that has words for a client that is not let in."""

    def refusal(reason):
        """Say it in the protocol's own words.

        :param tcpd.policy.reasons.Refusal reason: why.
        :return: ``bytes``, sent on listeners without TLS before the connection is closed.
        """


class IFarewell(Interface):
    """A protocol that has last words for a client whose connection the daemon ends."""

    def farewell(reason):
        """Say it in the protocol's own words. Called at most once.

        :param tcpd.policy.reasons.End reason: why.
        :return: ``bytes``, written before the connection is closed; may be empty. For
            ``End.SHUTDOWN``, of a service that has ``drain`` seconds to end, also ``None``: the
            protocol goes on for now and closes the connection itself.
        """


class IBusy(Interface):
    """A protocol that does not always read from its client, since it has work to do first.

    Such time is no silence of the client: it does not count towards ``idle`` and ``first_byte``.
    """

    busy = Attribute(
        "bool: whether it is at work for the client and reads nothing meanwhile. That has a bound: "
        "the client need not be able to end it."
    )


class IFinishing(Interface):
    """A factory that has more to bring to an end than its connections, such as programs."""

    def finish(seconds):
        """End it. Called once, when the service stops, as its connections are told to end.

        :param float seconds: how long it may take; what is left then is to be cut off.
        :return: a Deferred that fires with ``None`` when all is gone, and never fails.
        """


class IHurrying(IFinishing):
    """A factory that can cut off at once what it is finishing."""

    def hurry():
        """Cut off what is left. Called when the operator asks for the end of the daemon a second
        time; the Deferred of ``finish()`` is to fire within a second."""


class ILineCommand(Interface):
    """A command of the line protocol. :class:`tcpd.line.command.Command` provides it.

    It may have two more attributes, described at :class:`tcpd.line.command.Command`: ``many``, a
    :data:`tcpd.line.command.Many` or ``None``; and ``usable``, which HELP asks.
    """

    name = Attribute("str: upper-case ASCII letters, digits and '-', starting with a letter.")
    usage = Attribute("str: the arguments as HELP shows them, e.g. '[token]'; may be empty.")
    help = Attribute("str: what it does, for HELP; one or more lines.")

    def call(request):
        """Do it.

        :param tcpd.line.command.Request request: the arguments and who asks.
        :return: ``str`` (one line or several, sent as a 250 reply), a
            :class:`tcpd.line.reply.Reply`, an awaitable of either, or a
            :class:`tcpd.line.stream.Stream` of lines that go on until the client sends anything.
        :raise tcpd.line.reply.CommandError: to answer with an error reply of the command's choice.
        """
