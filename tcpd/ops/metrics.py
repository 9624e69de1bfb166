"""Declarations of the metrics for Prometheus; the reference page is generated from them.

Names and labels follow https://prometheus.io/docs/practices/naming/. Label values are words of the
program and names from the ini files, never text from clients, which could otherwise create series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tcpd.ops.counters import ServiceCounters
from tcpd.ops.figures import Figures, Words

#: Event names of one service that are exposed; further ones count as "other". The built-in kinds
#: have a dozen.
MAX_WORDS = 100


Row = tuple[tuple[str, ...], float]
"""The values of the labels, in order, and the value."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    :ivar name: the exposed name; ends in ``_total`` for a counter.
    :ivar type: ``counter`` or ``gauge``.
    :ivar help: the description, one or two sentences.
    :ivar labels: the names of its labels.
    :ivar read: returns its rows.
    """

    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[Figures], Iterable[Row]]


def _single(read: Callable[[Figures], float]) -> Callable[[Figures], Iterable[Row]]:
    return lambda figures: [((), read(figures))]


def _services(read: Callable[[ServiceCounters], float]) -> Callable[[Figures], Iterable[Row]]:
    """One row for each service."""
    return lambda figures: [((name,), read(each)) for name, each in figures.services.items()]


def _words(
    read: Callable[[ServiceCounters], Mapping[str, int]],
    known: Callable[[Words], Sequence[str]] = lambda _: (),
    only: bool = False,
) -> Callable[[Figures], Iterable[Row]]:
    """One row for each service and word.

    :param known: words that are always exposed.
    :param only: whether other words are omitted.
    """

    def rows(figures: Figures) -> Iterable[Row]:
        words = known(figures.words)
        for name, counters in figures.services.items():
            counted = read(counters)
            for word in words:
                yield (name, word), counted.get(word, 0)
            if not only:
                for word, count in counted.items():
                    if word not in words:
                        yield (name, word), count

    return rows


def _replies(figures: Figures) -> Iterable[Row]:
    for name, counters in figures.services.items():
        for code, count in counters.replies.items():
            yield (name, str(int(code))), count


def _events(figures: Figures) -> Iterable[Row]:
    for name, counters in figures.services.items():
        others = 0
        for index, (word, count) in enumerate(counters.events.items()):
            if index < MAX_WORDS:
                yield (name, word), count
            else:
                others += count
        if others:
            yield (name, "other"), others


def _build(figures: Figures) -> Iterable[Row]:
    return [(tuple(figures.versions.values()), 1)]


#: The keys of :attr:`Figures.versions`, in order.
VERSIONS = ("version", "twisted", "python", "openssl")

_SERVICE = ("service",)
_REASON = ("service", "reason")

METRICS = (
    Metric(
        "tcpd_connections_open",
        "gauge",
        "Open connections.",
        _SERVICE,
        _services(lambda each: each.open),
    ),
    Metric(
        "tcpd_connections_limit",
        "gauge",
        "Maximum number of connections of all services together.",
        (),
        _single(lambda figures: figures.connections_limit),
    ),
    Metric(
        "tcpd_connections_accepted_total",
        "counter",
        "Connections accepted.",
        _SERVICE,
        _services(lambda each: each.accepted),
    ),
    Metric(
        "tcpd_connections_refused_total",
        "counter",
        "Connections refused, by reason.",
        _REASON,
        _words(lambda each: each.refused, lambda words: words.refusals),
    ),
    Metric(
        "tcpd_connections_ended_total",
        "counter",
        "Connections that ended, by reason.",
        _REASON,
        _words(lambda each: each.ended, lambda words: words.ends),
    ),
    Metric(
        "tcpd_received_bytes_total",
        "counter",
        "Bytes received by TCP, TLS overhead included, and datagram payloads.",
        _SERVICE,
        _services(lambda each: each.bytes_in),
    ),
    Metric(
        "tcpd_sent_bytes_total",
        "counter",
        "Bytes passed to TCP, TLS overhead included, and datagram payloads.",
        _SERVICE,
        _services(lambda each: each.bytes_out),
    ),
    Metric(
        "tcpd_datagrams_received_total",
        "counter",
        "Datagrams received.",
        _SERVICE,
        _services(lambda each: each.datagrams_in),
    ),
    Metric(
        "tcpd_datagrams_sent_total",
        "counter",
        "Datagrams sent in reply.",
        _SERVICE,
        _services(lambda each: each.datagrams_out),
    ),
    Metric(
        "tcpd_datagrams_dropped_total",
        "counter",
        "Datagrams received and not answered, by reason.",
        _REASON,
        _words(lambda each: each.datagrams_dropped, lambda words: words.drops),
    ),
    Metric(
        "tcpd_tls_handshakes_total",
        "counter",
        "Completed TLS handshakes, by negotiated version.",
        ("service", "version"),
        _words(lambda each: each.tls, lambda words: words.tls_versions),
    ),
    Metric(
        "tcpd_tls_handshake_failures_total",
        "counter",
        "TLS handshakes that failed or timed out. These connections count as ended, too.",
        _REASON,
        _words(lambda each: each.ended, lambda words: words.tls_failures, only=True),
    ),
    Metric(
        "tcpd_line_commands_total",
        "counter",
        "Commands of the line protocol, by name; unknown commands are not counted.",
        ("service", "command"),
        _words(lambda each: each.commands),
    ),
    Metric(
        "tcpd_line_replies_total",
        "counter",
        "Replies to requests of the line protocol, by code.",
        ("service", "code"),
        _replies,
    ),
    Metric(
        "tcpd_protocol_events_total",
        "counter",
        "Events that the protocol of a service counts, by name.",
        ("service", "event"),
        _events,
    ),
    Metric(
        "tcpd_chat_members",
        "gauge",
        "People in chat.",
        (),
        _single(lambda figures: figures.members),
    ),
    Metric(
        "tcpd_chat_rooms",
        "gauge",
        "Rooms, the lobby included.",
        (),
        _single(lambda figures: figures.rooms),
    ),
    Metric(
        "tcpd_chat_entered_total",
        "counter",
        "People who entered chat.",
        (),
        _single(lambda figures: figures.chat.entered),
    ),
    Metric(
        "tcpd_chat_messages_total",
        "counter",
        "Messages to a room or to one person.",
        ("to",),
        lambda figures: [
            (("room",), figures.chat.messages),
            (("person",), figures.chat.private_messages),
        ],
    ),
    Metric(
        "tcpd_chat_deliveries_total",
        "counter",
        "Chat events (messages, joins, departures) queued for recipients, counted once for each "
        "recipient.",
        (),
        _single(lambda figures: figures.chat.deliveries),
    ),
    Metric(
        "tcpd_chat_dropped_total",
        "counter",
        "Chat clients disconnected because their send queue was full.",
        (),
        _single(lambda figures: figures.chat.dropped),
    ),
    Metric(
        "tcpd_chat_history_bytes",
        "gauge",
        "Memory used by the history of all rooms, in bytes (an estimate).",
        (),
        _single(lambda figures: figures.history),
    ),
    Metric(
        "tcpd_chat_history_dropped_total",
        "counter",
        "Messages dropped from the history, by the limit that was reached: history_bytes (room) "
        "or history_in_all (all).",
        ("bound",),
        lambda figures: [((bound,), count) for bound, count in figures.chat.forgotten.items()],
    ),
    Metric(
        "tcpd_listeners_open",
        "gauge",
        "Open listeners, UDP included.",
        _SERVICE,
        lambda figures: [((name,), count) for name, count in figures.listeners.items()],
    ),
    Metric(
        "tcpd_ready",
        "gauge",
        "1 while new clients are served; 0 while the daemon starts or stops.",
        (),
        _single(lambda figures: figures.ready),
    ),
    Metric(
        "tcpd_reloads_total",
        "counter",
        "Reloads, by outcome: ok, or refused, which changes nothing.",
        ("outcome",),
        lambda figures: [
            ((outcome,), figures.daemon.reloads[outcome]) for outcome in ("ok", "refused")
        ],
    ),
    Metric(
        "tcpd_tls_certificate_not_after_timestamp_seconds",
        "gauge",
        "End of a certificate's validity, in seconds since 1970 UTC, by [tls:NAME] and file.",
        ("tls", "certificate"),
        lambda figures: [((each.tls, each.file), each.expires) for each in figures.certificates],
    ),
    Metric(
        "tcpd_tls_certificate_changes_total",
        "counter",
        "Changes of certificate files, by outcome: ok if the new files are in use, refused if "
        "the old certificates stay in use.",
        ("outcome",),
        lambda figures: [
            ((outcome,), figures.daemon.certificates[outcome]) for outcome in ("ok", "refused")
        ],
    ),
    Metric(
        "tcpd_configuration_timestamp_seconds",
        "gauge",
        "Time when the current configuration was loaded, in seconds since 1970 UTC.",
        (),
        _single(lambda figures: figures.configured),
    ),
    Metric(
        "tcpd_events_followers",
        "gauge",
        "Clients that follow events on the control socket.",
        (),
        _single(lambda figures: figures.followers),
    ),
    Metric(
        "tcpd_events_dropped_total",
        "counter",
        "Events dropped for followers that read too slowly, counted once for each follower.",
        (),
        _single(lambda figures: figures.events_dropped),
    ),
    Metric(
        "tcpd_log_lost_total",
        "counter",
        "Log records that could not be written, for example because a disk was full.",
        (),
        _single(lambda figures: figures.log_lost),
    ),
    Metric(
        "tcpd_reactor_lag_seconds",
        "gauge",
        "Delay of a timer that the reactor runs twice a second.",
        (),
        _single(lambda figures: figures.lag.last),
    ),
    Metric(
        "tcpd_reactor_lag_max_seconds",
        "gauge",
        "Largest such delay of the last one to two minutes, independent of the scrape interval.",
        (),
        _single(lambda figures: figures.lag.largest),
    ),
    Metric(
        "tcpd_start_time_seconds",
        "gauge",
        "Start time of the daemon, in seconds since 1970 UTC.",
        (),
        _single(lambda figures: figures.started),
    ),
    Metric(
        "tcpd_build_info",
        "gauge",
        "Always 1; the labels are the versions of tcpd, Twisted, Python and OpenSSL.",
        VERSIONS,
        _build,
    ),
)
