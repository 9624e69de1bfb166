"""The log of one service's connections: repeated events are logged once a burst."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcpd.net.connection_view import ConnectionView
from tcpd.net.gathering import compact
from tcpd.ops import catalogue
from tcpd.policy.addresses import IPV6_PREFIX, IPAddress, limit_key
from tcpd.policy.log_throttle import LogThrottle
from tcpd.policy.reasons import End, Refusal

#: Refusals that do not depend on the address: they share one line a burst.
_OF_ALL = frozenset(
    (Refusal.DAEMON_FULL, Refusal.SERVICE_FULL, Refusal.SERVICE_RATE, Refusal.NO_DESCRIPTOR)
)

#: Ends that a client brings about by behaving as no client should.
_MISBEHAVIOUR = frozenset(
    (End.FIRST_BYTE, End.SLOW_READER, End.STALLED, End.TLS_FAILED, End.TLS_TIMEOUT)
)


def _is_check(connection: ConnectionView) -> bool:
    """Whether it was of a proxy, and said nothing: there may be one each second."""
    said = connection.bytes_in - connection.bytes_before_protocol
    return connection.proxy is not None and connection.of_proxy and not said


def _who(connection: ConnectionView) -> tuple[str, str]:
    """The client, and what a PROXY header says beside its address, for people."""
    peer = connection.peer
    via = "" if connection.proxy is None else f", {connection.proxy}"
    if connection.credentials is not None:  # of the proxy, where there is one
        if via:
            via = f"{via} ({connection.credentials})"
        else:
            peer = f"{peer} ({connection.credentials})"
    return peer, via


class ConnectionLog:
    """Logs refusals, misbehaviour and the access log of one service.

    A refusal for the address, and misbehaviour, is logged once a burst for each address and reason,
    so that a program that bans addresses by the log (fail2ban) sees each. Clients choose their
    addresses, so only a limited number is logged one by one; the others are counted.

    :param service: its name.
    :param clock: for the time.

    :ivar ipv6_prefix: how much of an IPv6 address counts as one address, in bits.
    :ivar access_log: whether the end of each connection is logged.
    :ivar starts: whether the start of each connection is logged.
    :ivar handshakes: whether the access log shows the three-way handshake.
    """

    _log = Logger()

    def __init__(self, service: str, clock: IReactorTime) -> None:
        self.ipv6_prefix = IPV6_PREFIX
        self.access_log = False
        self.starts = False
        self.handshakes = False
        self._service = service
        self._clock = clock
        self._throttle = LogThrottle()

    def refused(self, refusal: Refusal, peer: str, address: IPAddress | None) -> None:
        """A client was not let in.

        :param peer: the client, for people.
        :param address: its address; ``None`` on a UNIX socket.
        """
        since = self._happened(refusal, None if refusal in _OF_ALL else address)
        if since is not None:
            catalogue.CONNECTION_REFUSED.emit(
                self._log, service=self._service, peer=peer, refusal=str(refusal), since=since
            )

    def header_failed(self, connection: ConnectionView, fault: str, sentence: str) -> None:
        """A trusted proxy said nothing that is a PROXY header.

        :param fault: a word for it.
        :param sentence: the same for people.
        """
        since = self._happened(f"proxy {fault}", connection.address)
        if since is not None:
            catalogue.PROXY_FAILED.emit(
                self._log,
                service=self._service,
                peer=connection.peer,
                fault=str(fault),
                error=sentence,
                since=since,
            )

    def started(self, connection: ConnectionView) -> None:
        """The client is known. Called where :attr:`starts` is true."""
        if connection.of_proxy:
            return
        peer, via = _who(connection)
        catalogue.CONNECTION_STARTED.emit(
            self._log, service=self._service, id=connection.id, peer=peer, via=via
        )

    def ended(self, connection: ConnectionView, end: End, why: str = "", error: str = "") -> None:
        """A connection is over.

        :param why: TLS failed, in OpenSSL's words; else empty.
        :param error: the system's, of a connection that was lost; else empty.
        """
        if end is End.PROXY_TIMEOUT:
            self.header_failed(connection, "timeout", "it did not come in time")
        elif end in _MISBEHAVIOUR and not connection.of_proxy:
            since = self._happened(end, connection.address)
            if since is not None:
                catalogue.CONNECTION_MISBEHAVED.emit(
                    self._log,
                    service=self._service,
                    peer=connection.peer,
                    end=str(end),
                    why=f": {why}" if why else "",
                    since=since,
                )
        elif end is End.TLS_REFUSED and not connection.of_proxy:
            since = self._happened(why, None)
            if since is not None:
                catalogue.TLS_REFUSED.emit(
                    self._log,
                    service=self._service,
                    peer=connection.peer,
                    reason=why,
                    since=since,
                )
        if self.access_log and end is not End.REFUSED and not _is_check(connection):
            self._access(connection, end, why, error)  # a refusal has a line already

    def _access(self, connection: ConnectionView, end: End, why: str, error: str) -> None:
        tls = "no TLS" if connection.tls is None else str(connection.tls)
        peer, via = _who(connection)
        catalogue.CONNECTION_ENDED.emit(
            self._log,
            service=self._service,
            id=connection.id,
            peer=peer,
            seconds=round(self._clock.seconds() - connection.opened, 3),
            bytes_in=connection.bytes_in,
            bytes_out=connection.bytes_out,
            tls=f"{tls}: {why}" if why else tls,
            via=via,
            handshake=f", {compact(connection)}" if self.handshakes else "",
            end=str(end),
            error=f", error: {error}" if error else "",
        )

    def _happened(self, word: str, address: IPAddress | None) -> int | None:
        """See :meth:`tcpd.policy.log_throttle.LogThrottle.record`."""
        now = self._clock.seconds()
        key = None if address is None else limit_key(address, self.ipv6_prefix)
        since = self._throttle.record((word, key), now)
        unlogged = self._throttle.take_unlogged(now)
        if unlogged:
            catalogue.CONNECTION_UNTOLD.emit(self._log, service=self._service, count=unlogged)
        return since
