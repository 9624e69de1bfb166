"""What metrics are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tcpd.ops.counters import ChatCounters, DaemonCounters, ServiceCounters
from tcpd.ops.lag import ReactorLag


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The words that are shown with 0 before they were first counted, as a rate needs it.

    :ivar refusals: why clients are not let in.
    :ivar ends: why connections end.
    :ivar tls_failures: those of them that are failures of a TLS handshake.
    :ivar tls_versions: that can be agreed on.
    :ivar drops: why datagrams are not answered.
    """

    refusals: Sequence[str] = ()
    ends: Sequence[str] = ()
    tls_failures: Sequence[str] = ()
    tls_versions: Sequence[str] = ()
    drops: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CertificateFigures:
    """A certificate that clients are shown.

    :ivar tls: NAME of its ``[tls:NAME]``.
    :ivar file: as the ini file names it.
    :ivar expires: until when it is valid, in seconds since 1970 UTC.
    """

    tls: str
    file: str
    expires: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The values of the metrics. :mod:`tcpd.daemon.metrics_site` makes it for each scrape.

    :ivar services: by name.
    :ivar listeners: by name of a service, how many listeners it has open.
    :ivar connections_limit: how many connections all services together may have.
    :ivar chat: the rooms' counters.
    :ivar members: people in chat now.
    :ivar rooms: rooms now.
    :ivar history: what the messages that are kept of all rooms take, in bytes.
    :ivar daemon: the daemon's own counters.
    :ivar followers: those who follow events now.
    :ivar events_dropped: how many events followers have missed.
    :ivar log_lost: how many lines of the log could not be written.
    :ivar lag: the reactor's.
    :ivar started: when the daemon started, in seconds since 1970 UTC.
    :ivar configured: when the configuration in force was taken over, in seconds since 1970 UTC.
    :ivar ready: whether new clients are served.
    :ivar versions: of what it is built on, by name.
    :ivar words: see there.
    :ivar certificates: those that clients are shown.
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
