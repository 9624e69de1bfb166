"""The interfaces between the packages of tcpd, and between tcpd and other packages.

A protocol of another package is a *kind*: an object that provides :class:`IKind`, named by an entry
point of the group ``tcpd.protocols``. A line command of another package provides
:class:`ILineCommand`, and its group is ``tcpd.line.commands``.
"""

from __future__ import annotations

from zope.interface import Attribute, Interface


class IKind(Interface):
    """A protocol that services can have: ``protocol = NAME`` in a ``[service:...]`` section.

    Three more attributes are optional:

    - ``shows_handshakes``: true where the protocol shows clients their own handshake
      (:meth:`IConnection.facts`). The layer then keeps the first state of each connection, some 300
      bytes, and with TLS its ClientHello, 300 to 2,000 bytes.
    - ``descriptors``: the number of file descriptors that one connection takes, 1 by default. The
      limit of open files follows it.
    - ``sections``: a mapping of titles to settings dataclasses. Each is a section of the ini file
      that all services of the kind share, such as ``[chat]``. Several kinds may declare a section
      together, with the same class. :attr:`IContext.sections` has the values.
    """

    name = Attribute("str: the word in the ini file; lower-case ASCII letters and digits.")
    summary = Attribute("str: one sentence for the reference page and the annotated sample.")
    settings = Attribute(
        "type: a frozen dataclass of tcpd.api.option() declarations: the kind's keys in the "
        "section of a service."
    )
    words = Attribute(
        "frozenset[str]: the words of listeners that the kind supports beside tls=NAME, which all "
        "kinds support: 'udp', 'starttls', 'websocket'. With 'websocket' its factory provides "
        "IWebSocketFactory."
    )
    idle = Attribute(
        "float, seconds: the idle timeout where the policy has `idle = auto`; 0 for none."
    )
    sample_listen = Attribute(
        "str | None: the listener in the built-in sample configuration; None leaves the kind out."
    )

    def make_factory(settings, context):
        """Make the factory of a service.

        Called at the start before any port opens, and at a reload that adds or changes it.

        :param settings: an instance of ``self.settings``.
        :param IContext context: the rest of the daemon, for this service.
        :return: a :class:`twisted.internet.interfaces.IProtocolFactory`; it may also provide
            :class:`IRefusing` and :class:`IReconfigurable`, and its protocols
            :class:`IFarewell` and :class:`twisted.internet.interfaces.IHalfCloseableProtocol`.
        :raise tcpd.api.SettingError: for what only the kind can check, such as an unreadable file.
        """


class IDatagramKind(IKind):
    """A kind that also answers datagrams: its ``words`` contain ``udp``.

    Its ``settings`` have an attribute ``udp_rate``, a :class:`tcpd.api.Rate` or ``None``: the
    rate of replies to one address. If a reply can be longer than the request, the default should be
    low, such as ``1/s burst 5``, because source addresses are easily forged.
    """

    def make_responder(settings, context):
        """Make the function that answers the datagrams of a service.

        :return: ``Callable[[bytes], bytes | None]``: from the payload of a datagram to the payload
            of the reply; ``None`` for no reply. The daemon itself checks networks and rates.
        """


class IContext(Interface):
    """The rest of the daemon, for one service. Its kind gets it in ``make_factory``."""

    service = Attribute("str: the service's name, NAME of [service:NAME].")
    clock = Attribute(
        "twisted.internet.interfaces.IReactorTime: for timers and durations. Its seconds() are "
        "monotonic and not the time of day."
    )
    reactor = Attribute(
        "IReactorTCP, IReactorUNIX, IReactorPluggableNameResolver and IReactorProcess: for kinds "
        "that open connections or start programs. Other kinds use clock."
    )
    uid = Attribute("int: the user id that the daemon runs as once its ports are open; 0 is root.")
    wall_clock = Attribute(
        "Callable[[], float]: seconds since 1970 UTC, for dates that people read."
    )
    server_name = Attribute("str: the name of the server, for greetings and reports.")
    started = Attribute("float: clock.seconds() when the daemon started.")
    chat = Attribute(
        "tcpd.chat.service.ChatService: the rooms of chat (its hub), shared by all frontends."
    )
    counters = Attribute("tcpd.api.ServiceCounters: the counters of this service.")
    work = Attribute(
        "tcpd.api.WorkQueue: the queue of work that clients cause. Work that takes more than "
        "some tens of microseconds goes through it."
    )
    sections = Attribute(
        "Mapping[str, object]: the settings of the sections that the kind declares, by title. A "
        "reload that changes them replaces the mapping and then calls "
        "IReconfigurable.reconfigure()."
    )
    reload = Attribute(
        "Callable[[Callable[[bool, Sequence[str]], None]], None]: reloads the configuration in "
        "another turn of the reactor, for clients that are operators. The callback gets whether "
        "the configuration was applied, and the changes, a line each, or the sources (FILE:LINE) "
        "of errors. The log has the errors themselves."
    )

    def directory():
        """List the services, except the daemon's own.

        :return: ``list[tcpd.api.ServiceEntry]``, in the order of the ini files.
        """

    def factory(service):
        """Find the factory of another service, such as the one that WebSockets of a page use.

        :param str service: NAME of its [service:NAME].
        :return: the :class:`twisted.internet.interfaces.IProtocolFactory`; ``None`` if no such
            service runs. A reload may replace it.
        """

    def status():
        """Report the state and load of the daemon, for operators.

        :return: ``dict``: the objects of the operators' commands STATUS and SERVICES
            (docs/reference/control.rst), as ``{"status": ..., "services": [...]}``.
        """

    def follow(callback, recent=False):
        """Follow the events of the log, for operators.

        :param callback: called with each further event: a JSON line without its line end. It must
            not block.
        :param bool recent: call it with some recent events first, within this call.
        :return: :class:`tcpd.ops.follow.Follower`; its ``stop()`` ends this.
        """


class IConnection(Interface):
    """One connection in the connection layer.

    A protocol gets it by ``IConnection(self.transport, None)``, which is ``None`` for a transport
    without that layer, in a test. It is the same object below TLS and after STARTTLS.
    """

    id = Attribute("str: unique until the daemon ends.")
    service = Attribute("str: the service's name.")
    peer = Attribute(
        "str: the client's address as text: '192.0.2.1:4711', '[2001:db8::1]:4711' or 'unix'. An "
        "IPv4 client of a dual-stack socket has an IPv4 address."
    )
    address = Attribute(
        "ipaddress.IPv4Address | ipaddress.IPv6Address | None: the client's; None on a UNIX socket."
    )
    credentials = Attribute(
        "tcpd.api.Credentials | None: pid, uid and gid of the peer of a UNIX socket, from the "
        "kernel; None for other sockets."
    )
    proxy = Attribute(
        "tcpd.net.proxy.ProxyFacts | None: the content of the PROXY header, and the address of the "
        "proxy; None without a proxy."
    )
    tls = Attribute(
        "tcpd.net.tls.TLSFacts | None: version, cipher and server_name; with a client certificate, "
        "which is verified, also fingerprint, subject and client_names. None without TLS."
    )
    can_start_tls = Attribute("bool: whether start_tls() may be called now.")
    ended = Attribute(
        "tcpd.api.End | None: why the connection ends or has ended; None before. It is set when "
        "connectionLost() is called."
    )

    service_limit = Attribute(
        "int: the limit of connections of the service, by its current policy."
    )

    def socket():
        """Find the socket at the bottom, to ask the kernel or to set options.

        Reading and writing is the transport's.

        :return: ``socket.socket``; ``None`` where there is none, or an endpoint does not show it.
        """

    def facts():
        """Gather all facts of the connection, its three-way handshake included.

        This takes several system calls, about 100 microseconds, so call it on request and not for
        each message. The protocol adds what only it knows (commands, account, encoding, line
        ending): ``dataclasses.replace(connection.facts(), commands=3)``.

        :return: :class:`tcpd.handshake.facts.Facts`.
        """

    def tcp_sample():
        """Read the main figures of the kernel's TCP_INFO, by one system call.

        For a chart or a counter that is refreshed each second; :meth:`facts` takes ten times as
        long.

        :return: ``dict[str, int]``: RTT, cwnd, delivery rate and others, see
            :func:`tcpd.handshake.sample.sample`; ``None`` if it is no TCP connection.
        """

    def start_tls():
        """Start TLS as the server on this connection, after the bytes that are written so far.

        It replaces ``protocol.transport``, so it is the last call for the plain connection. The
        next ``dataReceived`` has the first bytes that were decrypted.

        :raise RuntimeError: if :attr:`can_start_tls` is false.
        """

    def start_websocket(factory, request):
        """Continue as WebSocket with another protocol, for a request that a page server has read.

        The protocol that calls it gets no further call, ``connectionLost`` included. The response
        to the request is sent, also if the request is refused.

        :param factory: an :class:`IWebSocketFactory`; it makes the protocol.
        :param tcpd.http.request.HTTPRequest request: the request.
        """

    def replace_address(address):
        """Replace the client's address, as a gateway says that the protocol trusts.

        Limits count the connection by that address from now on, and :attr:`address` and
        :attr:`peer` have it.

        :param address: ``ipaddress.IPv4Address`` or ``ipaddress.IPv6Address``.
        :return: ``None``, or the :class:`tcpd.api.Refusal` of an address that is not admitted. It
            is logged and counted, and the protocol closes the connection.
        """

    def refuse(reason):
        """Count and log that a client is refused that was admitted and uses another protocol.

        The protocol then sends its refusal and closes the connection.

        :param tcpd.api.Refusal reason: why.
        """

    def release_slot():
        """Free this connection's slot among the connections of the service and of the daemon.

        For a refused client that stays connected for a moment to read the reason. The caller bounds
        the number of such connections.
        """

    def end(reason):
        """Close the connection, and log and count the reason.

        The protocol's farewell (:class:`IFarewell`) is sent unless the peer does not read.

        :param tcpd.api.End reason: why.
        """

    def abort(reason):
        """Abort the connection immediately, without farewell, and discard unsent data.

        :param tcpd.policy.reasons.End reason: why; it is logged and counted.
        """

    def log_and_abort(doing):
        """Log the exception that is being handled, and abort the connection.

        For a protocol that runs outside the calls of its transport, which would log the exception.

        :param str doing: what failed, for the log.
        """


class IReconfigurable(Interface):
    """A factory that can change its options while it runs. Other factories are replaced."""

    def reconfigure(settings):
        """Apply new options, and changes of :attr:`IContext.sections`.

        Open connections may keep the old options. It is called only after
        :meth:`IKind.make_factory` has succeeded with the same settings, and must not raise.

        :param settings: an instance of the kind's ``settings``.
        """


class IRereading(IReconfigurable):
    """A factory that has read files named in its settings, and can apply their new content.

    Each reload makes another factory to read the files again. If their content differs,
    ``reconfigure()`` is called even though the settings are the same.
    """

    read = Attribute("the content of the files, in any form that can be compared.")


class IWebSocketFactory(Interface):
    """A factory whose protocols exchange lines, over WebSocket too.

    The protocols are the same as over TCP. On a listener with the word ``websocket`` their
    transport delivers each message as a line, and sends each written line as a message.
    """

    websocket = Attribute(
        "tcpd.api.WebSocketOptions: read when a connection begins, so reconfigure() may replace it."
    )


class IRefusing(Interface):
    """A factory that sends clients a refusal in the form of its protocol."""

    def refusal(reason):
        """Make the refusal.

        :param tcpd.api.Refusal reason: why.
        :return: ``bytes``, sent on listeners without TLS before the connection is closed.
        """


class IFarewell(Interface):
    """A protocol that sends its client a last message when the daemon closes the connection."""

    def farewell(reason):
        """Make the message. Called at most once.

        :param tcpd.api.End reason: why.
        :return: ``bytes``, written before the connection is closed; may be empty. For
            ``End.SHUTDOWN`` it may be ``None``: the protocol continues and closes the connection
            itself within the ``drain`` seconds of its service.
        """


class IBusy(Interface):
    """A protocol that stops reading from its client while it works for it.

    This time does not count towards ``idle`` and ``first_byte``.
    """

    busy = Attribute(
        "bool: whether it works for the client and does not read. The protocol bounds that time."
    )


class IFinishing(Interface):
    """A factory that has to end more than its connections, such as programs."""

    def finish(seconds):
        """End it. Called once, when the service stops and its connections begin to drain.

        :param float seconds: the maximum time; the factory then aborts the rest.
        :return: a Deferred that fires with ``None`` when all has ended, and never fails.
        """


class IAbortable(IFinishing):
    """A factory that can abort unfinished work."""

    def abort():
        """Abort the rest. Called at the second signal to end the daemon; the Deferred of
        ``finish()`` has to fire within a second."""


class ILineCommand(Interface):
    """A command of the line protocol. :class:`tcpd.api.Command` provides it.

    Two more attributes are optional, ``many`` and ``usable``: see :class:`tcpd.api.Command`.
    """

    name = Attribute("str: upper-case ASCII letters, digits and '-', starting with a letter.")
    usage = Attribute("str: the arguments as HELP shows them, e.g. '[token]'; may be empty.")
    help = Attribute("str: what it does, for HELP; one or more lines.")

    def call(request):
        """Run the command.

        :param tcpd.api.Request request: the arguments and the client.
        :return: ``str`` (one line or several, sent as a 250 reply), a :class:`tcpd.api.Reply`, an
            awaitable of either, or a :class:`tcpd.api.Stream` of lines that ends when the client
            sends anything.
        :raise tcpd.api.CommandError: to answer with an error reply of the command's choice.
        """
