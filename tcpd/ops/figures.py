"""The values that metrics are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tcpd.ops.counters import ChatCounters, DaemonCounters, ServiceCounters
from tcpd.ops.lag import ReactorLag


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Label values that are exposed with 0 before the first occurrence, as rates require.

    :ivar refusals: reasons for refusals.
    :ivar ends: reasons for the ends of connections.
    :ivar tls_failures: the failures of a TLS handshake among them.
    :ivar tls_versions: the supported versions of TLS.
    :ivar drops: reasons for dropped datagrams.
    """

    refusals: Sequence[str] = ()
    ends: Sequence[str] = ()
    tls_failures: Sequence[str] = ()
    tls_versions: Sequence[str] = ()
    drops: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CertificateFigures:
    """A server certificate.

    :ivar tls: NAME of its ``[tls:NAME]``.
    :ivar file: the file name in the ini file.
    :ivar expires: the end of its validity, in seconds since 1970 UTC.
    """

    tls: str
    file: str
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The values of the metrics. :mod:`tcpd.daemon.metrics_site` makes it for each scrape.

    :ivar services: the figures of services, by name.
    :ivar listeners: the number of open listeners, by service.
    :ivar connections_limit: the limit of connections of all services together.
    :ivar chat: the counters of chat.
    :ivar members: people in chat.
    :ivar rooms: the number of rooms.
    :ivar history: the memory of the history of all rooms, in bytes.
    :ivar daemon: the counters of the daemon.
    :ivar followers: the number of event followers.
    :ivar events_dropped: events that followers missed.
    :ivar log_lost: log records that could not be written.
    :ivar lag: the lag of the reactor.
    :ivar started: start of the daemon, in seconds since 1970 UTC.
    :ivar configured: the time when the current configuration was loaded, in seconds since 1970 UTC.
    :ivar ready: whether new clients are served.
    :ivar versions: the versions of tcpd and its dependencies, by name.
    :ivar words: label values that are always exposed.
    :ivar certificates: the server certificates.
    """

    services: Mapping[str, ServiceCounters]
    listeners: Mapping[str, int]
    connections_limit: int
    chat: ChatCounters
    members: int
    rooms: int
    history: int
    daemon: DaemonCounters
    followers: int
    events_dropped: int
    log_lost: int
    lag: ReactorLag
    started: float
    configured: float
    ready: bool
    versions: Mapping[str, str]
    words: Words = field(default_factory=Words)
    certificates: Sequence[CertificateFigures] = ()
