"""The log of one service's connections; repeated events are throttled to one line a burst."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tcpd.net.connection_facts import handshake_summary
from tcpd.net.connection_view import ConnectionView
from tcpd.ops import catalogue
from tcpd.policy.addresses import IPV6_PREFIX, IPAddress, limit_key
from tcpd.policy.log_throttle import LogThrottle
from tcpd.policy.reasons import End, Refusal

#: Refusals that do not depend on the client's address: one line a burst for all clients.
_NOT_BY_ADDRESS = frozenset(
    (Refusal.DAEMON_FULL, Refusal.SERVICE_FULL, Refusal.SERVICE_RATE, Refusal.NO_DESCRIPTOR)
)

#: Ends that are logged as misbehaviour of the client.
_MISBEHAVIOUR = frozenset(
    (End.FIRST_BYTE, End.SLOW_READER, End.STALLED, End.TLS_FAILED, End.TLS_TIMEOUT)
)


def _is_check(connection: ConnectionView) -> bool:
    """Whether it was a health check of a proxy, without payload; there may be one each second."""
    payload = connection.bytes_in - connection.bytes_before_protocol
    return connection.proxy is not None and connection.client_unknown and not payload


def _peer_and_proxy(connection: ConnectionView) -> tuple[str, str]:
    """Return the texts for the client, and for the PROXY header (empty without one)."""
    peer = connection.peer
    via = "" if connection.proxy is None else f", {connection.proxy}"
    if connection.credentials is not None:  # the proxy's, if there is one
        if via:
            via = f"{via} ({connection.credentials})"
        else:
            peer = f"{peer} ({connection.credentials})"
    return peer, via


class ConnectionLog:
    """Logs refusals, misbehaviour and the access log of one service.

    Misbehaviour, and refusals by address, are logged once a burst for each address and reason, so
    that fail2ban sees each address. Clients can have many addresses, so the number of lines is
    limited; the others are counted.

    :param service: the name of the service.
    :param clock: provides the time.

    :ivar ipv6_prefix: the prefix length, in bits, that counts as one IPv6 address.
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
        """Log the refusal of a client.

        :param peer: the address of the client, as text.
        :param address: the address of the client; ``None`` on a UNIX socket.
        """
        since = self._since_last_logged(refusal, None if refusal in _NOT_BY_ADDRESS else address)
        if since is not None:
            catalogue.CONNECTION_REFUSED.emit(
                self._log, service=self._service, peer=peer, refusal=str(refusal), since=since
            )

    def header_failed(self, connection: ConnectionView, fault: str, sentence: str) -> None:
        """Log that a trusted proxy did not send a valid PROXY header.

        :param fault: the error as a word, for programs.
        :param sentence: the error as a sentence.
        """
        since = self._since_last_logged(f"proxy {fault}", connection.address)
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
        """Log the start of a connection. Called if :attr:`starts` is true."""
        if connection.client_unknown:
            return
        peer, via = _peer_and_proxy(connection)
        catalogue.CONNECTION_STARTED.emit(
            self._log, service=self._service, id=connection.id, peer=peer, via=via
        )

    def ended(self, connection: ConnectionView, end: End, why: str = "", error: str = "") -> None:
        """Log the end of a connection.

        :param why: OpenSSL's reason why TLS failed, or ``""``.
        :param error: the system's error of a lost connection, or ``""``.
        """
        if end is End.PROXY_TIMEOUT:
            self.header_failed(connection, "timeout", "it was not received in time")
        elif end in _MISBEHAVIOUR and not connection.client_unknown:
            since = self._since_last_logged(end, connection.address)
            if since is not None:
                catalogue.CONNECTION_MISBEHAVED.emit(
                    self._log,
                    service=self._service,
                    peer=connection.peer,
                    end=str(end),
                    why=f": {why}" if why else "",
                    since=since,
                )
        elif end is End.TLS_REFUSED and not connection.client_unknown:
            since = self._since_last_logged(why, None)
            if since is not None:
                catalogue.TLS_REFUSED.emit(
                    self._log,
                    service=self._service,
                    peer=connection.peer,
                    reason=why,
                    since=since,
                )
        if self.access_log and end is not End.REFUSED and not _is_check(connection):
            self._access(connection, end, why, error)

    def _access(self, connection: ConnectionView, end: End, why: str, error: str) -> None:
        tls = "no TLS" if connection.tls is None else str(connection.tls)
        peer, via = _peer_and_proxy(connection)
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
            handshake=f", {handshake_summary(connection)}" if self.handshakes else "",
            end=str(end),
            error=f", error: {error}" if error else "",
        )

    def _since_last_logged(self, word: str, address: IPAddress | None) -> int | None:
        """See :meth:`tcpd.policy.log_throttle.LogThrottle.record`."""
        now = self._clock.seconds()
        key = None if address is None else limit_key(address, self.ipv6_prefix)
        since = self._throttle.record((word, key), now)
        unlogged = self._throttle.take_unlogged(now)
        if unlogged:
            catalogue.CONNECTION_UNTOLD.emit(self._log, service=self._service, count=unlogged)
        return since
